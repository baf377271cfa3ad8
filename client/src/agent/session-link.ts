import { LIMITS } from '../../../shared/limits.ts';
import {
  SESSION_GONE,
  SESSION_PROTOCOL,
  SESSION_REPLACED,
  type ServerFrame,
  ServerFrameSchema,
} from '../../../shared/schemas/session.ts';
import { agentPath, heartbeat } from '../api/agents.ts';
import { FleetError, ForbiddenError, NotFoundError, UnauthorizedError } from '../errors.ts';
import type { HttpClient } from '../http.ts';
import { backoffMs, sleep } from '../retry.ts';
import type { Assignment, RegisteredAgent } from '../types.ts';
import { Contact } from './contact.ts';
import { Outgoing } from './outgoing.ts';
import { type Socket, openSocket } from './socket.ts';
import type { Ack, AgentEvent, Failure, Link, LinkEnd, LinkEvents } from './types.ts';

/** A socket that has not said `welcome` by then is given up. */
const WELCOME_TIMEOUT_MS = 10_000;
const RECONNECT_BASE_MS = 200;
const RECONNECT_CAP_MS = 10_000;
/** Who holds work must be back before the fleet gives it away; this leaves time for a second try. */
const RECONNECT_HOLDING_MS = 2_000;
/** Two pings and a half without an answer. */
const MISSED_PINGS = 2.5;
/** A session may outlast its token; a beat now and then brings the next one while there is time. */
const TOKEN_CHECK_MS = LIMITS.agentTokenTtlMs / 24;
/** Server close of an agent that was removed from the fleet. */
const NORMAL_CLOSE = 1_000;

type Close = { readonly code: number; readonly reason: string; readonly welcomed: boolean };

/** An agent's line to the fleet over a WebSocket that is replaced as often as need be. */
export class SessionLink implements Link {
  readonly #http: HttpClient;
  readonly #agentId: string;
  readonly #events: LinkEvents;
  readonly #emit: (event: AgentEvent) => void;
  readonly #contact = new Contact();
  readonly #outgoing = new Outgoing((text) => this.#send(text));
  readonly #stop = new AbortController();
  #token: string;
  #socket: Socket | null = null;
  #welcomed = false;
  #guard: ReturnType<typeof setTimeout> | null = null;
  #pingMs: number = LIMITS.heartbeatIntervalMs;
  /** How long the fleet asks us to spread our return over. */
  #spreadMs = 0;
  readonly #isHolding: () => boolean;

  constructor(
    http: HttpClient,
    agent: Pick<RegisteredAgent, 'id' | 'token'>,
    events: LinkEvents,
    emit: (event: AgentEvent) => void,
    isHolding: () => boolean = () => false,
  ) {
    this.#isHolding = isHolding;
    this.#http = http;
    this.#agentId = agent.id;
    this.#token = agent.token;
    this.#events = events;
    this.#emit = emit;
  }

