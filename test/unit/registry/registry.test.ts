import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { REGISTRY_MIGRATIONS } from '../../../durable-objects/registry/migrations.ts';
import { Registry } from '../../../durable-objects/registry/registry.ts';
import { RegistryStorage } from '../../../durable-objects/registry/storage.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';
import { CALLER, summaryOf } from './fixtures.ts';

const REGION = 'eu-west-1';
const SPEC = { minAgents: 2, maxAgents: 12, priority: 5 };
function setUp(storage = new NodeStorage()) {
  migrate(storage, REGISTRY_MIGRATIONS);
  const open = (bornAtMs = 0): Registry => new Registry(new RegistryStorage(storage.sql), REGION, bornAtMs);
  return { storage, open, registry: open() };
}

const poolsOf = (block: { readonly pools: string }): unknown[] => JSON.parse(block.pools) as unknown[];

describe('a registry over its rows', () => {
  it('is the same after a restart', () => {
    const { registry, open } = setUp();
    registry.putPool(CALLER, 'mine', { ...SPEC, shards: 3, resources: { memoryMb: 512, cpu: 0.5 } }, 1);
    registry.putPool(CALLER, 'coder', { ...SPEC, shards: 2 }, 2);
    registry.scalePool(CALLER, 'tester', { targetSize: 50 }, 3);
    registry.report(summaryOf({ version: 4, idle: 3, queued: 2 }));
    registry.report(summaryOf({ pool: 'mine', shard: 1, idle: 1 }));
    registry.open({ pool: 'tester', shard: 0 });
    const again = open();
    for (const read of [
      (r: Registry) => r.routes(),
      (r: Registry) => r.listPools(),
      (r: Registry) => r.status(9),
      (r: Registry) => r.occupied(),
      (r: Registry) => new Set(r.instances().map(({ pool, shard }) => `${pool}/${shard}`)),
      (r: Registry) => r.toPush('coder'),
    ])
      expect(read(again)).toEqual(read(registry));
    expect(again.agents).toBe(4);
  });

  it('gives a status of one moment that later reports do not touch', () => {
    const { registry } = setUp();
    registry.report(summaryOf({ idle: 3 }));
    const before = registry.status(77);
    registry.report(summaryOf({ version: 2, idle: 9 }));
    expect(before.status).toMatchObject({ agents: { total: 3, idle: 3 }, asOfMs: 77, fresh: true });
    expect(poolsOf(before)[0]).toMatchObject({
      pool: 'coder',
      region: REGION,
      total: 3,
      queued: 0,
      minAgents: 5,
      maxAgents: 100,
      desired: 5,
    });
    expect(poolsOf(before)).toHaveLength(16);
  });

  it('routes to shards that exist, also those that the configuration has forgotten', () => {
    const { registry } = setUp();
    registry.putPool(CALLER, 'coder', { ...SPEC, shards: 2 }, 1);
    registry.report(summaryOf({ shard: 3, idle: 4 }));
    expect(registry.routes()[0]).toMatchObject({
      shards: 4,
      shares: [6, 0, 0, 0],
      agents: [0, 0, 0, 4],
      slotsFree: [0, 0, 0, 4],
      inUse: [false, false, false, true],
    });
    expect(registry.configFor('coder', 3)).toEqual({ version: 2, maxAgents: 0, priority: 5, shards: 2 });
  });

  it('divides anew what a confirmation frees, and tells again', () => {
    const { registry } = setUp();
    registry.putPool(CALLER, 'coder', { minAgents: 0, maxAgents: 100, priority: 8, shards: 2 }, 1);
    const push = registry.toPush('coder');
    expect(push).toEqual({ version: 2, shards: new Map([[0, { version: 2, maxAgents: 50, priority: 8, shards: 2 }]]) });
    expect(registry.confirm('coder', 1, new Map([[0, summaryOf({ idle: 10 })]]))).toBe(false);
    expect(registry.confirm('coder', 2, new Map([[0, summaryOf({ version: 2, idle: 80 })]]))).toBe(true);
    expect(registry.routes()[0]).toMatchObject({ version: 3, shares: [50, 20] });
    // Agents leave: what was kept for them can be given away, which the next report shows.
    expect(registry.canShrink(summaryOf({ version: 3, idle: 80 }))).toBe(false);
    expect(registry.canShrink(summaryOf({ version: 3, idle: 60 }))).toBe(true);
    expect(registry.confirm('coder', 3, new Map([[0, summaryOf({ version: 3, idle: 60 })]]))).toBe(true);
    expect(registry.routes()[0]?.shares).toEqual([50, 40]);
  });

  it('has nobody to tell when nothing is in use and nothing shrinks', () => {
    const { registry } = setUp();
    registry.putPool(CALLER, 'mine', { ...SPEC, shards: 8 }, 1);
    expect(registry.toPush('mine')?.shards.size).toBe(0);
    expect(registry.toPush('none')).toBeNull();
  });

  it('finds all that a purge must reach, and nothing of pools that nobody touched', () => {
    const { registry } = setUp();
    registry.putPool(CALLER, 'mine', { ...SPEC, shards: 2 }, 1);
    registry.report(summaryOf({ idle: 1 }));
    expect(registry.instances()).toEqual([
      { pool: 'coder', shard: 0 },
      { pool: 'mine', shard: 0 },
      { pool: 'mine', shard: 1 },
    ]);
  });

  it('ignores reports from before it was born, and of pools it does not have', () => {
    const { open } = setUp();
    const registry = open(1_000);
    for (const late of [summaryOf({ asOfMs: 1_000, idle: 1 }), summaryOf({ pool: 'gone', asOfMs: 2_000, idle: 1 })])
      registry.report(late);
    expect(registry.agents).toBe(0);
    registry.report(summaryOf({ asOfMs: 1_001, idle: 1 }));
    expect(registry.agents).toBe(1);
  });

  it('counts a shard from its first use, and its first report is news', () => {
    const { registry } = setUp();
    registry.open({ pool: 'coder', shard: 0 });
    expect(registry.occupied()).toEqual([{ pool: 'coder', shard: 0 }]);
    registry.report(summaryOf({ version: 1, idle: 2 }));
    registry.open({ pool: 'coder', shard: 0 });
    expect(registry.agents).toBe(2);
  });
});

