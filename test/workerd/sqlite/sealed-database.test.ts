import { evictDurableObject, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { registryObjectName } from '../../../durable-objects/stubs.ts';
import { SecretKeys } from '../../../wasm/sqlite/keys/secret-keys.ts';
import { loadSqlJs } from '../../../wasm/sqlite/load-worker.ts';
import { SealedDatabase } from '../../../wasm/sqlite/sealed-database.ts';
import { encodeVector } from '../../../wasm/vectors/encode.ts';
import { loadDot } from '../../../wasm/vectors/load-worker.ts';
import { VectorIndex } from '../../../wasm/vectors/vector-index.ts';

const REGION = 'eu-west-1';
const NOTES = 'CREATE TABLE notes (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL) STRICT';
const keys = new SecretKeys(new Map([['s', new Uint8Array(32).fill(3)]]));
let objects = 0;

/** A real object's storage, of an object nothing else uses. */
function newObject(): { readonly name: string; readonly stub: DurableObjectStub } {
  objects += 1;
  const name = registryObjectName(`sealed-${objects}`, REGION);
  return { name, stub: env.REGISTRY.getByName(name) };
}

const open = (storage: DurableObjectStorage, database: string): Promise<SealedDatabase> =>
  SealedDatabase.open({ storage, identity: { region: REGION, fleet: 'f', database }, keys, engine: loadSqlJs });

describe('sealed pages in an object', () => {
  it('M1: what was committed outlives the object; nothing of it is in storage in clear', async () => {
    const { name, stub } = newObject();
    await runInDurableObject(stub, async (_, { storage }) => {
      const db = await open(storage, name);
      db.sql.exec(NOTES);
      db.transactionSync(() => {
        for (let i = 0; i < 200; i += 1)
          db.sql.exec('INSERT INTO notes (key, value) VALUES (?, ?)', `plainkey-${i}`, `plainvalue-${i} `.repeat(60));
      });
      await db.sync();
    });
    await evictDurableObject(stub);
    await runInDurableObject(stub, async (_, { storage }) => {
      const db = await open(storage, name);
      expect(db.sql.exec('SELECT value FROM notes WHERE key = ?', 'plainkey-77').one()['value']).toContain('plainvalue-77');
      expect(db.stats().pageReads).toBeLessThan(15);
      expect(db.sql.exec('PRAGMA integrity_check').one()).toEqual({ integrity_check: 'ok' });
      for (const { box } of storage.sql.exec<{ box: ArrayBuffer }>(
        'SELECT box FROM sealed_pages_1 UNION ALL SELECT box FROM sealed_header',
      )) {
        const text = new TextDecoder('latin1').decode(box);
        for (const word of ['plainkey', 'plainvalue', 'notes', 'CREATE', 'SQLite format']) expect(text).not.toContain(word);
      }
    });
  });

  it('M47: what is read in a turn is in the way of no write and of no dropped table', async () => {
    const { name, stub } = newObject();
    await runInDurableObject(stub, async (_, { storage }) => {
      const db = await SealedDatabase.open({
        storage,
        identity: { region: REGION, fleet: 'f', database: name },
        keys,
        engine: loadSqlJs,
        cacheBytes: 64 * 1_024,
      });
      db.sql.exec(NOTES);
      const put = (i: number): void => {
        db.sql.exec('INSERT OR REPLACE INTO notes VALUES (?, ?, ?)', i, `key-${i}`, 'v'.repeat(900));
      };
      db.transactionSync(() => {
        for (let i = 0; i < 600; i += 1) put(i);
      });
      for (let round = 0; round < 30; round += 1) {
        for (let i = 0; i < 600; i += 40)
          db.sql.exec('SELECT value FROM notes WHERE key = ?', `key-${(i * 7 + round) % 600}`).one();
        put(round);
        for (let i = 0; i < 600; i += 40)
          db.sql.exec('SELECT value FROM notes WHERE key = ?', `key-${(i * 7 + round) % 600}`).one();
        await db.sync();
      }
      const file = db.exportFile();
      const point = db.importFile(file);
      for (let i = 0; i < 600; i += 40) db.sql.exec('SELECT value FROM notes WHERE key = ?', `key-${i}`).one();
      db.dropRestorePoint(point);
      for (let i = 0; i < 600; i += 40) db.sql.exec('SELECT value FROM notes WHERE key = ?', `key-${i}`).one();
      await db.maintain();
      expect(db.sql.exec('PRAGMA integrity_check').one()).toEqual({ integrity_check: 'ok' });
      for (let i = 0; i < 600; i += 40) db.sql.exec('SELECT value FROM notes WHERE key = ?', `key-${i}`).one();
      db.erase();
      expect(storage.sql.exec("SELECT name FROM sqlite_master WHERE name GLOB 'sealed_*'").toArray()).toEqual([]);
    });
  });

  it('M4: a failed storage write is undone in both, and the object goes on', async () => {
    const { name, stub } = newObject();
    await runInDurableObject(stub, async (_, { storage }) => {
      let failing = false;
      const host = {
        sql: {
          exec: (query: string, ...bindings: SqlStorageValue[]) => {
            const cursor = storage.sql.exec(query, ...bindings);
            // One statement or several: the platform undoes what has been done of the transaction.
            if (failing) throw new Error('injected');
            return cursor;
          },
        },
        sync: () => storage.sync(),
        transactionSync: <T>(closure: () => T): T => storage.transactionSync(closure),
      };
      const db = await open(host as unknown as DurableObjectStorage, name);
      db.sql.exec(NOTES);
      db.sql.exec("INSERT INTO notes VALUES (1, 'a', 'b')");
      failing = true;
      const many = (): void =>
        db.transactionSync(() => {
          for (let i = 10; i < 200; i += 1) db.sql.exec('INSERT INTO notes VALUES (?, ?, ?)', i, `${i}`, 'x'.repeat(900));
        });
      expect(many).toThrow('injected');
      failing = false;
      db.sql.exec("INSERT INTO notes VALUES (3, 'e', 'f')");
      expect(db.sql.exec('SELECT id FROM notes ORDER BY id').toArray()).toEqual([{ id: 1 }, { id: 3 }]);
    });
    await evictDurableObject(stub);
    await runInDurableObject(stub, async (_, { storage }) => {
      expect((await open(storage, name)).sql.exec('SELECT id FROM notes ORDER BY id').toArray()).toEqual([{ id: 1 }, { id: 3 }]);
    });
  });

  it('M11, M13: a flipped bit, a swapped page and a foreign database are refused by name', async () => {
    const [one, two] = [newObject(), newObject()];
    const pages = await Promise.all(
      [one, two].map(({ name, stub }) =>
        runInDurableObject(stub, async (_, { storage }) => {
          const db = await open(storage, name);
          db.sql.exec(NOTES);
          for (let i = 0; i < 30; i += 1) db.sql.exec('INSERT INTO notes (key, value) VALUES (?, ?)', `${i}`, 'x'.repeat(900));
          db.close();
          return storage.sql.exec<{ box: ArrayBuffer }>('SELECT box FROM sealed_pages_1 WHERE no = 4').one().box;
        }),
      ),
    );
    await runInDurableObject(one.stub, async (_, { storage }) => {
      const flipped = new Uint8Array((pages[0] ?? new ArrayBuffer()).slice());
      flipped[100] = (flipped[100] ?? 0) ^ 4;
      const third = storage.sql.exec<{ box: ArrayBuffer }>('SELECT box FROM sealed_pages_1 WHERE no = 3').one().box;
      for (const box of [flipped.buffer, pages[1] ?? new ArrayBuffer(), third]) {
        storage.sql.exec('UPDATE sealed_pages_1 SET box = ? WHERE no = 4', box);
        const db = await open(storage, one.name);
        let caught: unknown;
        try {
          db.sql.exec('SELECT sum(length(value)) FROM notes');
        } catch (error) {
          caught = error;
        }
        expect(caught).toMatchObject({ code: 'tampered', page: 4 });
        db.close();
      }
      storage.sql.exec('UPDATE sealed_pages_1 SET box = ? WHERE no = 4', pages[0] ?? new ArrayBuffer());
      expect((await open(storage, one.name)).sql.exec('PRAGMA integrity_check').one()).toEqual({ integrity_check: 'ok' });
    });
  });

  it('M21, M31: rotation and compaction in an object end in the same rows under the new key', async () => {
    const { name, stub } = newObject();
    await runInDurableObject(stub, async (_, { storage }) => {
      const db = await open(storage, name);
      db.sql.exec(NOTES);
      db.transactionSync(() => {
        for (let i = 0; i < 700; i += 1) db.sql.exec('INSERT INTO notes (key, value) VALUES (?, ?)', `${i}`, `${i}`.repeat(200));
      });
      const sum = (): unknown => db.sql.exec('SELECT count(*) AS n, sum(length(value)) AS s FROM notes').one();
      const before = sum();
      db.startCompaction();
      await db.startRotation();
      while (db.maintenanceDueAtMs <= Date.now()) await db.maintain();
      expect(sum()).toEqual(before);
      expect(db.keyStatus).toMatchObject({ keyId: 2, olderKeyIds: [] });
      expect(storage.sql.exec('SELECT id FROM sealed_keys').toArray()).toEqual([{ id: 2 }]);
      db.importFile(db.exportFile());
      expect(sum()).toEqual(before);
    });
  });
});

describe('vectors in a Worker', () => {
  it('M43: the kernel runs here, too', () => {
    const index = new VectorIndex(loadDot(), 20);
    for (let id = 1; id <= 50; id += 1) index.set(id, encodeVector(Array.from({ length: 20 }, (_, i) => Math.sin(id * (i + 1)))));
    const query = Array.from({ length: 20 }, (_, i) => Math.sin(17 * (i + 1)));
    expect(index.search(query, 1, new Uint8Array(50).fill(1))[0]?.id).toBe(17);
  });
});
