import { beforeEach, describe, expect, it } from 'vitest';
import { err, ok } from '../../../shared/result.ts';
import type { Home } from '../../../shared/ids.ts';
import type { PoolReply, PoolRequest, PoolRpc, ShardConfig } from '../../../shared/rpc.ts';
import { Admission } from '../../../durable-objects/registry/core/admission.ts';
import type { PlacementRoute } from '../../../durable-objects/registry/core/routes.ts';
import type { RegistryApi } from '../../../durable-objects/registry/registry-rpc.ts';
import { locate, type RegionPorts } from '../../../workers/region/region.ts';
import { ROUTE_TTL_MS, RouteCache } from '../../../workers/region/route-cache.ts';
import { runCommands } from '../../../workers/region/run-commands.ts';
import { summaryOf } from '../registry/fixtures.ts';
import { CALLER, done, idIn, placementRoute, poolFull, REGION, register } from './fixtures.ts';

/** A region whose objects are what a test says; whatever else is called is not there. */
function world() {
  const state = {
    nowMs: 0,
    routes: [placementRoute(1)] as PlacementRoute[],
    asked: 0,
    opened: [] as unknown[],
    openFails: false,
    executed: [] as { home: Home; config: ShardConfig; count: number }[],
    answer: ((_: PoolRequest, home: Home) => done(home.shard)) as (request: PoolRequest, home: Home) => PoolReply,
    agents: 0,
    admission: new Admission(),
    logged: [] as string[],
    maxAgents: null as number | null,
  };
  const registry: Partial<RegistryApi> = {
    routes: async () => {
      state.asked += 1;
      return state.routes;
    },
    open: async (_fleet, _region, refs) => {
      if (state.openFails) throw new Error('registry is gone');
      state.opened.push(...refs);
    },
    admit: async (_fleet, _region, { wanted, limit }) => state.admission.admit(wanted, limit, state.agents, state.nowMs),
    settle: async (_fleet, _region, ticket, summaries) => {
      state.agents = summaries.reduce((sum, summary) => sum + summary.agents.total, 0);
      state.admission.settle(ticket);
    },
  };
  let registered = 0;
  const pool = (home: Home): Partial<PoolRpc> => ({
    execute: async (_fleet, _home, config, _caller, requests) => {
      state.executed.push({ home, config, count: requests.length });
      const replies = requests.map((request) => state.answer(request, home));
      registered += replies.filter((reply) => reply.ok).length;
      return replies;
    },
    summary: async () => summaryOf({ idle: registered }),
  });
  const ports: RegionPorts = {
    region: REGION,
    pool: (_fleet, home) => pool(home) as PoolRpc,
    registry: () => registry as RegistryApi,
    routes: new RouteCache(),
    nowMs: () => state.nowMs,
    random: () => 0,
    logError: (message) => state.logged.push(message),
    get maxAgents() {
      return state.maxAgents;
    },
  };
  const run = (requests: readonly PoolRequest[], name = 'coder', shard: number | null = null) =>
    runCommands(ports, CALLER, name, shard, requests);
  return { state, ports, run };
}
let w: ReturnType<typeof world>;
beforeEach(() => {
  w = world();
});

describe('routes', () => {
  it('are asked for once in two seconds', async () => {
    await w.run([register()]);
    w.state.nowMs = ROUTE_TTL_MS - 1;
    await w.run([register()]);
    expect(w.state.asked).toBe(1);
    w.state.nowMs = ROUTE_TTL_MS;
    await w.run([register()]);
    expect(w.state.asked).toBe(2);
  });

  it('are asked for again before a pool does not exist', async () => {
    await w.run([register()]);
    expect(await w.run([register()], 'new')).toEqual([err({ kind: 'pool_not_found', detail: 'No such pool: new.' })]);
    w.state.routes = [placementRoute(1), placementRoute(1, { pool: 'new' })];
    expect((await w.run([register()], 'new'))[0]?.ok).toBe(true);
    expect(w.state.asked).toBe(3);
  });

  it('hide a pool and a shard that do not exist from who did not name the pool', async () => {
    expect(await w.run([register()], 'none', 0)).toMatchObject([{ error: { kind: 'not_found' } }]);
    expect(await w.run([register()], 'coder', 1)).toMatchObject([{ error: { kind: 'not_found' } }]);
    expect(w.state.executed).toEqual([]);
  });

  it('find where an id lives, and nothing for an id of elsewhere', async () => {
    expect(await locate(w.ports, 'acme', 'agent', idIn('agt', 'coder', 0))).toMatchObject({
      home: { region: REGION, pool: 'coder', shard: 0 },
    });
    for (const id of [
      'x',
      idIn('tsk', 'coder', 0),
      idIn('agt', 'coder', 1),
      idIn('agt', 'none', 0),
      idIn('agt', 'coder', 0, 'us-east-1'),
    ])
      expect(await locate(w.ports, 'acme', 'agent', id)).toBeNull();
  });

  it('of many fleets are forgotten, oldest first', async () => {
    const cache = new RouteCache();
    let asked = 0;
    const ask = {
      nowMs: () => 0,
      fetch: async () => {
        asked += 1;
        return [placementRoute(1)];
      },
    };
    for (let i = 0; i <= 500; i += 1) await cache.find(`f${i}`, 'coder', ask);
    await cache.find('f500', 'coder', ask);
    expect(asked).toBe(501);
    await cache.find('f0', 'coder', ask);
    expect(asked).toBe(502);
  });
});

