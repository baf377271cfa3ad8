import { SecretKeys } from '../../wasm/sqlite/keys/secret-keys.ts';
import { loadSqlJs } from '../../wasm/sqlite/load-node.ts';
import { SealedDatabase, type SealedDatabaseOptions } from '../../wasm/sqlite/sealed-database.ts';
import type { DatabaseIdentity, HostStorage } from '../../wasm/sqlite/types.ts';
import { NodeStorage } from './sql-storage.ts';

export const IDENTITY: DatabaseIdentity = { region: 'eu-west-1', fleet: 'acme', database: 'eu-west-1/acme/swarm-1' };

export const secretKeys = (fill = 7): SecretKeys => new SecretKeys(new Map([[`s${fill}`, new Uint8Array(32).fill(fill)]]));

/** A sealed database over a storage in memory, or over the one given. */
export function openSealed(
  storage: HostStorage = new NodeStorage(),
  over: Partial<SealedDatabaseOptions> = {},
): Promise<SealedDatabase> {
  return SealedDatabase.open({ storage, identity: IDENTITY, keys: secretKeys(), engine: loadSqlJs, ...over });
}

export const NOTES = 'CREATE TABLE notes (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL) STRICT';

export function addNotes(db: SealedDatabase, count: number, from = 0): void {
  db.transactionSync(() => {
    for (let i = from; i < from + count; i += 1)
      db.sql.exec('INSERT INTO notes (key, value) VALUES (?, ?)', `key-${i}`, noteOf(i));
  });
}

/** About a kilobyte, different for each. */
export const noteOf = (i: number): string => `secretvalue-${i}-${`${i * 7919}`.repeat(200)}`.slice(0, 1_000);

export const countOf = (db: SealedDatabase, table = 'notes'): number =>
  db.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n;

export const integrityOf = (db: SealedDatabase): unknown => db.sql.exec('PRAGMA integrity_check').one()['integrity_check'];

export interface StoredBox {
  readonly no: number;
  readonly box: Uint8Array;
}

export const boxesOf = (storage: NodeStorage, set = 1): readonly StoredBox[] =>
  storage.sql
    .exec<{ no: number; box: ArrayBuffer }>(`SELECT no, box FROM sealed_pages_${set} ORDER BY no`)
    .toArray()
    .map(({ no, box }) => ({ no, box: new Uint8Array(box) }));

export function putBox(storage: NodeStorage, no: number, box: Uint8Array, set = 1): void {
  storage.sql.exec(`UPDATE sealed_pages_${set} SET box = ? WHERE no = ?`, box.slice().buffer, no);
}

export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice();
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return flipped;
}

/** The error a call throws, for a look at its fields. */
export function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
