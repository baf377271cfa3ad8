import type { FleetError } from '../../shared/errors.ts';
import type { Home } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Result } from '../../shared/result.ts';
import type {
  AgentSpec,
  AgentView,
  AllocateSpec,
  AllocationView,
  Caller,
  IdempotencyRef,
  LeaseSelector,
  PoolCommandOf,
  PoolCommandType,
  PoolOutput,
  PoolReply,
  RevokeStep,
  ShardConfig,
  TaskSpec,
  TaskView,
} from '../../shared/rpc.ts';
import type { LeaseRecord, TaskRecord } from '../../durable-objects/pool/core/records.ts';
import type { LiveAgent } from '../../durable-objects/pool/core/live-agent.ts';
import { statusOf } from '../../durable-objects/pool/core/state.ts';
import { PoolEngine, type Answer } from '../../durable-objects/pool/engine.ts';
import type { Outcome } from '../../durable-objects/pool/outcomes.ts';
import { MemoryPoolStorage } from '../../durable-objects/pool/memory-storage.ts';
import type { PoolStorage } from '../../durable-objects/pool/storage.ts';
import { Seeded, SeededUlids } from './seeded.ts';

export const HOME: Home = { region: 'eu-west-1', pool: 'coder', shard: 0 };
export const FLEET = 'acme';
/** A Monday. */
export const START_MS = Date.UTC(2026, 0, 5);

export const OPERATOR: Caller = { fleet: FLEET, subject: 'operator', role: 'operator', requestId: 'req' };
/** An agent calling with its own token: each call is also a sign of life. */
export const asAgent = (agentId: string): Caller => ({
  fleet: FLEET,
  subject: agentId,
  role: 'agent',
  agentId,
  requestId: 'req',
});

export const agentSpec = (spec: Partial<AgentSpec> = {}): AgentSpec => ({
  capabilities: [],
  labels: {},
  slots: 1,
  liveness: 'heartbeat',
  swarms: [],
  metadata: '{}',
  ...spec,
});
export const allocateSpec = (spec: Partial<AllocateSpec> = {}): AllocateSpec => ({
  capabilities: [],
  selectors: [],
  slots: 1,
  count: 1,
  priority: 5,
  leaseMs: 30_000,
  waitMs: 0,
  strategy: 'least_loaded',
  packing: 'spread',
  ...spec,
});
export const taskSpec = (spec: Partial<TaskSpec> = {}): TaskSpec => ({
  payload: '"work"',
  capabilities: [],
  selectors: [],
  priority: 5,
  maxAttempts: 3,
  retry: { baseMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0 },
  timeoutMs: 300_000,
  ...spec,
});

type Assign = Extract<Outcome, { readonly type: 'assign' }>;

/** What an agent was told to do, as it would know it. */
export interface Work {
  readonly agentId: string;
  readonly taskId: string;
  readonly leaseId: string;
  readonly fencingToken: number;
}

/**
 * One shard in a test: the real engine over a storage, with a clock, randomness, sockets and pongs that the test moves.
 * Answers are unwrapped or refused loudly, so that a test says only what it is about.
 */
export class PoolHarness {
  nowMs = START_MS;
  readonly storage: PoolStorage;
  readonly random: Seeded;
  readonly sessions = new Set<string>();
  readonly pongs = new Map<string, number>();
  /** Everything the shell would have done, oldest first. */
  readonly outcomes: Outcome[] = [];
  engine: PoolEngine;
  #config: ShardConfig;
  #waiters = 0;

  readonly #home: Home;

