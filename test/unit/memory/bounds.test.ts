import { describe, expect, it } from 'vitest';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { MemoryOutput } from '../../../shared/memory-rpc.ts';
import { agent, type Harness, kindOf, memory, person, taskId } from '../../lib/memory-harness.ts';

const ada = agent('coder', 1);
const admin = person('admin');
const paging = { after: null, limit: 100 };
const MEGABYTE = `"${'x'.repeat(MEMORY_LIMITS.valueBytes - 10)}"`;
const big = (m: Harness, n: number, text = MEGABYTE): void => {
  for (let i = 0; i < n; i += 1) m.must(ada, { type: 'store', key: `big/${i}`, value: text, level: 'swarm', vector: [1, i + 1] });
};
/** The largest answer of values that the database gave at one time. */
const widest = (m: Harness): (() => number) => {
  let most = 0;
  const { sql } = m.storage;
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: never[]) => {
    const cursor = exec(query, ...bindings);
    const rows = cursor.toArray();
    const bytes = rows.reduce((sum, row) => sum + ((row as { value?: string }).value?.length ?? 0), 0);
    most = Math.max(most, bytes);
    return { toArray: () => rows, one: () => rows[0], rowsWritten: cursor.rowsWritten };
  }) as never;
  return () => most;
};

describe('what one call holds in memory', { timeout: 60_000 }, () => {
  it('M78 a list reads no more values than its page holds, however small the others are', () => {
    const m = memory();
    for (let i = 0; i < 400; i += 1) m.must(ada, { type: 'store', key: `small/${i}`, value: '1', level: 'swarm' });
    big(m, 12);
    const most = widest(m);
    const page = m.must(ada, { type: 'list', after: null, limit: 500, values: true, quarantined: false });
    expect(page.data.length).toBe(403);
    expect(page.nextAfter).toBeDefined();
    expect(most()).toBeLessThanOrEqual(MEMORY_LIMITS.pageBytes);
    const keys: string[] = [];
    for (let after: string | null = null; ;) {
      const next: MemoryOutput<'list'> = m.must(ada, { type: 'list', after, limit: 500, values: true, quarantined: false });
      keys.push(...next.data.map(({ key }) => key));
      if (next.nextAfter === undefined) break;
      after = next.nextAfter;
    }
    expect(keys).toEqual([
      ...Array.from({ length: 400 }, (_, i) => `small/${i}`),
      ...Array.from({ length: 12 }, (_, i) => `big/${i}`),
    ]);
  });

  it('M78 a search reads a bounded number of bytes and says when there may be more', () => {
    const m = memory();
    big(m, 40);
    const most = widest(m);
    const found = m.must(ada, { type: 'search', query: `${'x'.repeat(8)}*`, limit: 100 });
    expect(found.complete).toBe(false);
    expect(found.data.length).toBeGreaterThan(0);
    expect(found.data.length).toBeLessThanOrEqual(4);
    expect(most()).toBeLessThanOrEqual(2 * MEMORY_LIMITS.valueBytes);
    expect(m.must(ada, { type: 'search', query: 'nothing', limit: 1, prefix: 'none' })).toEqual({ data: [], complete: true });
  });

  it('M78 so do the nearest vectors, and a batch of reads', () => {
    const m = memory();
    big(m, 12);
    const near = m.must(ada, { type: 'vectorSearch', vector: [1, 1], limit: 12 });
    expect(near).toMatchObject({ complete: false });
    expect(near.data.length).toBe(4);
    const replies = m.engine.execute(
      ada,
      Array.from({ length: 12 }, (_, i) => ({ command: { type: 'retrieve', key: `big/${i}` } as const })),
    );
    const kinds = replies.map(kindOf);
    expect(kinds.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => 'ok'));
    expect(kinds.at(-1)).toBe('payload_too_large');
    expect(kindOf(m.run(ada, { type: 'retrieve', key: 'big/11' }))).toBe('ok');
  });

  it('M79 a word that is no word is not kept in the index, and its entry is found all the same', () => {
    const m = memory();
    m.must(admin, { type: 'putSettings', settings: { quorum: 3, majority: 0.6, textIndex: [''] } });
    m.must(ada, { type: 'store', key: 'image', value: JSON.stringify(`caption ${'q'.repeat(10_000)}`) });
    expect(m.rows('SELECT MAX(length(term)) AS n FROM terms')).toEqual([{ n: null }]);
    expect(m.must(ada, { type: 'search', query: 'caption', limit: 1 }).data).toHaveLength(1);
  });
});

