import { routeOf } from '../../../shared/booster.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { BoosterOperation } from '../../../shared/booster.ts';
import type { BoosterHandedOver, BoosterStatus } from '../../../shared/schemas/booster.ts';
import {
  type BoosterInput,
  type BoosterReply,
  boosterReport,
  boosterStatus,
  isHandedOver,
  runBooster,
  runBoosterBatch,
} from '../api/booster.ts';
import { waitForTask } from '../api/tasks.ts';
import type { BatchResult } from '../batch.ts';
import { ConfigurationError, TimeoutError } from '../errors.ts';
import { FleetManager } from '../fleet-manager.ts';
import type { CallOptions, HttpClient } from '../http.ts';
import type { Task } from '../types.ts';
import { hashOf, ResultCache } from './cache.ts';
import type {
  BoosterConfig,
  BoosterDone,
  BoosterPending,
  BoosterRefused,
  BoosterTaskRequest,
  BoosterTaskResult,
  ExecuteOptions,
  PerformanceReport,
} from './types.ts';

const CACHE_ENTRIES = 256;
const CACHE_CHARS = 16_777_216;
const AGENT_TIMEOUT_MS = 300_000;
/** An instance is replaced at this size. */
const INSTANCE_MIB = LIMITS.boosterSlotBytes / 1_048_576;

/** Who does which kind of work when the booster does not. */
const POOLS: Partial<Readonly<Record<BoosterOperation, string>>> = { review: 'reviewer', test: 'tester' };

/**
 * Code edits and syntax-tree work without a model: exact and proved, or refused with a reason. With a fallback pool an agent
 * does what the booster leaves undone, and the caller sees only who made the result.
 *
 * ```ts
 * const booster = new AgentBooster({ fallbackPool: 'coder' });
 * const { ok, output, madeBy } = await booster.executeTask({ operation: 'apply', path: 'a.ts', original, edit });
 * ```
 */
export class AgentBooster {
  readonly #config: BoosterConfig;
  readonly #fleet: FleetManager;
  readonly #cache: ResultCache;
  readonly #seen = { tasks: 0, cacheHits: 0, handedOver: 0, sumMs: 0 };

  constructor(config: BoosterConfig = {}) {
    checkBoosterConfig(config);
    const {
      enabled: _enabled,
      poolSize: _poolSize,
      memoryLimit: _memoryLimit,
      fallbackEnabled: _fallbackEnabled,
      fallbackPool: _fallbackPool,
      performanceTracking: _performanceTracking,
      cacheEntries = CACHE_ENTRIES,
      cacheChars = CACHE_CHARS,
      agentTimeoutMs: _agentTimeoutMs,
      ...options
    } = config;
    this.#config = config;
    this.#fleet = new FleetManager(options);
    this.#cache = new ResultCache({ entries: cacheEntries, chars: cacheChars });
  }

  /** Checks that the fleet serves and that its booster answers. */
  async initialize(options?: CallOptions): Promise<void> {
    await this.#fleet.initialize(options);
    const { slots, unreachable } = await this.getBoosterStatus(options);
    const warn = this.#config.onWarning ?? console.warn;
    const { poolSize } = this.#config;
    if (unreachable > 0) warn(`${unreachable} of the region's booster Workers do not answer.`);
    if (poolSize !== undefined && slots.max < poolSize) {
      warn(`The booster has ${slots.max} slots here, not ${poolSize}: they belong to the fleet's deployment.`);
    }
  }

  /** Ends running calls and waits, and forgets what was kept. An agent's task goes on. */
  async shutdown(): Promise<void> {
    this.#cache.clear();
    await this.#fleet.shutdown();
  }

  /** Does one operation: by the booster, else, where that is allowed, by an agent that is waited for. */
  async executeTask(request: BoosterTaskRequest, options: ExecuteOptions = {}): Promise<BoosterTaskResult> {
    const { wait = true, ...call } = options;
    if (this.#config.enabled === false) return DISABLED;
    return this.#measured(async () => {
      const input = this.#input(request);
      const key = await this.#keyOf(input);
      const cached = key === null ? undefined : this.#cached(key);
      if (cached !== undefined) return cached;
      const reply = await runBooster(this.#http, input, call);
      if (!isHandedOver(reply)) return this.#answered(key, reply);
      const pending = this.#pending(reply);
      return wait ? this.#waited(pending, call) : pending;
    });
  }

