import { LIMITS } from '../../../shared/limits.ts';
import { agentPath, heartbeat } from '../api/agents.ts';
import { taskPath } from '../api/tasks.ts';
import { NotFoundError, UnauthorizedError } from '../errors.ts';
import type { HttpClient } from '../http.ts';
import { backoffMs, isRetryable, retryDelayMs, sleep } from '../retry.ts';
import type { Assignment, HeartbeatReply, RegisteredAgent, RevokedLease } from '../types.ts';
import { Contact } from './contact.ts';
import type { HeldTasks } from './held-tasks.ts';
import { messageOf } from './outcome.ts';
import type { Ack, AgentEvent, Failure, Link, LinkEnd, LinkEvents } from './types.ts';

/** How long one poll waits for work. */
const POLL_WAIT_MS = 20_000;

/** An agent's line to the fleet by plain requests: a beat every few seconds, and polls that wait for work. */
export class PollLink implements Link {
  readonly #http: HttpClient;
  readonly #agent: RegisteredAgent;
  readonly #events: LinkEvents;
  readonly #tasks: () => HeldTasks;
  readonly #emit: (event: AgentEvent) => void;
  readonly #contact = new Contact();
  readonly #stop = new AbortController();
  readonly #quiet = new AbortController();
  readonly #reports = new Map<string, AbortController>();
  #token: string;
  #end: LinkEnd | null = null;
  #guard: ReturnType<typeof setTimeout> | null = null;

  constructor(
    http: HttpClient,
    agent: RegisteredAgent,
    events: LinkEvents,
    tasks: () => HeldTasks,
    emit: (event: AgentEvent) => void,
  ) {
    this.#http = http;
    this.#agent = agent;
    this.#events = events;
    this.#tasks = tasks;
    this.#emit = emit;
    this.#token = agent.token;
  }

  async run(): Promise<LinkEnd> {
    this.#emit({ type: 'connected', agentId: this.#agent.id });
    try {
      await Promise.all([this.#beats(), this.#polls()]);
      return this.#end ?? { type: 'closed' };
    } finally {
      this.close();
      if (this.#guard !== null) clearTimeout(this.#guard);
    }
  }

  quiesce(): void {
    this.#quiet.abort();
  }

  close(): void {
    this.#stop.abort();
    this.#quiet.abort();
  }

  /** The first report of progress is what accepts. */
  accept(held: Assignment): Promise<Ack> {
    return this.#report(held, 'progress', {});
  }

  progress(held: Assignment, update: { readonly progress?: unknown; readonly checkpoint?: unknown }): Promise<Ack> {
    return this.#report(held, 'progress', update);
  }

  complete(held: Assignment, result: unknown): Promise<Ack> {
    return this.#report(held, 'complete', result === undefined ? {} : { result });
  }

  fail(held: Assignment, error: Failure, retryable: boolean): Promise<Ack> {
    return this.#report(held, 'fail', { error, retryable });
  }

  forget(held: Assignment, reason: Error): void {
    this.#reports.get(keyOf(held))?.abort(reason);
  }

  /** Sends until stored, refused or given up. */
  async #report(held: Assignment, verb: 'progress' | 'complete' | 'fail', body: Record<string, unknown>): Promise<Ack> {
    const key = keyOf(held);
    const scope = this.#reports.get(key) ?? new AbortController();
    this.#reports.set(key, scope);
    try {
      for (let failures = 0; ;) {
        try {
          const answer = await this.#http.send<{ cancelRequested?: boolean }>(
            {
              method: 'POST',
              path: taskPath(held.taskId, `/${verb}`),
              body: { fencingToken: held.fencingToken, ...body },
              token: this.#token,
            },
            { signal: scope.signal, retries: 0 },
          );
          return { cancelRequested: answer.cancelRequested };
        } catch (error) {
          if (!isRetryable(error)) throw error;
          failures++;
          await sleep(retryDelayMs(error, failures, Math.random()) ?? backoffMs(failures, 1), scope.signal);
        }
      }
    } finally {
      if (verb !== 'progress') this.#reports.delete(key);
    }
  }

  async #beats(): Promise<void> {
    const every = this.#agent.heartbeatIntervalMs;
    while (!this.#stop.signal.aborted) {
      await sleep(every, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      const leases = this.#tasks().assignments.map(({ allocationId, fencingToken }) => ({ allocationId, fencingToken }));
      const limits = { retries: 0, timeoutMs: every, signal: this.#stop.signal };
      await this.#contacted(async () => this.#heed(await heartbeat(this.#http, this.#agent.id, { leases }, limits, this.#token)));
    }
  }

  #heed(reply: HeartbeatReply): void {
    if (reply.token !== undefined) this.#token = reply.token;
    // First: it says why, which the leases themselves do not.
    if (reply.revoked !== undefined) this.#events.revoked(reply.revoked);
    const held = new Map(this.#tasks().assignments.map((assignment) => [assignment.allocationId, assignment.taskId]));
    for (const lease of reply.leases) {
      const taskId = held.get(lease.allocationId);
      if (!lease.ok && taskId !== undefined)
        this.#events.leaseLost(taskId, `The fleet ended the lease (${lease.code ?? 'unknown'})`);
    }
    for (const taskId of reply.cancel) this.#events.cancelled(taskId, 'cancelled', LIMITS.cancelGraceMs);
    if (reply.drain) this.#events.draining(LIMITS.drainDeadlineMs);
  }

  async #polls(): Promise<void> {
    for (let failures = 0; !this.#quiet.signal.aborted;) {
      const free = this.#agent.slots - this.#tasks().size;
      if (free <= 0) {
        await Promise.race([this.#tasks().ended(), aborted(this.#stop.signal)]);
        continue;
      }
      const ok = await this.#contacted(async () => {
        const answer = await this.#http.send<{ assignments: Assignment[]; revoked?: RevokedLease[] } | undefined>(
          {
            method: 'POST',
            path: agentPath(this.#agent.id, '/poll'),
            body: { waitMs: POLL_WAIT_MS, max: free },
            waitMs: POLL_WAIT_MS,
            token: this.#token,
          },
          { retries: 0, signal: this.#quiet.signal },
        );
        this.#events.revoked(answer?.revoked ?? []);
        for (const assignment of answer?.assignments ?? []) this.#events.assigned(assignment);
      });
      failures = ok ? 0 : failures + 1;
      if (!ok) await sleep(backoffMs(failures, Math.random()), this.#quiet.signal).catch(() => undefined);
    }
  }

  /** Runs one exchange and keeps account of whether the fleet hears us. */
  async #contacted(exchange: () => Promise<void>): Promise<boolean> {
    const startedAt = performance.now();
    try {
      await exchange();
      this.#contact.heard(startedAt);
      if (this.#guard !== null) clearTimeout(this.#guard);
      this.#guard = null;
      return true;
    } catch (error) {
      if (this.#quiet.signal.aborted && !this.#stop.signal.aborted && !isRetryable(error)) return true;
      if (this.#stop.signal.aborted) return false;
      if (error instanceof NotFoundError || error instanceof UnauthorizedError) {
        this.#end = { type: 'gone', reason: error.message };
        this.close();
      } else if (isRetryable(error)) {
        this.#emit({ type: 'disconnected', reason: messageOf(error), retryInMs: 0 });
        this.#guard ??= setTimeout(() => {
          this.#guard = null;
          this.#events.allLost('The fleet could not be reached in time; its leases have to be taken as lost');
        }, this.#contact.leftMs);
      } else throw error;
      return false;
    }
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));

const keyOf = (held: Assignment): string => `${held.taskId} ${held.fencingToken}`;
