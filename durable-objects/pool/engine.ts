import type { FleetError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { err, type Result } from '../../shared/result.ts';
import type {
  AllocationView,
  Caller,
  PoolCommand,
  PoolOutput,
  PoolReply,
  PoolRequest,
  ShardConfig,
  ShardSummary,
} from '../../shared/rpc.ts';
import type {
  LoanAsk,
  LoanConfirmation,
  LoanNews,
  LoanOffer,
  LoanOrder,
  LoanOutcome,
  LoanStanding,
  LoanTerms,
} from '../../shared/loan-rpc.ts';
import { parseIdOf, type Home } from '../../shared/ids.ts';
import type { TaskStatus } from '../../shared/schemas/tasks.ts';
import { decide, within } from './core/decide.ts';
import { dependencyEnded, isLocal } from './core/dependencies.ts';
import { nextAlarmMs } from './core/due.ts';
import { subjectOf } from './core/events.ts';
import { ASKED, type Look } from './core/explain.ts';
import { awaken, isAnyoneSilent, isSilent, judgeSilent, sessionClosed, sessionOpened } from './core/liveness.ts';
import { endPoll, poll, withdrawWaiter, type PolledLeases } from './core/polls.ts';
import { hearLoans, loanAsk, loansConfirmed, serveWaiter, takeLoans, waitersToPlace } from './core/lent.ts';
import { confirmLoans, lend, loansAnswered, newsFor, obeyOrders, speaksUnder, spoken, type LoanCommand } from './core/loans.ts';
import { createState, hasSiblings, type PoolState, type Waiter } from './core/state.ts';
import { Step, type Context } from './core/step.ts';
import { IdempotentAnswers } from './idempotent-answers.ts';
import { outcomesOf, type Answering, type Outcome } from './outcomes.ts';
import { restore } from './restore.ts';
import type { PoolStorage } from './storage.ts';

/** What the engine reads from the world, once per step. */
export interface EngineEnv {
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly ulid: () => string;
  readonly lastPongAtMs: (agentId: string) => number | null;
}

/** What requests were answered. `elsewhere`: those that a sibling must answer instead, by index, and which. */
export interface Executed {
  readonly answers: readonly Answer[];
  readonly outcomes: readonly Outcome[];
  readonly elsewhere: ReadonlyMap<number, number>;
}

/** Stands where the lender's answer goes. */
const LENT: FleetError = {
  kind: 'region_unavailable',
  retryAfterMs: 1_000,
  detail: 'The shard that holds the lease of this task did not answer.',
};

/** A request's answer: now, or later through `waiterDone`. */
export type Answer = PoolReply | 'parked';

const SYSTEM: Caller = { fleet: '', subject: 'system', role: 'admin', requestId: '' };

/**
 * One shard: the pure core, its storage, idempotency and audit, without any platform type. Every method is synchronous
 * and must run inside a transaction of the storage; when one throws, the transaction is to be rolled back and the engine
 * thrown away, since memory may be ahead of the rows.
 */
export class PoolEngine {
  readonly state: PoolState;
  readonly #storage: PoolStorage;
  readonly #env: EngineEnv;
  readonly #answers: IdempotentAnswers;
  readonly #answering: Answering;
  #summaryVersion: number;
  /** Agents whose last beat is newer than what is stored. */
  readonly #unsavedBeats = new Set<string>();
  /** When old rows were last removed; stored, so that wakes that follow one another closely cannot put it off for ever. */
  #prunedAtMs: number;

  constructor(storage: PoolStorage, env: EngineEnv, fleet: string, home: Home, config: ShardConfig) {
    this.#storage = storage;
    this.#env = env;
    this.#answers = new IdempotentAnswers(storage, env.nowMs, (atMs) => this.#armPrune(atMs + LIMITS.sweepIntervalMs));
    this.#answering = {
      look: () => this.look(),
      remember: ({ idempotency }, reply) => {
        if (idempotency !== null) this.#answers.remember(idempotency, reply);
      },
    };
    const snapshot = storage.load();
    if (
      snapshot !== null &&
      (snapshot.meta.fleet !== fleet ||
        snapshot.meta.home.region !== home.region ||
        snapshot.meta.home.pool !== home.pool ||
        snapshot.meta.home.shard !== home.shard)
    ) {
      throw new Error('this object holds another shard than it was addressed as');
    }
    this.state = createState(fleet, home, snapshot?.meta.config ?? config);
    this.#summaryVersion = snapshot?.meta.summaryVersion ?? 0;
    this.#prunedAtMs = snapshot?.meta.prunedAtMs ?? 0;
    if (snapshot === null) return;
    restore(this.state, snapshot, env.nowMs());
    this.#armPrune(this.#prunedAtMs + LIMITS.sweepIntervalMs);
  }

  /** After construction: says who is still connected, before anything is judged. Emits events, so it runs inside a transaction. */
  wake(openSessions: ReadonlySet<string>): readonly Outcome[] {
    return this.#change(
      'wake',
      SYSTEM,
      (step) => {
        for (const dependencyId of this.state.dependents.keys()) {
          if (!isLocal(this.state, dependencyId)) step.effects.push({ type: 'watch', dependencyId });
        }
        // What was on its way to a sibling when memory went is said again.
        if (this.state.loans.size > 0 || this.state.returns.size > 0) step.effects.push({ type: 'loanNews', all: true });
        step.came = this.state.queue.size > 0;
      },
      (step) => awaken(step, openSessions),
    ).outcomes;
  }

  /** Runs requests one after the other; each sees the ones before. */
  execute(caller: Caller, requests: readonly PoolRequest[], loanId: string | null = null): Executed {
    const answers: Answer[] = [];
    const outcomes: Outcome[] = [];
    this.#answers.read(requests.flatMap(({ idempotency }) => idempotency ?? []));
    const elsewhere = new Map<number, number>();
    for (const request of requests) {
      const by = request.requestId === undefined ? caller : { ...caller, requestId: request.requestId };
      const known = request.idempotency === undefined ? null : this.#answers.recall(request.idempotency);
      if (known !== null) {
        answers.push(known);
        // A repeat of an agent's call does nothing again, but it is a sign of life.
        if (caller.agentId !== undefined) outcomes.push(...this.#change('beat', by, () => undefined).outcomes);
        continue;
      }
      const lender = loanId === null ? this.#lenderOf(request.command) : null;
      if (lender !== null) {
        elsewhere.set(answers.length, lender);
        answers.push(err(LENT));
        continue;
      }
      const { value, outcomes: after } = this.#change(
        request.command.type,
        by,
        (step) => decide(step, request.command, request.idempotency ?? null),
        (step) => {
          step.loanId = loanId;
        },
      );
      const answer: Answer = value.ok && value.value === 'parked' ? 'parked' : (value as Result<PoolOutput, FleetError>);
      if (request.idempotency !== undefined) this.#answers.remember(request.idempotency, answer);
      if (request.command.type === 'heartbeat') this.#noteBeat(request.command.agentId, this.#env.nowMs());
      answers.push(answer);
      outcomes.push(...after);
    }
    return { answers, outcomes, elsewhere };
  }

  /** The shard that must look at its lease before this is decided: that of the agent whose token is named, unless it is ours. */
  #lenderOf(command: PoolCommand): number | null {
    if (command.type !== 'completeTask' && command.type !== 'failTask' && command.type !== 'progressTask') return null;
    const { home } = this.state;
    if (!hasSiblings(this.state)) return null;
    const task = this.state.tasks.get(command.taskId) ?? this.#storage.task(command.taskId);
    if (task?.allocationId == null || task.fencingToken !== command.fencingToken) return null;
    const place = parseIdOf('allocation', task.allocationId);
    return place === null || place.shard === home.shard ? null : place.shard;
  }

  forgetKeys(keys: readonly string[]): void {
    this.#storage.forgetAnswers(keys);
  }

  /** Does what is due. Safe to run twice, early or late. */
  alarm(): readonly Outcome[] {
    return this.#change('alarm', SYSTEM, () => undefined).outcomes;
  }

  /** Whether `judgeSilent` should run before agents are shown. */
  get isAnyoneSilent(): boolean {
    return isAnyoneSilent(this.state, this.#env.nowMs());
  }

  judgeSilent(): readonly Outcome[] {
    return this.#change('judgeSilent', SYSTEM, judgeSilent).outcomes;
  }

  configure(config: ShardConfig, caller: Caller): readonly Outcome[] {
    const known = this.state.config;
    // What was stored before shards knew of each other lacks their number.
    const lacks = config.version === known.version && known.shards === undefined && config.shards !== undefined;
    if (config.version <= known.version && !lacks) return [];
    return this.#change('configure', caller, (step) =>
      step.emit({
        type: 'configured',
        version: config.version,
        maxAgents: lacks ? known.maxAgents : config.maxAgents,
        priority: lacks ? known.priority : config.priority,
        ...(config.shards === undefined ? {} : { shards: config.shards }),
      }),
    ).outcomes;
  }

  poll(
    caller: Caller,
    agentId: string,
    max: number,
    park: boolean,
  ): { readonly result: Result<PolledLeases, FleetError>; readonly outcomes: readonly Outcome[] } {
    const { value, outcomes } = this.#change('poll', caller, (step) => poll(step, agentId, max, park));
    return { result: value, outcomes };
  }

  /** A parked poll ended. Memory only, and nobody gains by it: no step is run, so none can do anything that is not delivered. */
  endPoll(agentId: string): void {
    endPoll(this.state, agentId, this.#env.nowMs());
  }

  /** The caller of a waiting allocation left. Memory only, like `endPoll`. */
  withdraw(waiterId: string): void {
    const waiter = this.state.waiters.get(waiterId);
    if (waiter?.idempotency != null) this.#answers.stopWaiting(waiter.idempotency);
    withdrawWaiter(this.state, waiterId);
  }

  /** A task of another shard that tasks here wait for has ended; `missing`: its shard does not know it. */
  dependencyEnded(dependencyId: string, status: TaskStatus | 'missing'): readonly Outcome[] {
    return this.#change('dependencyEnded', SYSTEM, (step) => dependencyEnded(step, dependencyId, status)).outcomes;
  }

  // ---- agents on loan: as lender

  lend(ask: LoanAsk): { readonly value: readonly LoanOffer[]; readonly outcomes: readonly Outcome[] } {
    return this.#change('lend', SYSTEM, (step) => lend(step, ask));
  }

  confirmLoans(confirmation: LoanConfirmation): {
    readonly value: readonly LoanOutcome[];
    readonly outcomes: readonly Outcome[];
  } {
    return this.#change('confirmLoans', SYSTEM, (step) => confirmLoans(step, confirmation));
  }

  loanNews(all: boolean): ReadonlyMap<number, readonly LoanNews[]> {
    return newsFor(this.state, all);
  }

  loansAnswered(answers: readonly { readonly allocationId: string; readonly is: LoanStanding }[]): readonly Outcome[] {
    return this.#change('loansAnswered', SYSTEM, (step) => loansAnswered(step, answers)).outcomes;
  }

  obeyOrders(orders: readonly LoanOrder[]): readonly Outcome[] {
    return this.#change('loanOrders', SYSTEM, (step) => obeyOrders(step, orders)).outcomes;
  }

  /** The live loan under which a caller speaks, if any; `spoken` follows with what the home answered. */
  speaksUnder(caller: Caller, command: LoanCommand): { readonly value: string | null; readonly outcomes: readonly Outcome[] } {
    return this.#change('speaksUnder', caller, (step) => speaksUnder(step, command)?.id ?? null);
  }

  spoken(caller: Caller, allocationId: string, command: LoanCommand, reply: PoolReply | null): readonly Outcome[] {
    return this.#change(command.type, caller, (step) => spoken(step, allocationId, command, reply)).outcomes;
  }

  // ---- agents on loan: as home

  /** What to ask siblings for; `turn` rises with every question. */
  loanAsk(turn: number): LoanAsk {
    return loanAsk(this.state, this.#env.nowMs(), turn);
  }

  takeLoans(lender: number, offers: readonly LoanOffer[]): { readonly value: number; readonly outcomes: readonly Outcome[] } {
    return this.#change('takeLoans', SYSTEM, (step) => takeLoans(step, lender, offers));
  }

  /** What the lender is told of lent tasks that still are; read afresh, since a payload is never kept in memory. */
  loanTerms(taskIds: readonly string[]): readonly LoanTerms[] {
    return taskIds.flatMap((id): LoanTerms[] => {
      const task = this.state.tasks.get(id);
      const payload = this.#storage.blob(id, 'payload');
      if (task?.loan === undefined || task.allocationId === null || payload === null) return [];
      const checkpoint = this.#storage.blob(id, 'checkpoint');
      return [
        {
          allocationId: task.allocationId,
          taskId: id,
          attempt: task.attempts,
          timeoutMs: task.timeoutMs,
          timeoutAtMs: task.loan.timeoutAtMs,
          payload,
          ...(checkpoint === null ? {} : { checkpoint }),
        },
      ];
    });
  }

  loansConfirmed(
    answers: readonly { readonly taskId: string; readonly allocationId: string; readonly outcome: LoanOutcome }[],
  ): readonly Outcome[] {
    return this.#change('loansConfirmed', SYSTEM, (step) => loansConfirmed(step, answers)).outcomes;
  }

  hearLoans(
    lender: number,
    news: readonly LoanNews[],
  ): { readonly value: readonly LoanStanding[]; readonly outcomes: readonly Outcome[] } {
    return this.#change('loanNews', SYSTEM, (step) => hearLoans(step, lender, news));
  }

  waitersToPlace(limit: number): readonly Waiter[] {
    return waitersToPlace(this.state, this.#env.nowMs(), limit);
  }

  serveWaiter(
    waiterId: string,
    views: readonly AllocationView[],
  ): { readonly value: boolean; readonly outcomes: readonly Outcome[] } {
    return this.#change('serveWaiter', SYSTEM, (step) => serveWaiter(step, waiterId, views));
  }

  sessionOpened(agentId: string, caller: Caller): { readonly found: boolean; readonly outcomes: readonly Outcome[] } {
    const { value, outcomes } = this.#change('sessionOpened', caller, (step) => {
      const agent = this.state.agents.get(agentId);
      if (agent === undefined) return false;
      sessionOpened(step, agent);
      return true;
    });
    return { found: value, outcomes };
  }

  sessionClosed(agentId: string): readonly Outcome[] {
    return this.#change('sessionClosed', SYSTEM, (step) => {
      const agent = this.state.agents.get(agentId);
      if (agent !== undefined) sessionClosed(step, agent);
    }).outcomes;
  }

  /** Rises with every change that was written. */
  get summaryVersion(): number {
    return this.#summaryVersion;
  }

  summary(): ShardSummary {
    const { state } = this;
    return {
      pool: state.home.pool,
      shard: state.home.shard,
      version: this.#summaryVersion,
      asOfMs: this.#env.nowMs(),
      agents: { ...state.agentCounts },
      tasks: { ...state.taskCounts },
      slotsFree: state.slotsFree,
    };
  }

  /** What an explanation is made by; it changes nothing. */
  look(): Look {
    const moment = { nowMs: this.#env.nowMs(), ctx: { lastPongAtMs: this.#env.lastPongAtMs } };
    return { nowMs: moment.nowMs, isSilent: (agent) => isSilent(moment, agent), most: ASKED };
  }

  /** When the object must wake next, or null. */
  nextAlarmMs(): number | null {
    return nextAlarmMs(this.state);
  }

  #context(): Context {
    const storage = this.#storage;
    return {
      nowMs: this.#env.nowMs(),
      random: this.#env.random,
      ulid: this.#env.ulid,
      lastPongAtMs: this.#env.lastPongAtMs,
      archive: {
        lease: (id) => storage.lease(id),
        task: (id) => storage.task(id),
        revocation: (epoch) => storage.revocation(epoch),
        blob: (id, kind) => storage.blob(id, kind),
      },
    };
  }

  /** Runs one step and writes what it changed, its audit row and the answers it gives to those who waited. */
  #change<T>(
    action: string,
    caller: Caller,
    body: (step: Step) => T,
    first?: (step: Step) => void,
  ): { readonly value: T; readonly outcomes: readonly Outcome[] } {
    const step = new Step(this.state, this.#context(), caller === SYSTEM ? null : caller);
    first?.(step);
    const value = within(step, () => body(step));
    if (caller.agentId !== undefined) this.#noteBeat(caller.agentId, step.nowMs);
    // Pruning changes counters, so it counts as a change of the summary; it is no mutation that needs an audit row.
    const pruned = step.pruneDue && this.#prune(step.nowMs);
    const outcomes = outcomesOf(step, this.#answering);
    if (step.events.length === 0 && !pruned) return { value, outcomes };
    this.#saveBeats(step);
    this.#summaryVersion += 1;
    this.#storage.write(step.changes, {
      fleet: this.state.fleet,
      home: this.state.home,
      config: this.state.config,
      lastFence: this.state.lastFence,
      epoch: this.state.epoch,
      nextTaskSeq: this.state.nextTaskSeq,
      summaryVersion: this.#summaryVersion,
      prunedAtMs: this.#prunedAtMs,
    });
    if (step.events.length === 0) return { value, outcomes };
    this.#storage.audit({
      atMs: step.nowMs,
      actor: caller.subject,
      action,
      requestId: caller.requestId,
      entries: step.events.map((e) => ('why' in e ? [e.type, subjectOf(e), e.why] : [e.type, subjectOf(e)])),
    });
    // What is over the numbers kept does not wait for the oldest row's time.
    if (step.changes.leases.size > 0 || step.changes.tasks.size > 0) this.#armPrune(step.nowMs + LIMITS.sweepIntervalMs);
    return { value, outcomes };
  }

  /** An earlier pruning than the one that is due takes its place. */
  #armPrune(atMs: number): void {
    const { state } = this;
    if (state.pruneDueMs !== null && state.pruneDueMs <= atMs) return;
    state.pruneDueMs = atMs;
    state.timers.push({ atMs, kind: 'prune', id: '' });
  }

  /** Removes old rows; answers whether there were any. */
  #prune(nowMs: number): boolean {
    this.#prunedAtMs = nowMs;
    const pruned = this.#storage.prune(nowMs, LIMITS.pruneStep);
    for (const [status, n] of Object.entries(pruned.tasks) as [TaskStatus, number][]) this.state.taskCounts[status] -= n;
    if (pruned.nextAtMs === null) return pruned.rows > 0;
    // Full steps follow one another soon; otherwise once the next row is due, but not for each row by itself.
    this.#armPrune(pruned.more ? nowMs + LIMITS.pruneRestMs : Math.max(pruned.nextAtMs, nowMs + LIMITS.sweepIntervalMs));
    return pruned.rows > 0;
  }

  #noteBeat(agentId: string, nowMs: number): void {
    const agent = this.state.agents.get(agentId);
    if (agent !== undefined && nowMs - agent.seenStoredAtMs >= LIMITS.lastSeenStoreMs) this.#unsavedBeats.add(agentId);
  }

  /** Last-seen instants ride along with a commit that happens anyway. */
  #saveBeats(step: Step): void {
    for (const id of this.#unsavedBeats) {
      this.#unsavedBeats.delete(id);
      const agent = this.state.agents.get(id);
      if (agent === undefined) continue;
      step.changes.agents.set(id, agent.record);
      agent.seenStoredAtMs = agent.record.lastSeenAtMs;
    }
  }
}
