import type { Connection, Row, Value } from './connection.ts';
import { SealedError } from './errors.ts';

/** The log and the triggers of a compaction begin with this; nobody else's names do. */
export const COMPACTION_PREFIX = 'sealed_compaction';

/** Columns of a primary key that the log of a compaction has room for. */
export const KEY_COLUMNS_MAX = 4;

/** One object of a schema, as `sqlite_master` has it. */
export interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

/** A table that has pages of its own: ordinary ones, and those behind a full-text index. */
export interface StoredTable {
  readonly name: string;
  /** What tells its rows apart: the row id, or the primary key where there is none. */
  readonly key: readonly string[];
  /** All columns that can be written, without the row id. */
  readonly columns: readonly string[];
  /** It belongs to a full-text index. */
  readonly isShadow: boolean;
}

/**
 * Without SQLite's own objects, those of a compaction, and the tables behind a full-text index, which come with it; in the
 * order in which they were made.
 */
export function schemaOf(connection: Connection): readonly SchemaObject[] {
  return connection
    .exec<SchemaObject & Row>(
      `SELECT type, name, sql FROM sqlite_master
     WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '${COMPACTION_PREFIX}*'
       AND tbl_name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow') ORDER BY rowid`,
      [],
    )
    .toArray();
}

export function storedTablesOf(connection: Connection): readonly StoredTable[] {
  return connection
    .exec<{ name: string; type: string; wr: number }>(
      `SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')
       AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '${COMPACTION_PREFIX}*' ORDER BY name`,
      [],
    )
    .toArray()
    .map(({ name, type, wr }) => ({ ...describe(connection, name, wr === 1), isShadow: type === 'shadow' }));
}

function describe(connection: Connection, name: string, withoutRowid: boolean): Omit<StoredTable, 'isShadow'> {
  const query = 'SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid';
  const columns = connection.exec<{ name: string; pk: number }>(query, [name]).toArray();
  const names = columns.map((column) => column.name);
  if (!withoutRowid) return { name, key: ['_rowid_'], columns: names };
  const key = columns
    .filter(({ pk }) => pk > 0)
    .toSorted((a, b) => a.pk - b.pk)
    .map((column) => column.name);
  if (key.length > KEY_COLUMNS_MAX) {
    throw new SealedError('incompatible', `${name} has a primary key of more than ${KEY_COLUMNS_MAX} columns`);
  }
  return { name, key, columns: names };
}

/**
 * Rows of `table` behind `after` in the order of its key, at most `limit`: the key first, then the columns. `after` null: from
 * the beginning.
 */
export function rowsAfter(
  connection: Connection,
  table: StoredTable,
  after: readonly Value[] | null,
  limit: number,
): readonly (readonly Value[])[] {
  const key = table.key.map(quoted).join(', ');
  const where = after === null ? '' : `WHERE (${key}) > (${after.map(() => '?').join(', ')})`;
  return connection.values(
    `SELECT ${key}, ${table.columns.map(quoted).join(', ')} FROM ${quoted(table.name)} ${where} ORDER BY ${key} LIMIT ?`,
    [...(after ?? []), limit],
  );
}

/** The row with this key, in the form of `rowsAfter`. */
export function rowOf(connection: Connection, table: StoredTable, key: readonly Value[]): readonly Value[] | undefined {
  const columns = [...table.key, ...table.columns].map(quoted).join(', ');
  return connection.values(`SELECT ${columns} FROM ${quoted(table.name)} WHERE ${keyIs(table)}`, key)[0];
}

/** The last key of the table, null when it is empty. */
export function lastKeyOf(connection: Connection, table: StoredTable): readonly Value[] | null {
  const order = table.key.map((column) => `${quoted(column)} DESC`).join(', ');
  return (
    connection.values(`SELECT ${table.key.map(quoted).join(', ')} FROM ${quoted(table.name)} ORDER BY ${order} LIMIT 1`, [])[0] ??
    null
  );
}

/** Writes a row of `rowsAfter`. A row it would clash with is an older state of what the source has changed, so it goes. */
export function writeRow(connection: Connection, table: StoredTable, row: readonly Value[]): void {
  // A row id is written as such; a primary key is among the columns.
  const withRowid = table.key[0] === '_rowid_';
  const columns = withRowid ? [...table.key, ...table.columns] : table.columns;
  const values = withRowid ? row : row.slice(table.key.length);
  connection.values(
    `INSERT OR REPLACE INTO ${quoted(table.name)} (${columns.map(quoted).join(', ')}) VALUES (${values.map(placeholder).join(', ')})`,
    values,
  );
}

export function deleteRow(connection: Connection, table: StoredTable, key: readonly Value[]): void {
  connection.values(`DELETE FROM ${quoted(table.name)} WHERE ${keyIs(table)}`, key);
}

/** The engine binds 3.0 like 3, and large integers as doubles; where a column has no type, the value must say it. */
function placeholder(value: Value): string {
  if (typeof value === 'bigint') return 'CAST(? AS INTEGER)';
  return typeof value === 'number' ? 'CAST(? AS REAL)' : '?';
}

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const keyIs = (table: StoredTable): string => table.key.map((column) => `${quoted(column)} IS ?`).join(' AND ');
