import { describe, expect, it } from 'vitest';
import { SecretKeys } from '../../../wasm/sqlite/keys/secret-keys.ts';
import { Ledger } from '../../../wasm/sqlite/ledger.ts';
import { keyIdOf, PageCipher, SEALS_DUE, SEALS_MAX } from '../../../wasm/sqlite/page-cipher.ts';
import { PageStore } from '../../../wasm/sqlite/page-store.ts';
import { ROTATION_PERIOD_MS } from '../../../wasm/sqlite/rotation.ts';
import {
  addNotes,
  boxesOf,
  countOf,
  flipBit,
  IDENTITY,
  integrityOf,
  NOTES,
  openSealed,
  putBox,
  secretKeys,
  thrownBy,
} from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const START_MS = 1_800_000_000_000;
const keysOf = (storage: NodeStorage): readonly number[] =>
  storage.sql
    .exec<{ id: number }>('SELECT id FROM sealed_keys ORDER BY id')
    .toArray()
    .map(({ id }) => id);
const sealedUnder = (storage: NodeStorage, set = 1): ReadonlySet<number> =>
  new Set(boxesOf(storage, set).map(({ box }) => keyIdOf(box)));

async function filled(
  count = 1_500,
): Promise<{ storage: NodeStorage; clock: { nowMs: number }; open: () => ReturnType<typeof openSealed> }> {
  const storage = new NodeStorage();
  const clock = { nowMs: START_MS };
  const open = (): ReturnType<typeof openSealed> => openSealed(storage, { nowMs: () => clock.nowMs });
  const db = await open();
  db.sql.exec(NOTES);
  addNotes(db, count);
  return { storage, clock, open };
}