  /** Does many, in as few requests as the limits allow. Tasks of agents are not waited for. */
  async executeTasks(requests: readonly BoosterTaskRequest[], options?: CallOptions): Promise<BatchResult<BoosterTaskResult>[]> {
    if (this.#config.enabled === false) return requests.map(() => ({ ok: true, value: DISABLED }));
    const inputs = requests.map((request) => this.#input(request));
    const keys = await Promise.all(inputs.map((input) => this.#keyOf(input)));
    const cached = keys.map((key) => (key === null ? undefined : this.#cached(key)));
    const asked = inputs.flatMap((input, i) => (cached[i] === undefined ? [{ input, key: keys[i] ?? null }] : []));
    const replies = await runBoosterBatch(
      this.#http,
      asked.map(({ input }) => input),
      options,
    );
    this.#seen.tasks += requests.length;
    let next = 0;
    return cached.map((hit): BatchResult<BoosterTaskResult> => {
      if (hit !== undefined) return { ok: true, value: hit };
      const reply = replies[next];
      const key = asked[next]?.key ?? null;
      next += 1;
      if (reply === undefined) throw new ConfigurationError('The fleet answered fewer results than it was asked for.');
      if (!reply.ok) return reply;
      return { ok: true, value: isHandedOver(reply.value) ? this.#pending(reply.value) : this.#answered(key, reply.value) };
    });
  }

  /** Slots, and what they did for this fleet, in the configured region or the nearest. */
  async getBoosterStatus(options?: CallOptions): Promise<BoosterStatus> {
    return boosterStatus(this.#http, this.#config.region, options);
  }

  /** What operations took, as the fleet measured it, with what this client saw. */
  async getPerformanceReport(options?: CallOptions): Promise<PerformanceReport> {
    const report = await boosterReport(this.#http, this.#config.region, options);
    const { tasks, cacheHits, handedOver, sumMs } = this.#seen;
    const share = (of: number): number => (tasks === 0 ? 0 : of / tasks);
    return { ...report, client: { tasks, cacheHits, cacheHitRate: share(cacheHits), handedOver, meanMs: share(sumMs) } };
  }

  /** Forgets the answers kept here. The fleet's booster keeps none. */
  async clearCache(): Promise<void> {
    this.#cache.clear();
  }

  get #http(): HttpClient {
    return this.#fleet.http;
  }

  async #measured(work: () => Promise<BoosterTaskResult>): Promise<BoosterTaskResult> {
    if (this.#config.performanceTracking === false) return work();
    const startedAt = performance.now();
    this.#seen.tasks += 1;
    try {
      return await work();
    } finally {
      this.#seen.sumMs += performance.now() - startedAt;
    }
  }

  #input({ fallback, ...request }: BoosterTaskRequest): BoosterInput {
    const { region, residency, fallbackPool } = this.#config;
    const allowed = this.#config.fallbackEnabled ?? fallbackPool !== undefined;
    const pool = fallbackPool ?? POOLS[request.operation] ?? 'coder';
    const by = fallback === false ? undefined : (fallback ?? (allowed ? { pool } : undefined));
    return {
      ...(region === undefined ? {} : { region }),
      ...(residency === undefined ? {} : { residency }),
      ...request,
      ...(by === undefined ? {} : { fallback: by }),
    };
  }

  /** What the answer depends on; null for what is not kept. Where it runs and who takes over change no answer. */
  async #keyOf(input: BoosterInput): Promise<string | null> {
    if ((this.#config.cacheEntries ?? CACHE_ENTRIES) < 1 || routeOf(input.operation) === 'agent') return null;
    const { fallback: _fallback, region: _region, residency: _residency, priority: _priority, ...asked } = input;
    return hashOf(asked);
  }

  #cached(key: string): BoosterDone | undefined {
    const hit = this.#cache.get(key) as BoosterDone | undefined;
    if (hit === undefined) return undefined;
    this.#seen.cacheHits += 1;
    return { ...hit, madeBy: { ...hit.madeBy, cached: true } as BoosterDone['madeBy'] };
  }

  #answered(key: string | null, reply: Exclude<BoosterReply, BoosterHandedOver>): BoosterDone | BoosterRefused {
    const madeBy = { kind: 'booster', engine: reply.ok ? reply.engine : 'booster', cached: false } as const;
    if (!reply.ok) return { ...reply, madeBy };
    const done: BoosterDone = { ...reply, madeBy };
    if (key !== null) this.#cache.set(key, done);
    return done;
  }

  #pending({ taskId, pool, region, reason, detail }: BoosterHandedOver): BoosterPending {
    this.#seen.handedOver += 1;
    const wait = async (options?: CallOptions): Promise<BoosterDone | BoosterRefused> =>
      resultOf(await waitForTask(this.#http, taskId, options), pool);
    return { ok: false, taskId, pool, region, reason, detail, wait };
  }

  /** A wait that is too long is no failure: the agent goes on, and the caller may, too. */
  async #waited(pending: BoosterPending, options: CallOptions): Promise<BoosterTaskResult> {
    const timeoutMs = options.timeoutMs ?? this.#config.agentTimeoutMs ?? AGENT_TIMEOUT_MS;
    try {
      return await pending.wait({ signal: options.signal, timeoutMs });
    } catch (error) {
      if (error instanceof TimeoutError && options.signal?.aborted !== true) return pending;
      throw error;
    }
  }
}

const DISABLED: BoosterRefused = {
  ok: false,
  reason: 'unsupported',
  detail: 'The booster is switched off in this configuration (enabled: false).',
  madeBy: { kind: 'booster', engine: 'none', cached: false },
};

/** What an agent made of it: its result's `output`, or the result itself. */
function resultOf(task: Task, pool: string): BoosterDone | BoosterRefused {
  const madeBy = { kind: 'agent', agentId: task.agentId, taskId: task.id, pool } as const;
  if (task.status === 'succeeded') {
    const { result } = task;
    const isNamed = typeof result === 'object' && result !== null && 'output' in result;
    return { ok: true, output: isNamed ? result.output : result, proofs: [], madeBy };
  }
  return { ok: false, reason: 'agent_failed', detail: task.error?.message ?? `The task ended as ${task.status}.`, madeBy };
}

function checkBoosterConfig({ memoryLimit, poolSize, cacheEntries, cacheChars, agentTimeoutMs }: BoosterConfig): void {
  if (memoryLimit !== undefined && !(memoryLimit >= INSTANCE_MIB)) {
    throw new ConfigurationError(
      `memoryLimit: an instance may grow to ${INSTANCE_MIB} MiB before it is replaced; less cannot be had`,
    );
  }
  for (const [name, value, least] of [
    ['poolSize', poolSize, 1],
    ['cacheEntries', cacheEntries, 0],
    ['cacheChars', cacheChars, 0],
    ['agentTimeoutMs', agentTimeoutMs, 1],
  ] as const) {
    if (value !== undefined && !(Number.isInteger(value) && value >= least))
      throw new ConfigurationError(`${name}: must be an integer of at least ${least}`);
  }
}
