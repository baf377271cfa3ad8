import { describe, expect, it } from 'vitest';
import { SecretKeys } from '../../../wasm/sqlite/keys/secret-keys.ts';
import { loadSqlJs } from '../../../wasm/sqlite/load-node.ts';
import { Connection } from '../../../wasm/sqlite/connection.ts';
import { Ledger } from '../../../wasm/sqlite/ledger.ts';
import { PageCipher } from '../../../wasm/sqlite/page-cipher.ts';
import { PageStore } from '../../../wasm/sqlite/page-store.ts';
import { Pager } from '../../../wasm/sqlite/pager.ts';
import type { SqlJsDatabase } from '../../../wasm/sqlite/sql-js.ts';
import { addNotes, countOf, IDENTITY, integrityOf, noteOf, NOTES, openSealed, thrownBy } from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

describe('statements that lead past the pager', () => {
  it.each([
    'PRAGMA cache_spill=ON',
    'PRAGMA journal_mode=WAL',
    'PRAGMA journal_mode(delete)',
    'PRAGMA main.journal_mode = OFF',
    '  /* x */ -- y\n PRAGMA locking_mode=NORMAL',
    ';;PRAGMA auto_vacuum=FULL',
    'PRAGMA incremental_vacuum(5)',
    'PRAGMA page_size=512',
    'PRAGMA secure_delete=OFF',
    'PRAGMA writable_schema=ON',
    'PRAGMA wal_checkpoint',
    'PRAGMA integrity_check; PRAGMA cache_spill=ON',
    'EXPLAIN PRAGMA journal_mode=WAL',
    'EXPLAIN QUERY PLAN VACUUM',
    'VACUUM',
    "VACUUM INTO 'x'",
    "ATTACH DATABASE ':memory:' AS other",
    'DETACH main',
    'BEGIN',
    'COMMIT',
    'END',
    'ROLLBACK',
    'SAVEPOINT a',
    'RELEASE a',
    'CREATE TEMP TABLE t (x)',
    'CREATE TEMPORARY VIEW v AS SELECT 1',
    'SELECT 1; VACUUM',
    '\uFEFFVACUUM',
    'nonsense',
  ])('M6: %s is refused', async (statement) => {
    const db = await openSealed();
    db.sql.exec(NOTES);
    addNotes(db, 3);
    expect(thrownBy(() => db.sql.exec(statement))).toMatchObject({ code: 'forbidden' });
    expect(thrownBy(() => db.transactionSync(() => db.sql.exec(statement)))).toMatchObject({ code: 'forbidden' });
    expect(countOf(db)).toBe(3);
    expect(db.sql.exec('PRAGMA journal_mode').one()).toEqual({ journal_mode: 'memory' });
  });

  it.each([
    'PRAGMA table_info(notes)',
    'PRAGMA integrity_check',
    'PRAGMA foreign_key_check;',
    'EXPLAIN QUERY PLAN SELECT * FROM notes',
  ])('M6: %s only reads', async (statement) => {
    const db = await openSealed();
    db.sql.exec(NOTES);
    db.sql.exec(statement);
  });
});

/** An engine without the check of statements, to see what the guards below it do. */
async function openRaw(): Promise<{ db: SqlJsDatabase; pager: Pager; storage: NodeStorage; reopen: () => Connection }> {
  const storage = new NodeStorage();
  const sealed = await openSealed(storage);
  sealed.sql.exec(NOTES);
  addNotes(sealed, 50);
  sealed.close();
  const store = new PageStore(storage.sql);
  const cipher = new PageCipher(IDENTITY);
  const keys = new SecretKeys(new Map([['s7', new Uint8Array(32).fill(7)]]));
  for (const { id, wrapped } of store.wrappedKeys()) cipher.addKey(id, await keys.unwrap(IDENTITY, wrapped));
  const sqlJs = await loadSqlJs();
  const newPager = (): { pager: Pager; pages: number } => {
    const ledger = Ledger.read({ store, cipher, region: IDENTITY.region });
    return { pager: new Pager({ store, cipher, ledger, set: 1 }), pages: ledger.header.pages };
  };
  const { pager, pages } = newPager();
  const db = new sqlJs.Database(pager.image(pages));
  db.run(
    'PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF; PRAGMA cache_spill=OFF; PRAGMA secure_delete=ON',
  );
  return {
    db,
    pager,
    storage,
    reopen: () => {
      const fresh = newPager();
      return new Connection({ engine: sqlJs, pager: fresh.pager, pages: fresh.pages, cacheBytes: 2 ** 20 });
    },
  };
}

