import { LIMITS } from '../../../shared/limits.ts';
import { drainAgent, unregisterAgent } from '../api/agents.ts';
import { FleetManager } from '../fleet-manager.ts';
import { backoffMs, isRetryable, sleep, waitAtMost } from '../retry.ts';
import type { AgentConfig, RegisteredAgent } from '../types.ts';
import { AgentStoppedError } from './errors.ts';
import { HeldTasks } from './held-tasks.ts';
import { messageOf } from './outcome.ts';
import { PollLink } from './poll-link.ts';
import { SessionLink } from './session-link.ts';
import { onShutdownSignal } from './shutdown-signals.ts';
import { Slots } from './slots.ts';
import type { AgentEvent, Link, LinkEnd, LinkEvents, Reports, RunAgentOptions, RunningAgent, StopReason } from './types.ts';

const SHUTDOWN_GRACE_MS = 30_000;
/** Farewells are a courtesy: the fleet notices a silent agent by itself. */
const FAREWELL_TIMEOUT_MS = 5_000;
/** How long handlers may take to unwind once their tasks are handed back. */
const UNWIND_MS = 10_000;
const UNWIND_HURRIED_MS = 1_000;
/** Two signals closer than this are one. */
const REPEATED_SIGNAL_MS = 500;

/**
 * Connects this process to a fleet as an agent and does the tasks it is given, until stopped.
 *
 * ```ts
 * const agent = runAgent({ pool: 'coder', capabilities: ['typescript'], handler: async (task) => review(task.payload) });
 * await agent.done;
 * ```
 *
 * Lost connections are re-established and held tasks resumed; when the fleet cannot be reached for so long that it may
 * have given the tasks away, the handlers' signals abort.
 */
export function runAgent(options: RunAgentOptions): RunningAgent {
  const runner = new AgentRunner(options);
  const done = runner.run();
  // `ready` need not be watched: what goes wrong also rejects `done`.
  runner.ready.catch(() => undefined);
  return {
    ready: runner.ready,
    done,
    stop: ({ now = false } = {}) => {
      runner.stop('stopped', now ? 0 : undefined);
      return done;
    },
  };
}

/** One registration: the agent, its line, and what it holds. */
interface Registration {
  readonly agent: RegisteredAgent;
  readonly link: Link;
  readonly tasks: HeldTasks;
}

class AgentRunner {
  readonly ready: Promise<{ readonly id: string; readonly region: string }>;
  readonly #options: RunAgentOptions;
  readonly #fleet: FleetManager;
  readonly #slots: Slots;
  readonly #slotCount: number;
  readonly #stopping = new AbortController();
  #resolveReady!: (agent: { readonly id: string; readonly region: string }) => void;
  #rejectReady!: (error: unknown) => void;
  #current: Registration | null = null;
  #reason: StopReason = 'stopped';
  #signalledAt = 0;
  readonly #hurry = new AbortController();

  constructor(options: RunAgentOptions) {
    this.#options = options;
    this.#slotCount = options.concurrency ?? options.slots ?? 1;
    this.#slots = new Slots(this.#slotCount);
    this.#fleet = options.fleet ?? new FleetManager(clientOptions(options));
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
  }