  constructor(
    options: {
      readonly maxAgents?: number;
      readonly seed?: number;
      readonly storage?: PoolStorage;
      /** One of several shards. */
      readonly shard?: number;
      readonly shards?: number;
    } = {},
  ) {
    this.#home = { ...HOME, shard: options.shard ?? 0 };
    this.storage = options.storage ?? new MemoryPoolStorage();
    this.random = new Seeded(options.seed ?? 1);
    this.#config = {
      version: 1,
      maxAgents: options.maxAgents ?? 100,
      priority: 5,
      ...(options.shards === undefined ? {} : { shards: options.shards }),
    };
    this.engine = this.#start();
  }

  #start(): PoolEngine {
    const ulids = new SeededUlids(this.random.next, () => this.nowMs);
    return new PoolEngine(
      this.storage,
      {
        nowMs: () => this.nowMs,
        random: this.random.next,
        ulid: ulids.next,
        lastPongAtMs: (id) => this.pongs.get(id) ?? null,
      },
      FLEET,
      this.#home,
      this.#config,
    );
  }

  get state(): PoolEngine['state'] {
    return this.engine.state;
  }

  // ---- commands

  ask(command: PoolCommandOf<PoolCommandType>, caller: Caller = OPERATOR, idempotency?: IdempotencyRef): Answer {
    const { answers, outcomes } = this.engine.execute(caller, [
      { command, ...(idempotency === undefined ? {} : { idempotency }) } as Parameters<PoolEngine['execute']>[1][number],
    ]);
    this.outcomes.push(...outcomes);
    return answers[0] as Answer;
  }

  try<K extends PoolCommandType>(command: PoolCommandOf<K>, caller: Caller = OPERATOR): Result<PoolOutput<K>, FleetError> {
    const answer = this.ask(command, caller);
    if (answer === 'parked') throw new Error(`${command.type} was parked`);
    return answer;
  }

  do<K extends PoolCommandType>(command: PoolCommandOf<K>, caller: Caller = OPERATOR): PoolOutput<K> {
    const answer = this.try(command, caller);
    if (!answer.ok) throw new Error(`${command.type} was refused: ${answer.error.kind}: ${answer.error.detail}`);
    return answer.value;
  }

  /** The kind of error a command is refused with, or `ok`. */
  verdict<K extends PoolCommandType>(command: PoolCommandOf<K>, caller: Caller = OPERATOR): FleetError['kind'] | 'ok' {
    const answer = this.try(command, caller);
    return answer.ok ? 'ok' : answer.error.kind;
  }

  register(spec: Partial<AgentSpec> = {}): string {
    return this.do({ type: 'registerAgent', spec: agentSpec(spec) }).id;
  }

  /** Registers an agent and opens its socket. */
  connected(spec: Partial<AgentSpec> = {}): string {
    const id = this.register({ liveness: 'session', ...spec });
    this.open(id);
    return id;
  }

  allocate(spec: Partial<AllocateSpec> = {}): AllocationView {
    const [view] = this.allocateAll(spec);
    if (view === undefined) throw new Error('granted nothing');
    return view;
  }

  allocateAll(spec: Partial<AllocateSpec> = {}): readonly AllocationView[] {
    return this.do({ type: 'allocate', spec: allocateSpec(spec), waiterId: this.#waiterId() });
  }

  tryAllocate(spec: Partial<AllocateSpec> = {}): Result<readonly AllocationView[], FleetError> {
    return this.try({ type: 'allocate', spec: allocateSpec(spec), waiterId: this.#waiterId() });
  }

  /** Puts an allocation into the queue; answers the name of the wait. */
  wait(spec: Partial<AllocateSpec> = {}, idempotency?: IdempotencyRef): string {
    const waiterId = this.#waiterId();
    const answer = this.ask(
      { type: 'allocate', spec: allocateSpec({ waitMs: 30_000, ...spec }), waiterId },
      OPERATOR,
      idempotency,
    );
    if (answer !== 'parked') throw new Error('was not parked');
    return waiterId;
  }

  #waiterId(): string {
    this.#waiters += 1;
    return `waiter-${this.#waiters}`;
  }

  /** The answer a waiting call has got, if any. */
  waited(waiterId: string): PoolReply | undefined {
    return this.outcomes.find(
      (o): o is Extract<Outcome, { readonly type: 'waiterDone' }> => o.type === 'waiterDone' && o.waiterId === waiterId,
    )?.reply;
  }

  submit(spec: Partial<TaskSpec> = {}): string {
    return this.do({ type: 'submitTask', spec: taskSpec(spec), needsAgent: false }).id;
  }

  /** Revokes what a selector covers, in steps of `limit` until all is done. */
  revoke(selector: LeaseSelector, terms: Partial<PoolCommandOf<'revokeLeases'>> = {}): RevokeStep {
    const command = { type: 'revokeLeases', selector, reason: 'stop', tasks: 'requeue', quarantine: false } as const;
    for (let epoch: number | null = null; ;) {
      const step: RevokeStep = this.do({ ...command, limit: LIMITS.revokeStep, ...terms, epoch });
      if (!step.more) return step;
      epoch = step.epoch;
    }
  }

  // ---- agents

  open(agentId: string): void {
    this.sessions.add(agentId);
    this.pongs.set(agentId, this.nowMs);
    const { found, outcomes } = this.engine.sessionOpened(agentId, asAgent(agentId));
    if (!found) throw new Error(`no such agent: ${agentId}`);
    this.outcomes.push(...outcomes);
  }

  close(agentId: string): void {
    this.sessions.delete(agentId);
    this.pongs.delete(agentId);
    this.outcomes.push(...this.engine.sessionClosed(agentId));
  }

  /** The platform answers the ping of every open socket; the object sleeps on. */
  pong(...agentIds: readonly string[]): void {
    for (const id of agentIds.length === 0 ? this.sessions : agentIds) this.pongs.set(id, this.nowMs);
  }

  beat(agentId: string, leases: PoolCommandOf<'heartbeat'>['leases'] = []): PoolOutput<'heartbeat'> {
    return this.do({ type: 'heartbeat', agentId, leases }, asAgent(agentId));
  }

  poll(agentId: string, options: { readonly max?: number; readonly park?: boolean } = {}): readonly string[] {
    const { result, outcomes } = this.engine.poll(asAgent(agentId), agentId, options.max ?? 1, options.park ?? false);
    this.outcomes.push(...outcomes);
    if (!result.ok) throw new Error(`poll was refused: ${result.error.kind}`);
    return result.value.leaseIds;
  }

  /** What the agent holds of a task now, with the token it was given. */
  work(taskId: string): Work {
    const task = this.task(taskId);
    if (task.agentId === null || task.allocationId === null || task.fencingToken === null)
      throw new Error(`the task is ${task.status}; nobody holds it`);
    return { agentId: task.agentId, taskId, leaseId: task.allocationId, fencingToken: task.fencingToken };
  }

  accept(work: Work): PoolOutput<'progressTask'> {
    return this.do({ type: 'progressTask', taskId: work.taskId, fencingToken: work.fencingToken }, asAgent(work.agentId));
  }

  complete(work: Work, result?: string): TaskView {
    return this.do(
      {
        type: 'completeTask',
        taskId: work.taskId,
        fencingToken: work.fencingToken,
        ...(result === undefined ? {} : { result }),
      },
      asAgent(work.agentId),
    );
  }

  fail(work: Work, retryable = true): TaskView {
    return this.do(
      {
        type: 'failTask',
        taskId: work.taskId,
        fencingToken: work.fencingToken,
        error: { code: 'boom', message: 'it failed' },
        retryable,
      },
      asAgent(work.agentId),
    );
  }

  // ---- time and faults

  /** Moves the clock, firing the alarm whenever it is due, as the platform would. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let fired = 0; ; fired += 1) {
      if (fired > 10_000) throw new Error('the alarm makes no progress');
      const dueAtMs = this.engine.nextAlarmMs();
      if (dueAtMs === null || dueAtMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueAtMs);
      this.alarm();
    }
    this.nowMs = untilMs;
  }

  /** As `advance`, while these agents beat (and open sockets pong) every five seconds. */
  advanceAlive(ms: number, ...beating: readonly string[]): void {
    for (let left = ms; left > 0; left -= 5_000) {
      this.advance(Math.min(5_000, left));
      this.pong();
      for (const id of beating) this.beat(id);
    }
  }

  /** Moves the clock only: the alarm is late, or lost. */
  jump(ms: number): void {
    this.nowMs += ms;
  }

  alarm(): void {
    this.outcomes.push(...this.engine.alarm());
  }

  /** Memory is gone; sockets survive only hibernation. */
  restart(options: { readonly socketsSurvive: boolean }): void {
    if (!options.socketsSurvive) {
      this.sessions.clear();
      this.pongs.clear();
    }
    this.engine = this.#start();
    this.outcomes.push(...this.engine.wake(this.sessions));
  }

  configure(config: Partial<ShardConfig>): void {
    this.#config = { ...this.#config, version: this.#config.version + 1, ...config };
    this.outcomes.push(...this.engine.configure(this.#config, OPERATOR));
  }

  // ---- looking

  agent(agentId: string): LiveAgent {
    const agent = this.state.agents.get(agentId);
    if (agent === undefined) throw new Error(`no such agent: ${agentId}`);
    return agent;
  }

  status(agentId: string): AgentView['status'] | 'gone' {
    const agent = this.state.agents.get(agentId);
    return agent === undefined ? 'gone' : statusOf(agent);
  }

  /** A task, live or ended. */
  task(taskId: string): TaskRecord {
    const task = this.state.tasks.get(taskId) ?? this.storage.task(taskId);
    if (task === null) throw new Error(`no such task: ${taskId}`);
    return task;
  }

  /** A lease, active or ended. */
  lease(leaseId: string): LeaseRecord {
    const lease = this.state.leases.get(leaseId) ?? this.storage.lease(leaseId);
    if (lease === null) throw new Error(`no such lease: ${leaseId}`);
    return lease;
  }

  /** Task ids assigned over sockets so far, in order. */
  assigned(): string[] {
    return this.outcomes.filter((o): o is Assign => o.type === 'assign').map((o) => this.lease(o.leaseId).taskId as string);
  }

  /** The outcomes of one type. */
  seen<T extends Outcome['type']>(type: T): readonly Extract<Outcome, { readonly type: T }>[] {
    return this.outcomes.filter((o): o is Extract<Outcome, { readonly type: T }> => o.type === type);
  }
}
