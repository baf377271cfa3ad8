import { beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { Changes } from '../../../durable-objects/pool/core/changes.ts';
import { POOL_MIGRATIONS } from '../../../durable-objects/pool/migrations.ts';
import { SqlitePoolStorage } from '../../../durable-objects/pool/sqlite-storage.ts';
import type { AuditRow, ShardMeta } from '../../../durable-objects/pool/storage.ts';
import { FLEET, HOME, START_MS } from '../../lib/pool-harness.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const meta = (summaryVersion: number): ShardMeta => ({
  fleet: FLEET,
  home: HOME,
  config: { version: 1, maxAgents: 9, priority: 5 },
  lastFence: 0,
  nextTaskSeq: 1,
  summaryVersion,
  prunedAtMs: 0,
});
const row = (n: number, patch: Partial<AuditRow> = {}): AuditRow => ({
  atMs: START_MS + n,
  actor: 'operator',
  action: 'release',
  requestId: 'r1',
  entries: [['leaseEnded', `lease ${n}`]],
  ...patch,
});

describe('what a transaction keeps back until its end', () => {
  let db: NodeStorage;
  let storage: SqlitePoolStorage;
  const metas = (): unknown[] => db.sql.exec<{ data: string }>('SELECT data FROM meta').toArray();
  const audit = () =>
    db.sql
      .exec<{ at_ms: number; action: string; request_id: string; entries: string }>('SELECT * FROM audit ORDER BY seq')
      .toArray()
      .map((r) => [r.at_ms - START_MS, r.action, r.request_id, (JSON.parse(r.entries) as unknown[]).length]);
  beforeEach(() => {
    db = new NodeStorage();
    migrate(db, POOL_MIGRATIONS);
    storage = new SqlitePoolStorage(db.sql);
  });

  it('is the latest record of the shard, written once', () => {
    storage.write(new Changes(), meta(1));
    storage.write(new Changes(), meta(2));
    expect(metas()).toEqual([]);
    storage.flush();
    expect(metas()).toEqual([{ data: JSON.stringify(meta(2)) }]);
    storage.flush();
    expect(metas()).toHaveLength(1);
  });

  it('is there for a load', () => {
    storage.write(new Changes(), meta(3));
    expect(storage.load()?.meta).toEqual(meta(3));
  });

  it('is one audit row for the steps of one call that do the same, with all their entries in order', () => {
    for (const n of [1, 2, 3]) storage.audit(row(n));
    storage.flush();
    expect(audit()).toEqual([[1, 'release', 'r1', 3]]);
    expect(db.sql.exec('SELECT entries FROM audit').one()).toEqual({
      entries: JSON.stringify([1, 2, 3].map((n) => ['leaseEnded', `lease ${n}`])),
    });
  });

  it('is an audit row each for other calls, actions and callers, in order', () => {
    storage.audit(row(1));
    storage.audit(row(2, { action: 'allocate' }));
    storage.audit(row(3, { action: 'allocate', requestId: 'r2' }));
    storage.audit(row(4, { action: 'allocate', requestId: 'r2', actor: 'another' }));
    storage.flush();
    storage.audit(row(5, { action: 'allocate', requestId: 'r2', actor: 'another' }));
    storage.flush();
    expect(audit().map(([at, action, request]) => [at, action, request])).toEqual([
      [1, 'release', 'r1'],
      [2, 'allocate', 'r1'],
      [3, 'allocate', 'r2'],
      [4, 'allocate', 'r2'],
      [5, 'allocate', 'r2'],
    ]);
  });

  it('is several audit rows where one would grow too large', () => {
    for (let n = 0; n < 2_500; n += 1) storage.audit(row(n));
    storage.flush();
    expect(audit().map(([, , , entries]) => entries)).toEqual([1_000, 1_000, 500]);
  });
});
