import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { SqlCursor, SqlDatabase } from '../../durable-objects/lib/sql.ts';

/** The platform's limits, kept here so that a test fails where production would (local workerd accepts a 5 MB row). */
const BOUND_PARAMETERS_MAX = 100;
const VALUE_BYTES_MAX = 2_000_000;
const STATEMENTS_MAX = 100;
/** Blanks and comments before a statement: SQLite makes no statement of them. */
const BLANK = /^(?:[\s;]|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/;

class Cursor<T> implements SqlCursor<T> {
  readonly #rows: T[];
  #read = 0;
  readonly rowsWritten: number;
  constructor(rows: T[], rowsWritten: number) {
    this.#rows = rows;
    this.rowsWritten = rowsWritten;
  }
  toArray(): T[] {
    return this.#rows;
  }
  next(): { done?: false; value: T } | { done: true; value?: undefined } {
    const row = this.#rows[this.#read++];
    return row === undefined ? { done: true } : { value: row };
  }
  one(): T {
    const [row] = this.#rows;
    if (this.#rows.length !== 1 || row === undefined) throw new Error(`Expected exactly one result, got ${this.#rows.length}`);
    return row;
  }
}

/**
 * `SqlStorage` over node:sqlite, for tests in Node. Differs from the platform in `rowsWritten`, which here does not count
 * writes to indexes, and in that a cursor is read at once.
 */
export class NodeSql implements SqlDatabase {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  get databaseSize(): number {
    const pages = this.#db.prepare('PRAGMA page_count').get()?.['page_count'];
    const size = this.#db.prepare('PRAGMA page_size').get()?.['page_size'];
    return Number(pages) * Number(size);
  }

  /** Like the platform: several statements in one text, the bindings belong to the last, its rows are the answer. */
  exec<T extends Record<string, SqlStorageValue>>(query: string, ...bindings: SqlStorageValue[]): Cursor<T> {
    if (bindings.length > BOUND_PARAMETERS_MAX) throw new Error(`too many bound parameters: ${bindings.length}`);
    const before = this.#totalChanges();
    let rest = query.replace(BLANK, '');
    let rows: T[] = [];
    while (rest !== '') {
      const statement = this.#prepare(rest);
      const next = rest.slice(statement.sourceSQL.length).replace(BLANK, '');
      rows = statement.all(...(next === '' ? bindings.map(toNode) : [])).map((row) => fromNode(row) as T);
      rest = next;
    }
    return new Cursor(rows, this.#totalChanges() - before);
  }

  #totalChanges(): number {
    return Number(this.#prepare('SELECT total_changes() AS n').get()?.['n']);
  }

  /** The platform keeps prepared statements, too. */
  #prepare(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      if (this.#statements.size >= STATEMENTS_MAX) this.#statements.clear();
      this.#statements.set(text, (statement = this.#db.prepare(text)));
    }
    return statement;
  }
}

function toNode(value: SqlStorageValue): SQLInputValue {
  const converted = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
  const bytes =
    typeof converted === 'string' ? Buffer.byteLength(converted) : converted instanceof Uint8Array ? converted.byteLength : 0;
  if (bytes > VALUE_BYTES_MAX) throw new Error('string or blob too big: SQLITE_TOOBIG');
  if (typeof converted === 'boolean' || converted === undefined) throw new TypeError(`cannot bind a ${typeof converted}`);
  return converted;
}

function fromNode(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? value.slice().buffer : value]),
  );
}

/** The part of `DurableObjectStorage` our objects use, over one SQLite file (or memory). */
export class NodeStorage {
  readonly sql: NodeSql;
  readonly #db: DatabaseSync;
  #depth = 0;
  /** Calls of `sync`, that is commits that a real object would have paid an fsync for. */
  syncs = 0;

  /** @param path a file, to close and open again as a restart would; by default memory */
  constructor(path = ':memory:') {
    this.#db = new DatabaseSync(path);
    this.sql = new NodeSql(this.#db);
  }

  transactionSync<T>(closure: () => T): T {
    const savepoint = `s${this.#depth++}`;
    this.#db.exec(`SAVEPOINT ${savepoint}`);
    try {
      const value = closure();
      this.#db.exec(`RELEASE ${savepoint}`);
      return value;
    } catch (error) {
      this.#db.exec(`ROLLBACK TO ${savepoint}; RELEASE ${savepoint}`);
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  sync(): Promise<void> {
    this.syncs += 1;
    return Promise.resolve();
  }

  close(): void {
    this.#db.close();
  }
}
