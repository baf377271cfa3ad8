import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { MEMORY_MIGRATIONS } from '../../../durable-objects/memory/migrations.ts';
import { agent, agentId, kindOf, memory, person, taskId } from '../../lib/memory-harness.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

/** One file per migration: the rows as the code of that time stored them (`test/lib/write-memory-fixture.ts`). */
const FIXTURES = path.join(import.meta.dirname, 'fixtures');
const versions = readdirSync(FIXTURES).map((file) => file.replace('.sql', ''));
const ada = agent('coder', 1);
const bob = agent('tester', 2);
const paging = { after: null, limit: 100 };

function stored(version: string): NodeStorage {
  const storage = new NodeStorage();
  storage.sql.exec(readFileSync(path.join(FIXTURES, `${version}.sql`), 'utf8'));
  return storage;
}

const SPECIFIED = [
  'agents',
  'events',
  'tasks',
  'memory',
  'consensus',
  'resources',
  'permissions',
  'audit',
  'metrics',
  'dependencies',
  'conflicts',
  'artifacts',
];

describe('state written by an earlier version', () => {
  it('M76 every migration has its fixture, and the twelve tables are there', () => {
    expect(versions.toSorted()).toEqual(MEMORY_MIGRATIONS.map((m) => m.name).toSorted());
    const tables = memory()
      .rows("SELECT name FROM sqlite_master WHERE type = 'table'")
      .map(({ name }) => name);
    expect(tables).toEqual(expect.arrayContaining(SPECIFIED));
  });

  it.each(versions)('M76 %s: the steps after it are applied, once, and every table was used', (version) => {
    const storage = stored(version);
    const after = MEMORY_MIGRATIONS.length - 1 - MEMORY_MIGRATIONS.findIndex((m) => m.name === version);
    expect(migrate(storage, MEMORY_MIGRATIONS)).toBe(after);
    expect(migrate(storage, MEMORY_MIGRATIONS)).toBe(0);
    expect(storage.sql.exec('PRAGMA foreign_key_check').toArray()).toEqual([]);
    for (const table of SPECIFIED)
      expect({ table, rows: storage.sql.exec(`SELECT COUNT(*) AS n FROM ${table}`).one()['n'] }).not.toEqual({ table, rows: 0 });
  });

  it.each(versions)('M76 %s: everything is there, and goes on where it was', (version) => {
    const m = memory({ storage: stored(version) });
    expect(m.must(ada, { type: 'retrieve', key: "notes/it's" }).entry).toMatchObject({
      value: '"new words"',
      version: 2,
      tags: ['t'],
    });
    expect(m.must(bob, { type: 'store', key: "notes/it's", value: '"third"' }).entry.version).toBe(3);
    expect(m.must(ada, { type: 'history', key: "notes/it's", ...paging }).data.map(({ version: v }) => v)).toEqual([1, 2, 3]);
    expect(m.must(ada, { type: 'search', query: 'third', limit: 1 }).data).toHaveLength(1);
    expect(m.must(ada, { type: 'retrieve', key: 'private' }).entry?.expiresAtMs).toBe(m.nowMs + 3_600_000);
    expect(m.must(ada, { type: 'store', key: 'gone', value: '1' }).entry.version).toBe(2);
    expect(m.must(bob, { type: 'retrieve', key: 'leased' }).entry).toMatchObject({ fencingToken: 3, taskId: taskId(1) });
    expect(kindOf(m.run(bob, { type: 'claim', paths: ['src/x'], mode: 'write', leaseMs: 1_000 }))).toBe('invalid_state');
    expect(m.must(bob, { type: 'getConsensus', taskId: taskId(1) }).decision).toMatchObject({ choice: 'yes' });
    const repeat = m.run(ada, { type: 'transaction', operations: [] }, { key: { key: 'kept', bodyHash: 'hash' } });
    expect(repeat).toMatchObject({ ok: true, replayed: true, value: { versions: [{ key: 'keyed', version: 1 }] } });
    const [artifact] = m.must(bob, { type: 'listArtifacts', ...paging }).data;
    expect(m.must(bob, { type: 'getChunk', artifactId: artifact?.id ?? '', number: 0 }).byteLength).toBe(3);
    expect(m.must(person('admin'), { type: 'erase', owner: agentId('coder', 1) }).remaining).toBe(0);
  });
});
