import { PoolEngine, type EngineEnv } from '../../../durable-objects/pool/engine.ts';
import type { Outcome } from '../../../durable-objects/pool/outcomes.ts';
import type { PoolStorage } from '../../../durable-objects/pool/storage.ts';
import type { AllocationView, PoolReply, ShardConfig } from '../../../shared/rpc.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { FLEET, HOME, START_MS } from '../../lib/pool-harness.ts';
import { poolViolations } from '../../lib/pool-invariants.ts';
import { Seeded, SeededUlids } from '../../lib/seeded.ts';
import { Answers } from './answers.ts';
import { History } from './history.ts';
import { must, Violation } from './must.ts';
import { checkMemory } from './memory-check.ts';
import { checkOrder, waitingOf } from './order-check.ts';
import type { Mutant } from './mutants.ts';
import { InjectedCrash, SimStorage, type CrashPoint, type Mirror } from './sim-storage.ts';

/** What an agent's process believes. It may be wrong: nobody tells a process that it was given up. */
export interface SimAgent {
  readonly id: string;
  readonly liveness: 'heartbeat' | 'session' | 'none';
  /** Answers pings and beats. */
  responsive: boolean;
  /** Work it was told to do, newest last; old work stays, as in a process that wakes from a long pause. */
  readonly work: { readonly taskId: string; readonly fencingToken: number }[];
}

export interface Faults {
  /** The machine dies at some write of a transaction. */
  readonly crashInside: number;
  /** It dies after the commit, before anyone was told. */
  readonly crashAfter: number;
  /** A frame to an agent is lost. */
  readonly lostFrame: number;
}
export const NO_FAULTS: Faults = { crashInside: 0, crashAfter: 0, lostFrame: 0 };

export interface WorldOptions {
  readonly mutant: Mutant | null;
  readonly trace: ((line: string) => void) | null;
  readonly mirror: Mirror | null;
  /** Whether some callers have a lease quota. */
  readonly hasQuotas: boolean;
}

/** What a call did; `idle` when it was answered without a step. */
interface Done<T> {
  readonly value: T;
  readonly outcomes: readonly Outcome[];
  readonly idle?: boolean;
}
type Call<T> = (engine: PoolEngine) => Done<T>;

/** One shard and everything around it: machine, sockets, agents, callers and the clock, all from one seed. */
export class World {
  readonly random: Seeded;
  readonly storage: SimStorage;
  readonly history = new History();
  readonly answers = new Answers();
  readonly agents = new Map<string, SimAgent>();
  /** Sockets that are open at the platform. */
  readonly sockets = new Set<string>();
  /** Sockets that have closed and whose close event has not come yet. */
  readonly closing = new Set<string>();
  readonly pongs = new Map<string, number>();
  /** Callers that wait for an allocation, of so many agents: the shard owes each exactly one answer. */
  readonly waiting = new Map<string, number>();
  /** Agents that an operator has taken out of service: nothing they do brings them back. */
  readonly stopped = new Set<string>();
  /** When each agent last called with its own token, and who ever had a socket. */
  readonly heard = new Map<string, number>();
  readonly everOnSession = new Set<string>();
  readonly polling = new Set<string>();
  readonly trace: ((line: string) => void) | null;
  readonly hasQuotas: boolean;
  faults: Faults;
  nowMs = START_MS;
  /** The latest the clock ever was: what is pruned stays pruned when the clock is set back. */
  latestMs = START_MS;
  alarmAtMs: number | null = null;
  crashes = 0;
  /** Whether the call that is being judged changed anything. */
  changed = false;
  config: ShardConfig;
  engine: PoolEngine;
  readonly #mutant: Mutant | null;
  readonly #stored: PoolStorage;
  #agentsBefore = 0;
  #summary = { version: -1, counts: '' };

  constructor(seed: number, options: WorldOptions) {
    const { mutant } = options;
    this.random = new Seeded(seed);
    this.trace = options.trace;
    this.hasQuotas = options.hasQuotas;
    this.storage = new SimStorage(options.mirror);
    this.#mutant = mutant;
    this.#stored = mutant?.storage?.(this.storage) ?? this.storage;
    const pick = (...rates: number[]): number => this.random.pick(rates);
    this.faults = { crashInside: pick(0, 0.02, 0.05, 0.15), crashAfter: pick(0, 0.02, 0.05), lostFrame: pick(0, 0.1, 0.4) };
    this.config = { version: 1, maxAgents: this.random.int(2, 6), priority: 5 };
    this.engine = this.#start();
  }

  readonly lastPongAtMs = (agentId: string): number | null => this.pongs.get(agentId) ?? null;

