import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { SecretKeys } from '../../wasm/sqlite/keys/secret-keys.ts';
import { loadSqlJs } from '../../wasm/sqlite/load-node.ts';
import { SealedDatabase } from '../../wasm/sqlite/sealed-database.ts';
import { NodeStorage } from '../../test/lib/sql-storage.ts';
import type { Found } from './fleet-ledger.ts';

/** What a memory's file holds, opened by this process: nothing of the object that wrote it is trusted. */
export interface SealedState {
  readonly integrity: string;
  readonly entries: ReadonlyMap<string, Found>;
  readonly keyId: number;
  readonly isRotating: boolean;
  readonly isCompacting: boolean;
}

/** The files of the one MemoryObject of a state directory, copied. The process that writes them must stand still. */
export function copyOf(storage: string, into: string): string {
  const [file, ...others] = readdirSync(storage, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.includes('MemoryObject') && name.endsWith('.sqlite') && !name.endsWith('metadata.sqlite'),
  );
  if (file === undefined || others.length > 0) throw new Error(`${others.length + Number(file !== undefined)} memories`);
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const copy = path.join(into, 'memory.sqlite');
  copyFileSync(path.join(storage, file), copy);
  const log = path.join(storage, `${file}-wal`);
  if (existsSync(log)) copyFileSync(log, `${copy}-wal`);
  return copy;
}

/** Whether a rotation or a compaction is under way: its pages are under two keys, or in two sets. Takes a millisecond. */
export function upkeepOf(copy: string): Pick<SealedState, 'isRotating' | 'isCompacting'> {
  const storage = new NodeStorage(copy);
  try {
    const count = (query: string): number => storage.sql.exec<{ n: number }>(query).one().n;
    return {
      isRotating: count('SELECT COUNT(*) AS n FROM sealed_keys') > 1,
      isCompacting: count("SELECT COUNT(*) AS n FROM sqlite_master WHERE name GLOB 'sealed_pages_*'") > 1,
    };
  } finally {
    storage.close();
  }
}

export async function readCopy(
  copy: string,
  options: { readonly secrets: string; readonly database: string },
): Promise<SealedState> {
  const upkeep = upkeepOf(copy);
  const storage = new NodeStorage(copy);
  const [region = '', fleet = ''] = options.database.split('/');
  try {
    const db = await SealedDatabase.open({
      storage,
      identity: { region, fleet, database: options.database },
      keys: SecretKeys.parse(options.secrets),
      engine: loadSqlJs,
    });
    const integrity = db.sql
      .exec<{ integrity_check: string }>('PRAGMA integrity_check')
      .toArray()
      .map((row) => row.integrity_check)
      .join('; ');
    const entries = db.sql
      .exec<{ key: string; value: string; version: number }>('SELECT key, value, version FROM memory')
      .toArray()
      .map(({ key, value, version }): [string, Found] => [key, { value: JSON.parse(value) as unknown, version }]);
    const { keyId } = db.keyStatus;
    db.close();
    return { ...upkeep, integrity, entries: new Map(entries), keyId };
  } finally {
    storage.close();
  }
}
