import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { SealedDatabase } from '../../../wasm/sqlite/sealed-database.ts';
import { Seeded } from '../../lib/seeded.ts';
import { boxesOf, integrityOf, openSealed } from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const SCHEMA = `
CREATE TABLE memory (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, value TEXT, note, twice TEXT AS (value || value)) ;
CREATE INDEX memory_value ON memory (value);
CREATE TABLE permissions (
  memory_id INTEGER NOT NULL REFERENCES memory (id) ON DELETE CASCADE ON UPDATE CASCADE, op TEXT NOT NULL, agent TEXT NOT NULL,
  PRIMARY KEY (memory_id, op, agent)
) WITHOUT ROWID;
CREATE TABLE plain (a, b BLOB);
CREATE VIRTUAL TABLE search USING fts4(body);
CREATE TABLE counts (n INTEGER NOT NULL);
CREATE TRIGGER counting AFTER INSERT ON memory BEGIN UPDATE counts SET n = n + 1; END;
CREATE VIEW recent AS SELECT key FROM memory ORDER BY id DESC LIMIT 5;
INSERT INTO counts VALUES (0);
INSERT INTO plain VALUES (9007199254740993, x'00ff'), (1.5, NULL), ('text', x''), (3.0, 'seven'), (4, 5)
`;

async function filled(storage = new NodeStorage(), rows = 1_200): Promise<SealedDatabase> {
  const db = await openSealed(storage);
  db.sql.exec(SCHEMA);
  const random = new Seeded(1);
  db.transactionSync(() => {
    for (let i = 0; i < rows; i += 1) write(db, random, i);
  });
  return db;
}

/** Any change, of any table; `i` makes keys collide. */
function write(db: SealedDatabase, random: Seeded, i: number): void {
  const key = `key-${random.int(0, 1_500)}`;
  const value = `${random.int(0, 1e9)}`.repeat(random.int(1, 80));
  switch (random.int(0, 9)) {
    case 0:
      db.sql.exec('DELETE FROM memory WHERE key = ?', key);
      break;
    case 1:
      // Replaces a row of another id without a word to triggers.
      db.sql.exec('INSERT OR REPLACE INTO memory (key, value) VALUES (?, ?)', key, value);
      break;
    case 2:
      db.sql.exec('UPDATE OR REPLACE memory SET key = ? WHERE id = (SELECT max(id) - 3 FROM memory)', key);
      break;
    case 3:
      db.sql.exec('UPDATE OR IGNORE memory SET id = id + 5000 WHERE key = ?', key);
      break;
    case 4:
      db.sql.exec("DELETE FROM permissions WHERE agent = 'agent-' || ?", `${random.int(0, 20)}`);
      break;
    case 5:
      db.sql.exec('DELETE FROM search WHERE rowid = ?', random.int(1, 300));
      break;
    default:
      db.sql.exec(
        'INSERT INTO memory (key, value, note) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
        key,
        value,
        i % 3 === 0 ? null : i / 2,
      );
  }
  db.sql.exec("INSERT OR IGNORE INTO permissions SELECT id, 'read', 'agent-' || (id % 20) FROM memory WHERE key = ?", key);
  db.sql.exec('INSERT INTO search (body) VALUES (?)', `word${i % 50} of ${key}`);
}

function contentOf(db: SealedDatabase): string {
  const all = (query: string): unknown => db.sql.exec(query).toArray();
  // A hash: a difference shown in full would be megabytes.
  const parts = [
    all('SELECT *, typeof(note) AS t FROM memory ORDER BY id'),
    all('SELECT * FROM permissions ORDER BY memory_id, op, agent'),
    all('SELECT rowid AS id, CAST(a AS TEXT) AS a, typeof(a) AS ta, hex(b) AS b, typeof(b) AS tb FROM plain ORDER BY id'),
    all('SELECT * FROM counts'),
    all('SELECT * FROM recent'),
    all('SELECT rowid AS id, body FROM search ORDER BY id'),
    all("SELECT rowid AS id FROM search WHERE search MATCH 'word7' ORDER BY id"),
    all('SELECT * FROM sqlite_sequence'),
    all("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT GLOB 'sealed_compaction*' ORDER BY name"),
  ];
  return parts.map((part) => createHash('sha256').update(JSON.stringify(part)).digest('hex').slice(0, 12)).join(' ');
}

const isCompacting = (db: SealedDatabase): boolean =>
  db.sql.exec("SELECT name FROM sqlite_master WHERE name = 'sealed_compaction_log'").toArray().length > 0;

async function finish(db: SealedDatabase): Promise<number> {
  let steps = 0;
  for (; isCompacting(db); steps += 1) await db.maintain();
  return steps;
}

