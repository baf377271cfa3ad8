import type { FleetError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Caller, PoolView, RegionStatusBlock, ShardConfig, ShardSummary } from '../../shared/rpc.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import type { PutPool } from '../../shared/schemas/fleet.ts';
import { Counters, emptySummary } from './core/counters.ts';
import {
  allPools,
  clamp,
  decideConfirmed,
  decidePut,
  findPool,
  poolNotFound,
  shrinkingShards,
  type PoolConfig,
  type Scaled,
} from './core/pools.ts';
import { instances, placementRoute, poolView, poolsText, shardConfig } from './core/views.ts';
import type { PlacementRoute, ShardRef, SwarmRef } from './core/routes.ts';
import type { RegistryStorage } from './storage.ts';

/** Keys looked at by each new key: more than come in, so that the table shrinks while it is in use. */
const PRUNE_WITH_KEY = 4;

/**
 * One fleet in one region: pools, counters and key routes in memory over their rows, without any platform type. What
 * writes must run inside a transaction of the storage; when it throws, memory may be ahead of the rows, so the registry is
 * to be thrown away with the transaction.
 */
export class Registry {
  readonly #storage: RegistryStorage;
  readonly #region: string;
  readonly #pools: Map<string, PoolConfig>;
  readonly #counters = new Counters();
  /** The pools' part of `status`, until something in it changes. */
  #poolsText: JsonText | null = null;
  /** Reports from before this moment are of shards that a purge removed. */
  readonly #bornAtMs: number;

  constructor(storage: RegistryStorage, region: string, bornAtMs = 0) {
    this.#storage = storage;
    this.#region = region;
    this.#bornAtMs = bornAtMs;
    this.#pools = new Map(storage.loadPools().map((config) => [config.pool, config]));
    for (const summary of storage.loadSummaries()) this.#counters.apply(summary);
  }