  #start(): PoolEngine {
    const env: EngineEnv = {
      nowMs: () => this.nowMs,
      random: this.random.next,
      ulid: new SeededUlids(this.random.next, () => this.nowMs).next,
      lastPongAtMs: this.lastPongAtMs,
    };
    const engine = new PoolEngine(this.#stored, env, FLEET, HOME, this.config);
    return this.#mutant?.engine?.(engine) ?? engine;
  }

  /**
   * One transaction. `committed` judges its answer. Null when the machine died: before the commit nothing happened, after
   * it nobody was told.
   */
  call<T>(body: Call<T>, committed?: (value: T) => void): { readonly value: T } | null {
    const crash: CrashPoint | null = this.random.chance(this.faults.crashInside)
      ? { write: this.random.int(1, 4), after: this.random.chance(0.5) }
      : null;
    this.storage.begin(crash);
    const waiting = waitingOf(this.engine.state);
    let done: Done<T>;
    try {
      done = body(this.engine);
    } catch (error) {
      if (!(error instanceof InjectedCrash)) throw error;
      this.storage.rollback();
      this.trace?.('  crash inside the transaction');
      this.restart(false);
      return null;
    }
    const log = this.storage.commit();
    const granted = [...log.leases].filter((id) => !this.history.leases.has(id));
    this.history.commit(log, this.storage.rows);
    checkOrder(this.engine.state, waiting, granted, this.nowMs);
    this.changed = log.metas.length > 0;
    this.#mutant?.afterCommit?.(this);
    this.answers.committed(done.outcomes, this);
    committed?.(done.value);
    this.#arm();
    this.#check(done.idle !== true);
    if (this.random.chance(this.faults.crashAfter)) {
      this.trace?.('  crash after the commit');
      this.restart(false);
      return null;
    }
    for (const outcome of done.outcomes) this.#deliver(outcome);
    this.#checkCallers();
    return { value: done.value };
  }

  /** The machine starts again: memory, callers and polls are gone, sockets too unless they only hibernated. */
  restart(hibernated: boolean): void {
    if (!hibernated) {
      this.crashes += 1;
      this.sockets.clear();
      this.pongs.clear();
      this.closing.clear();
    }
    this.waiting.clear();
    this.polling.clear();
    this.#agentsBefore = Number.POSITIVE_INFINITY;
    this.engine = this.#start();
    if (this.storage.rows.meta === null) return;
    this.call((engine) => ({ value: undefined, outcomes: engine.wake(new Set(this.sockets)) }));
  }