describe('compaction', { timeout: 60_000 }, () => {
  it('M31: rows, indexes, triggers, views and sequences are the same afterwards', async () => {
    const storage = new NodeStorage();
    const db = await filled(storage);
    const before = contentOf(db);
    expect(db.startCompaction()).toBe(true);
    expect(db.startCompaction()).toBe(false);
    expect(contentOf(db)).toBe(before);
    await finish(db);
    expect(contentOf(db)).toBe(before);
    expect(integrityOf(db)).toBe('ok');
    expect(contentOf(await openSealed(storage))).toBe(before);
    // It is a whole database of its own: cascade, triggers and unique keys work.
    db.sql.exec('DELETE FROM memory WHERE key = (SELECT key FROM memory LIMIT 1)');
    expect(() => db.sql.exec('INSERT INTO memory (key) SELECT key FROM memory LIMIT 1')).toThrow('UNIQUE');
    expect(integrityOf(db)).toBe('ok');
  });

  it.each([2, 3, 4])('M31: nothing that is written between the steps is lost (seed %i)', { timeout: 30_000 }, async (seed) => {
    const storage = new NodeStorage();
    const db = await filled(storage, 600);
    // The same writes on a database that is not compacted.
    const twin = await openSealed(new NodeStorage(), { identity: { region: 'eu-west-1', fleet: 'acme', database: 'twin' } });
    twin.sql.exec(SCHEMA);
    const first = new Seeded(1);
    twin.transactionSync(() => {
      for (let i = 0; i < 600; i += 1) write(twin, first, i);
    });
    const randoms = [new Seeded(seed), new Seeded(seed)] as const;
    db.startCompaction();
    for (let step = 0; isCompacting(db); step += 1) {
      expect(step).toBeLessThan(100);
      await db.maintain();
      for (const [at, target] of [db, twin].entries()) {
        target.transactionSync(() => {
          for (let i = 0; i < 25; i += 1) write(target, randoms[at as 0 | 1], step * 25 + i);
        });
      }
    }
    expect(contentOf(db)).toBe(contentOf(twin));
    expect(integrityOf(db)).toBe('ok');
  });

  it('M32: it goes on after the object was gone at any step, and ends', async () => {
    const storage = new NodeStorage();
    const before = contentOf(await filled(storage));
    (await openSealed(storage)).startCompaction();
    for (let step = 0; ; step += 1) {
      expect(step).toBeLessThan(100);
      const db = await openSealed(storage);
      if (!isCompacting(db)) break;
      await db.maintain();
      expect(contentOf(db)).toBe(before);
      db.close();
    }
    expect(integrityOf(await openSealed(storage))).toBe('ok');
  });

  it('M32: a step that fails in the host changes nothing and is done again', { timeout: 30_000 }, async () => {
    const storage = new NodeStorage();
    const before = contentOf(await filled(storage, 400));
    let failing = false;
    const host = Object.assign(Object.create(storage) as NodeStorage, {
      sql: storage.sql,
      transactionSync: <T>(closure: () => T): T =>
        storage.transactionSync(() => {
          const value = closure();
          if (failing) throw new Error('disk full');
          return value;
        }),
    });
    const db = await openSealed(host);
    failing = true;
    expect(() => db.startCompaction()).toThrow('disk full');
    failing = false;
    expect(isCompacting(db)).toBe(false);
    db.startCompaction();
    while (isCompacting(db)) {
      failing = true;
      await expect(db.maintain()).rejects.toThrow('disk full');
      failing = false;
      expect(contentOf(db)).toBe(before);
      await db.maintain();
    }
    expect(contentOf(db)).toBe(before);
    expect(integrityOf(db)).toBe('ok');
  });

  it('M33: a change of the schema ends it; the database is as if there had been none', async () => {
    const storage = new NodeStorage();
    const db = await filled(storage, 100);
    db.startCompaction();
    await db.maintain();
    db.sql.exec('CREATE TABLE later (x)');
    const before = contentOf(db);
    await db.maintain();
    expect(isCompacting(db)).toBe(false);
    expect(db.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name GLOB 'sealed*'").one()).toEqual({ n: 0 });
    expect(contentOf(db)).toBe(before);
    expect(db.startCompaction()).toBe(true);
    await finish(db);
    expect(contentOf(db)).toBe(before);
  });

  it('M34: storage shrinks to what is alive, and the old pages go in steps', async () => {
    const storage = new NodeStorage();
    const db = await filled(storage);
    db.sql.exec('DELETE FROM memory WHERE id % 10 > 0');
    db.sql.exec('DELETE FROM search');
    const pages = db.stats().pages;
    db.startCompaction();
    await finish(db);
    expect(db.stats().pages).toBeLessThan(pages / 2);
    const tables = (): unknown => storage.sql.exec("SELECT name FROM sqlite_master WHERE name GLOB 'sealed_pages*'").toArray();
    while (db.maintenanceDueAtMs <= Date.now()) await db.maintain();
    expect(tables()).toEqual([{ name: 'sealed_pages_2' }]);
    expect(boxesOf(storage, 2).length).toBe(db.stats().pages);
  });

  it('M34: rotation and compaction at once end both', { timeout: 30_000 }, async () => {
    const storage = new NodeStorage();
    const db = await filled(storage, 500);
    const before = contentOf(db);
    db.startCompaction();
    await db.maintain();
    await db.startRotation();
    for (let step = 0; db.maintenanceDueAtMs <= Date.now(); step += 1) {
      expect(step).toBeLessThan(100);
      await db.maintain();
    }
    expect(contentOf(await openSealed(storage))).toBe(before);
    expect(db.keyStatus).toMatchObject({ keyId: 2, olderKeyIds: [] });
  });
});
