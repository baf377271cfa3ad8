import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyIdOf } from '../../../wasm/sqlite/page-cipher.ts';
import { boxesOf, openSealed } from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

describe('what lies in storage', { timeout: 30_000 }, () => {
  it('M16: no key, value, owner, tag or schema is in the raw file in clear, in any encoding', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sealed-'));
    try {
      const storage = new NodeStorage(path.join(folder, 'object.sqlite'));
      const db = await openSealed(storage);
      db.sql.exec(
        'CREATE TABLE memory (zkey TEXT PRIMARY KEY, zvalue TEXT, zowner TEXT) STRICT; CREATE INDEX zindex ON memory (zowner)',
      );
      db.sql.exec('CREATE VIRTUAL TABLE zsearch USING fts4(zbody)');
      const words = ['plainkey', 'plainvalue', 'plainowner'];
      for (let round = 0; round < 8; round += 1) {
        db.transactionSync(() => {
          for (let i = round * 30; i < round * 30 + 30; i += 1) {
            db.sql.exec(
              'INSERT INTO memory VALUES (?, ?, ?)',
              `plainkey-${i}`,
              `plainvalue-${i} `.repeat(40),
              `plainowner-${i % 7}`,
            );
            db.sql.exec('INSERT INTO zsearch (zbody) VALUES (?)', `plainvalue number ${i}`);
          }
        });
      }
      db.sql.exec("DELETE FROM memory WHERE zkey GLOB '*5'");
      db.startCompaction();
      await db.startRotation();
      for (let i = 0; i < 4; i += 1) await db.maintain();
      db.close();
      const raw = readdirSync(folder).map((name) => readFileSync(path.join(folder, name)));
      const searched = [...words, 'zkey', 'zvalue', 'zowner', 'zindex', 'zsearch', 'CREATE INDEX', 'CREATE VIRTUAL'];
      for (const file of raw) {
        expect(file.length).toBeGreaterThan(50_000);
        const found = searched.filter((word) => file.includes(word) || file.includes(Buffer.from(word, 'utf16le')));
        expect(found).toEqual([]);
        // The host's own file begins with it.
        expect(file.subarray(4_096).includes('SQLite format')).toBe(false);
      }
      storage.close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('M17: freed pages cost a few bytes each, and nothing of their rows stays', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)');
    db.transactionSync(() => {
      for (let i = 0; i < 300; i += 1) db.sql.exec('INSERT INTO t (body) VALUES (?)', 'x'.repeat(3_000));
    });
    const bytes = (): number => boxesOf(storage).reduce((sum, { box }) => sum + box.length, 0);
    const before = bytes();
    db.sql.exec('DELETE FROM t');
    expect(bytes()).toBeLessThan(before / 20);
    expect(db.sql.exec('PRAGMA integrity_check').one()).toEqual({ integrity_check: 'ok' });
  });

  it('M17: no box is longer than one page of the host takes', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)');
    for (const length of [10, 500, 3_900, 3_960, 4_000, 50_000])
      db.sql.exec('INSERT INTO t (body) VALUES (randomblob(?))', length);
    const lengths = boxesOf(storage).map(({ box }) => box.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(4_056);
    expect(new Set(boxesOf(storage).map(({ box }) => keyIdOf(box)))).toEqual(new Set([1]));
  });
});
