import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadSqlJs } from '../../../wasm/sqlite/load-node.ts';
import { IMPORT_BYTES_MAX, RESTORE_POINTS_MAX } from '../../../wasm/sqlite/transfer.ts';
import { addNotes, boxesOf, countOf, integrityOf, noteOf, NOTES, openSealed, thrownBy } from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const SCHEMA = `${NOTES}; CREATE VIRTUAL TABLE search USING fts4(body); CREATE INDEX notes_value ON notes (value);
  CREATE TABLE refs (note INTEGER REFERENCES notes (id))`;

/** Another SQLite's view of a file. */
function withOther<T>(file: Uint8Array, body: (db: DatabaseSync) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), 'export-'));
  try {
    writeFileSync(path.join(folder, 'x.sqlite'), file);
    const db = new DatabaseSync(path.join(folder, 'x.sqlite'));
    const value = body(db);
    db.close();
    return value;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function filled(storage = new NodeStorage(), count = 200): Promise<Awaited<ReturnType<typeof openSealed>>> {
  const db = await openSealed(storage);
  db.sql.exec(SCHEMA);
  addNotes(db, count);
  db.sql.exec("INSERT INTO search (body) VALUES ('found by words')");
  return db;
}

/** A file of that schema, written by someone else. */
async function foreignFile(statements: string): Promise<Uint8Array> {
  const sqlJs = await loadSqlJs();
  const db = new sqlJs.Database();
  db.run(statements);
  const file = db.export();
  db.close();
  return file;
}

describe('export', { timeout: 30_000 }, () => {
  it('M35: the file is a standard one: another SQLite opens it, finds it whole and reads every row', async () => {
    const db = await filled();
    db.sql.exec('DELETE FROM notes WHERE id > 150');
    const rows = withOther(db.exportFile(), (other) => [
      other.prepare('PRAGMA integrity_check').get(),
      other.prepare('SELECT count(*) AS n FROM notes').get(),
      other.prepare("SELECT value FROM notes WHERE key = 'key-77'").get(),
    ]);
    expect(rows).toEqual([{ integrity_check: 'ok' }, { n: 150 }, { value: noteOf(77) }]);
  });

  it('M35: a compaction under way leaves no trace in it', async () => {
    const db = await filled();
    db.startCompaction();
    await db.maintain();
    const file = db.exportFile();
    const names = withOther(file, (other) => other.prepare("SELECT name FROM sqlite_master WHERE name GLOB 'sealed*'").all());
    expect(names).toEqual([]);
  });

  it('M36: a write between two pieces ends it', async () => {
    const db = await filled(new NodeStorage(), 1_500);
    const chunks = db.exportChunks()[Symbol.iterator]();
    expect(chunks.next().value?.length).toBe(2 ** 20);
    expect(countOf(db)).toBe(1_500);
    expect(chunks.next().done).toBe(false);
    db.sql.exec("UPDATE notes SET value = 'x' WHERE id = 1");
    expect(thrownBy(() => chunks.next())).toMatchObject({ code: 'changed' });
  });
});

describe('import', { timeout: 30_000 }, () => {
  it('M37: the rows become those of the file, and the state before is a restore point', async () => {
    const storage = new NodeStorage();
    const source = await filled();
    source.sql.exec("INSERT INTO search (body) VALUES ('more words')");
    const file = source.exportFile();
    const db = await filled(storage, 10);
    const point = db.importFile(file);
    expect(countOf(db)).toBe(200);
    expect(db.sql.exec("SELECT count(*) AS n FROM search WHERE search MATCH 'words'").one()).toEqual({ n: 2 });
    expect(integrityOf(db)).toBe('ok');
    expect(db.restorePoints).toMatchObject([{ id: point, reason: 'before an import' }]);
    const again = await openSealed(storage);
    expect(countOf(again)).toBe(200);
    addNotes(again, 5, 5_000);
    const back = again.restore(point);
    expect(countOf(again)).toBe(10);
    again.restore(back);
    expect(countOf(again)).toBe(205);
  });

  it('M37: a file of another page size, in WAL mode, is taken as well', async () => {
    const db = await filled(new NodeStorage(), 3);
    const file = (await foreignFile(`PRAGMA page_size=1024; ${SCHEMA}; INSERT INTO notes VALUES (9, 'a', 'b')`)).slice();
    file[18] = 2;
    file[19] = 2;
    db.importFile(file);
    expect(db.sql.exec('SELECT * FROM notes').toArray()).toEqual([{ id: 9, key: 'a', value: 'b' }]);
  });

  it.each([
    ['nothing', () => Promise.resolve(new Uint8Array(0))],
    ['text', () => Promise.resolve(new TextEncoder().encode('SQLite format 3 it is not'.repeat(100)))],
    ['another schema', () => foreignFile(NOTES)],
    ['a trigger more', () => foreignFile(`${SCHEMA}; CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END`)],
    ['a row that refers to nothing', () => foreignFile(`${SCHEMA}; INSERT INTO refs VALUES (77)`)],
    [
      'a damaged page',
      async () => {
        const file = (await foreignFile(`${SCHEMA}; INSERT INTO notes VALUES (1, 'a', 'b')`)).slice();
        return file.fill(255, 4_096, 6_000);
      },
    ],
    ['a file cut short', async () => (await foreignFile(`${SCHEMA}; INSERT INTO notes VALUES (1, 'a', 'b')`)).slice(0, 8_192)],
  ])('M38: %s is refused and nothing changes', async (_, file) => {
    const storage = new NodeStorage();
    const db = await filled(storage, 7);
    const before = boxesOf(storage).length;
    const bytes = await file();
    expect(thrownBy(() => db.importFile(bytes))).toMatchObject({ code: 'incompatible' });
    expect(countOf(db)).toBe(7);
    expect(db.restorePoints).toEqual([]);
    expect(boxesOf(storage)).toHaveLength(before);
    expect(storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name GLOB 'sealed_pages*'").one()).toEqual({ n: 1 });
  });

  it('M38: the owner may look and refuse; a file that is too large is not looked at', async () => {
    const db = await filled(new NodeStorage(), 7);
    const file = (await filled()).exportFile();
    const seen: unknown[] = [];
    const refuse = (): never => {
      throw new Error('not ours');
    };
    expect(() =>
      db.importFile(file, (read) => {
        seen.push(...read('SELECT count(*) AS n FROM notes WHERE key > ?', ''));
        expect(thrownBy(() => read('DELETE FROM notes'))).toMatchObject({ code: 'forbidden' });
        refuse();
      }),
    ).toThrow('not ours');
    expect(seen).toEqual([{ n: 200 }]);
    expect(countOf(db)).toBe(7);
    expect(thrownBy(() => db.importFile(new Uint8Array(IMPORT_BYTES_MAX + 1)))).toMatchObject({ code: 'too_large' });
  });

  it('M39: so many restore points are kept; the pages of those that go are cleared in steps', async () => {
    const storage = new NodeStorage();
    const db = await filled(storage, 5);
    const file = db.exportFile();
    const points = Array.from({ length: RESTORE_POINTS_MAX + 2 }, () => db.importFile(file));
    expect(db.restorePoints.map(({ id }) => id)).toEqual(points.slice(2));
    db.dropRestorePoint(points.at(-1) ?? 0);
    expect(thrownBy(() => db.restore(points[0] ?? 0))).toMatchObject({ code: 'incompatible' });
    while (db.maintenanceDueAtMs <= Date.now()) await db.maintain();
    const sets = storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name GLOB 'sealed_pages*'").one();
    expect(sets).toEqual({ n: RESTORE_POINTS_MAX });
    expect(countOf(await openSealed(storage))).toBe(5);
  });

  it('M40: erasing leaves no key and no page; what is opened afterwards is empty and under another key', async () => {
    const storage = new NodeStorage();
    const db = await filled(storage, 5);
    db.importFile(db.exportFile());
    db.erase();
    expect(storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name GLOB 'sealed*'").one()).toEqual({ n: 0 });
    const fresh = await openSealed(storage);
    expect(fresh.sql.exec('SELECT count(*) AS n FROM sqlite_master').one()).toEqual({ n: 0 });
  });
});
