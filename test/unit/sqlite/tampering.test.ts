import { describe, expect, it } from 'vitest';
import type { SealedDatabase } from '../../../wasm/sqlite/sealed-database.ts';
import {
  addNotes,
  boxesOf,
  countOf,
  flipBit,
  IDENTITY,
  integrityOf,
  noteOf,
  NOTES,
  openSealed,
  putBox,
  secretKeys,
  thrownBy,
} from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

async function filled(over: Parameters<typeof openSealed>[1] = {}): Promise<NodeStorage> {
  const storage = new NodeStorage();
  const db = await openSealed(storage, over);
  db.sql.exec(NOTES);
  addNotes(db, 40);
  db.close();
  return storage;
}

/** What a full read of the database says: its rows, or the error. */
function fullRead(db: SealedDatabase): unknown {
  try {
    db.sql.exec('SELECT sum(length(value)) FROM notes');
    db.sql.exec('SELECT count(*) FROM notes INDEXED BY sqlite_autoindex_notes_1');
    return 'read';
  } catch (error) {
    return error;
  }
}

describe('tampering', { timeout: 30_000 }, () => {
  it('M11: a flipped bit in any page is an error that names the page, and harms nothing else', { timeout: 30_000 }, async () => {
    const storage = await filled();
    const boxes = boxesOf(storage);
    expect(boxes.length).toBeGreaterThan(10);
    for (const { no, box } of boxes) {
      // One in each part of a box: key id, nonce, ciphertext, tag.
      for (const byte of [1, 9, box.length >> 1, box.length - 3]) {
        putBox(storage, no, flipBit(box, byte * 8 + (no % 8)));
        if (no === 0) await expect(openSealed(storage)).rejects.toMatchObject({ code: 'tampered', page: 0 });
        else {
          const db = await openSealed(storage);
          expect(fullRead(db)).toMatchObject({ code: 'tampered', page: no });
          expect(
            thrownBy(() => db.transactionSync(() => db.sql.exec("UPDATE notes SET value = value || 1, key = 'x' || key"))),
          ).toMatchObject({
            code: 'tampered',
            page: no,
          });
          db.close();
        }
        putBox(storage, no, box);
      }
    }
    const db = await openSealed(storage);
    expect(fullRead(db)).toBe('read');
    expect(integrityOf(db)).toBe('ok');
  });

  it('M11: rows on other pages are read and written beside a damaged one', async () => {
    const storage = await filled();
    const db = await openSealed(storage);
    const last = boxesOf(storage).at(-1);
    putBox(storage, last?.no ?? 0, flipBit(last?.box ?? new Uint8Array(), 500));
    expect(fullRead(db)).toMatchObject({ code: 'tampered', page: last?.no });
    expect(db.sql.exec("SELECT value FROM notes WHERE key = 'key-0'").one()).toEqual({ value: noteOf(0) });
    db.sql.exec("UPDATE notes SET value = 'new' WHERE key = 'key-0'");
    expect((await openSealed(storage)).sql.exec("SELECT value FROM notes WHERE key = 'key-0'").one()).toEqual({ value: 'new' });
  });

  it('M11: a transaction that met a damaged page is not committed, even when the error was swallowed', async () => {
    const storage = await filled();
    const db = await openSealed(storage);
    const last = boxesOf(storage).at(-1);
    putBox(storage, last?.no ?? 0, flipBit(last?.box ?? new Uint8Array(), 500));
    const error = thrownBy(() =>
      db.transactionSync(() => {
        db.sql.exec("UPDATE notes SET value = 'half' WHERE key = 'key-0'");
        thrownBy(() => db.sql.exec('SELECT sum(length(value)) FROM notes'));
      }),
    );
    expect(error).toMatchObject({ code: 'tampered', page: last?.no });
    expect(db.sql.exec("SELECT value FROM notes WHERE key = 'key-0'").one()).toEqual({ value: noteOf(0) });
  });

  it('M12: a flipped bit in the pager row is an error that names it', async () => {
    const storage = await filled();
    const { box } = storage.sql.exec<{ box: ArrayBuffer }>('SELECT box FROM sealed_header').one();
    const bytes = new Uint8Array(box);
    for (let bit = 0; bit < bytes.length * 8; bit += 97) {
      storage.sql.exec('UPDATE sealed_header SET box = ?', flipBit(bytes, bit).slice().buffer);
      await expect(openSealed(storage)).rejects.toMatchObject({
        code: 'tampered',
        message: expect.stringContaining('pager row'),
      });
    }
    storage.sql.exec('DELETE FROM sealed_header');
    await expect(openSealed(storage)).rejects.toMatchObject({ code: 'tampered' });
    storage.sql.exec('INSERT INTO sealed_header VALUES (1, ?, ?)', IDENTITY.region, box);
    expect(countOf(await openSealed(storage))).toBe(40);
  });

  it('M12: a flipped bit in a wrapped key is an error', async () => {
    const storage = await filled();
    const { wrapped } = storage.sql.exec<{ wrapped: ArrayBuffer }>('SELECT wrapped FROM sealed_keys').one();
    const bytes = new Uint8Array(wrapped);
    for (let bit = 0; bit < bytes.length * 8; bit += 13) {
      storage.sql.exec('UPDATE sealed_keys SET wrapped = ?', flipBit(bytes, bit).slice().buffer);
      await expect(openSealed(storage)).rejects.toMatchObject({ code: 'key_refused' });
    }
  });

  it('M13: a page that was moved, swapped, removed or emptied is refused', async () => {
    const storage = await filled();
    const [, , second, third] = boxesOf(storage);
    if (second === undefined || third === undefined) throw new Error('too few pages');
    for (const [a, b] of [
      [third.box, second.box],
      [second.box, second.box],
      [second.box, new Uint8Array(0)],
    ] as const) {
      putBox(storage, second.no, a);
      putBox(storage, third.no, b);
      const db = await openSealed(storage);
      expect(fullRead(db)).toMatchObject({ code: 'tampered' });
      db.close();
    }
    putBox(storage, second.no, second.box);
    storage.sql.exec('DELETE FROM sealed_pages_1 WHERE no = ?', third.no);
    expect(fullRead(await openSealed(storage))).toMatchObject({ code: 'tampered', page: third.no });
  });

  it('M13: a page or pager row of another database, fleet or region is refused, though the secret is the same', async () => {
    const storage = await filled();
    for (const other of [
      { ...IDENTITY, database: 'eu-west-1/acme/swarm-2' },
      { ...IDENTITY, fleet: 'acmf' },
      { ...IDENTITY, region: 'us-east-1' },
    ]) {
      const foreign = await filled({ identity: other });
      const [, , page] = boxesOf(foreign);
      const own = boxesOf(storage)[2];
      putBox(storage, 2, page?.box ?? new Uint8Array());
      expect(fullRead(await openSealed(storage))).toMatchObject({ code: 'tampered', page: 2 });
      putBox(storage, 2, own?.box ?? new Uint8Array());
      const header = storage.sql.exec<{ region: string; box: ArrayBuffer }>('SELECT region, box FROM sealed_header').one();
      const theirs = foreign.sql.exec<{ box: ArrayBuffer }>('SELECT box FROM sealed_header').one();
      storage.sql.exec('UPDATE sealed_header SET box = ?', theirs.box);
      await expect(openSealed(storage)).rejects.toMatchObject({ code: 'tampered' });
      storage.sql.exec('UPDATE sealed_header SET box = ?', header.box);
      // The wrapped key along with it helps nobody either.
      if (other.region === IDENTITY.region) await expect(openSealed(foreign)).rejects.toMatchObject({ code: 'key_refused' });
    }
  });

  it('M13: a page of an older data key of the same database is refused once that key is gone', async () => {
    const storage = await filled();
    const old = boxesOf(storage)[2];
    const db = await openSealed(storage);
    await db.startRotation();
    while (db.keyStatus.olderKeyIds.length > 0) await db.maintain();
    db.close();
    putBox(storage, 2, old?.box ?? new Uint8Array());
    expect(fullRead(await openSealed(storage))).toMatchObject({ code: 'tampered', page: 2 });
  });

  it('M14: out of scope: a page put back to its own older version is not noticed by itself', async () => {
    const storage = await filled();
    const db = await openSealed(storage);
    const before = boxesOf(storage);
    db.sql.exec("UPDATE notes SET value = 'newer' WHERE key = 'key-0'");
    db.close();
    for (const { no, box } of before) putBox(storage, no, box);
    expect((await openSealed(storage)).sql.exec("SELECT value FROM notes WHERE key = 'key-0'").one()).toEqual({
      value: noteOf(0),
    });
  });

  it('M15: another region is told that the storage is not its own', async () => {
    const storage = await filled();
    await expect(openSealed(storage, { identity: { ...IDENTITY, region: 'us-east-1' } })).rejects.toMatchObject({
      code: 'wrong_region',
    });
    // The region in clear is no way in.
    storage.sql.exec("UPDATE sealed_header SET region = 'us-east-1'");
    await expect(openSealed(storage, { identity: { ...IDENTITY, region: 'us-east-1' } })).rejects.toMatchObject({
      code: 'key_refused',
    });
    await expect(openSealed(storage, { keys: secretKeys(8) })).rejects.toMatchObject({ code: 'wrong_region' });
  });
});
