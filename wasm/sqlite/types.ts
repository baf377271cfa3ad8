/** A value of a row, and what can be bound. Blobs come back as `ArrayBuffer`, as from the platform's own SQL. */
export type SqlValue = ArrayBuffer | string | number | null;

/** The rows of one statement, read at once. The same shape as the platform's cursor, as far as our code uses it. */
export interface SealedCursor<T> {
  toArray(): T[];
  /** The only row; throws when there is none or another one. */
  one(): T;
  /** Rows inserted, updated or deleted by the last statement; index entries and triggers do not count. */
  readonly rowsWritten: number;
}

/**
 * What an object's code uses: the shape of `DurableObjectStorage` and its `sql` in one, so that code written for the platform's
 * SQL (migrations, group commit) runs on sealed pages unchanged.
 */
export interface SealedSql {
  /**
   * Runs one or several statements; the bindings belong to the last, its rows are the answer. Outside of a transaction each
   * call is one. Refused (`SealedError` with code `forbidden`): `PRAGMA` except for reading, `ATTACH`, `DETACH`, `VACUUM`,
   * and `BEGIN` and its kin, for which `transactionSync` is there.
   *
   * Integers beyond 32 bits are bound as doubles: exact up to 2^53, and an `INTEGER` column stores them as integers, but
   * where nothing has an affinity (`json_object('at', ?)`) write `CAST(? AS INTEGER)`.
   */
  exec<T extends Record<string, SqlValue>>(query: string, ...bindings: readonly (SqlValue | Uint8Array)[]): SealedCursor<T>;
  /** Bytes of the plain database: pages × page size. */
  readonly databaseSize: number;
}

export interface SealedStorage {
  readonly sql: SealedSql;
  /**
   * One atomic transaction: its sealed pages are in the object's storage when it returns, and a reply sent afterwards waits for
   * the disk as with any other write. `closure` is synchronous; a promise is refused. What it throws undoes all of it and is
   * thrown on. Nested calls are savepoints. Must not run inside the host's own `transactionSync`.
   */
  transactionSync<T>(closure: () => T): T;
  /** Resolves when everything written so far is on disk. */
  sync(): Promise<void>;
}

/** What the engine uses of the object's own storage; `DurableObjectStorage` satisfies it, and so does the tests' adapter in Node. */
export interface HostStorage {
  readonly sql: HostSql;
  transactionSync<T>(closure: () => T): T;
  sync(): Promise<void>;
}

export interface HostSql {
  exec<T extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]): HostCursor<T>;
}

export interface HostCursor<T> {
  toArray(): T[];
  next(): { readonly done?: false; readonly value: T } | { readonly done: true; readonly value?: undefined };
}

/** Where a database belongs. All of it is bound into its keys and into every page: a page opens nowhere else. */
export interface DatabaseIdentity {
  readonly region: string;
  readonly fleet: string;
  /** Unique within fleet and region; for a MemoryObject its object name. */
  readonly database: string;
}

/** How the engine has worked since it was opened; for metrics. */
export interface SealedStats {
  readonly pages: number;
  readonly pageReads: number;
  readonly pageWrites: number;
  /** How often the engine was opened from storage: once at first use, then after a failed commit or when it made room. */
  readonly opens: number;
  readonly commits: number;
}
