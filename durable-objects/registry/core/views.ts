import type { PoolView, ShardConfig } from '../../../shared/rpc.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import type { PoolStatus } from '../../../shared/schemas/fleet.ts';
import type { PlacementRoute, ShardRef } from './routes.ts';
import type { Counters } from './counters.ts';
import { allPools, desiredOf, isDefaultPool, type PoolConfig, type StoredPools } from './pools.ts';

/** A shard beyond the configured ones gets no room: it can only have come to be through a placement that raced a change. */
export const shardConfig = (config: PoolConfig, shard: number): ShardConfig => ({
  version: config.version,
  maxAgents: config.shares[shard] ?? 0,
  priority: config.priority,
  shards: config.shares.length,
});

export function poolView(config: PoolConfig, counters: Counters, region: string): PoolView {
  const { agents, tasks } = counters.ofPool(config.pool);
  return {
    pool: config.pool,
    region,
    minAgents: config.minAgents,
    maxAgents: config.maxAgents,
    priority: config.priority,
    shards: config.shares.length,
    desired: desiredOf(config),
    ...(config.resources === null || config.resources === undefined ? {} : { resources: config.resources }),
    isDefault: isDefaultPool(config.pool),
    agents: { ...agents },
    tasks: { ...tasks },
  };
}

/** Shards that exist although the configuration no longer counts them stay reachable by the ids of what they hold. */
export function placementRoute(config: PoolConfig, counters: Counters): PlacementRoute {
  const summaries = counters.shardsOf(config.pool);
  const shards = Math.max(config.shares.length, counters.usedShards(config.pool));
  const each = <T>(read: (shard: number) => T): T[] => Array.from({ length: shards }, (_, shard) => read(shard));
  return {
    pool: config.pool,
    shards,
    version: config.version,
    maxAgents: config.maxAgents,
    priority: config.priority,
    shares: each((shard) => config.shares[shard] ?? 0),
    agents: each((shard) => summaries.get(shard)?.agents.total ?? 0),
    slotsFree: each((shard) => summaries.get(shard)?.slotsFree ?? 0),
    inUse: each((shard) => summaries.has(shard)),
  };
}

/** The pools' part of the region's status, as text. */
export function poolsText(stored: StoredPools, counters: Counters, region: string): JsonText {
  const pools = allPools(stored).map((config): PoolStatus => {
    const { agents, tasks } = counters.ofPool(config.pool);
    const { pool, minAgents, maxAgents } = config;
    return { pool, region, ...agents, queued: tasks.queued, minAgents, maxAgents, desired: desiredOf(config) };
  });
  return JSON.stringify(pools);
}

/** Shards that may hold anything: those in use, and those that were sent a configuration of a changed pool. */
export function instances(stored: StoredPools, counters: Counters): ShardRef[] {
  const refs = new Map<string, ShardRef>();
  const add = (pool: string, shard: number): void => void refs.set(`${pool}/${shard}`, { pool, shard });
  for (const { pool, shard } of counters.all()) add(pool, shard);
  for (const { pool, shares } of stored.values()) for (const shard of shares.keys()) add(pool, shard);
  return [...refs.values()];
}