describe('what a memory holds in all', () => {
  it('M79 a database that is full with its history takes no more, but lets go', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1' });
    const { sql } = m.storage;
    Object.defineProperty(sql, 'databaseSize', { get: () => MEMORY_LIMITS.databaseBytes + 1, configurable: true });
    expect(kindOf(m.run(ada, { type: 'store', key: 'k', value: '2' }))).toBe('quota_exceeded');
    expect(kindOf(m.run(ada, { type: 'delete', key: 'k' }))).toBe('ok');
  });

  it('M79 votes, decisions and edges of tasks end a month after the last thing done about them', () => {
    const m = memory();
    const tasks = [1, 2].map((n) => ({ id: taskId(n), status: 'running' }));
    m.must(admin, { type: 'putSettings', settings: { quorum: 1, majority: 0.6, textIndex: [] } });
    m.must(ada, { type: 'vote', taskId: taskId(1), choice: 'yes', confidence: 1 }, { tasks });
    m.must(ada, { type: 'addDependencies', taskId: taskId(2), dependsOn: [taskId(1)] });
    m.nowMs += MEMORY_LIMITS.workMs - 1;
    m.engine.sweep(admin);
    expect(kindOf(m.run(ada, { type: 'getConsensus', taskId: taskId(1) }))).toBe('ok');
    m.nowMs += 1;
    m.engine.sweep(admin);
    expect(kindOf(m.run(ada, { type: 'getConsensus', taskId: taskId(1) }))).toBe('not_found');
    expect(m.must(ada, { type: 'listDependencies', ...paging }).data).toEqual([]);
    expect(m.rows('SELECT COUNT(*) AS n FROM decisions')).toEqual([{ n: 0 }]);
  });

  it('M79 an audit row is bounded: of long lists it keeps how long they were', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1' });
    const read = Array.from({ length: 256 }, (_, i) => `agent-${i}-${'x'.repeat(100)}`);
    m.must(ada, { type: 'setPermissions', key: 'k', permissions: { level: 'private', read, write: ['a'], delete: [] } });
    const row = m.must(admin, { type: 'listAudit', ...paging }).data.find(({ action }) => action === 'set_permissions');
    expect(row?.detail).toEqual({ level: 'private', read: { count: 256 }, write: { count: 1 }, delete: { count: 0 } });
  });
});

describe('tombstones', () => {
  it('M55 beyond their bound they become one number, below which no version comes again for a day', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'old', value: '1', level: 'swarm' });
    for (let i = 0; i < 6; i += 1) m.must(ada, { type: 'store', key: 'old', value: `${i}` });
    m.must(ada, { type: 'delete', key: 'old' });
    const deletedAtMs = m.nowMs;
    m.nowMs += 1_000;
    m.storage.sql.exec(
      `INSERT INTO tombstones (key, scope, version, deleted_at) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
        WHERE i < ${MEMORY_LIMITS.tombstones}) SELECT 'k' || i, 'all', 1, ${m.nowMs} FROM n`,
    );
    expect(m.engine.sweep(admin).again).toBe(false);
    expect(m.rows("SELECT COUNT(*) AS n, SUM(key = 'old') AS old FROM tombstones")).toEqual([
      { n: MEMORY_LIMITS.tombstones, old: 0 },
    ]);
    expect(kindOf(m.run(ada, { type: 'store', key: 'old', value: '1', level: 'swarm', ifVersion: 7 }))).toBe('version_conflict');
    expect(m.must(ada, { type: 'store', key: 'old', value: '1', level: 'swarm', ifVersion: 0 }).entry.version).toBe(8);
    expect(m.must(ada, { type: 'store', key: 'new', value: '1', level: 'swarm' }).entry.version).toBe(8);
    m.nowMs = deletedAtMs + MEMORY_LIMITS.tombstoneMs;
    expect(m.must(ada, { type: 'store', key: 'newer', value: '1', level: 'swarm' }).entry.version).toBe(1);
  });
});
