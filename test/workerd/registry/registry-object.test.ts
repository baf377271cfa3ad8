import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { describe, expect, it, vi } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import type { AgentSpec, Caller, ShardSummary } from '../../../shared/rpc.ts';
import type { PoolStatus } from '../../../shared/schemas/fleet.ts';
import { noAgents, noTasks } from '../../../durable-objects/registry/core/counters.ts';
import { poolStub, registryObjectName, registryStub } from '../../../durable-objects/stubs.ts';

const REGION = 'eu-west-1';
let fleets = 0;
/** Each test has a fleet, and so a registry, of its own. */
const setUp = () => {
  fleets += 1;
  const fleet = `fleet-${fleets}`;
  const caller: Caller = { fleet, subject: 'tok-1', role: 'admin', requestId: `req-${fleets}` };
  return {
    fleet,
    caller,
    registry: () => registryStub(env, fleet, REGION),
    object: () => env.REGISTRY.getByName(registryObjectName(fleet, REGION)),
  };
};
const summary = (over: Partial<ShardSummary> & { agentsIdle?: number; queued?: number }): ShardSummary => {
  const { agentsIdle = 0, queued = 0, ...rest } = over;
  return {
    pool: 'coder',
    shard: 0,
    version: 1,
    asOfMs: Date.now(),
    agents: { ...noAgents(), total: agentsIdle, idle: agentsIdle },
    tasks: { ...noTasks(), queued },
    slotsFree: agentsIdle,
    ...rest,
  };
};

