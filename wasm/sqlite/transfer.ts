import { Connection, type Pages, type Row, type Value } from './connection.ts';
import { copySequences } from './compaction.ts';
import { SealedError } from './errors.ts';
import type { Engine, Internals } from './internals.ts';
import type { RestorePoint } from './ledger.ts';
import { copyRows, createSet, type OpenSet, withSet } from './page-sets.ts';
import { PAGE_BYTES } from './squeeze.ts';
import { quoted, schemaOf, type StoredTable, storedTablesOf } from './tables.ts';

/** A file is held in memory as a whole when it comes in, twice for a moment; an isolate has 128 MB. */
export const IMPORT_BYTES_MAX = 24 * 2 ** 20;
/** Of `exportFile`; larger ones leave in chunks. */
export const EXPORT_BYTES_MAX = 48 * 2 ** 20;
export const RESTORE_POINTS_MAX = 4;
const CHUNK_PAGES = 256;
/** Rows and bytes that are written between two flushes of an import. */
const FLUSH_ROWS = 2_048;
const FLUSH_BYTES = 4 * 2 ** 20;
const MAGIC = 'SQLite format 3\0';

/** Reads rows of a file that is about to be taken in. */
export type FileReader = (query: string, ...bindings: (string | number | null)[]) => readonly Row[];

/**
 * The database as a standard SQLite file, in pieces of a megabyte at most: page after page, in clear. Throws `changed` when the
 * database was written between two pieces.
 */
export function* exportChunks(internals: Internals, commits: () => number): Generator<Uint8Array<ArrayBuffer>> {
  const { connection } = internals.engine();
  const [count, commitsBefore] = [connection.pageCount, commits()];
  for (let from = 0; from < count; from += CHUNK_PAGES) {
    if (commits() !== commitsBefore) throw new SealedError('changed', 'the database was written while it was exported');
    const { pager } = internals.engine();
    const chunk = new Uint8Array(Math.min(CHUNK_PAGES, count - from) * PAGE_BYTES);
    for (let at = 0; at < chunk.length; at += PAGE_BYTES) chunk.set(pager.page(from + at / PAGE_BYTES), at);
    yield chunk;
  }
}

/**
 * Replaces the rows by those of a file with exactly this schema; the state before stays as a restore point, whose id is
 * answered. Nothing of the file's own is trusted: not its schema (it is only compared), not its indexes, which are built anew.
 * `accept` may look at its rows and throw. One host transaction.
 */
export function importFile(internals: Internals, file: Uint8Array, accept: (read: FileReader) => void, reason: string): number {
  if (file.length > IMPORT_BYTES_MAX) throw new SealedError('too_large', `a file may have ${IMPORT_BYTES_MAX} bytes`);
  const source = openFile(internals, file);
  try {
    checkFile(source, internals.engine().connection);
    accept((query, ...bindings) => {
      if (source.kindOf(query) !== 'read') throw new SealedError('forbidden', 'a file is only read');
      return source.exec<Row>(query, bindings).toArray();
    });
    return internals.step((engine) => takeIn(internals, engine, source, reason));
  } finally {
    source.close();
  }
}

/** Serves the state of a restore point again; what it replaces becomes one. Answers the id of that. */
export function restore(internals: Internals, id: number, reason: string): number {
  return internals.step(({ ledger }) => {
    const { restorePoints, compaction } = ledger.header;
    if (compaction !== null) throw new SealedError('changed', 'a compaction is under way');
    const point = restorePoints.find((candidate) => candidate.id === id);
    if (point === undefined) throw new SealedError('incompatible', `there is no restore point ${id}`);
    const others = restorePoints.filter((candidate) => candidate !== point);
    const replaced = serve(internals, ledger, point, reason, others);
    ledger.save();
    return replaced;
  });
}

export function dropRestorePoint(internals: Internals, id: number): void {
  internals.step(({ ledger }) => {
    const { restorePoints, doomed } = ledger.header;
    if (!restorePoints.some((point) => point.id === id)) return;
    ledger.change({ restorePoints: restorePoints.filter((point) => point.id !== id), doomed: [...doomed, id] });
    ledger.save();
  });
}