describe('a shard', () => {
  it('is given its share with each call', async () => {
    w.state.routes = [placementRoute(2, { shares: [7, 3], version: 9, agents: [5, 0] })];
    await w.run([register()]);
    expect(w.state.executed).toEqual([
      {
        home: { region: REGION, pool: 'coder', shard: 1 },
        config: { version: 9, maxAgents: 3, priority: 5, shards: 2 },
        count: 1,
      },
    ]);
  });

  it('is made known to the registry with its first use, and once', async () => {
    w.state.routes = [placementRoute(1, { inUse: [false] })];
    await w.run([register()]);
    await w.run([register()]);
    expect(w.state.opened).toEqual([{ pool: 'coder', shard: 0 }]);
  });

  it('serves although the registry could not be told', async () => {
    w.state.routes = [placementRoute(1, { inUse: [false] })];
    w.state.openFails = true;
    expect((await w.run([register()]))[0]?.ok).toBe(true);
    expect(w.state.logged).toEqual(['shard not opened']);
  });
});

describe('a full pool', () => {
  it('is asked again by newer routes, for those only that were refused', async () => {
    await w.run([]);
    w.state.answer = (_, home) => (home.shard === 0 && w.state.executed.length > 1 ? poolFull(10) : done(home.shard));
    w.state.routes = [placementRoute(2, { version: 2, agents: [10, 0] })];
    await w.run([register()]);
    const replies = await w.run([register(), register()]);
    expect(replies).toEqual([done(1), done(1)]);
  });

  it('is full when the newest routes say nothing new', async () => {
    w.state.answer = () => poolFull(10);
    expect(await w.run([register()])).toMatchObject([{ ok: false, error: { kind: 'quota_exceeded', scope: 'pool' } }]);
    expect([w.state.asked, w.state.executed.length]).toEqual([2, 1]);
  });
});

describe('a maximum of the region', () => {
  it('admits what fits, in order, and lets other commands through', async () => {
    w.state.maxAgents = 3;
    const other: PoolRequest = { command: { type: 'cancelTask', taskId: idIn('tsk', 'coder', 0) } };
    w.state.answer = (request, home) => (request === other ? err({ kind: 'lease_expired', detail: '' }) : done(home.shard));
    const replies = await w.run([register(), register(), other, register(), register(), register()]);
    expect(replies.map((reply) => (reply.ok ? 'ok' : reply.error.kind))).toEqual([
      'ok',
      'ok',
      'lease_expired',
      'ok',
      'quota_exceeded',
      'quota_exceeded',
    ]);
    expect(await w.run([register(), other])).toMatchObject([
      { error: { kind: 'quota_exceeded', scope: 'region', limit: 3 } },
      { error: { kind: 'lease_expired' } },
    ]);
  });

  it('is not used up by registrations that failed', async () => {
    w.state.maxAgents = 2;
    w.state.answer = () => poolFull(1);
    await w.run([register(), register()]);
    w.state.answer = (_, home) => done(home.shard);
    expect((await w.run([register(), register()])).map((reply) => reply.ok)).toEqual([true, true]);
    expect((await w.run([register()]))[0]?.ok).toBe(false);
  });

  it('holds under calls at the same time', async () => {
    w.state.maxAgents = 25;
    const all = await Promise.all(Array.from({ length: 10 }, () => w.run(Array.from({ length: 4 }, () => register()))));
    expect(all.flat().filter((reply) => reply.ok)).toHaveLength(25);
  });

  it('is no matter of commands that register nothing', async () => {
    w.state.maxAgents = 0;
    expect(await w.run([{ command: { type: 'cancelTask', taskId: idIn('tsk', 'coder', 0) } }])).toEqual([
      ok({ ...((done(0) as { value: unknown }).value as object) }),
    ]);
  });
});