  async run(): Promise<LinkEnd> {
    const renewing = setInterval(() => void this.#renewToken(), TOKEN_CHECK_MS);
    try {
      for (let failures = 0; !this.#stop.signal.aborted;) {
        const close = await this.#session();
        if (this.#stop.signal.aborted) break;
        this.#arm();
        failures = close.welcomed ? 1 : failures + 1;
        const end = await this.#judge(close);
        if (end !== null) return end;
        const retryInMs = close.welcomed
          ? Math.round(Math.random() * this.#returnWithinMs())
          : backoffMs(failures, Math.random(), RECONNECT_BASE_MS, RECONNECT_CAP_MS);
        this.#emit({ type: 'disconnected', reason: close.reason || `code ${close.code}`, retryInMs });
        await sleep(retryInMs, this.#stop.signal).catch(() => undefined);
      }
      return { type: 'closed' };
    } finally {
      clearInterval(renewing);
      this.#disarm();
    }
  }

  #returnWithinMs(): number {
    const spreadMs = Math.max(RECONNECT_BASE_MS, this.#spreadMs);
    return this.#isHolding() ? Math.min(RECONNECT_HOLDING_MS, spreadMs) : spreadMs;
  }

  quiesce(): void {
    // The fleet was told to drain this agent; it sends nothing new.
  }

  close(): void {
    this.#stop.abort();
  }

  accept(held: Assignment): Promise<Ack> {
    return this.#outgoing.push({ type: 'accept', ...nameOf(held) });
  }

  progress(held: Assignment, update: { readonly progress?: unknown; readonly checkpoint?: unknown }): Promise<Ack> {
    return this.#outgoing.push({ type: 'progress', ...nameOf(held), ...update });
  }

  complete(held: Assignment, result: unknown): Promise<Ack> {
    return this.#outgoing.push({ type: 'complete', ...nameOf(held), ...(result === undefined ? {} : { result }) });
  }

  fail(held: Assignment, error: Failure, retryable: boolean): Promise<Ack> {
    return this.#outgoing.push({ type: 'fail', ...nameOf(held), error, retryable });
  }

  forget(held: Assignment, reason: Error): void {
    this.#outgoing.forget(held.taskId, held.fencingToken, reason);
  }

  /** One socket, from connect to close. */
  async #session(): Promise<Close> {
    const url = `${this.#http.endpoint.replace(/^http/, 'ws')}${agentPath(this.#agentId, '/session')}`;
    const startedAt = performance.now();
    const socket = await openSocket(url, [SESSION_PROTOCOL, `bearer.${this.#token}`]);
    this.#socket = socket;
    this.#welcomed = false;
    return new Promise((resolve) => {
      let beat: ReturnType<typeof setInterval> | null = null;
      let sentAt = Number.NEGATIVE_INFINITY;
      let unanswered: number | null = null;
      const limit = setTimeout(() => finish({ code: 0, reason: 'no welcome in time' }), WELCOME_TIMEOUT_MS);
      const finish = (close: Omit<Close, 'welcomed'>): void => {
        if (this.#socket !== socket) return;
        clearTimeout(limit);
        if (beat !== null) clearInterval(beat);
        this.#stop.signal.removeEventListener('abort', onStop);
        this.#socket = null;
        socket.close();
        resolve({ ...close, welcomed: this.#welcomed });
      };
      const onPong = (): void => {
        if (unanswered !== null) this.#contact.heard(unanswered);
        unanswered = null;
      };
      // Twice per interval, so that a dead line is noticed before the fleet gives the work away.
      const onBeat = (): void => {
        if (this.#contact.silentMs > MISSED_PINGS * this.#pingMs) return finish({ code: 0, reason: 'pings are not answered' });
        const now = performance.now();
        if (now - sentAt < this.#pingMs * 0.9) return;
        sentAt = now;
        unanswered ??= now;
        socket.send('ping');
      };
      socket.addEventListener('message', ({ data }) => {
        if (this.#socket !== socket || typeof data !== 'string') return;
        if (data === 'pong') return onPong();
        const frame = this.#parse(data);
        if (frame?.type === 'welcome') {
          clearTimeout(limit);
          this.#welcome(frame, startedAt);
          beat ??= setInterval(onBeat, Math.max(50, frame.pingIntervalMs / 2));
        } else if (frame !== null) this.#heed(frame);
      });
      socket.addEventListener('error', () => undefined);
      socket.addEventListener('close', ({ code, reason }) => finish({ code, reason }));
      const onStop = (): void => finish({ code: NORMAL_CLOSE, reason: 'stopped' });
      this.#stop.signal.addEventListener('abort', onStop);
      if (this.#stop.signal.aborted) onStop();
    });
  }

  #parse(data: string): ServerFrame | null {
    try {
      return ServerFrameSchema.parse(JSON.parse(data));
    } catch {
      this.#emit({ type: 'warning', message: 'The fleet sent a frame this version does not know; it is ignored.' });
      return null;
    }
  }

  #welcome(frame: ServerFrame & { type: 'welcome' }, startedAt: number): void {
    this.#contact.opened(startedAt);
    this.#disarm();
    this.#welcomed = true;
    this.#pingMs = frame.pingIntervalMs;
    this.#spreadMs = frame.reconnectWithinMs ?? 0;
    if (frame.token !== undefined) this.#token = frame.token;
    this.#emit({ type: 'connected', agentId: this.#agentId });
    this.#events.held(frame.held);
    this.#outgoing.resend();
  }

  #heed(frame: Exclude<ServerFrame, { type: 'welcome' }>): void {
    switch (frame.type) {
      case 'assign': {
        const { type: _, id: __, ...assignment } = frame;
        return this.#events.assigned(assignment);
      }
      case 'cancel':
        return this.#events.cancelled(frame.taskId, frame.reason, frame.graceMs);
      case 'revoke':
        this.#events.revoked(frame.leases);
        // Over reconnects if need be; one that comes late says what is true all the same.
        void this.#outgoing.push({ type: 'revoked', epoch: frame.epoch }).catch(() => undefined);
        return;
      case 'drain':
        return this.#events.draining(frame.deadlineMs);
      case 'ack':
        return this.#outgoing.acknowledged(frame.id, { cancelRequested: frame.cancelRequested });
      case 'error':
        if (frame.id !== undefined) return this.#outgoing.refused(frame.id, frame.problem);
        return this.#emit({ type: 'warning', message: `The fleet refused a frame: ${frame.problem.detail}` });
    }
  }

  /** What a close means. A handshake refused tells a WebSocket nothing, so the same question is asked over HTTP. */
  async #judge(close: Close): Promise<LinkEnd | null> {
    if (close.code === SESSION_REPLACED) throw new FleetError('Another session of this agent took over.');
    if (close.code === SESSION_GONE) return { type: 'gone', reason: close.reason || 'the fleet does not know the agent' };
    if (close.welcomed && close.code !== NORMAL_CLOSE) return null;
    try {
      await this.#beat();
      return null;
    } catch (error) {
      const unknown = error instanceof NotFoundError || error instanceof UnauthorizedError;
      if (unknown && close.welcomed) return { type: 'removed', reason: close.reason };
      if (unknown) return { type: 'gone', reason: error.message };
      if (error instanceof ForbiddenError) throw error;
      return null;
    }
  }

  /** Best effort: the next check is the repeat, and `welcome` brings a token, too. */
  async #renewToken(): Promise<void> {
    try {
      await this.#beat();
    } catch {
      // Whatever it is, the session itself will show it.
    }
  }

  async #beat(): Promise<void> {
    const limits = { retries: 0, timeoutMs: LIMITS.heartbeatIntervalMs, signal: this.#stop.signal };
    const { token } = await heartbeat(this.#http, this.#agentId, {}, limits, this.#token);
    if (token !== undefined) this.#token = token;
  }

  #send(text: string): void {
    if (this.#socket !== null && this.#welcomed) this.#socket.send(text);
  }

  /** From the close on, held work may only go on for as long as the fleet waits for us. */
  #arm(): void {
    this.#contact.closed();
    this.#guard ??= setTimeout(() => {
      this.#guard = null;
      this.#events.allLost('The fleet could not be reached in time; its leases have to be taken as lost');
    }, this.#contact.leftMs);
  }

  #disarm(): void {
    if (this.#guard !== null) clearTimeout(this.#guard);
    this.#guard = null;
  }
}

const nameOf = (held: Assignment): { taskId: string; fencingToken: number } => ({
  taskId: held.taskId,
  fencingToken: held.fencingToken,
});
