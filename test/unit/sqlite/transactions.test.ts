import { describe, expect, it } from 'vitest';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { addNotes, boxesOf, countOf, integrityOf, noteOf, NOTES, openSealed, thrownBy } from '../../lib/sealed.ts';
import type { HostStorage } from '../../../wasm/sqlite/types.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

describe('transactions on sealed pages', { timeout: 30_000 }, () => {
  it('M1: what was committed is there after the engine is gone', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec(NOTES);
    addNotes(db, 300);
    const again = await openSealed(storage);
    expect(countOf(again)).toBe(300);
    expect(again.sql.exec('SELECT value FROM notes WHERE key = ?', 'key-77').one()).toEqual({ value: noteOf(77) });
    expect(integrityOf(again)).toBe('ok');
  });

  it('M1: a body that throws undoes all of it, and nothing reaches storage', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec(NOTES);
    addNotes(db, 10);
    const before = JSON.stringify(boxesOf(storage).map(({ box }) => [...box]));
    const error = new Error('no');
    expect(() =>
      db.transactionSync(() => {
        db.sql.exec('DELETE FROM notes');
        throw error;
      }),
    ).toThrow(error);
    expect(countOf(db)).toBe(10);
    expect(JSON.stringify(boxesOf(storage).map(({ box }) => [...box]))).toBe(before);
    expect(db.stats().opens).toBe(1);
  });

  it('M2: a nested transaction is a savepoint', async () => {
    const db = await openSealed();
    db.sql.exec(NOTES);
    db.transactionSync(() => {
      addNotes(db, 1);
      expect(() =>
        db.transactionSync(() => {
          addNotes(db, 5, 100);
          db.transactionSync(() => addNotes(db, 5, 200));
          throw new Error('inner');
        }),
      ).toThrow('inner');
      db.transactionSync(() => addNotes(db, 2, 300));
    });
    expect(db.sql.exec('SELECT key FROM notes ORDER BY id').toArray()).toEqual([
      { key: 'key-0' },
      { key: 'key-300' },
      { key: 'key-301' },
    ]);
  });

  it('M2: a savepoint that undoes the only change leaves a commit of nothing', async () => {
    const db = await openSealed();
    db.sql.exec(NOTES);
    db.transactionSync(() => {
      expect(() =>
        db.transactionSync(() => {
          addNotes(db, 1);
          throw new Error('inner');
        }),
      ).toThrow('inner');
    });
    expect(countOf(db)).toBe(0);
  });

  it('M3: a promise is no transaction', async () => {
    const db = await openSealed();
    db.sql.exec(NOTES);
    expect(() =>
      db.transactionSync(() => {
        addNotes(db, 1);
        return Promise.resolve();
      }),
    ).toThrow('synchronous');
    expect(countOf(db)).toBe(0);
  });

  it('M4: after a failed commit the engine is opened anew from storage', async () => {
    const storage = new NodeStorage();
    /** Writing statements of the host that still succeed. */
    let left = Number.POSITIVE_INFINITY;
    const sql: HostStorage['sql'] = {
      exec(query, ...bindings) {
        if (query.startsWith('INSERT')) left -= 1;
        if (left < 0) throw new Error('disk full');
        return storage.sql.exec(query, ...bindings);
      },
    };
    const host: HostStorage = { sql, sync: () => storage.sync(), transactionSync: (closure) => storage.transactionSync(closure) };
    const db = await openSealed(host);
    db.sql.exec(NOTES);
    addNotes(db, 20);
    // Few pages are one statement; many are several, of which some are done when the next one fails.
    for (const [rows, succeeding] of [
      [1, 0],
      [500, 0],
      [500, 3],
    ] as const) {
      const { opens } = db.stats();
      left = succeeding;
      expect(() => addNotes(db, rows, 1_000)).toThrow('disk full');
      left = Number.POSITIVE_INFINITY;
      expect(countOf(db)).toBe(20);
      expect(db.stats().opens).toBe(opens + 1);
    }
    addNotes(db, 1, 500);
    expect(countOf(await openSealed(storage))).toBe(21);
    expect(integrityOf(db)).toBe('ok');
  });

  it('M4: a constraint that is checked at the end refuses the commit and harms nothing', async () => {
    const db = await openSealed();
    db.sql.exec('CREATE TABLE parent (id INTEGER PRIMARY KEY)');
    db.sql.exec(
      'CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)',
    );
    expect(() => db.sql.exec('INSERT INTO child (parent) VALUES (5)')).toThrow('FOREIGN KEY');
    expect(db.stats().opens).toBe(1);
    db.transactionSync(() => {
      db.sql.exec('INSERT INTO child (parent) VALUES (5)');
      db.sql.exec('INSERT INTO parent (id) VALUES (5)');
    });
    expect(countOf(db, 'child')).toBe(1);
  });

  it('M4: a statement that ends the transaction by itself ends it for good', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec(NOTES);
    addNotes(db, 1);
    expect(() =>
      db.transactionSync(() => {
        addNotes(db, 1, 50);
        try {
          db.sql.exec("INSERT OR ROLLBACK INTO notes (key, value) VALUES ('key-0', '')");
        } catch {
          // Swallowed, as careless code would.
        }
        db.sql.exec("INSERT INTO notes (key, value) VALUES ('after', '')");
      }),
    ).toThrow();
    expect(countOf(db)).toBe(1);
    expect(countOf(await openSealed(storage))).toBe(1);
  });

  it('M5: opening reads a few pages, whatever the size', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec(NOTES);
    addNotes(db, 3_000);
    const again = await openSealed(storage);
    again.sql.exec('SELECT value FROM notes WHERE key = ?', 'key-1500').one();
    expect(again.stats().pages).toBeGreaterThan(700);
    expect(again.stats().pageReads).toBeLessThan(12);
  });

  it('M7: a write outside of a transaction is one of its own', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec(NOTES);
    expect(db.sql.exec("INSERT INTO notes (key, value) VALUES ('a', 'b')").rowsWritten).toBe(1);
    expect(db.sql.exec<{ id: number }>("INSERT INTO notes (key, value) VALUES ('c', 'd') RETURNING id").one()).toEqual({ id: 2 });
    expect(db.sql.exec("UPDATE notes SET value = 'x' WHERE key = 'none'").rowsWritten).toBe(0);
    expect(countOf(await openSealed(storage))).toBe(2);
  });

  it('M7: values come back as the platform gives them', async () => {
    const db = await openSealed();
    db.sql.exec('CREATE TABLE v (i INTEGER, r REAL, t TEXT, b BLOB, n TEXT) STRICT');
    const blob = new Uint8Array([0, 1, 255]);
    db.sql.exec('INSERT INTO v VALUES (?, ?, ?, ?, ?)', 1_800_000_000_123, 0.5, 'é\u0000😀', blob, null);
    db.sql.exec('INSERT INTO v VALUES (?, ?, ?, ?, ?)', -5, 2, '', blob.buffer, null);
    const rows = db.sql.exec<{ b: ArrayBuffer }>('SELECT *, typeof(i) AS ti, typeof(r) AS tr FROM v').toArray();
    expect(rows[0]).toEqual({ i: 1_800_000_000_123, r: 0.5, t: 'é\u0000😀', b: blob.buffer, n: null, ti: 'integer', tr: 'real' });
    expect(rows[1]).toMatchObject({ i: -5, t: '', tr: 'real' });
    expect(rows[0]?.b).toBeInstanceOf(ArrayBuffer);
    expect(() => db.sql.exec('SELECT * FROM v').one()).toThrow('exactly one row');
  });

  it('M7: our migrations run on it unchanged', async () => {
    const storage = new NodeStorage();
    const steps = [
      {
        name: 'one',
        sql: ['CREATE TABLE a (x INTEGER) STRICT', 'CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END'],
      },
      { name: 'two', sql: ['ALTER TABLE a ADD COLUMN y TEXT; CREATE INDEX i ON a (y)'] },
    ];
    expect(migrate(await openSealed(storage), steps.slice(0, 1))).toBe(1);
    const db = await openSealed(storage);
    expect(migrate(db, steps)).toBe(1);
    expect(migrate(db, steps)).toBe(0);
    db.sql.exec('INSERT INTO a VALUES (1, ?)', 'z');
    expect(db.sql.exec('SELECT * FROM a').one()).toEqual({ x: 1, y: 'z' });
  });

  it('M7: columns are those of the moment, also inside the transaction that changes them and after it is undone', async () => {
    const db = await openSealed();
    db.sql.exec('CREATE TABLE t (a INTEGER)');
    db.sql.exec('INSERT INTO t VALUES (1)');
    const row = (): unknown => db.sql.exec('SELECT * FROM t').one();
    expect(row()).toEqual({ a: 1 });
    expect(() =>
      db.transactionSync(() => {
        db.sql.exec('ALTER TABLE t ADD COLUMN b TEXT');
        expect(row()).toEqual({ a: 1, b: null });
        throw new Error('undo');
      }),
    ).toThrow('undo');
    expect(row()).toEqual({ a: 1 });
    db.transactionSync(() => {
      expect(() =>
        db.transactionSync(() => {
          db.sql.exec('ALTER TABLE t ADD COLUMN c TEXT');
          expect(row()).toEqual({ a: 1, c: null });
          throw new Error('undo');
        }),
      ).toThrow('undo');
      expect(row()).toEqual({ a: 1 });
    });
  });

  it('M9: a large transaction that is undone has written no page', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage, { cacheBytes: 256 * 1_024 });
    db.sql.exec(NOTES);
    addNotes(db, 5);
    const pages = boxesOf(storage).length;
    expect(() =>
      db.transactionSync(() => {
        addNotes(db, 4_000, 1_000);
        throw new Error('big');
      }),
    ).toThrow('big');
    expect(boxesOf(storage)).toHaveLength(pages);
    expect(countOf(db)).toBe(5);
    expect(db.stats().opens).toBe(1);
    addNotes(db, 4_000, 1_000);
    expect(countOf(await openSealed(storage))).toBe(4_005);
  });

  it('M19: who was not used for longest makes room, and is opened again', async () => {
    const storages = Array.from({ length: 30 }, () => new NodeStorage());
    const databases = await Promise.all(
      storages.map((storage, i) => openSealed(storage, { identity: { region: 'eu-west-1', fleet: 'acme', database: `d${i}` } })),
    );
    for (const db of databases) db.sql.exec(NOTES);
    for (const db of databases) addNotes(db, 3);
    expect(databases.map((db) => countOf(db))).toEqual(databases.map(() => 3));
    expect(Math.max(...databases.map((db) => db.stats().opens))).toBeGreaterThan(1);
    for (const db of databases) db.close();
    expect(thrownBy(() => databases[0]?.sql.exec('SELECT 1'))).toMatchObject({ message: 'the database was closed' });
  });
});
