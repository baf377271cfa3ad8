import type { SqlDatabase } from './sql.ts';

/**
 * One step of a schema: statements, run in order. Its name is stored for ever: a step that has been released is never
 * changed, renamed or removed.
 */
export interface Migration {
  readonly name: string;
  readonly sql: readonly string[];
}

export interface MigrationStorage {
  readonly sql: SqlDatabase;
  transactionSync<T>(closure: () => T): T;
}

/** The stored state was written by other code than this. Serving it would damage it, so the object must not start. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

/**
 * Brings the schema up to the end of `migrations`, each step in a transaction with the row that records it. The names
 * applied before must be the beginning of the list, in order: a renamed, missing or reordered one is an error. State that
 * a newer version wrote is refused, too, as its names are not in the list.
 *
 * Call it in the object's constructor. It answers how many steps it applied; a current schema costs one read.
 */
export function migrate(storage: MigrationStorage, migrations: readonly Migration[]): number {
  const { sql } = storage;
  checkNames(migrations);
  sql.exec('CREATE TABLE IF NOT EXISTS schema_migrations (position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT');
  const applied = sql
    .exec<{ position: number; name: string }>('SELECT position, name FROM schema_migrations ORDER BY position')
    .toArray();
  for (const [index, row] of applied.entries()) {
    const expected = migrations[index]?.name;
    if (row.position !== index || row.name !== expected) {
      throw new MigrationError(
        `stored migration ${row.position} is "${row.name}", the code has ${expected === undefined ? 'none' : `"${expected}"`} at ${index}`,
      );
    }
  }
  const due = migrations.slice(applied.length);
  for (const [offset, migration] of due.entries()) {
    storage.transactionSync(() => {
      for (const statement of migration.sql) sql.exec(statement);
      sql.exec('INSERT INTO schema_migrations (position, name) VALUES (?, ?)', applied.length + offset, migration.name);
    });
  }
  return due.length;
}

function checkNames(migrations: readonly Migration[]): void {
  const names = new Set<string>();
  for (const { name } of migrations) {
    if (names.has(name)) throw new MigrationError(`two migrations are named "${name}"`);
    names.add(name);
  }
}
