import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { POOL_MIGRATIONS } from '../../../durable-objects/pool/migrations.ts';
import { SqlitePoolStorage } from '../../../durable-objects/pool/sqlite-storage.ts';
import { allocateSpec, OPERATOR, PoolHarness, START_MS } from '../../lib/pool-harness.ts';
import { poolViolations } from '../../lib/pool-invariants.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

/** One file per migration: the rows as the code of that time stored them (`test/lib/write-pool-fixture.ts`). */
const FIXTURES = path.join(import.meta.dirname, 'fixtures');
const versions = readdirSync(FIXTURES).map((file) => file.replace('.sql', ''));

function stored(version: string): NodeStorage {
  const storage = new NodeStorage();
  storage.sql.exec(readFileSync(path.join(FIXTURES, `${version}.sql`), 'utf8'));
  return storage;
}

/** The present code on rows of an earlier version, a second after they were written. */
function opened(version: string): PoolHarness {
  const storage = stored(version);
  migrate(storage, POOL_MIGRATIONS);
  const h = new PoolHarness({ storage: new SqlitePoolStorage(storage.sql) });
  h.nowMs = START_MS + 6_000;
  h.restart({ socketsSurvive: false });
  return h;
}

describe('state written by an earlier version', () => {
  it('P99: every migration has its fixture', () => {
    expect(versions.toSorted()).toEqual(POOL_MIGRATIONS.map((m) => m.name).toSorted());
  });

  it.each(versions)('P99: %s: the steps after it are applied, once', (version) => {
    const storage = stored(version);
    const after = POOL_MIGRATIONS.length - 1 - POOL_MIGRATIONS.findIndex((m) => m.name === version);
    expect(migrate(storage, POOL_MIGRATIONS)).toBe(after);
    expect(migrate(storage, POOL_MIGRATIONS)).toBe(0);
  });

  it.each(versions)('P99: %s: everything is there, and every invariant holds', (version) => {
    const h = opened(version);
    const { agents, tasks } = h.engine.summary();
    expect(agents).toMatchObject({ total: 4, unhealthy: 1, draining: 1, quarantined: 1, offline: 1 });
    expect(tasks).toEqual({ queued: 2, assigned: 0, running: 1, succeeded: 1, failed: 0, cancelled: 0, dead: 1 });
    expect(h.state.leases.size).toBe(2);
    expect(
      poolViolations(h.state, {
        nowMs: h.nowMs,
        latestMs: h.nowMs,
        stepped: true,
        lastPongAtMs: () => null,
        ended: { succeeded: 1, dead: 1 },
      }),
    ).toEqual([]);
  });

  it.each(versions)('P99: %s: work goes on where it was', (version) => {
    const h = opened(version);
    const [worker] = [...h.state.agents.values()].filter((a) => a.record.spec.capabilities.includes('work'));
    if (worker === undefined) throw new Error('the worker is missing');
    h.open(worker.record.id);
    const running = [...h.state.tasks.values()].find((t) => t.status === 'running');
    if (running === undefined) throw new Error('the running task is missing');
    expect(h.storage.blob(running.id, 'payload')).toBe('{"n":1}');
    expect(h.storage.blob(running.id, 'checkpoint')).toBe('"half"');
    expect(h.complete(h.work(running.id), '1').status).toBe('succeeded');
    const done = h.storage.tasks('succeeded', null, 10).find((t) => t.id !== running.id);
    expect(h.storage.blob(done?.id ?? '', 'result')).toBe('{"answer":42}');
    // Tokens go on rising, keys keep their answer, delays end.
    const { lastFence } = h.state;
    const command = {
      type: 'allocate',
      spec: allocateSpec({ capabilities: ['work'], leaseMs: 3_600_000 }),
      waiterId: 'again',
    } as const;
    const kept = h.ask(command, OPERATOR, { key: 'kept', bodyHash: 'hash' });
    expect(kept).toMatchObject({ ok: true, replayed: true });
    expect(h.allocate({ capabilities: ['work'] }).fencingToken).toBe(lastFence + 1);
    const delayed = [...h.state.tasks.values()].find((t) => t.notBeforeMs > 0);
    h.advanceAlive(3_600_000);
    expect(h.task(delayed?.id ?? '').agentId).toBe(worker.record.id);
  });
});
