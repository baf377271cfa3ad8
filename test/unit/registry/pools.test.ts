import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { DEFAULT_POOLS } from '../../../shared/pools.ts';
import {
  allPools,
  clamp,
  decidePut,
  DEFAULTS_VERSION,
  desiredOf,
  findPool,
  shrinkingShards,
  type PoolConfig,
} from '../../../durable-objects/registry/core/pools.ts';

const SPEC = { minAgents: 2, maxAgents: 12, priority: 5 };
const put = (stored: readonly PoolConfig[], pool: string, spec: Parameters<typeof decidePut>[2], used = 0) =>
  decidePut(
    new Map(stored.map((config) => [config.pool, config])),
    pool,
    spec,
    Array.from({ length: used }, () => 0),
  );
function stored(...puts: readonly [string, Parameters<typeof decidePut>[2]][]): PoolConfig[] {
  const pools = new Map<string, PoolConfig>();
  for (const [pool, spec] of puts) {
    const result = decidePut(pools, pool, spec, []);
    if (!result.ok) throw new Error(result.error.detail);
    pools.set(pool, result.value.config);
  }
  return [...pools.values()];
}

describe('default pools', () => {
  it('are there without being stored, in the order of their table, one shard each, at their minimum', () => {
    const pools = allPools(new Map());
    expect(pools.map((config) => config.pool)).toEqual(Object.keys(DEFAULT_POOLS));
    expect(pools.every((config) => config.shares.length === 1 && config.shares[0] === config.maxAgents)).toBe(true);
    expect(pools.map(desiredOf)).toEqual(Object.values(DEFAULT_POOLS).map((limits) => limits.minAgents));
  });

  it('change in place, are not new, and custom ones follow by name', () => {
    const result = put([], 'coder', SPEC);
    expect(result).toMatchObject({ ok: true, value: { created: false, config: { ...SPEC, version: DEFAULTS_VERSION + 1 } } });
    const pools = allPools(
      new Map(stored(['zeta', SPEC], ['coder', SPEC], ['alpha', SPEC]).map((config) => [config.pool, config])),
    );
    expect(pools.map((config) => config.pool)).toEqual([...Object.keys(DEFAULT_POOLS), 'alpha', 'zeta']);
    expect(pools[0]?.maxAgents).toBe(12);
  });
});

describe('putPool', () => {
  it('creates a pool with its shards, above the version of the defaults', () => {
    expect(put([], 'mine', { ...SPEC, shards: 5 })).toMatchObject({
      ok: true,
      value: { created: true, config: { shares: [3, 3, 2, 2, 2], version: DEFAULTS_VERSION + 1 } },
    });
  });

  it('raises the version with what shards must learn, and only then', () => {
    const before = stored(['mine', SPEC]);
    const version = before[0]?.version ?? 0;
    const versionAfter = (spec: Parameters<typeof decidePut>[2]): number => {
      const result = put(before, 'mine', spec);
      return result.ok ? result.value.config.version : -1;
    };
    expect(versionAfter(SPEC)).toBe(version);
    expect(versionAfter({ ...SPEC, minAgents: 0, resources: { memoryMb: 1, cpu: 1 } })).toBe(version);
    expect(versionAfter({ ...SPEC, maxAgents: 13 })).toBe(version + 1);
    expect(versionAfter({ ...SPEC, priority: 6 })).toBe(version + 1);
    expect(versionAfter({ ...SPEC, shards: 2 })).toBe(version + 1);
  });

  it('keeps the number of shards unless told, and never goes below those in use', () => {
    const before = stored(['mine', { ...SPEC, shards: 4 }]);
    expect(put(before, 'mine', SPEC, 4)).toMatchObject({ ok: true, value: { config: { shares: { length: 4 } } } });
    expect(put(before, 'mine', { ...SPEC, shards: 3 }, 4)).toMatchObject({ ok: false, error: { kind: 'invalid_state' } });
    expect(put(before, 'mine', { ...SPEC, shards: 3 }, 3)).toMatchObject({ ok: true });
  });

  it('names the shards that others wait for', () => {
    const [config] = stored(['mine', SPEC], ['mine', { ...SPEC, shards: 3 }]);
    expect(config).toMatchObject({ shares: [4, 0, 0], held: [12, 0, 0] });
    expect(config === undefined ? [] : shrinkingShards(config)).toEqual([0]);
  });

  it('bounds the pools of a fleet at the named limit', () => {
    const full = stored(
      ...Array.from({ length: LIMITS.customPoolsPerFleet }, (_, i) => [`pool-${i}`, SPEC] as const).map(
        ([a, b]) => [a, b] as [string, typeof SPEC],
      ),
    );
    expect(put(full, 'one-more', SPEC)).toMatchObject({
      ok: false,
      error: { kind: 'quota_exceeded', limit: LIMITS.customPoolsPerFleet },
    });
    expect(put(full, 'pool-0', SPEC).ok).toBe(true);
    expect(put(full, 'coder', SPEC).ok).toBe(true);
  });

  it('is not fooled by names that every object has', () => {
    for (const pool of ['constructor', 'toString', '__proto__']) expect(findPool(new Map(), pool)).toBeNull();
  });
});

describe('the desired size', () => {
  it('is clamped, and says by what', () => {
    expect(clamp(7, SPEC)).toEqual({ desired: 7 });
    expect(clamp(2, SPEC)).toEqual({ desired: 2 });
    expect(clamp(1, SPEC)).toEqual({ desired: 2, limitedBy: 'min' });
    expect(clamp(12, SPEC)).toEqual({ desired: 12 });
    expect(clamp(13, SPEC)).toEqual({ desired: 12, limitedBy: 'max' });
  });

  it('follows the minimum until somebody scales, and then stays within the limits', () => {
    const [config] = stored(['mine', SPEC], ['mine', { ...SPEC, minAgents: 4 }]);
    expect(config === undefined ? null : desiredOf(config)).toBe(4);
    const scaled = { ...(config as PoolConfig), desired: 10 };
    const result = put([scaled], 'mine', { ...SPEC, maxAgents: 6 });
    expect(result.ok ? desiredOf(result.value.config) : null).toBe(6);
  });
});