  /** As the object does it: an alarm that is earlier than needed stays. */
  #arm(): void {
    const dueAtMs = this.engine.nextAlarmMs();
    if (dueAtMs !== null && (this.alarmAtMs === null || dueAtMs < this.alarmAtMs)) this.alarmAtMs = dueAtMs;
  }

  alarm(): void {
    this.alarmAtMs = null;
    const heap = this.engine.state.timers.size;
    const done = this.call((engine) => ({ value: undefined, outcomes: engine.alarm() }));
    if (done === null) return;
    const nextMs = this.engine.nextAlarmMs();
    must(nextMs === null || nextMs > this.nowMs || heap > 500, `the alarm ran at ${this.nowMs} and is due again at ${nextMs}`);
  }

  #deliver(outcome: Outcome): void {
    switch (outcome.type) {
      case 'assign':
        if (this.sockets.has(outcome.agentId) && !this.random.chance(this.faults.lostFrame))
          this.hand(outcome.agentId, outcome.leaseId);
        return;
      case 'pollDone':
        this.polling.delete(outcome.agentId);
        for (const leaseId of outcome.leaseIds) this.hand(outcome.agentId, leaseId);
        return;
      case 'waiterDone':
        this.#answered(outcome.waiterId, outcome.reply);
        return;
      case 'closeSession':
        if (this.sockets.delete(outcome.agentId)) this.closing.add(outcome.agentId);
        this.pongs.delete(outcome.agentId);
        return;
      case 'taskEnded':
        must(!this.engine.state.tasks.has(outcome.taskId), `task ${outcome.taskId} was said to have ended`);
        return;
      case 'cancel':
      case 'revoke':
      case 'acknowledged':
      case 'drain':
      case 'watch':
      case 'leaseRevoked':
        return;
      case 'borrow':
      case 'confirmLoans':
      case 'loanNews':
      case 'loanOrder':
      case 'hasRoom':
        throw new Violation(`a shard by itself spoke to a sibling: ${outcome.type}`);
    }
  }

  #answered(waiterId: string, reply: PoolReply): void {
    const count = this.waiting.get(waiterId);
    must(count !== undefined, `waiter ${waiterId} was answered, but does not wait`);
    this.waiting.delete(waiterId);
    if (!reply.ok) return;
    const views = reply.value as readonly AllocationView[];
    must(views.length === count, `waiter ${waiterId} got ${views.length} of ${count} agents`);
    for (const view of views)
      must(this.history.leases.has(view.id), `waiter ${waiterId} got ${view.id}, which is not stored (I4)`);
  }

  /** An agent's process learns of work. */
  hand(agentId: string, leaseId: string): void {
    const lease = this.engine.state.leases.get(leaseId);
    if (lease?.taskId == null) return;
    const work = this.agents.get(agentId)?.work;
    if (work === undefined || work.some((w) => w.fencingToken === lease.fencingToken)) return;
    work.push({ taskId: lease.taskId, fencingToken: lease.fencingToken });
    if (work.length > 6) work.shift();
  }

  /** Time passes; whoever is well answers the platform's pings on the way. */
  advance(ms: number): void {
    this.nowMs += ms;
    // A clock set back has no "lately".
    if (ms < 0) this.heard.clear();
    this.latestMs = Math.max(this.latestMs, this.nowMs);
    for (const id of this.sockets) if (this.agents.get(id)?.responsive !== false) this.pongs.set(id, this.nowMs);
  }

  #check(stepped: boolean): void {
    const { state } = this.engine;
    const found = poolViolations(state, {
      nowMs: this.nowMs,
      latestMs: this.latestMs,
      stepped,
      lastPongAtMs: this.lastPongAtMs,
      ended: this.history.ended,
    });
    must(found.length === 0, found.join('\n'));
    checkMemory(this);
    this.history.checkRevocations();
    const { total } = state.agentCounts;
    must(
      total <= Math.max(state.config.maxAgents, this.#agentsBefore),
      `${total} agents, at most ${state.config.maxAgents} allowed (I9)`,
    );
    this.#agentsBefore = total;
    const things = state.leases.size + state.tasks.size + state.agents.size + state.waiters.size;
    must(state.timers.size <= 1_100 + 5 * things, `${state.timers.size} timers for ${things} things`);
    if (state.leases.size > 0) must(this.alarmAtMs !== null, 'live leases and no alarm (I10)');
    for (const id of this.stopped)
      must(state.agents.get(id)?.record.lifecycle !== 'ready', `agent ${id} is back in service without an operator's word`);
    // Whoever keeps the highest version of the counters must have the latest ones.
    const { version, agents, tasks } = this.engine.summary();
    const counts = JSON.stringify([agents, tasks]);
    must(
      version !== this.#summary.version || counts === this.#summary.counts,
      `counters changed, their version did not: ${counts}`,
    );
    this.#summary = { version, counts };
  }

  /** Every call that waits is known to the shard, and the shard waits for nobody else; sockets likewise. */
  #checkCallers(): void {
    const { state } = this.engine;
    for (const agent of state.agents.values()) {
      const { id, spec, onSession, lifecycle } = agent.record;
      const open = this.sockets.has(id);
      must(!agent.sessionOpen || open || this.closing.has(id), `agent ${id} is thought to have a socket`);
      must(!open || !onSession || agent.sessionOpen, `the open socket of agent ${id} was forgotten`);
      const silentMs = this.nowMs - (this.pongs.get(id) ?? Number.NEGATIVE_INFINITY);
      must(!open || silentMs >= LIMITS.lostAfterMs || lifecycle !== 'offline', `agent ${id} answers and was given up`);
      const quietMs = this.nowMs - (this.heard.get(id) ?? Number.NEGATIVE_INFINITY);
      const beats =
        spec.liveness === 'heartbeat' && !this.everOnSession.has(id) && quietMs >= 0 && quietMs < LIMITS.suspectAfterMs;
      must(!beats || lifecycle !== 'offline', `agent ${id} called lately and was given up`);
    }
    for (const id of this.waiting.keys()) must(state.waiters.has(id), `waiter ${id} was forgotten`);
    for (const id of state.waiters.keys()) must(this.waiting.has(id), `waiter ${id} is kept for nobody`);
    for (const agent of state.agents.values())
      must(
        agent.pollRoom === 0 || this.polling.has(agent.record.id),
        `agent ${agent.record.id} has room for a poll that is over`,
      );
  }

  /** How long the shard may at most need until everything that can expire has. */
  get horizonMs(): number {
    return 2 * LIMITS.leaseMsMax + (this.latestMs - this.nowMs);
  }
}
