import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideConfirmed, decidePut, type PoolConfig } from '../../../durable-objects/registry/core/pools.ts';
import { divideShares, evenSplit } from '../../../durable-objects/registry/core/shares.ts';

const rooms = (held: readonly number[], agents: readonly number[] = []) =>
  held.map((most, shard) => ({ held: most, agents: agents[shard] ?? 0 }));
const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

describe('evenSplit', () => {
  it('gives the remainder to the lower parts', () => {
    expect(evenSplit(10, 4)).toEqual([3, 3, 2, 2]);
    expect(evenSplit(2, 4)).toEqual([1, 1, 0, 0]);
    expect(evenSplit(0, 3)).toEqual([0, 0, 0]);
  });
});

describe('divideShares', () => {
  it('is even where nothing is held', () => {
    expect(divideShares(10, rooms([0, 0, 0, 0]))).toEqual([3, 3, 2, 2]);
  });

  it('keeps room for what a shard may still have', () => {
    expect(divideShares(100, rooms([100, 0]))).toEqual([50, 0]);
    expect(divideShares(100, rooms([80, 0]))).toEqual([50, 20]);
    expect(divideShares(100, rooms([50, 0]))).toEqual([50, 50]);
    expect(divideShares(20, rooms([16, 0, 0, 0]))).toEqual([5, 2, 1, 1]);
  });

  it('lets nobody grow when the maximum is below what there is', () => {
    expect(divideShares(10, rooms([30, 2], [30, 2]))).toEqual([5, 2]);
    expect(divideShares(2, rooms([20, 1], [2, 0]))).toEqual([1, 0]);
  });

  it('leaves to a shard what it has, rather than to one that has none', () => {
    expect(divideShares(10, rooms([6, 3, 3], [6, 3, 0]))).toEqual([4, 3, 1]);
  });

  it('never promises more than the maximum, or than is held already', () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.array(fc.tuple(fc.nat(300), fc.nat(300)), { minLength: 1, maxLength: 64 }), (max, shards) => {
        const held = shards.map(([a, b]) => Math.max(a, b));
        const agents = shards.map(([, b]) => b);
        const shares = divideShares(max, rooms(held, agents));
        expect(sum(shares.map((share, shard) => Math.max(share, held[shard] ?? 0)))).toBeLessThanOrEqual(
          Math.max(max, sum(held)),
        );
        expect(sum(shares)).toBeLessThanOrEqual(max);
        // Where nothing is held back, all of the maximum can be reached.
        const settled = divideShares(max, rooms(agents, agents));
        expect(sum(settled.map((share, shard) => Math.max(share, agents[shard] ?? 0)))).toBe(Math.max(max, sum(agents)));
      }),
    );
  });
});

/**
 * A pool's shards as they are, against the configuration as the registry stores it: registrations come in by routes of any
 * age, confirmations come late, or never.
 */
describe('a pool whose configuration changes', () => {
  type Step =
    | { readonly type: 'put'; readonly maxAgents: number; readonly more: number }
    | { readonly type: 'tell'; readonly shards: number }
    | { readonly type: 'register'; readonly shard: number; readonly age: number; readonly times: number }
    | { readonly type: 'leave'; readonly shard: number };
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ type: fc.constant('put' as const), maxAgents: fc.nat(40), more: fc.nat(2) }),
    fc.record({ type: fc.constant('tell' as const), shards: fc.nat(255) }),
    fc.record({
      type: fc.constant('register' as const),
      shard: fc.nat(7),
      age: fc.nat(3),
      times: fc.integer({ min: 1, max: 20 }),
    }),
    fc.record({ type: fc.constant('leave' as const), shard: fc.nat(7) }),
  );

  it('I9: no registration takes the pool above its maximum', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const spec = { minAgents: 0, maxAgents: 20, priority: 5 };
        const first = decidePut(new Map(), 'mine', spec, []);
        if (!first.ok) throw new Error('not created');
        let config: PoolConfig = first.value.config;
        const routes: PoolConfig[] = [config];
        /** Agents as the registry knows them: old. */
        const known: number[] = Array.from({ length: 8 }, () => 0);
        const shards = Array.from({ length: 8 }, () => ({ version: 0, share: 0, count: 0 }));
        const take = (shard: number, route: PoolConfig): void => {
          const real = shards[shard];
          if (real !== undefined && route.version > real.version)
            Object.assign(real, { version: route.version, share: route.shares[shard] ?? 0 });
        };
        for (const now of steps) {
          if (now.type === 'put') {
            const wanted = Math.min(8, config.shares.length + now.more);
            const put = decidePut(new Map([['mine', config]]), 'mine', { ...spec, maxAgents: now.maxAgents, shards: wanted }, []);
            if (!put.ok) throw new Error('not changed');
            config = put.value.config;
            routes.unshift(config);
          } else if (now.type === 'tell') {
            const told = config.shares.flatMap((_, shard) => ((now.shards >> shard) % 2 === 1 ? [shard] : []));
            for (const shard of told) take(shard, config);
            for (const shard of told) known[shard] = shards[shard]?.count ?? 0;
            config = decideConfirmed(config, config.version, new Set(told), known) ?? config;
            routes.unshift(config);
          } else {
            const real = shards[now.shard];
            const route = routes[Math.min(routes.length - 1, now.type === 'register' ? now.age : 0)];
            if (real === undefined || route === undefined || now.shard >= route.shares.length) continue;
            if (now.type === 'leave') real.count = Math.max(0, real.count - 1);
            else {
              take(now.shard, route);
              real.count = Math.max(real.count, Math.min(real.share, real.count + now.times));
            }
          }
          // `held` is an upper bound of what is, and only a lowered maximum can leave more held than allowed.
          for (const [shard, real] of shards.entries()) expect(real.count).toBeLessThanOrEqual(config.held[shard] ?? 0);
          expect(sum(config.shares)).toBeLessThanOrEqual(config.maxAgents);
        }
        // When every shard has heard and answered, the pool can be filled to its maximum and no further.
        for (let round = 0; round < 3; round += 1) {
          for (const shard of config.shares.keys()) take(shard, config);
          const counts = shards.map((real) => real.count);
          config = decideConfirmed(config, config.version, new Set(config.shares.keys()), counts) ?? config;
        }
        const total = sum(shards.map((real) => real.count));
        const room = sum(config.shares.map((share, shard) => Math.max(0, share - (shards[shard]?.count ?? 0))));
        expect(total + room).toBe(Math.max(config.maxAgents, total));
      }),
      { numRuns: 500 },
    );
  });
});