const fill = (db: SqlJsDatabase, count: number): void => {
  for (let i = 0; i < count; i += 1) db.run(`INSERT INTO notes (key, value) VALUES ('raw-${i}', '${noteOf(i)}')`);
};

describe('guards below the check of statements', () => {
  it('M10: VACUUM is noticed, and the stored database stays whole', async () => {
    const { db, pager, reopen } = await openRaw();
    db.run('DELETE FROM notes WHERE id > 5');
    pager.flush();
    expect(() => db.run('VACUUM')).toThrow();
    expect(pager.detached).toBe(true);
    expect(pager.takeFault()).toMatchObject({ code: 'escaped' });
    expect(reopen().exec('SELECT count(*) AS n FROM notes', []).one()).toEqual({ n: 5 });
  });

  it('M10: a spilled transaction that is rolled back is noticed', async () => {
    const { db, pager, reopen } = await openRaw();
    db.run('PRAGMA cache_spill=ON; PRAGMA cache_size=10');
    db.run('BEGIN');
    fill(db, 500);
    // Pages were written before the commit: that alone is the sign.
    expect(pager.hasPending).toBe(true);
    try {
      db.run('ROLLBACK');
    } catch {
      // The truncation fails, too.
    }
    expect(pager.hasPending || pager.detached).toBe(true);
    expect(reopen().exec('SELECT count(*) AS n FROM notes', []).one()).toEqual({ n: 50 });
  });

  it('M10: WAL, which would keep changes elsewhere, is noticed at the commit or refused', async () => {
    const { db, pager, storage, reopen } = await openRaw();
    db.run('PRAGMA locking_mode=EXCLUSIVE');
    db.exec('PRAGMA journal_mode=WAL');
    pager.flush();
    const before = storage.sql.exec('SELECT count(*) AS n FROM sealed_pages_1').one();
    fill(db, 20);
    // The rows changed and no page of the file did: what a connection refuses to commit.
    expect(pager.hasPending).toBe(false);
    expect(storage.sql.exec('SELECT count(*) AS n FROM sealed_pages_1').one()).toEqual(before);
    expect(() => reopen()).not.toThrow();
  });

  it('M10: a commit that changed rows and no page is an error', async () => {
    const { db } = await openRaw();
    db.close();
    const sqlJs = await loadSqlJs();
    const scratch = new sqlJs.Database();
    scratch.run(NOTES);
    // A pager out of use: the file system has its own array, as after a swap.
    const connection = new Connection({
      engine: sqlJs,
      pager: { image: () => scratch.export(), hasPending: false, detached: false, takeFault: () => null },
      pages: 0,
      cacheBytes: 2 ** 20,
    });
    const write = (statement: string) => (): void => connection.transaction(() => void connection.exec(statement, []));
    expect(thrownBy(write("INSERT INTO notes (key, value) VALUES ('a', 'b')"))).toMatchObject({ code: 'escaped' });
    expect(thrownBy(write('CREATE TABLE more (x)'))).toMatchObject({ code: 'escaped' });
    write("UPDATE notes SET value = 'x' WHERE key = 'none'")();
    write('CREATE TABLE IF NOT EXISTS notes (x)')();
  });

  it('M10: truncation and writes that are no page are refused as I/O errors', async () => {
    const { pager } = await openRaw();
    for (const read of [() => pager.subarray(0, 8_192), () => pager.subarray(4_000, 4_200), () => pager.subarray(0, 0)]) {
      expect(thrownBy(read)).toMatchObject({ name: 'ErrnoError' });
      expect(pager.takeFault()).toMatchObject({ code: 'escaped' });
    }
    expect(thrownBy(() => pager.set(new Int8Array(100), 0))).toMatchObject({ name: 'ErrnoError' });
    expect(thrownBy(() => pager.set(new Int8Array(4_096), 100))).toMatchObject({ name: 'ErrnoError' });
    expect(pager.detached).toBe(true);
    expect(thrownBy(() => pager.image(1).subarray(0, 1))).toMatchObject({ name: 'ErrnoError' });
  });

  it('M8: a reading statement that writes is undone', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec('CREATE VIRTUAL TABLE f USING fts4(body)');
    for (let i = 0; i < 20; i += 1) db.sql.exec('INSERT INTO f (body) VALUES (?)', `word${i} and more`);
    // optimize() is a function of a SELECT that rewrites the index.
    expect(thrownBy(() => db.sql.exec('SELECT optimize(f) FROM f LIMIT 1'))).toMatchObject({ code: 'escaped' });
    expect(db.sql.exec("SELECT count(*) AS n FROM f WHERE f MATCH 'more'").one()).toEqual({ n: 20 });
    expect(integrityOf(await openSealed(storage))).toBe('ok');
  });
});