  async run(): Promise<StopReason> {
    const { signal, handleSignals = true } = this.#options;
    const onAbort = (): void => this.stop('stopped');
    const removeListener = handleSignals ? onShutdownSignal(() => this.#signalled()) : () => undefined;
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      for (let first = true; !this.#stopping.signal.aborted; first = false) {
        const end = await this.#serve(await this.#register(first));
        if (end.type === 'removed') this.#reason = 'unregistered';
        if (end.type !== 'gone') break;
        this.#emit({ type: 'gone', reason: end.reason });
      }
      this.#emit({ type: 'stopped', reason: this.#reason });
      return this.#reason;
    } catch (error) {
      this.#rejectReady(error);
      if (this.#stopping.signal.aborted && this.#current === null) return this.#reason;
      throw error;
    } finally {
      removeListener();
      signal?.removeEventListener('abort', onAbort);
      if (this.#options.fleet === undefined) await this.#fleet.shutdown();
    }
  }

  /** Begins to stop; held tasks may go on for `graceMs`. Called again, it can only shorten that. */
  stop(reason: StopReason, graceMs = this.#options.shutdownGraceMs ?? SHUTDOWN_GRACE_MS): void {
    if (graceMs <= 0) this.#hurry.abort();
    if (this.#stopping.signal.aborted) return;
    this.#reason = reason;
    this.#stopping.abort(new AgentStoppedError('The agent is stopping'));
    if (this.#current !== null) void this.#leave(this.#current, graceMs);
  }

  #signalled(): void {
    const now = performance.now();
    // A package manager passes Ctrl-C on to a process that the terminal has signalled already.
    const again = this.#stopping.signal.aborted && now - this.#signalledAt > REPEATED_SIGNAL_MS;
    if (!this.#stopping.signal.aborted) this.#signalledAt = now;
    this.stop('stopped', again ? 0 : undefined);
  }

  /** The first registration fails fast, so that a mistake shows; a later one waits for the fleet to come back. */
  async #register(first: boolean): Promise<RegisteredAgent> {
    const { pool, capabilities, labels, resources, swarms, metadata, region, mode = 'session' } = this.#options;
    const config: AgentConfig = {
      pool,
      capabilities,
      labels,
      resources,
      swarms,
      metadata,
      region,
      slots: this.#slotCount,
      liveness: mode === 'session' ? 'session' : 'heartbeat',
    };
    for (let failures = 0; ;) {
      try {
        return await this.#fleet.createAgent(config, { signal: this.#stopping.signal });
      } catch (error) {
        if (first || !isRetryable(error)) throw error;
        failures++;
        this.#emit({ type: 'warning', message: `Cannot register again yet: ${messageOf(error)}` });
        await sleep(backoffMs(failures, Math.random(), 500, 15_000), this.#stopping.signal);
      }
    }
  }

  async #serve(agent: RegisteredAgent): Promise<LinkEnd> {
    const { handler, mode = 'session' } = this.#options;
    const emit = (event: AgentEvent): void => this.#emit(event);
    const facts = { agentId: agent.id, pool: agent.pool, region: agent.region };
    // The tasks report through the link and the link feeds the tasks; each is called only once both exist.
    const reports: Reports = {
      accept: (held) => link.accept(held),
      progress: (held, update) => link.progress(held, update),
      complete: (held, result) => link.complete(held, result),
      fail: (held, error, retryable) => link.fail(held, error, retryable),
      forget: (held, reason) => link.forget(held, reason),
    };
    const tasks = new HeldTasks({ handler, facts, reports, slots: this.#slots, emit });
    const events: LinkEvents = {
      assigned: (assignment) => tasks.assigned(assignment),
      held: (assignments) => tasks.held(assignments),
      cancelled: (taskId, reason, graceMs) => tasks.cancelled(taskId, reason, graceMs),
      leaseLost: (taskId, reason) => tasks.leaseLost(taskId, reason),
      revoked: (leases) => tasks.revoked(leases),
      allLost: (reason) => tasks.allLost(reason),
      draining: (deadlineMs) => this.stop('drained', deadlineMs),
    };
    const { http } = this.#fleet;
    const link: Link =
      mode === 'poll'
        ? new PollLink(http, agent, events, () => tasks, emit)
        : new SessionLink(http, agent, events, this.#emitReady(agent), () => tasks.size > 0);
    this.#current = { agent, link, tasks };
    emit({ type: 'registered', agentId: agent.id, region: agent.region });
    if (mode === 'poll') this.#resolveReady({ id: agent.id, region: agent.region });
    try {
      if (this.#stopping.signal.aborted) void this.#leave(this.#current, 0);
      return await link.run();
    } finally {
      tasks.allLost('The agent left the fleet');
      this.#current = null;
    }
  }

  /** Says goodbye: no new work, finish what is held, hand back what is not finished, unregister. */
  async #leave({ agent, link, tasks }: Registration, graceMs: number): Promise<void> {
    const limits = { timeoutMs: FAREWELL_TIMEOUT_MS, retries: 0 };
    this.#emit({ type: 'draining', held: tasks.size });
    link.quiesce();
    if (tasks.size > 0 && !this.#hurry.signal.aborted) {
      const deadlineMs = Math.min(graceMs + FAREWELL_TIMEOUT_MS, LIMITS.drainDeadlineMs);
      if (this.#reason === 'stopped') void drainAgent(this.#fleet.http, agent.id, deadlineMs, limits).catch(() => undefined);
      await waitAtMost(tasks.idle(), graceMs, this.#hurry.signal);
    }
    const force = tasks.size > 0;
    tasks.allLost(new AgentStoppedError('The agent stopped before the task was done'));
    await unregisterAgent(this.#fleet.http, agent.id, force, limits).catch(() => undefined);
    // Handlers clean up, child processes are ended; but one that heeds no signal does not keep the agent.
    if (force) await waitAtMost(tasks.idle(), this.#hurry.signal.aborted ? UNWIND_HURRIED_MS : UNWIND_MS);
    link.close();
  }

  #emitReady(agent: RegisteredAgent): (event: AgentEvent) => void {
    return (event) => {
      if (event.type === 'connected') this.#resolveReady({ id: agent.id, region: agent.region });
      this.#emit(event);
    };
  }

  #emit(event: AgentEvent): void {
    this.#options.onEvent?.(event);
  }
}

function clientOptions(options: RunAgentOptions): ConstructorParameters<typeof FleetManager>[0] {
  const { endpoint, token, region, residency, geo, timeoutMs, retries, fetch, onWarning } = options;
  return { endpoint, token, region, residency, geo, timeoutMs, retries, fetch, onWarning };
}