describe('RegistryObject', () => {
  it('has the sixteen pools without having written anything', async () => {
    const { fleet, registry, object } = setUp();
    const pools = await registry().listPools(fleet, REGION);
    expect(pools).toHaveLength(16);
    expect(pools[0]).toMatchObject({
      pool: 'coder',
      minAgents: 5,
      maxAgents: 100,
      priority: 8,
      shards: 1,
      desired: 5,
      isDefault: true,
    });
    await runInDurableObject(object(), (_, state) => {
      expect(state.storage.sql.exec('SELECT COUNT(*) AS n FROM pools').one()).toEqual({ n: 0 });
    });
  });

  it('keeps pools, sizes, counters and key routes through an eviction and through a crash', async () => {
    const { fleet, caller, registry, object } = setUp();
    await registry().putPool(fleet, REGION, caller, 'mine', {
      minAgents: 1,
      maxAgents: 9,
      priority: 3,
      shards: 2,
      resources: { memoryMb: 64, cpu: 1 },
    });
    await registry().scalePool(fleet, REGION, caller, 'coder', { targetSize: 40 });
    await registry().report(fleet, REGION, summary({ version: 3, agentsIdle: 7, queued: 2 }));
    await registry().routeForKey(fleet, REGION, 'key', [REGION, 'eu-central-1']);
    const before = { pools: await registry().listPools(fleet, REGION), status: await registry().status(fleet, REGION) };

    for (const lose of [() => evictDurableObject(object()), () => abortAllDurableObjects()]) {
      await lose();
      expect(await registry().listPools(fleet, REGION)).toEqual(before.pools);
      const after = await registry().status(fleet, REGION);
      expect({ ...after, status: { ...after.status, asOfMs: 0 } }).toEqual({
        ...before.status,
        status: { ...before.status.status, asOfMs: 0 },
      });
      expect(await registry().routeForKey(fleet, REGION, 'key', ['eu-central-1'])).toEqual([REGION, 'eu-central-1']);
    }
    expect(before.status.status).toMatchObject({ agents: { total: 7, idle: 7 }, tasks: { queued: 2 }, fresh: true });
    expect((JSON.parse(before.status.pools) as PoolStatus[]).find((pool) => pool.pool === 'coder')).toMatchObject({
      total: 7,
      queued: 2,
      desired: 40,
    });
    expect(before.pools.at(-1)).toMatchObject({
      pool: 'mine',
      shards: 2,
      desired: 1,
      isDefault: false,
      resources: { memoryMb: 64, cpu: 1 },
    });
  });

  it('takes a newer report and ignores one that comes late or twice', async () => {
    const { fleet, registry } = setUp();
    const report = (over: Parameters<typeof summary>[0]) => registry().report(fleet, REGION, summary(over));
    const total = async (): Promise<number> => (await registry().status(fleet, REGION)).status.agents.total;
    await Promise.all([report({ version: 5, agentsIdle: 5 }), report({ version: 4, agentsIdle: 4 })]);
    expect(await total()).toBe(5);
    await report({ version: 5, agentsIdle: 50 });
    expect(await total()).toBe(5);
    await report({ version: 6, agentsIdle: 2 });
    await report({ pool: 'tester', version: 1, agentsIdle: 3 });
    expect(await total()).toBe(5);
    expect(await registry().occupied(fleet, REGION, 'agents')).toEqual([
      { pool: 'coder', shard: 0 },
      { pool: 'tester', shard: 0 },
    ]);
  });

  it('tells a shard that reports what its pool is meant to be', async () => {
    const { fleet, caller, registry } = setUp();
    expect(await registry().report(fleet, REGION, summary({}))).toEqual({ version: 1, maxAgents: 100, priority: 8, shards: 1 });
    await registry().putPool(fleet, REGION, caller, 'coder', { minAgents: 0, maxAgents: 31, priority: 2 });
    expect(await registry().report(fleet, REGION, summary({}))).toMatchObject({ maxAgents: 31, priority: 2 });
    expect(await registry().report(fleet, REGION, summary({ pool: 'unknown' }))).toBeNull();
    expect((await registry().status(fleet, REGION)).status.agents.total).toBe(0);
  });

  it('writes an audit row for each change, and none for a refusal', async () => {
    const { fleet, caller, registry, object } = setUp();
    await registry().putPool(fleet, REGION, caller, 'coder', { minAgents: 0, maxAgents: 10, priority: 1 });
    await registry().scalePool(fleet, REGION, caller, 'coder', { targetSize: 4, reason: 'evening' });
    expect(await registry().scalePool(fleet, REGION, caller, 'none', { targetSize: 4 })).toMatchObject({
      ok: false,
      error: { kind: 'pool_not_found' },
    });
    const rows = await runInDurableObject(object(), (_, state) =>
      state.storage.sql.exec<{ entries: string }>('SELECT * FROM audit ORDER BY seq').toArray(),
    );
    expect(rows).toMatchObject([
      { actor: 'tok-1', action: 'putPool', request_id: caller.requestId },
      { actor: 'tok-1', action: 'scalePool', request_id: caller.requestId },
    ]);
    expect(JSON.parse(rows[1]?.entries ?? '')).toEqual([['poolScaled', 'coder', '{"targetSize":4,"reason":"evening"}']]);
  });

  it('forgets key routes after their day, by the alarm', async () => {
    const { fleet, registry, object } = setUp();
    const startMs = Date.now();
    await registry().routeForKey(fleet, REGION, 'old', [REGION]);
    try {
      vi.useFakeTimers({ toFake: ['Date'], now: startMs + LIMITS.idempotencyTtlMs / 2 });
      await registry().routeForKey(fleet, REGION, 'new', [REGION]);
      vi.setSystemTime(startMs + LIMITS.idempotencyTtlMs + 5_000);
      expect(await runDurableObjectAlarm(object())).toBe(true);
      const keys = await runInDurableObject(object(), async (_, state) => ({
        left: state.storage.sql.exec('SELECT key FROM key_routes').toArray(),
        alarmAtMs: await state.storage.getAlarm(),
      }));
      expect(keys.left).toEqual([{ key: 'new' }]);
      expect(keys.alarmAtMs).toBeGreaterThan(startMs + LIMITS.idempotencyTtlMs * 1.4);
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses to serve under another name than its own', async () => {
    const { fleet, object } = setUp();
    await runInDurableObject(object(), async (instance) => {
      await expect(instance.status('another-fleet', REGION)).rejects.toThrow('asked as');
      await expect(instance.status(fleet, 'eu-central-1')).rejects.toThrow('asked as');
    });
    expect(() => registryStub(env, 'fleet-1', 'us-east-1')).toThrow('not reachable from eu-west-1');
    expect(() => registryStub(env, 'a/b', REGION)).toThrow('not the name');
  });

  it('is as new after a purge, and deaf to what was sent before', async () => {
    const { fleet, caller, registry, object } = setUp();
    await registry().putPool(fleet, REGION, caller, 'mine', { minAgents: 0, maxAgents: 5, priority: 1 });
    const late = summary({ version: 9, agentsIdle: 4 });
    await registry().report(fleet, REGION, summary({ version: 1, agentsIdle: 3 }));
    await registry().purge();
    await registry().report(fleet, REGION, late);
    expect((await registry().status(fleet, REGION)).status.agents.total).toBe(0);
    expect(await registry().listPools(fleet, REGION)).toHaveLength(16);
    await registry().putPool(fleet, REGION, caller, 'mine', { minAgents: 0, maxAgents: 5, priority: 1 });
    await evictDurableObject(object());
    expect(await registry().listPools(fleet, REGION)).toHaveLength(17);
  });
});

describe('RegistryObject and real shards', () => {
  const spec: AgentSpec = { capabilities: [], labels: {}, slots: 1, liveness: 'heartbeat', swarms: [], metadata: '{}' };
  const register = async (caller: Caller, pool: string, count: number): Promise<number> => {
    const replies = await exports.RegionEntry.execute(
      caller,
      pool,
      null,
      Array.from({ length: count }, () => ({ command: { type: 'registerAgent' as const, spec } })),
    );
    return replies.filter((reply) => reply.ok).length;
  };

  it('pushes a change to the shards in use', async () => {
    const { fleet, caller, registry } = setUp();
    expect(await register(caller, 'coder', 3)).toBe(3);
    await registry().putPool(fleet, REGION, caller, 'coder', { minAgents: 0, maxAgents: 4, priority: 8 });
    const home = { region: REGION, pool: 'coder', shard: 0 };
    // An old configuration comes with the call, as from a Worker whose routes are two seconds old: the shard knows better.
    const replies = await poolStub(env, fleet, home).execute(
      fleet,
      home,
      { version: 1, maxAgents: 100, priority: 8 },
      caller,
      [1, 2].map(() => ({ command: { type: 'registerAgent' as const, spec } })),
    );
    expect(replies.map((reply) => reply.ok)).toEqual([true, false]);
  });

  it('never lets a pool above its maximum while it gets more shards', async () => {
    const { fleet, caller, registry } = setUp();
    await registry().putPool(fleet, REGION, caller, 'coder', { minAgents: 0, maxAgents: 20, priority: 8 });
    expect(await register(caller, 'coder', 16)).toBe(16);
    await registry().putPool(fleet, REGION, caller, 'coder', { minAgents: 0, maxAgents: 20, priority: 8, shards: 4 });
    const [route] = await registry().routes(fleet, REGION);
    expect(route?.shares.reduce((sum, share, shard) => sum + Math.max(share, shard === 0 ? 16 : 0), 0)).toBe(20);
    const counts = await Promise.all(Array.from({ length: 10 }, () => register(caller, 'coder', 3)));
    expect(counts.reduce((sum, count) => sum + count)).toBe(4);
    await vi.waitFor(async () => expect((await registry().status(fleet, REGION)).status.agents.total).toBe(20), {
      timeout: 2_000,
    });
  });

  it('does not take shards away that are in use', async () => {
    const { fleet, caller, registry } = setUp();
    const put = (shards: number) =>
      registry().putPool(fleet, REGION, caller, 'coder', { minAgents: 0, maxAgents: 20, priority: 8, shards });
    await put(3);
    expect(await register(caller, 'coder', 3)).toBe(3);
    expect(await put(2)).toMatchObject({ ok: false, error: { kind: 'invalid_state' } });
    expect((await put(4)).ok).toBe(true);
    expect((await put(3)).ok).toBe(true);
  });
});