describe('rotation of data keys', { timeout: 30_000 }, () => {
  it('M21: pages move to the new key in bounded steps while the database is served', { timeout: 30_000 }, async () => {
    const { storage, open } = await filled();
    const db = await open();
    expect(await db.startRotation()).toBe(true);
    const pages = boxesOf(storage).length;
    let steps = 0;
    while (db.keyStatus.olderKeyIds.length > 0) {
      const before = boxesOf(storage).filter(({ box }) => keyIdOf(box) === 1).length;
      await db.maintain();
      expect(before - boxesOf(storage).filter(({ box }) => keyIdOf(box) === 1).length).toBeLessThanOrEqual(256);
      addNotes(db, 1, 10_000 + steps);
      db.sql.exec("UPDATE notes SET value = value || '!' WHERE id = ?", steps * 40 + 1);
      steps += 1;
    }
    expect(steps).toBeGreaterThan(pages / 256);
    expect(sealedUnder(storage)).toEqual(new Set([2]));
    expect(keysOf(storage)).toEqual([2]);
    const again = await open();
    expect(countOf(again)).toBe(1_500 + steps);
    expect(integrityOf(again)).toBe('ok');
  });

  it('M22: a rotation goes on where it was when the object comes back', { timeout: 30_000 }, async () => {
    const { storage, open } = await filled(3_000);
    await (await open()).startRotation();
    for (let i = 0; ; i += 1) {
      const db = await open();
      if (db.keyStatus.olderKeyIds.length === 0) break;
      expect(i).toBeLessThan(20);
      await db.maintain();
      db.close();
    }
    expect(sealedUnder(storage)).toEqual(new Set([2]));
    expect(integrityOf(await open())).toBe('ok');
  });

  it('M22: a step that fails in the host leaves both keys and goes on later', async () => {
    const { storage } = await filled(600);
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
    await expect(db.startRotation()).rejects.toThrow('disk full');
    failing = false;
    expect(keysOf(storage)).toEqual([1]);
    await db.startRotation();
    while (db.keyStatus.olderKeyIds.length > 0) {
      failing = true;
      await expect(db.maintain()).rejects.toThrow('disk full');
      failing = false;
      expect(countOf(db)).toBe(600);
      await db.maintain();
    }
    expect(sealedUnder(storage)).toEqual(new Set([2]));
    expect(countOf(await openSealed(storage))).toBe(600);
  });

  it('M23: the older key is destroyed only when restore points have left it, too', async () => {
    const { storage, open } = await filled(50);
    const db = await open();
    const file = db.exportFile();
    const point = db.importFile(file);
    await db.startRotation();
    while (db.keyStatus.olderKeyIds.length > 0) await db.maintain();
    expect(sealedUnder(storage, point)).toEqual(new Set([2]));
    expect(keysOf(storage)).toEqual([2]);
    db.restore(point);
    expect(countOf(db)).toBe(50);
  });

  it('M23: a restore point that goes while a rotation is under way is no trouble to it', async () => {
    const { storage, open } = await filled(400);
    const db = await open();
    const point = db.importFile(db.exportFile());
    const second = db.importFile(db.exportFile());
    await db.startRotation();
    await db.maintain();
    db.dropRestorePoint(point);
    await db.maintain();
    db.dropRestorePoint(second);
    for (let step = 0; db.maintenanceDueAtMs <= START_MS; step += 1) {
      expect(step).toBeLessThan(50);
      await db.maintain();
    }
    expect(keysOf(storage)).toEqual([2]);
    expect(countOf(await open())).toBe(400);
  });

  it('M24: a key is due after 90 days by default, or earlier if asked', async () => {
    const { clock, open, storage } = await filled(10);
    const db = await open();
    expect(db.maintenanceDueAtMs).toBe(START_MS + 90 * 86_400_000);
    expect(ROTATION_PERIOD_MS).toBe(90 * 86_400_000);
    expect(await db.maintain()).toBe(START_MS + ROTATION_PERIOD_MS);
    expect(db.keyStatus.keyId).toBe(1);
    clock.nowMs += ROTATION_PERIOD_MS;
    expect(await db.maintain()).toBe(clock.nowMs);
    expect(db.keyStatus).toMatchObject({ keyId: 2, createdAtMs: clock.nowMs, olderKeyIds: [1] });
    while (db.keyStatus.olderKeyIds.length > 0) await db.maintain();
    expect(db.maintenanceDueAtMs).toBe(clock.nowMs + ROTATION_PERIOD_MS);
    expect((await openSealed(storage, { nowMs: () => clock.nowMs, rotationPeriodMs: 1_000 })).maintenanceDueAtMs).toBe(
      clock.nowMs + 1_000,
    );
  });

  it('M25: a second rotation waits for the first, also when both were asked for at once', async () => {
    const { open } = await filled(20);
    const db = await open();
    expect(await Promise.all([db.startRotation(), db.startRotation()])).toEqual([true, false]);
    expect(await db.startRotation()).toBe(false);
    while (db.keyStatus.olderKeyIds.length > 0) await db.maintain();
    expect(await db.startRotation()).toBe(true);
    expect(db.keyStatus.keyId).toBe(3);
  });

  it('M26: a damaged page stops the rotation by name; the keys stay and the rest is served', async () => {
    const { storage, open } = await filled(40);
    const db = await open();
    await db.startRotation();
    const [, , page] = boxesOf(storage);
    putBox(storage, 2, flipBit(page?.box ?? new Uint8Array(), 700));
    await expect(db.maintain()).rejects.toMatchObject({ code: 'tampered', page: 2 });
    await expect(db.maintain()).rejects.toMatchObject({ code: 'tampered', page: 2 });
    expect(keysOf(storage)).toEqual([1, 2]);
    expect(db.sql.exec('SELECT key FROM notes WHERE id = 40').one()).toEqual({ key: 'key-39' });
    putBox(storage, 2, page?.box ?? new Uint8Array());
    while (db.keyStatus.olderKeyIds.length > 0) await db.maintain();
    expect(integrityOf(db)).toBe('ok');
  });
});

