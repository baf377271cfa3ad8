import { WebSocket } from 'ws';
import { SESSION_PROTOCOL, type ServerFrame } from '../../shared/schemas/session.ts';
import type { LocalFleet } from '../../scripts/local/fleet.ts';
import { REGION } from '../allocation/agents.ts';
import { Client } from '../lib/load.ts';

export type Assign = Extract<ServerFrame, { readonly type: 'assign' }>;

const OPENING_AT_ONCE = 32;
const BATCH = 500;
const PING_MS = 5_000;

/** An agent of the benchmark: a socket, and what it is told. */
export class SocketAgent {
  readonly id: string;
  readonly #socket: WebSocket;
  onAssign: (assign: Assign) => void = () => undefined;
  /** Answers to its pings so far. */
  pongs = 0;
  #frame = 0;

  constructor(id: string, socket: WebSocket) {
    this.id = id;
    this.#socket = socket;
    socket.on('message', (data: Buffer, isBinary) => {
      const text = isBinary ? '' : data.toString();
      if (text === 'pong') {
        this.pongs += 1;
        return;
      }
      const frame = JSON.parse(text) as ServerFrame;
      if (frame.type === 'assign') this.onAssign(frame);
      if (frame.type === 'error') throw new Error(`agent ${id}: ${frame.problem.detail ?? frame.problem.code}`);
    });
  }

  complete({ taskId, fencingToken }: Assign): void {
    this.#frame += 1;
    this.#socket.send(JSON.stringify({ type: 'complete', id: this.#frame, taskId, fencingToken }));
  }

  ping(): void {
    this.#socket.send('ping');
  }

  /** Ends the connection without a closing handshake, as the death of the process would. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** Resolves when the socket has gone. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState === WebSocket.CLOSED) return resolve();
      this.#socket.once('close', () => resolve());
      this.#socket.close();
    });
  }
}

export interface SocketAgents {
  readonly agents: readonly SocketAgent[];
  /** How long it took to open all sockets. */
  readonly openedInMs: number;
  close(): Promise<void>;
}

/** Registers agents and holds a session of each from this process, with a ping every five seconds. */
export async function connectAgents(fleet: LocalFleet, pool: string, count: number): Promise<SocketAgents> {
  const registered = await register(fleet, pool, count);
  const from = performance.now();
  const agents: SocketAgent[] = [];
  let next = 0;
  const open = async (): Promise<void> => {
    for (let agent = registered[next++]; agent !== undefined; agent = registered[next++]) {
      agents.push(await openSession(fleet.url, agent));
    }
  };
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, open));
  const openedInMs = performance.now() - from;
  // Spread over the interval, as those of independent processes would be.
  let turn = 0;
  const perTick = Math.ceil(count / (PING_MS / 100));
  const pings = setInterval(() => {
    for (let i = 0; i < perTick; i += 1) agents[turn++ % count]?.ping();
  }, 100);
  return {
    agents,
    openedInMs,
    async close() {
      clearInterval(pings);
      await Promise.all(agents.map((agent) => agent.close()));
    },
  };
}

export interface Registered {
  readonly id: string;
  readonly token: string;
}

export async function register(fleet: LocalFleet, pool: string, count: number): Promise<readonly Registered[]> {
  const client = new Client(fleet.url, fleet.adminToken, 1);
  const registered: Registered[] = [];
  try {
    while (registered.length < count) {
      const size = Math.min(BATCH, count - registered.length);
      const agents = Array.from({ length: size }, () => ({ pool, region: REGION, liveness: 'session' }));
      const { body } = await client.expect(200, 'POST', '/v1/agents/batch', { agents });
      const { results } = JSON.parse(body) as {
        readonly results: readonly { readonly status: number; readonly body: Registered }[];
      };
      const refused = results.find(({ status }) => status !== 201);
      if (refused !== undefined) throw new Error(`a registration failed: ${JSON.stringify(refused).slice(0, 300)}`);
      registered.push(...results.map((result) => result.body));
    }
    return registered;
  } finally {
    await client.close();
  }
}

function openSession(url: string, { id, token }: Registered): Promise<SocketAgent> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/agents/${id}/session`, [SESSION_PROTOCOL], {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    });
    const agent = new SocketAgent(id, socket);
    socket.once('open', () => resolve(agent));
    socket.once('error', reject);
    socket.once('unexpected-response', (_, response) => reject(new Error(`session of ${id}: ${response.statusCode ?? '?'}`)));
  });
}
