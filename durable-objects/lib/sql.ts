/** What our SQL code uses of `SqlStorage`: the platform's satisfies it, and so does the adapter of the tests over node:sqlite. */
export interface SqlDatabase {
  exec<T extends Record<string, SqlStorageValue>>(query: string, ...bindings: SqlStorageValue[]): SqlCursor<T>;
  readonly databaseSize: number;
}

export interface SqlCursor<T> {
  toArray(): T[];
  /** The only row; throws when there is none or another one. */
  one(): T;
  readonly rowsWritten: number;
}