describe('how much a key seals', () => {
  const ledgerOf = (storage: NodeStorage): { ledger: Ledger; cipher: PageCipher; store: PageStore } => {
    const store = new PageStore(storage.sql);
    const cipher = new PageCipher(IDENTITY);
    cipher.addKey(1, new Uint8Array(32));
    store.create();
    return { store, cipher, ledger: Ledger.create({ store, cipher, region: IDENTITY.region, keyId: 1, nowMs: START_MS }) };
  };

  it('M18: the stored count is never below what was sealed, over restarts, and waking costs nothing', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage);
    db.sql.exec(NOTES);
    for (let i = 0; i < 30; i += 1) addNotes(db, 100, i * 100);
    expect(db.keyStatus.seals).toBeGreaterThanOrEqual(db.stats().pageWrites);
    expect(db.keyStatus.seals).toBeLessThan(db.stats().pageWrites + 20_000);
    const { seals } = db.keyStatus;
    for (let i = 0; i < 5; i += 1) expect((await openSealed(storage)).keyStatus.seals).toBe(seals);
  });

  it('M18: at half of the bound it is due, at the bound it seals no more', () => {
    const { ledger } = ledgerOf(new NodeStorage());
    ledger.spend(SEALS_DUE);
    expect(ledger.current.seals).toBeGreaterThanOrEqual(SEALS_DUE);
    ledger.spend(SEALS_MAX - SEALS_DUE - 4_096);
    expect(thrownBy(() => ledger.spend(4_097))).toMatchObject({ code: 'nonces_spent' });
  });

  it('M18: no nonce comes twice', () => {
    const { cipher } = ledgerOf(new NodeStorage());
    const nonces = Array.from({ length: 2_000 }, (_, no) =>
      cipher.seal({ kind: 'page', set: 1, no }, 1, new Uint8Array(8)).slice(4, 16).join(),
    );
    expect(new Set(nonces).size).toBe(2_000);
  });
});

describe('secrets that wrap data keys', () => {
  it('M20: each database has a data key of its own, wrapped for its identity', async () => {
    const keys = secretKeys();
    const [a, b] = await Promise.all([keys.generate(IDENTITY), keys.generate(IDENTITY)]);
    expect(a.plain).not.toEqual(b.plain);
    expect(await keys.unwrap(IDENTITY, a.wrapped)).toEqual(a.plain);
    for (const other of [{ region: 'us-east-1' }, { fleet: 'b' }, { database: 'c' }]) {
      await expect(keys.unwrap({ ...IDENTITY, ...other }, a.wrapped)).rejects.toMatchObject({ code: 'key_refused' });
    }
    expect(Buffer.from(a.wrapped).includes(Buffer.from(a.plain))).toBe(false);
  });

  it('M27: the first secret wraps; the others open what they have wrapped; an unknown one is a refusal', async () => {
    const secret = (fill: number): string => Buffer.alloc(32, fill).toString('base64');
    const old = SecretKeys.parse(`a:${secret(1)}`);
    const both = SecretKeys.parse(`b:${secret(2)}, a:${secret(1)}`);
    const { wrapped, plain } = await old.generate(IDENTITY);
    expect(await both.unwrap(IDENTITY, wrapped)).toEqual(plain);
    const fresh = await both.generate(IDENTITY);
    await expect(old.unwrap(IDENTITY, fresh.wrapped)).rejects.toMatchObject({
      code: 'key_refused',
      message: expect.stringContaining('b'),
    });
    await expect(both.unwrap(IDENTITY, new Uint8Array(3))).rejects.toMatchObject({ code: 'key_refused' });
    await expect(both.unwrap(IDENTITY, new Uint8Array())).rejects.toMatchObject({ code: 'key_refused' });
  });

  it.each([
    '',
    'a',
    'a:',
    'a:c2hvcnQ=',
    `a b:${Buffer.alloc(32).toString('base64')}`,
    `a:${Buffer.alloc(32).toString('base64')},a:${Buffer.alloc(32).toString('base64')}`,
  ])('M27: %j is no set of secrets', (text) => {
    expect(() => SecretKeys.parse(text)).toThrow();
  });

  it('M27: a rotation moves to the first secret, after which the other one is not needed', async () => {
    const storage = new NodeStorage();
    const one = new Uint8Array(32).fill(1);
    const two = new Uint8Array(32).fill(2);
    const db = await openSealed(storage, { keys: new SecretKeys(new Map([['one', one]])) });
    db.sql.exec(NOTES);
    addNotes(db, 5);
    const both = await openSealed(storage, {
      keys: new SecretKeys(
        new Map([
          ['two', two],
          ['one', one],
        ]),
      ),
    });
    await both.startRotation();
    while (both.keyStatus.olderKeyIds.length > 0) await both.maintain();
    expect(countOf(await openSealed(storage, { keys: new SecretKeys(new Map([['two', two]])) }))).toBe(5);
  });
});
