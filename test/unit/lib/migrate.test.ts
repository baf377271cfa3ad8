import { describe, expect, it } from 'vitest';
import { migrate, MigrationError, type Migration } from '../../../durable-objects/lib/migrate.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const step = (name: string, ddl = `CREATE TABLE t_${name} (id INTEGER PRIMARY KEY)`): Migration => ({ name, sql: [ddl] });
const tables = (storage: NodeStorage): string[] =>
  storage.sql
    .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name LIKE 't\\_%' ESCAPE '\\' ORDER BY name")
    .toArray()
    .map((row) => row.name);

describe('migrate', () => {
  it('applies all steps to an empty store, then only new ones, and keeps the data', () => {
    const storage = new NodeStorage();
    expect(migrate(storage, [step('a')])).toBe(1);
    storage.sql.exec('INSERT INTO t_a (id) VALUES (7)');
    expect(migrate(storage, [step('a'), step('b'), step('c')])).toBe(2);
    expect(migrate(storage, [step('a'), step('b'), step('c')])).toBe(0);
    expect(tables(storage)).toEqual(['t_a', 't_b', 't_c']);
    expect(storage.sql.exec('SELECT id FROM t_a').one()).toEqual({ id: 7 });
  });

  it.each([
    ['renamed', [step('a'), step('z')]],
    ['missing', [step('a')]],
    ['reordered', [step('b'), step('a')]],
    ['a new one before an old one', [step('a'), step('new'), step('b')]],
  ])('refuses to start when a stored step is %s, and changes nothing', (_, list) => {
    const storage = new NodeStorage();
    migrate(storage, [step('a'), step('b')]);
    expect(() => migrate(storage, list)).toThrow(MigrationError);
    expect(tables(storage)).toEqual(['t_a', 't_b']);
  });

  it('refuses two steps of one name', () => {
    expect(() => migrate(new NodeStorage(), [step('a'), step('a')])).toThrow('two migrations');
  });

  it('leaves a step that fails unrecorded and undone, and the ones before it applied', () => {
    const storage = new NodeStorage();
    const broken: Migration = { name: 'b', sql: ['CREATE TABLE t_b (id INTEGER)', 'INSERT INTO nowhere VALUES (1)'] };
    expect(() => migrate(storage, [step('a'), broken])).toThrow('nowhere');
    expect(tables(storage)).toEqual(['t_a']);
    expect(migrate(storage, [step('a'), step('b')])).toBe(1);
  });
});

describe('the node:sqlite adapter', () => {
  it('runs several statements and binds to the last, like the platform', () => {
    const { sql } = new NodeStorage();
    sql.exec('CREATE TABLE t (id INTEGER, b BLOB, s TEXT); CREATE INDEX i ON t (s); -- a note\n');
    expect(sql.exec('INSERT INTO t (id, b, s) VALUES (?, ?, ?)', 1, new Uint8Array([1, 2]).buffer, "it's").rowsWritten).toBe(1);
    const row = sql.exec<{ id: number; b: ArrayBuffer; s: string }>('SELECT * FROM t; SELECT * FROM t WHERE id = ?', 1).one();
    expect([row.id, new Uint8Array(row.b), row.s]).toEqual([1, new Uint8Array([1, 2]), "it's"]);
    expect(() => sql.exec('SELECT * FROM t WHERE id = 2').one()).toThrow('exactly one');
    expect(sql.databaseSize).toBeGreaterThan(0);
  });

  it('enforces the bounds that production has', () => {
    const { sql } = new NodeStorage();
    sql.exec('CREATE TABLE t (s TEXT)');
    expect(() => sql.exec('INSERT INTO t VALUES (?)', 'x'.repeat(2_000_001))).toThrow('TOOBIG');
    expect(() => sql.exec(`SELECT ${'?,'.repeat(100)}?`, ...Array.from({ length: 101 }, () => 1))).toThrow('bound parameters');
  });

  it('undoes a transaction that throws, and a nested one alone', () => {
    const storage = new NodeStorage();
    const insert = (id: number): void => void storage.sql.exec('INSERT INTO t VALUES (?)', id);
    storage.sql.exec('CREATE TABLE t (id INTEGER)');
    storage.transactionSync(() => {
      insert(1);
      expect(() =>
        storage.transactionSync(() => {
          insert(2);
          throw new Error('inner');
        }),
      ).toThrow('inner');
      insert(3);
    });
    expect(storage.sql.exec('SELECT id FROM t').toArray()).toEqual([{ id: 1 }, { id: 3 }]);
  });
});