describe('key routes', () => {
  const HOUR = 3_600_000;
  it('answer the first order of a key for a day', () => {
    const { registry } = setUp();
    expect(registry.routeForKey('k', ['a', 'b'], 0)).toEqual(['a', 'b']);
    expect(registry.routeForKey('k', ['b'], 23 * HOUR)).toEqual(['a', 'b']);
    expect(registry.routeForKey('k', ['b'], 24 * HOUR)).toEqual(['b']);
    expect(registry.routeForKey('k', ['c'], 47 * HOUR)).toEqual(['b']);
  });

  it('are pruned by age, a bounded step at a time, and say when the next is due', () => {
    const { registry, storage } = setUp();
    expect(registry.nextPruneMs()).toBeNull();
    const count = (): number => storage.sql.exec<{ n: number }>('SELECT COUNT(*) AS n FROM key_routes').one().n;
    for (let i = 0; i < LIMITS.pruneStep + 10; i += 1) registry.routeForKey(`k${i}`, ['a'], i);
    registry.prune(25 * HOUR);
    expect(count()).toBe(10);
    expect(registry.nextPruneMs()).toBe(LIMITS.pruneStep + 24 * HOUR);
    registry.prune(25 * HOUR);
    expect([count(), registry.nextPruneMs()]).toEqual([0, null]);
  });

  it('are pruned by new keys as well, by age and by number', () => {
    const storage = new NodeStorage();
    migrate(storage, REGISTRY_MIGRATIONS);
    const rows = new RegistryStorage(storage.sql);
    const keys = (): unknown[] =>
      storage.sql
        .exec('SELECT key FROM key_routes ORDER BY seq')
        .toArray()
        .map((row) => row['key']);
    for (let i = 0; i < 6; i += 1) rows.saveKeyRoute(`k${i}`, ['a'], i);
    rows.pruneKeyRoutes({ sinceMs: -1, keep: 4, step: 4 });
    expect(keys()).toEqual(['k2', 'k3', 'k4', 'k5']);
    rows.pruneKeyRoutes({ sinceMs: 3, keep: 4, step: 4 });
    expect(keys()).toEqual(['k4', 'k5']);
    rows.pruneKeyRoutes({ sinceMs: 9, keep: 4, step: 1 });
    expect(keys()).toEqual(['k5']);
  });
});

describe('audit', () => {
  it('has a row per change in the order of the changes, and none for a refusal', () => {
    const { registry, storage } = setUp();
    registry.putPool(CALLER, 'mine', SPEC, 5);
    registry.putPool(CALLER, 'mine', SPEC, 6);
    registry.scalePool(CALLER, 'mine', { targetSize: 3 }, 7);
    registry.scalePool(CALLER, 'none', { targetSize: 3 }, 8);
    const rows = storage.sql
      .exec<{ at_ms: number; actor: string; action: string; request_id: string; entries: string }>('SELECT * FROM audit')
      .toArray();
    expect(rows.map((row) => [row.at_ms, row.actor, row.action, row.request_id])).toEqual([
      [5, 'tok-1', 'putPool', 'req-1'],
      [6, 'tok-1', 'putPool', 'req-1'],
      [7, 'tok-1', 'scalePool', 'req-1'],
    ]);
    expect(rows.map((row) => JSON.parse(row.entries))).toEqual([
      [['poolCreated', 'mine', JSON.stringify(SPEC)]],
      [['poolChanged', 'mine', JSON.stringify(SPEC)]],
      [['poolScaled', 'mine', '{"targetSize":3}']],
    ]);
  });
});

describe('state of an earlier version', () => {
  it('0001-registry: is read by the code of today', () => {
    const storage = new NodeStorage();
    migrate(storage, REGISTRY_MIGRATIONS.slice(0, 1));
    storage.sql.exec(
      `INSERT INTO pools VALUES ('mine', 1, 9, 3, '{"memoryMb":64,"cpu":1}', 4, 7, '[5,4]', '[5,4]');
       INSERT INTO shards VALUES ('mine', 1, 12, '${JSON.stringify(summaryOf({ pool: 'mine', shard: 1, version: 12, idle: 2 }))}');
       INSERT INTO key_routes (key, regions, at_ms) VALUES ('k', '["eu-west-1"]', 100);
       INSERT INTO audit (at_ms, actor, action, request_id, entries) VALUES (1, 'tok', 'putPool', 'req', '[]')`,
    );
    const { registry } = setUp(storage);
    expect(registry.listPools().at(-1)).toMatchObject({
      pool: 'mine',
      maxAgents: 9,
      shards: 2,
      desired: 4,
      resources: { memoryMb: 64, cpu: 1 },
      agents: { total: 2 },
    });
    expect(registry.routeForKey('k', ['us-east-1'], 200)).toEqual(['eu-west-1']);
    expect(storage.sql.exec('SELECT COUNT(*) AS n FROM audit').one()).toEqual({ n: 1 });
  });
});