  routes(): PlacementRoute[] {
    return allPools(this.#pools).map((config) => placementRoute(config, this.#counters));
  }

  listPools(): PoolView[] {
    return allPools(this.#pools).map((config) => poolView(config, this.#counters, this.#region));
  }

  /** One moment: the counters are copied here, without a pause; an answer is serialised only later. */
  status(nowMs: number): RegionStatusBlock {
    const { agents, tasks } = this.#counters.region;
    this.#poolsText ??= poolsText(this.#pools, this.#counters, this.#region);
    return {
      region: this.#region,
      status: { agents: { ...agents }, tasks: { ...tasks }, asOfMs: nowMs, fresh: true },
      pools: this.#poolsText,
    };
  }

  /** Agents of the region, as last reported. */
  get agents(): number {
    return this.#counters.region.agents.total;
  }

  instances(): ShardRef[] {
    return instances(this.#pools, this.#counters);
  }

  occupied(): ShardRef[] {
    return this.#counters.all().map(({ pool, shard }) => ({ pool, shard }));
  }

  configFor(pool: string, shard: number): ShardConfig | null {
    const config = findPool(this.#pools, pool);
    return config === null ? null : shardConfig(config, shard);
  }

  putPool(
    caller: Caller,
    pool: string,
    spec: PutPool,
    nowMs: number,
  ): Result<{ readonly pool: PoolView; readonly created: boolean }, FleetError> {
    const decided = decidePut(this.#pools, pool, spec, this.#counters.agentsByShard(pool));
    if (!decided.ok) return decided;
    const { config, created } = decided.value;
    this.#save(config);
    this.#audit(caller, 'putPool', created ? 'poolCreated' : 'poolChanged', pool, spec, nowMs);
    return ok({ pool: poolView(config, this.#counters, this.#region), created });
  }

  scalePool(
    caller: Caller,
    pool: string,
    input: { readonly targetSize: number; readonly reason?: string },
    nowMs: number,
  ): Result<Scaled, FleetError> {
    const config = findPool(this.#pools, pool);
    if (config === null) return err(poolNotFound(pool));
    const scaled = clamp(input.targetSize, config);
    this.#save({ ...config, desired: scaled.desired });
    this.#audit(caller, 'scalePool', 'poolScaled', pool, input, nowMs);
    return ok(scaled);
  }

  /** The configuration that shards must be told, and which: those in use, and those that others wait for to shrink. */
  toPush(pool: string): { readonly version: number; readonly shards: ReadonlyMap<number, ShardConfig> } | null {
    const config = findPool(this.#pools, pool);
    if (config === null) return null;
    const targets = new Set([...this.#counters.shardsOf(pool).keys(), ...shrinkingShards(config)]);
    return { version: config.version, shards: new Map([...targets].map((shard) => [shard, shardConfig(config, shard)])) };
  }

  /** Shards took `version` and answered their counters. True when room was divided anew and must be pushed again. */
  confirm(pool: string, version: number, summaries: ReadonlyMap<number, ShardSummary>): boolean {
    for (const summary of summaries.values()) this.report(summary);
    const config = findPool(this.#pools, pool);
    if (config === null) return false;
    const agents = this.#counters.agentsByShard(pool);
    for (const [shard, summary] of summaries) agents[shard] = summary.agents.total;
    const after = decideConfirmed(config, version, new Set(summaries.keys()), agents);
    if (after === null) return false;
    this.#save(after);
    return after.version > version;
  }

  /** Room is kept for agents that this shard no longer has. */
  canShrink(summary: ShardSummary): boolean {
    const config = findPool(this.#pools, summary.pool);
    const held = config?.held[summary.shard] ?? 0;
    return held > (config?.shares[summary.shard] ?? 0) && held > summary.agents.total;
  }

  /** What a purged shard sent before it was purged is no news, nor is a pool that this fleet does not have. */
  isNews(summary: ShardSummary): boolean {
    return summary.asOfMs > this.#bornAtMs && findPool(this.#pools, summary.pool) !== null && this.#counters.isNews(summary);
  }

  report(summary: ShardSummary): void {
    if (!this.isNews(summary)) return;
    this.#poolsText = null;
    this.#counters.apply(summary);
    this.#storage.saveSummary(summary);
  }

  isInUse({ pool, shard }: ShardRef): boolean {
    return this.#counters.isInUse(pool, shard);
  }

  open(ref: ShardRef): void {
    if (this.isInUse(ref)) return;
    const summary = emptySummary(ref.pool, ref.shard);
    this.#poolsText = null;
    this.#counters.apply(summary);
    this.#storage.saveSummary(summary);
  }

  /** The regions remembered for a key, or `order`, which is then remembered. */
  routeForKey(key: string, order: readonly string[], nowMs: number): readonly string[] {
    const sinceMs = nowMs - LIMITS.idempotencyTtlMs;
    const known = this.#storage.findKeyRoute(key, sinceMs);
    if (known !== null) return known;
    this.#storage.pruneKeyRoutes({ sinceMs, keep: LIMITS.idempotencyPerShard, step: PRUNE_WITH_KEY });
    this.#storage.saveKeyRoute(key, order, nowMs);
    return order;
  }

  /** When the oldest key is to be removed, or null when there is none. */
  nextPruneMs(): number | null {
    const oldestMs = this.#storage.oldestKeyRouteMs();
    return oldestMs === null ? null : oldestMs + LIMITS.idempotencyTtlMs;
  }

  /** Removes a step of old keys. */
  prune(nowMs: number): void {
    const sinceMs = nowMs - LIMITS.idempotencyTtlMs;
    this.#storage.pruneKeyRoutes({ sinceMs, keep: LIMITS.idempotencyPerShard, step: LIMITS.pruneStep });
  }

  hasSwarm(ref: SwarmRef): boolean {
    return this.#storage.hasSwarm(ref);
  }

  openSwarm(ref: SwarmRef): void {
    this.#storage.saveSwarm(ref);
  }

  swarms(): readonly SwarmRef[] {
    return this.#storage.swarms();
  }

  #save(config: PoolConfig): void {
    this.#poolsText = null;
    this.#pools.set(config.pool, config);
    this.#storage.savePool(config);
  }

  #audit(caller: Caller, action: string, event: string, pool: string, input: unknown, atMs: number): void {
    const entry = [event, pool, JSON.stringify(input)] as const;
    this.#storage.appendAudit({ atMs, actor: caller.subject, action, requestId: caller.requestId, entries: [entry] });
  }
}
