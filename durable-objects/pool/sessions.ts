import type { FleetError } from '../../shared/errors.ts';
import type { Home } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import { problemOf } from '../../shared/problem.ts';
import {
  SESSION_HEADERS,
  type AssignmentView,
  type Caller,
  type PoolCommand,
  type PoolReply,
  type ShardConfig,
} from '../../shared/rpc.ts';
import type { RevokedLease } from '../../shared/schemas/agents.ts';
import { SESSION_GONE, SESSION_PROTOCOL, SESSION_REPLACED, type ServerFrame } from '../../shared/schemas/session.ts';
import { assignmentView } from './core/views.ts';
import type { PoolEngine } from './engine.ts';
import type { Outcome } from './outcomes.ts';
import { readAgentFrame, serverFrame } from './frames.ts';
import type { PoolStorage } from './storage.ts';

/** What an upgrade names; the router and the region have checked it. */
export interface SessionRequest {
  readonly fleet: string;
  readonly home: Home;
  readonly config: ShardConfig;
  readonly caller: Caller;
  readonly agentId: string;
  readonly renewedToken: string | null;
}

/** Kept with the socket over hibernation. */
interface Attachment {
  readonly agentId: string;
  readonly caller: Caller;
}

export interface FrameRequest {
  readonly id: string | number;
  readonly caller: Caller;
  readonly command: PoolCommand;
}

type SocketOutcome = Extract<Outcome, { readonly type: 'assign' | 'cancel' | 'revoke' | 'drain' | 'closeSession' }>;

/** The agents' sockets. They hibernate: nothing here survives in memory, everything is asked of the platform again. */
export class Sessions {
  readonly #ctx: DurableObjectState;
  readonly #storage: PoolStorage;
  readonly #engine: () => PoolEngine | null;
  #frameSeq = 0;

  constructor(ctx: DurableObjectState, storage: PoolStorage, engine: () => PoolEngine | null) {
    this.#ctx = ctx;
    this.#storage = storage;
    this.#engine = engine;
  }

  parse(request: Request): SessionRequest | null {
    if (request.headers.get('Upgrade')?.toLowerCase() !== 'websocket') return null;
    const caller = request.headers.get(SESSION_HEADERS.caller);
    const agentId = request.headers.get(SESSION_HEADERS.agentId);
    const place = request.headers.get(SESSION_HEADERS.home);
    if (caller === null || agentId === null || place === null) return null;
    const { fleet, home, config } = JSON.parse(place) as Pick<SessionRequest, 'fleet' | 'home' | 'config'>;
    return {
      fleet,
      home,
      config,
      agentId,
      caller: JSON.parse(caller) as Caller,
      renewedToken: request.headers.get(SESSION_HEADERS.token),
    };
  }

  /**
   * Accepts the socket, replaces an older one, and tells the agent what it holds; what it was granted by coming (`granted`)
   * follows as any assignment does.
   */
  accept(asked: SessionRequest, granted: readonly Extract<SocketOutcome, { readonly type: 'assign' }>[]): Response {
    for (const old of this.#ctx.getWebSockets(asked.agentId)) close(old, SESSION_REPLACED, 'replaced by a newer session');
    const { 0: client, 1: server } = new WebSocketPair();
    server.serializeAttachment({ agentId: asked.agentId, caller: asked.caller } satisfies Attachment);
    this.#ctx.acceptWebSocket(server, [asked.agentId]);
    const news = new Set(granted.map(({ leaseId }) => leaseId));
    const leases = [...(this.#engine()?.state.agents.get(asked.agentId)?.leases ?? [])].filter((id) => !news.has(id));
    const held = leases.flatMap((id) => this.assignment(id) ?? []);
    this.#send(server, 'welcome', {
      held: held.map(parsed),
      pingIntervalMs: LIMITS.heartbeatIntervalMs,
      reconnectWithinMs: this.#reconnectWithinMs(),
      ...(asked.renewedToken === null ? {} : { token: asked.renewedToken }),
    });
    this.#revokeAfterWelcome(server, asked.agentId);
    for (const outcome of granted) this.deliver(outcome);
    return new Response(null, { status: 101, webSocket: client, headers: { 'Sec-WebSocket-Protocol': SESSION_PROTOCOL } });
  }

  /** What was revoked between the opening and now found no socket. The welcome does not name it; this asks for a word on it. */
  #revokeAfterWelcome(socket: WebSocket, agentId: string): void {
    const revoked = this.#engine()?.state.agents.get(agentId)?.revoked ?? [];
    for (const [epoch, leases] of Map.groupBy(revoked, (lease) => lease.epoch)) this.#sendRevoke(socket, epoch, leases);
  }

