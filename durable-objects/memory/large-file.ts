import { MEMORY_LIMITS } from '../../shared/memory-limits.ts';
import { migrate } from '../lib/migrate.ts';
import { SealedError } from '../../wasm/sqlite/errors.ts';
import type { SqlJs, SqlJsDatabase } from '../../wasm/sqlite/sql-js.ts';
import { EXPORT_BYTES_MAX } from '../../wasm/sqlite/transfer.ts';
import { grants, isInside, type Reader } from './core/acl.ts';
import { permitted } from './core/entry-rows.ts';
import { isOver } from './core/fences.ts';
import { raw, rows, sql, type Fragment, type Row, type Sql, type SqlValue } from './core/sql.ts';
import { MEMORY_MIGRATIONS } from './migrations.ts';

/** Rows that are in memory at one time; one may be a value of a megabyte. */
const ROWS_AT_ONCE = 8;
const SMALL_ROWS_AT_ONCE = 1_000;

/**
 * A database too large to be copied as a whole, row by row instead: what this reader may read, and no more than a file may have.
 * So what makes a file too large is what its reader sees, and never what it does not. `narrowing` is run on it as on a whole copy.
 * The index of words is left out.
 */
export function copyOfReadable(db: Sql, engine: SqlJs, who: Reader, nowMs: number): SqlJsDatabase {
  const copy = new engine.Database();
  copy.run('PRAGMA page_size=4096');
  const exec = (query: string, ...bindings: SqlValue[]): { toArray: () => Row[]; rowsWritten: number } => {
    insert(copy, query, bindings);
    return { toArray: () => [], rowsWritten: 0 };
  };
  migrate({ sql: { exec } as never, transactionSync: (body) => body() }, MEMORY_MIGRATIONS);
  exec('DELETE FROM counters');
  let bytes = 0;
  const put = (table: string, row: Row): void => {
    const values = Object.values(row);
    bytes += values.reduce<number>((sum, value) => sum + sizeOf(value), 0);
    if (bytes > EXPORT_BYTES_MAX) throw new SealedError('too_large', 'what may be read is larger than a file may be');
    exec(`INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${values.map(() => '?').join(', ')})`, ...values);
  };
  try {
    for (const part of parts(who, nowMs)) {
      for (const row of rowsOf(db, part)) {
        put(part.table, row);
        if (part.table !== 'memory') continue;
        for (const right of rows<Row>(db, sql`SELECT * FROM permissions WHERE memory_id = ${row['id'] ?? null}`))
          put('permissions', right);
      }
    }
    exec('UPDATE memory SET terms = 0');
    return copy;
  } catch (error) {
    copy.close();
    throw error;
  }
}

function* rowsOf(db: Sql, { table, key, where }: Part): Generator<Row> {
  const limit = key === null ? MEMORY_LIMITS.dependencies : LARGE.has(table) ? ROWS_AT_ONCE : SMALL_ROWS_AT_ONCE;
  for (let after: SqlValue | null = null; ;) {
    const from: Fragment = key === null || after === null ? sql`1` : sql`t.${raw(key)} > ${after}`;
    const order = key === null ? sql`` : sql`ORDER BY t.${raw(key)}`;
    const found: Row[] = rows<Row>(db, sql`SELECT t.* FROM ${raw(table)} t WHERE ${from} AND ${where} ${order} LIMIT ${limit}`);
    yield* found;
    const last = found.at(-1);
    if (key === null || last === undefined || found.length < limit) return;
    after = last[key] ?? null;
  }
}

const LARGE: ReadonlySet<string> = new Set(['memory', 'versions', 'artifact_chunks', 'vectors']);

interface Part {
  readonly table: string;
  /** One column that is unique and in the order of which rows are read; null: they are few, and read at once. */
  readonly key: string | null;
  readonly where: Fragment;
}

function parts(who: Reader, nowMs: number): readonly Part[] {
  const entry = sql`EXISTS (SELECT 1 FROM memory m WHERE m.id = t.memory_id AND ${permitted({ who, nowMs }, 'read')})`;
  const artifact = (row: string): Fragment =>
    sql`${grants(who, 'read', { row })} AND ${raw(`${row}.completed_at`)} IS NOT NULL
      AND (${raw(`${row}.expires_at`)} IS NULL OR ${raw(`${row}.expires_at`)} > ${nowMs})`;
  const seen = sql`${grants(who, 'read', { row: 't', entry: 't.memory_id' })} AND (t.memory_id IS NULL OR ${entry})`;
  const inside = isInside(who) ? sql`1` : sql`0`;
  const runs = who.role === 'operator' || who.role === 'admin' ? sql`1` : sql`0`;
  return [
    { table: 'counters', key: 'id', where: sql`1` },
    { table: 'settings', key: 'id', where: inside },
    { table: 'agents', key: 'id', where: inside },
    { table: 'tasks', key: 'id', where: inside },
    { table: 'decisions', key: 'task_id', where: inside },
    { table: 'consensus', key: 'id', where: inside },
    {
      table: 'resources',
      key: 'id',
      where: sql`${inside} AND t.id IN (SELECT r.id FROM resources r WHERE NOT ${isOver(nowMs)})`,
    },
    { table: 'dependencies', key: null, where: inside },
    {
      table: 'memory',
      key: 'id',
      where: sql`t.id IN (SELECT m.id FROM memory m WHERE m.id = t.id AND ${permitted({ who, nowMs }, 'read')})`,
    },
    {
      table: 'versions',
      key: 'id',
      where: sql`${entry} AND ${grants(who, 'read', { row: 't', entry: 't.memory_id', version: 't.version' })}`,
    },
    { table: 'vectors', key: 'memory_id', where: entry },
    { table: 'events', key: 'id', where: seen },
    { table: 'conflicts', key: 'id', where: seen },
    { table: 'artifacts', key: 'id', where: artifact('t') },
    {
      table: 'artifact_chunks',
      key: 'id',
      where: sql`EXISTS (SELECT 1 FROM artifacts a WHERE a.id = t.artifact_id AND ${artifact('a')})`,
    },
    { table: 'audit', key: 'id', where: runs },
  ];
}

const sizeOf = (value: SqlValue | null | undefined): number =>
  typeof value === 'string' ? value.length : value instanceof ArrayBuffer ? value.byteLength : 9;

function insert(database: SqlJsDatabase, text: string, values: readonly SqlValue[]): void {
  const statement = database.prepare(text);
  try {
    statement.bind(values.map((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value)));
    statement.step();
  } finally {
    statement.free();
  }
}
