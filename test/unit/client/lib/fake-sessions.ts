import { type WebSocket, WebSocketServer } from 'ws';
import { AgentFrameSchema, type AgentFrame } from '../../../../shared/schemas/session.ts';
import { FakeFleet, type Handler, agentBody } from './fake-fleet.ts';
import { eventually } from './eventually.ts';

export interface SessionOptions {
  /** What `welcome` says is held. */
  readonly held?: readonly unknown[];
  readonly token?: string;
  /** Whether frames are acknowledged at once. */
  readonly ack?: boolean;
  readonly pong?: boolean;
  readonly pingIntervalMs?: number;
  readonly reconnectWithinMs?: number;
}

/** One socket of an agent, as the fleet sees it. */
export class FakeSession {
  readonly frames: AgentFrame[] = [];
  readonly agentId: string;
  readonly protocols: readonly string[];
  pings = 0;
  closedWith: number | null = null;
  ack: boolean;
  readonly #socket: WebSocket;
  #seq = 0;

  constructor(agentId: string, protocols: readonly string[], socket: WebSocket, { ack = true, pong = true }: SessionOptions) {
    this.agentId = agentId;
    this.protocols = protocols;
    this.ack = ack;
    this.#socket = socket;
    socket.on('close', (code) => {
      this.closedWith = code;
    });
    socket.on('message', (data) => {
      const text = (data as Buffer).toString('utf8');
      if (text === 'ping') {
        this.pings++;
        if (pong) socket.send('pong');
        return;
      }
      // What an agent sends must be what the schemas allow.
      const frame = AgentFrameSchema.parse(JSON.parse(text));
      this.frames.push(frame);
      if (this.ack) this.acknowledge(frame);
    });
  }

  acknowledge(frame: AgentFrame, more: Record<string, unknown> = {}): void {
    this.send('ack', { id: frame.id, ...more });
  }

  refuse(frame: AgentFrame, code: string, status = 409): void {
    const problem = { type: '', title: code, status, detail: `It is ${code}.`, instance: '', code, requestId: 'req-1' };
    this.send('error', { id: frame.id, problem });
  }

  send(type: string, fields: Record<string, unknown>): void {
    this.#socket.send(JSON.stringify({ id: `s${++this.#seq}`, type, ...fields }));
  }

  raw(text: string): void {
    this.#socket.send(text);
  }

  close(code: number, reason = ''): void {
    this.#socket.close(code, reason);
  }

  drop(): void {
    this.#socket.terminate();
  }

  of(type: AgentFrame['type']): AgentFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The first frame of a type, once it has come. */
  async first(type: AgentFrame['type']): Promise<AgentFrame> {
    return eventually(() => {
      const [frame] = this.of(type);
      if (frame === undefined) throw new Error(`no ${type} yet`);
      return frame;
    });
  }
}

/** A fake fleet whose agents get sessions. */
export class FakeSessions {
  readonly fleet: FakeFleet;
  readonly sessions: FakeSession[] = [];
  /** For the sessions to come. */
  options: SessionOptions = {};
  /** Refuses upgrades with this status while set. */
  refuseWith: number | null = null;
  #registered = 0;

  private constructor(fleet: FakeFleet) {
    this.fleet = fleet;
    const sockets = new WebSocketServer({
      noServer: true,
      handleProtocols: (asked) => (asked.has('fleet.v1') ? 'fleet.v1' : false),
    });
    fleet.server.on('upgrade', (request, socket, head) => {
      if (this.refuseWith !== null) {
        socket.end(`HTTP/1.1 ${this.refuseWith} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
        return;
      }
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const agentId = decodeURIComponent((request.url ?? '').split('/')[3] ?? '');
        const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(/, ?/);
        const session = new FakeSession(agentId, protocols, webSocket, this.options);
        this.sessions.push(session);
        const { held = [], token, pingIntervalMs = 2_000, reconnectWithinMs } = this.options;
        const more = {
          ...(token === undefined ? {} : { token }),
          ...(reconnectWithinMs === undefined ? {} : { reconnectWithinMs }),
        };
        session.send('welcome', { held, pingIntervalMs, ...more });
      });
    });
  }

  static async start(handler?: Handler): Promise<FakeSessions> {
    const fake: FakeSessions = new FakeSessions(await FakeFleet.start((request) => (handler ?? (() => ({ body: {} })))(request)));
    const scripted = fake.fleet.handler;
    fake.fleet.handler = (request) => {
      if (handler === undefined && `${request.method} ${request.path}` === 'POST /v1/agents') return fake.register(request.body);
      return scripted(request);
    };
    return fake;
  }

  register(body: unknown): { status: number; body: unknown } {
    const n = ++this.#registered;
    const { pool = 'coder', slots = 1 } = body as { pool?: string; slots?: number };
    return { status: 201, body: agentBody(`agt.${n}`, { pool, slots, heartbeatIntervalMs: 100, token: `token-${n}` }) };
  }

  async session(index: number): Promise<FakeSession> {
    return eventually(() => {
      const session = this.sessions[index];
      if (session === undefined) throw new Error(`no session ${index} yet`);
      return session;
    });
  }

  async stop(): Promise<void> {
    for (const session of this.sessions) session.drop();
    await this.fleet.stop();
  }
}

export const assignment = (taskId: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  taskId,
  allocationId: `alc.${taskId}`,
  fencingToken: 1,
  attempt: 1,
  payload: 'hello',
  leaseExpiresAtMs: 1,
  timeoutMs: 60_000,
  ...more,
});