  /** Each task is cancelled without grace, too: that is what agents of before this frame understand. */
  #sendRevoke(socket: WebSocket, epoch: number, leases: readonly RevokedLease[]): void {
    this.#send(socket, 'revoke', { epoch, reason: leases[0]?.reason ?? '', leases });
    for (const { taskId } of leases)
      if (taskId !== undefined) this.#send(socket, 'cancel', { taskId, reason: 'revoked', graceMs: 0 });
  }

  #reconnectWithinMs(): number {
    const agents = this.#engine()?.state.agentCounts.total ?? 0;
    return Math.min(LIMITS.reconnectWithinMsMax, agents * LIMITS.reconnectMsPerAgent);
  }

  openAgents(): ReadonlySet<string> {
    return new Set(
      this.#ctx
        .getWebSockets()
        .filter(isOpen)
        .map((socket) => attachmentOf(socket).agentId),
    );
  }

  lastPongAtMs(agentId: string): number | null {
    const times = this.#ctx
      .getWebSockets(agentId)
      .flatMap((socket) => this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? []);
    return times.length === 0 ? null : Math.max(...times);
  }

  /** The agent whose last socket this was, or null when a newer one has taken over. */
  closed(socket: WebSocket, code: number): string | null {
    const { agentId } = attachmentOf(socket);
    // Completes the closing handshake; 1005 and 1006 may not be sent.
    close(socket, code === 1005 || code === 1006 ? 1000 : code, 'closed');
    const others = this.#ctx.getWebSockets(agentId).filter((other) => other !== socket && isOpen(other));
    return others.length === 0 ? agentId : null;
  }

  /** Closes the sessions of one token; the agent may come back with another. */
  closeOf(agentId: string, tokenId: string): void {
    for (const socket of this.#ctx.getWebSockets(agentId)) {
      if (attachmentOf(socket).caller.tokenId === tokenId) close(socket, SESSION_GONE, 'the token was revoked');
    }
  }

  closeAll(reason: string): void {
    for (const socket of this.#ctx.getWebSockets()) close(socket, SESSION_GONE, reason);
  }

  /** The assignment of a live dispatched lease, read afresh: a payload is never kept in memory. */
  assignment(leaseId: string): AssignmentView | null {
    const state = this.#engine()?.state;
    const lease = state?.leases.get(leaseId);
    if (state === undefined || lease === undefined || lease.kind !== 'dispatched' || lease.taskId === null) return null;
    const task = state.tasks.get(lease.taskId);
    const { loan } = lease;
    const work = loan !== undefined ? loan : task === undefined ? null : { attempt: task.attempts, timeoutMs: task.timeoutMs };
    const payload = this.#storage.blob(lease.taskId, 'payload');
    if (work === null || payload === null) return null;
    return assignmentView(lease, lease.taskId, work, payload, this.#storage.blob(lease.taskId, 'checkpoint'));
  }

  deliver(outcome: SocketOutcome): void {
    const sockets = this.#ctx.getWebSockets(outcome.agentId).filter(isOpen);
    for (const socket of sockets) {
      switch (outcome.type) {
        case 'assign': {
          const assignment = this.assignment(outcome.leaseId);
          if (assignment !== null) this.#send(socket, 'assign', parsed(assignment));
          break;
        }
        case 'cancel':
          this.#send(socket, 'cancel', { taskId: outcome.taskId, reason: outcome.reason, graceMs: outcome.graceMs });
          break;
        case 'revoke':
          this.#sendRevoke(socket, outcome.epoch, outcome.leases);
          break;
        case 'drain':
          this.#send(socket, 'drain', { deadlineMs: outcome.deadlineMs });
          break;
        case 'closeSession':
          close(socket, outcome.code, outcome.reason);
          break;
      }
    }
  }

  /** A frame as a command; what is not a frame is answered with an error and changes nothing. */
  readFrame(socket: WebSocket, message: string | ArrayBuffer): FrameRequest | null {
    const { agentId, caller } = attachmentOf(socket);
    const frame = readAgentFrame(message);
    if (!frame.ok) {
      this.#refuse(socket, frame.error.id, frame.error.error, agentId, caller);
      return null;
    }
    return { id: frame.value.id, caller, command: frame.value.command(agentId) };
  }

  answerFrame(socket: WebSocket, asked: FrameRequest, reply: PoolReply): void {
    if (!reply.ok) {
      this.#refuse(socket, asked.id, reply.error, asked.caller.agentId ?? '', asked.caller);
      return;
    }
    const extra =
      'leaseExpiresAtMs' in reply.value && 'cancelRequested' in reply.value
        ? { leaseExpiresAtMs: reply.value.leaseExpiresAtMs, cancelRequested: reply.value.cancelRequested }
        : {};
    send(socket, serverFrame('ack', asked.id, extra));
  }

  #refuse(socket: WebSocket, id: string | number | undefined, error: FleetError, agentId: string, caller: Caller): void {
    const problem = problemOf(error, { instance: `/v1/agents/${agentId}/session`, requestId: caller.requestId });
    send(socket, JSON.stringify({ type: 'error', ...(id === undefined ? {} : { id }), problem }));
  }

  #send(socket: WebSocket, type: ServerFrame['type'], body: Readonly<Record<string, unknown>>): void {
    this.#frameSeq += 1;
    send(socket, serverFrame(type, `s${this.#frameSeq}`, body));
  }
}

const isOpen = (socket: WebSocket): boolean => socket.readyState === WebSocket.READY_STATE_OPEN;
const attachmentOf = (socket: WebSocket): Attachment => socket.deserializeAttachment() as Attachment;

function parsed(view: AssignmentView): Record<string, unknown> {
  return {
    ...view,
    payload: JSON.parse(view.payload) as unknown,
    ...(view.checkpoint === undefined ? {} : { checkpoint: JSON.parse(view.checkpoint) as unknown }),
  };
}

/** A socket may have gone between the look and the send; its close event tells the engine. */
function send(socket: WebSocket, text: string): void {
  try {
    socket.send(text);
  } catch {
    close(socket, 1011, 'send failed');
  }
}

function close(socket: WebSocket, code: number, reason: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // Already closed: the state we wanted.
  }
}
