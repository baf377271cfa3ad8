import { beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { Changes } from '../../../durable-objects/pool/core/changes.ts';
import { POOL_MIGRATIONS } from '../../../durable-objects/pool/migrations.ts';
import { SqlitePoolStorage } from '../../../durable-objects/pool/sqlite-storage.ts';
import type { AuditRow, ShardMeta } from '../../../durable-objects/pool/storage.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
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
    storage.fold();
    expect(metas()).toEqual([{ data: JSON.stringify(meta(2)) }]);
    storage.fold();
    expect(metas()).toHaveLength(1);
  });

  it('is there for a load', () => {
    storage.write(new Changes(), meta(3));
    expect(storage.load()?.meta).toEqual(meta(3));
  });

  it('is one audit row for the steps of one call that do the same, with all their entries in order', () => {
    for (const n of [1, 2, 3]) storage.audit(row(n));
    storage.fold();
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
    storage.fold();
    storage.audit(row(5, { action: 'allocate', requestId: 'r2', actor: 'another' }));
    storage.fold();
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
    storage.fold();
    expect(audit().map(([, , , entries]) => entries)).toEqual([1_000, 1_000, 500]);
  });
});

describe('the journal of a shard', () => {
  let db: NodeStorage;
  let storage: SqlitePoolStorage;
  const journal = (): string[] =>
    db.sql
      .exec<{ entry: string }>('SELECT entry FROM journal ORDER BY seq')
      .toArray()
      .map((r) => r.entry);
  const count = (table: string): number => db.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n;
  /** What another object finds after a crash. */
  const afterCrash = (): SqlitePoolStorage => {
    const found = new SqlitePoolStorage(db.sql);
    found.load();
    return found;
  };
  const blob = (json: JsonText | null, n = summary): void => {
    const changes = new Changes();
    changes.blobs.push({ taskId: 'task', kind: 'checkpoint', json });
    storage.write(changes, meta(n));
  };
  const answer = (n: number): void => storage.putAnswer(`key ${n}`, { bodyHash: 'h', state: 'done', answer: '1', atMs: n });
  let summary = 0;
  beforeEach(() => {
    db = new NodeStorage();
    migrate(db, POOL_MIGRATIONS);
    storage = new SqlitePoolStorage(db.sql);
    summary = 1;
  });

  it('P180: a transaction is one row of the journal, and no other', () => {
    blob('1');
    answer(1);
    storage.audit(row(1));
    storage.flush();
    expect(journal()).toHaveLength(1);
    expect(['meta', 'task_blobs', 'idempotency', 'audit'].map(count)).toEqual([0, 0, 0, 0]);
    storage.flush();
    expect(journal()).toHaveLength(1);
  });

  it('P180: the next row tells only what came since', () => {
    answer(1);
    storage.flush();
    answer(2);
    storage.flush();
    expect(journal().map((entry) => entry.match(/key \d/g))).toEqual([['key 1'], ['key 2']]);
    expect([...storage.answers(['key 1', 'key 2']).keys()]).toEqual(['key 1', 'key 2']);
  });

  it('P181: after a crash everything is there, the latest of each, and audit rows go on counting', () => {
    blob('1', 1);
    storage.audit(row(1));
    storage.flush();
    blob('"two"', 2);
    answer(1);
    storage.audit(row(2, { action: 'allocate' }));
    storage.flush();
    blob('3', 3);
    // This transaction was never committed.
    const found = afterCrash();
    expect(journal()).toEqual([]);
    expect(found.load()?.meta).toEqual(meta(2));
    expect(found.blob('task', 'checkpoint')).toBe('"two"');
    expect(found.answers(['key 1']).get('key 1')?.answer).toBe('1');
    found.audit(row(3));
    found.fold();
    expect(db.sql.exec('SELECT seq, at_ms - ? AS at FROM audit ORDER BY seq', START_MS).toArray()).toEqual([
      { seq: 1, at: 1 },
      { seq: 2, at: 2 },
      { seq: 3, at: 3 },
    ]);
  });

  it('P181: what was removed stays removed', () => {
    blob('1');
    storage.fold();
    blob(null);
    storage.flush();
    expect(storage.blob('task', 'checkpoint')).toBeNull();
    expect(afterCrash().blob('task', 'checkpoint')).toBeNull();
    expect(count('task_blobs')).toBe(0);
  });

  /** Writes answers in transactions of so many until the first fold; how many waited at most. */
  const waitedAtMost = (each: number): number => {
    let most = 0;
    for (let n = 0; n < 100_000; n += 1) {
      answer(n);
      if ((n + 1) % each !== 0) continue;
      storage.flush();
      const folded = count('idempotency');
      if (folded > 0) {
        expect([journal().length, folded]).toEqual([0, n + 1]);
        return most;
      }
      most = n + 1;
    }
    return most;
  };

  it.each([
    [1, 256],
    [10, 250],
    [100, 600],
    [300, 1_800],
    [1_000, 2_000],
  ])('P182: transactions of %i rows are folded after %i, more than these of large ones', (each, most) => {
    expect(waitedAtMost(each)).toBe(most);
  });

  it('P182: much text is folded into the tables', () => {
    for (let n = 0; n < 80; n += 1) {
      storage.putAnswer(`long ${n}`, { bodyHash: 'h', state: 'done', answer: JSON.stringify('x'.repeat(100_000)), atMs: n });
      storage.flush();
      expect(journal().join('').length).toBeLessThan(3_000_001);
    }
    expect(count('idempotency')).toBeGreaterThan(50);
    storage.putAnswer('longest', { bodyHash: 'h', state: 'done', answer: JSON.stringify('x'.repeat(600_000)), atMs: 1 });
    storage.flush();
    expect([journal().length, count('idempotency')]).toEqual([0, 81]);
  });

  it('P182: a large text goes into its table at once, and an older one does not come back over it', () => {
    const large = JSON.stringify('"'.repeat(500_000));
    blob('"small"');
    storage.flush();
    blob(large);
    storage.flush();
    expect(storage.blob('task', 'checkpoint')).toBe(large);
    expect(afterCrash().blob('task', 'checkpoint')).toBe(large);
    blob('"small again"');
    storage.flush();
    expect(afterCrash().blob('task', 'checkpoint')).toBe('"small again"');
  });

  it('P182: folding that was cut off anywhere is done again, and nothing is doubled', () => {
    const tables = ['meta', 'task_blobs', 'idempotency', 'audit', 'journal'];
    const fill = (): void => {
      blob('1');
      for (let n = 0; n < 5; n += 1) answer(n);
      storage.audit(row(1));
      storage.flush();
    };
    fill();
    storage.fold();
    const whole = tables.map((table) => db.sql.exec(`SELECT * FROM ${table}`).toArray());
    for (let statements = 0; statements < 6; statements += 1) {
      db = new NodeStorage();
      migrate(db, POOL_MIGRATIONS);
      let left = Infinity;
      storage = new SqlitePoolStorage({
        databaseSize: 0,
        exec: (query, ...values) => {
          left -= 1;
          if (left < 0) throw new Error('the disk is full');
          return db.sql.exec(query, ...values);
        },
      });
      fill();
      left = statements;
      expect(() => storage.fold()).toThrow('the disk is full');
      left = Infinity;
      storage.fold();
      expect(tables.map((table) => db.sql.exec(`SELECT * FROM ${table}`).toArray())).toEqual(whole);
    }
  });

  it('P183: tables that are gone get nothing any more', () => {
    answer(1);
    storage.audit(row(1));
    storage.flush();
    for (const table of ['idempotency', 'audit', 'journal']) db.sql.exec(`DELETE FROM ${table}`);
    storage.forget();
    expect([...storage.answers(['key 1']).keys()]).toEqual([]);
    storage.fold();
    expect(['idempotency', 'audit'].map(count)).toEqual([0, 0]);
    storage.audit(row(2));
    storage.fold();
    expect(db.sql.exec('SELECT seq FROM audit').toArray()).toEqual([{ seq: 1 }]);
  });
});
