import { invalidState, type FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { DEFAULT_POOLS } from '../../../shared/pools.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { PutPool } from '../../../shared/schemas/fleet.ts';
import { divideShares, evenSplit, type ShardRoom } from './shares.ts';

/** Version of a default pool nobody has changed. Raise it with any change of DEFAULT_POOLS: shards keep the highest they saw. */
export const DEFAULTS_VERSION = 1;

/** A pool's configuration as stored. */
export interface PoolConfig {
  readonly pool: string;
  readonly minAgents: number;
  readonly maxAgents: number;
  readonly priority: number;
  readonly resources: PutPool['resources'] | null;
  /** Size asked for by scaling; null until somebody scales, and then the minimum counts. */
  readonly desired: number | null;
  /** Rises with every change that a shard must learn of. */
  readonly version: number;
  /** `maxAgents` divided over the shards. */
  readonly shares: readonly number[];
  /** The most each shard can have now, see `divideShares`. Never below its share. */
  readonly held: readonly number[];
}

/** Pools by name; a default pool that nobody has changed is not in it. */
export type StoredPools = ReadonlyMap<string, PoolConfig>;

const DEFAULTS: ReadonlyMap<string, PoolConfig> = new Map(
  Object.entries(DEFAULT_POOLS).map(([pool, limits]) => [
    pool,
    {
      pool,
      ...limits,
      resources: null,
      desired: null,
      version: DEFAULTS_VERSION,
      shares: [limits.maxAgents],
      held: [limits.maxAgents],
    },
  ]),
);

export const isDefaultPool = (pool: string): boolean => DEFAULTS.has(pool);

export const poolNotFound = (pool: string): FleetError => ({ kind: 'pool_not_found', detail: `No such pool: ${pool}.` });

export const findPool = (stored: StoredPools, pool: string): PoolConfig | null => stored.get(pool) ?? DEFAULTS.get(pool) ?? null;

/** Default pools in the order of their table, then custom ones by name. */
export function allPools(stored: StoredPools): PoolConfig[] {
  const custom = [...stored.values()].filter((config) => !DEFAULTS.has(config.pool));
  custom.sort((a, b) => (a.pool < b.pool ? -1 : 1));
  return [...[...DEFAULTS.values()].map((config) => stored.get(config.pool) ?? config), ...custom];
}

export const desiredOf = (config: PoolConfig): number => config.desired ?? config.minAgents;

/** What `putPool` stores. `agents` has the agents of each shard in use, and so tells how many those are. */
export function decidePut(
  stored: StoredPools,
  pool: string,
  spec: PutPool,
  agents: readonly number[],
): Result<{ readonly config: PoolConfig; readonly created: boolean }, FleetError> {
  const before = findPool(stored, pool);
  if (before === null) return decideCreate(stored, pool, spec);
  const shards = spec.shards ?? before.shares.length;
  const usedShards = agents.length;
  if (shards < usedShards) {
    return err(
      invalidState(
        `${usedShards} shards`,
        `Pool ${pool} uses ${usedShards} shards; their number cannot be lowered to ${shards}.`,
      ),
    );
  }
  const held = Array.from({ length: shards }, (_, shard) => before.held[shard] ?? 0);
  const shares = divideShares(spec.maxAgents, rooms(held, agents));
  const after: PoolConfig = {
    pool,
    minAgents: spec.minAgents,
    maxAgents: spec.maxAgents,
    priority: spec.priority,
    resources: spec.resources ?? null,
    desired: before.desired === null ? null : clamp(before.desired, spec).desired,
    version: before.version,
    shares,
    held: maxOfEach(shares, held),
  };
  return ok({ config: sameForShards(before, after) ? after : { ...after, version: before.version + 1 }, created: false });
}

function decideCreate(
  stored: StoredPools,
  pool: string,
  spec: PutPool,
): Result<{ readonly config: PoolConfig; readonly created: boolean }, FleetError> {
  const custom = [...stored.keys()].filter((name) => !DEFAULTS.has(name)).length;
  if (custom >= LIMITS.customPoolsPerFleet) {
    return err({
      kind: 'quota_exceeded',
      scope: 'fleet',
      limit: LIMITS.customPoolsPerFleet,
      detail: `A fleet has at most ${LIMITS.customPoolsPerFleet} pools of its own.`,
    });
  }
  const { minAgents, maxAgents, priority } = spec;
  const shares = evenSplit(maxAgents, spec.shards ?? 1);
  const config: PoolConfig = {
    pool,
    minAgents,
    maxAgents,
    priority,
    resources: spec.resources ?? null,
    desired: null,
    version: DEFAULTS_VERSION + 1,
    shares,
    held: shares,
  };
  return ok({ config, created: true });
}

/**
 * The `confirmed` shards took `version` and have so many `agents`: they cannot have more than their share, or those. Answers
 * the pool with what is free divided anew, or null when there is nothing to change or the word is about an older version.
 */
export function decideConfirmed(
  config: PoolConfig,
  version: number,
  confirmed: ReadonlySet<number>,
  agents: readonly number[],
): PoolConfig | null {
  if (config.version !== version) return null;
  const known = config.held.map((held, shard) =>
    confirmed.has(shard) ? Math.max(config.shares[shard] ?? 0, agents[shard] ?? 0) : held,
  );
  const shares = divideShares(config.maxAgents, rooms(known, agents));
  const after: PoolConfig = { ...config, shares, held: maxOfEach(shares, known) };
  if (!sameNumbers(shares, config.shares)) return { ...after, version: version + 1 };
  return sameNumbers(after.held, config.held) ? null : after;
}

/** Shards whose share may be below what they hold: the others cannot have that room until they confirm. */
export const shrinkingShards = (config: PoolConfig): number[] =>
  config.shares.flatMap((share, shard) => (share < (config.held[shard] ?? 0) ? [shard] : []));

export interface Scaled {
  readonly desired: number;
  readonly limitedBy?: 'min' | 'max';
}

/** The size asked for, within the pool's limits. */
export function clamp(targetSize: number, limits: { readonly minAgents: number; readonly maxAgents: number }): Scaled {
  if (targetSize > limits.maxAgents) return { desired: limits.maxAgents, limitedBy: 'max' };
  if (targetSize < limits.minAgents) return { desired: limits.minAgents, limitedBy: 'min' };
  return { desired: targetSize };
}

const rooms = (held: readonly number[], agents: readonly number[]): ShardRoom[] =>
  held.map((most, shard) => ({ held: most, agents: agents[shard] ?? 0 }));
const maxOfEach = (a: readonly number[], b: readonly number[]): number[] =>
  a.map((value, index) => Math.max(value, b[index] ?? 0));
const sameNumbers = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, index) => value === b[index]);
const sameForShards = (a: PoolConfig, b: PoolConfig): boolean =>
  a.maxAgents === b.maxAgents && a.priority === b.priority && sameNumbers(a.shares, b.shares);
