import { beforeEach, describe, expect, it } from 'vitest';
import type { Home } from '../../../shared/ids.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { FleetError } from '../../../shared/errors.ts';
import type { AcknowledgedBy, PoolRpc, RevokeTerms, ShardRevocation } from '../../../shared/rpc.ts';
import type { RegistryApi } from '../../../durable-objects/registry/registry-rpc.ts';
import { callerAt } from '../../../durable-objects/lib/lease-quota.ts';
import type { RegionPorts } from '../../../workers/region/region.ts';
import { revokeInRegion, type RevokeInput } from '../../../workers/region/revoke.ts';
import { RouteCache } from '../../../workers/region/route-cache.ts';
import { CALLER, idIn, placementRoute, REGION } from './fixtures.ts';

const INPUT: RevokeInput = { selector: {}, reason: 'stop', tasks: 'requeue', quarantine: false, waitMs: 0 };
const agentOf = ({ pool, shard }: Home): string => idIn('agt', pool, shard);

function world() {
  const state = {
    told: [] as { home: Home; terms: RevokeTerms }[],
    answer: (home: Home): Result<ShardRevocation, FleetError> =>
      ok({
        epoch: 3,
        fence: 9,
        revoked: 1,
        requeued: 1,
        cancelled: 0,
        quarantined: 0,
        agents: [{ agentId: agentOf(home), liveness: 'heartbeat', leases: 1 }],
      }),
    acknowledged: (_home: Home): readonly (AcknowledgedBy | null)[] => ['call'],
    logged: [] as string[],
  };
  const routes = [placementRoute(2), placementRoute(1, { pool: 'tester' })];
  const pool = (home: Home): Partial<PoolRpc> => ({
    revoke: async (_fleet, _home, _config, _caller, terms) => {
      state.told.push({ home, terms });
      return state.answer(home);
    },
    acknowledged: async () => state.acknowledged(home),
  });
  const ports: RegionPorts = {
    region: REGION,
    pool: (_fleet, home) => pool(home) as PoolRpc,
    registry: () => ({ routes: async () => routes }) as unknown as RegistryApi,
    routes: new RouteCache(),
    nowMs: () => 0,
    random: () => 0,
    logError: (message) => state.logged.push(message),
    maxAgents: null,
  };
  const run = (input: Partial<RevokeInput> = {}) => revokeInRegion(ports, CALLER, { ...INPUT, ...input }, null);
  const places = (): string[] => state.told.map(({ home }) => `${home.pool}/${home.shard}`).toSorted();
  return { state, run, places };
}
let w: ReturnType<typeof world>;
beforeEach(() => {
  w = world();
});

describe('a revocation in a region', () => {
  it('tells every shard of every pool', async () => {
    const { shards, unanswered, isPoolKnown } = await w.run();
    expect([w.places(), unanswered, isPoolKnown]).toEqual([['coder/0', 'coder/1', 'tester/0'], [], true]);
    expect(shards).toHaveLength(3);
    expect(shards[0]).toMatchObject({ epoch: 3, fence: 9, revoked: 1, agents: [{ leases: 1, by: 'call' }] });
  });

  it('tells the pool that is named, and says when there is none', async () => {
    await w.run({ pool: 'tester' });
    expect(w.places()).toEqual(['tester/0']);
    expect(await w.run({ pool: 'nope' })).toEqual({ isPoolKnown: false, shards: [], unanswered: [] });
  });

  it('asks only the shards that named agents and allocations are of, each for its own', async () => {
    const one = idIn('agt', 'coder', 1);
    const other = idIn('agt', 'coder', 0);
    await w.run({ selector: { agentIds: [one, other, 'nonsense', idIn('agt', 'coder', 0, 'us-east-1')] } });
    expect(w.state.told.map(({ home, terms }) => [home.shard, terms.selector.agentIds])).toEqual([
      [0, [other]],
      [1, [one]],
    ]);
    w.state.told.length = 0;
    await w.run({ selector: { agentIds: [one], allocationIds: [idIn('alc', 'coder', 0)] } });
    expect(w.places()).toEqual([]);
  });

  it('names the shards that failed; the others have done it', async () => {
    const { answer } = w.state;
    w.state.answer = (home) => {
      if (home.shard === 1) throw new Error('the object is gone');
      return home.pool === 'tester' ? err({ kind: 'overloaded', retryAfterMs: 1, detail: 'too much' }) : answer(home);
    };
    const { shards, unanswered } = await w.run();
    expect(shards.map(({ pool, shard }) => `${pool}/${shard}`)).toEqual(['coder/0']);
    expect(unanswered.map(({ pool, shard }) => `${pool}/${shard}`).toSorted()).toEqual(['coder/1', 'tester/0']);
    expect(w.state.logged).toHaveLength(2);
  });

  it('a shard that cannot say who has acknowledged has revoked all the same', async () => {
    w.state.acknowledged = () => {
      throw new Error('the object is gone');
    };
    const { shards, unanswered } = await w.run({ pool: 'tester' });
    expect([shards[0]?.revoked, shards[0]?.agents[0]?.by, unanswered]).toEqual([1, null, []]);
  });

  it('leaves out shards where nothing matched', async () => {
    w.state.answer = () => ok({ epoch: 0, fence: 0, revoked: 0, requeued: 0, cancelled: 0, quarantined: 0, agents: [] });
    expect(await w.run()).toEqual({ isPoolKnown: true, shards: [], unanswered: [] });
  });
});

describe('a lease quota over shards', () => {
  it.each([0, 1, 2, 3, 7, 64])('%i are divided without a rest, and no two parts differ by more than one', (limit) => {
    for (const subject of ['tok.1', 'tok.2', 'tok.3']) {
      const caller = { ...CALLER, subject, leaseQuota: { limit, share: limit } };
      const parts = [0, 1, 2].map((shard) => callerAt(caller, shard, 3).leaseQuota);
      expect(parts.map((part) => part?.limit)).toEqual([limit, limit, limit]);
      const shares = parts.map((part) => part?.share ?? 0);
      expect(shares.reduce((a, b) => a + b, 0)).toBe(limit);
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
    }
  });

  it('one shard gives all of it; without a quota nothing is made up', () => {
    const caller = { ...CALLER, leaseQuota: { limit: 3, share: 3 } };
    expect(callerAt(caller, 0, 1)).toBe(caller);
    expect(callerAt(CALLER, 1, 4)).toBe(CALLER);
  });
});
