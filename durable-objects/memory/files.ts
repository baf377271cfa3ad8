import type { FleetError } from '../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../shared/memory-limits.ts';
import type { MemoryHome } from '../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Caller } from '../../shared/rpc.ts';
import type { Row, SqlValue } from './core/sql.ts';
import { migrate } from '../lib/migrate.ts';
import { MEMORY_MIGRATIONS } from './migrations.ts';
import type { SealedDatabase } from '../../wasm/sqlite/sealed-database.ts';
import type { SqlJs, SqlJsDatabase } from '../../wasm/sqlite/sql-js.ts';
import { EXPORT_BYTES_MAX, IMPORT_BYTES_MAX } from '../../wasm/sqlite/transfer.ts';
import { narrowing } from './core/let-out.ts';
import { audit, event, noteAgent } from './core/records.ts';
import { shardOf } from './core/shards.ts';
import { readerOf } from './core/step.ts';
import { takeIn, type FileEntry } from './core/take-in.ts';
import { copyOfReadable } from './large-file.ts';
import type { MemoryEngine } from './memory-engine.ts';

/*
 * Memories as standard SQLite files. What leaves is narrowed to what the caller may read, in a copy that never touches storage;
 * what comes in is read as foreign data, entry by entry.
 */

/** A file of what the caller may read. */
export function exportFile(
  open: { readonly database: SealedDatabase; readonly engine: MemoryEngine },
  engine: SqlJs,
  caller: Caller,
  place: { readonly swarm: string; readonly nowMs: number },
): Uint8Array<ArrayBuffer> {
  const who = readerOf(caller, place.swarm);
  const copy =
    open.database.databaseSize > EXPORT_BYTES_MAX
      ? copyOfReadable(open.database.sql, engine, who, place.nowMs)
      : new engine.Database(open.database.exportFile());
  try {
    for (const { text, values } of narrowing(who, place.nowMs)) {
      step(copy, text, values);
    }
    // Packed anew: pages that were freed still hold what was deleted.
    copy.run('VACUUM');
    const file = copy.export();
    open.engine.within(caller, (now) => {
      noteAgent(now);
      event(now, 'memory.exported', {});
      audit(now, 'export', file.byteLength);
    });
    return file;
  } finally {
    copy.close();
  }
}

function step(database: SqlJsDatabase, text: string, values: readonly SqlValue[]): void {
  const statement = database.prepare(text);
  statement.bind(values.map((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value)));
  statement.step();
  statement.free();
}

/** The file of a memory that was never written: as that of one in which the caller may see nothing. */
export function emptyFile(engine: SqlJs): Uint8Array<ArrayBuffer> {
  const empty = new engine.Database();
  try {
    empty.run('PRAGMA page_size=4096');
    // Whole tables only, so nothing needs to be answered.
    const exec = (query: string, ...bindings: SqlValue[]): { toArray: () => Row[]; rowsWritten: number } => {
      step(empty, query, bindings);
      return { toArray: () => [], rowsWritten: 0 };
    };
    migrate({ sql: { exec } as never, transactionSync: (body) => body() }, MEMORY_MIGRATIONS);
    empty.run('VACUUM');
    return empty.export();
  } finally {
    empty.close();
  }
}

const unusable = (detail: string): FleetError => ({ kind: 'validation_failed', errors: [{ path: '', message: detail }], detail });

/**
 * Takes the entries of a file in. The state before is kept as a restore point; the entries come in with one transaction.
 * Lists, histories and artifacts of the file are left out: they belong to the memory that they were made in.
 */
export function importFile(
  open: { readonly database: SealedDatabase; readonly engine: MemoryEngine },
  engine: SqlJs,
  caller: Caller,
  file: Uint8Array<ArrayBuffer>,
  { shard, shards = 1 }: Pick<MemoryHome, 'shard' | 'shards'> = { shard: 0 },
  reason = 'before an import',
): Result<{ readonly restorePoint: string; readonly entries: number; readonly skipped: number }, FleetError> {
  if (open.database.databaseSize > IMPORT_BYTES_MAX) {
    const limit = IMPORT_BYTES_MAX;
    return err({
      kind: 'quota_exceeded',
      scope: 'swarm',
      limit,
      detail: 'This memory is too large for a restore point, and so for an import.',
    });
  }
  const read = readEntries(engine, file);
  if (!read.ok) return read;
  const restorePoint = open.database.importFile(open.database.exportFile(), undefined, reason);
  const entries = open.engine.within(caller, (step) => {
    // Each shard is given the whole file and takes what is its own.
    const isOurs = ({ key }: FileEntry): boolean => typeof key === 'string' && shardOf(key, shards) === shard;
    const taken = read.value.filter((entry) => isOurs(entry) && takeIn(step, entry)).length;
    event(step, 'memory.imported', { entries: taken });
    audit(step, 'import', taken, { restorePoint, skipped: read.value.length - taken });
    return taken;
  });
  return ok({ restorePoint: String(restorePoint), entries, skipped: read.value.length - entries });
}

/** A row of a file is some dozens of bytes at least, and costs ten times that in memory. */
const IMPORT_ENTRIES_MAX = 50_000;
const MAGIC = 'SQLite format 3\0';

function readEntries(engine: SqlJs, file: Uint8Array<ArrayBuffer>): Result<readonly FileEntry[], FleetError> {
  if (new TextDecoder('latin1').decode(file.subarray(0, MAGIC.length)) !== MAGIC) return err(unusable('is no SQLite file'));
  let source: SqlJsDatabase | undefined;
  try {
    source = new engine.Database(file);
    source.run('PRAGMA trusted_schema=OFF');
    if (cell(source, 'PRAGMA integrity_check(1)') !== 'ok') return err(unusable('is a damaged SQLite file'));
    // A view or a virtual table of that name could be anything.
    const kind = cell(source, "SELECT type || ' ' || upper(substr(trim(sql), 1, 12)) FROM sqlite_master WHERE name = 'memory'");
    if (kind !== 'table CREATE TABLE') return err(unusable('has no table memory'));
    // A generated column makes any number of bytes out of a small file.
    if (cell(source, "SELECT COUNT(*) FROM pragma_table_xinfo('memory') WHERE hidden <> 0") !== 0)
      return err(unusable('has a table memory with generated columns'));
    if (Number(cell(source, 'SELECT COUNT(*) FROM memory')) > IMPORT_ENTRIES_MAX)
      return err(unusable(`has more than ${IMPORT_ENTRIES_MAX} entries`));
    return ok(rowsOf(source));
  } catch {
    return err(unusable('is a SQLite file that cannot be read'));
  } finally {
    source?.close();
  }
}

const cell = (source: SqlJsDatabase, query: string): unknown => source.exec(query)[0]?.values[0]?.[0];

function rowsOf(source: SqlJsDatabase): readonly FileEntry[] {
  const [result] = source.exec(`SELECT * FROM memory LIMIT ${MEMORY_LIMITS.entriesPerShard}`);
  if (result === undefined) return [];
  return result.values.map(
    (values) => Object.fromEntries(result.columns.map((name, i) => [name, values[i]])) as unknown as FileEntry,
  );
}