function takeIn(internals: Internals, engine: Engine, source: Connection, reason: string): number {
  const { ledger } = engine;
  if (ledger.header.compaction !== null) throw new SealedError('changed', 'a compaction is under way');
  const set = createSet(internals, engine);
  const schema = schemaOf(engine.connection);
  const pages = withSet(internals, engine, { set, pages: 1 }, ({ connection: target, write }) => {
    write(() => {
      for (const { type, sql } of schema) if (type === 'table' || type === 'index') target.exec(sql, []);
    });
    for (const table of storedTablesOf(target)) {
      if (table.isShadow && !isContent(table)) continue;
      copyTable(source, target, table, write);
    }
    write(() => {
      copySequences(source, target);
      // A full-text index is made from its rows, not taken from the file.
      for (const { name, sql } of schema) {
        if (/^CREATE\s+VIRTUAL\s+TABLE/i.test(sql))
          target.exec(`INSERT INTO ${quoted(name)} (${quoted(name)}) VALUES ('rebuild')`, []);
      }
      for (const { type, sql } of schema) if (type === 'trigger' || type === 'view') target.exec(sql, []);
    });
    const [broken] = target.exec('PRAGMA foreign_key_check', []).toArray();
    if (broken !== undefined) throw new SealedError('incompatible', 'a row of the file refers to one that is not there');
    return target.pageCount;
  });
  const replaced = serve(internals, ledger, { id: set, pages }, reason, ledger.header.restorePoints);
  ledger.save();
  return replaced;
}

/** A table, in pieces whose pages are in storage before the next one is read. */
function copyTable(source: Connection, target: Connection, table: StoredTable, write: OpenSet['write']): void {
  for (let after: readonly Value[] | null = null; ;) {
    const from = { after, rowsMax: FLUSH_ROWS, bytesMax: FLUSH_BYTES };
    let last: readonly Value[] | null = null;
    write(() => (last = copyRows(source, target, table, from)));
    if (last === null) return;
    after = last;
  }
}

/** Makes `next` the served set, and the present one a restore point. */
function serve(
  internals: Internals,
  ledger: Engine['ledger'],
  next: Pick<RestorePoint, 'id' | 'pages'>,
  reason: string,
  others: readonly RestorePoint[],
): number {
  const { set, pages, doomed } = ledger.header;
  const points = [...others, { id: set, pages, createdAtMs: internals.nowMs(), reason }];
  const dropped = points.slice(0, -RESTORE_POINTS_MAX);
  ledger.change({
    set: next.id,
    pages: next.pages,
    restorePoints: points.slice(dropped.length),
    doomed: [...doomed, ...dropped.map(({ id }) => id)],
  });
  return set;
}

function openFile(internals: Internals, file: Uint8Array): Connection {
  const isDatabase = file.length >= PAGE_BYTES / 8 && new TextDecoder('latin1').decode(file.subarray(0, MAGIC.length)) === MAGIC;
  if (!isDatabase) throw new SealedError('incompatible', 'this is no SQLite file');
  try {
    return new Connection({ engine: internals.sqlJs, pager: plainPages(file), pages: 0, cacheBytes: PAGE_BYTES });
  } catch (cause) {
    throw new SealedError('incompatible', 'this SQLite file cannot be opened', { cause });
  }
}

function checkFile(source: Connection, ours: Connection): void {
  let found: unknown;
  try {
    found = source.exec('PRAGMA integrity_check(1)', []).toArray()[0]?.['integrity_check'];
  } catch (cause) {
    throw new SealedError('incompatible', 'this SQLite file is damaged', { cause });
  }
  if (found !== 'ok') throw new SealedError('incompatible', 'this SQLite file is damaged');
  const text = (connection: Connection): string =>
    JSON.stringify(
      schemaOf(connection)
        .map(({ sql }) => sql)
        .toSorted(),
    );
  if (text(source) !== text(ours)) throw new SealedError('incompatible', 'the file has another schema');
}

/** A file in memory, as it is. */
function plainPages(file: Uint8Array): Pages {
  const copy = file.slice();
  // A file of WAL mode says so in two bytes; without its log it is whole, but would be refused.
  copy[18] = 1;
  copy[19] = 1;
  return { image: () => copy, hasPending: true, detached: false, takeFault: () => null };
}

/** The rows that a full-text index was made of, as opposed to the index. */
const isContent = (table: StoredTable): boolean => table.name.endsWith('_content');
