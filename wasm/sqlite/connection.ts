import { SealedError } from './errors.ts';
import type { FileImage, SqlJs, SqlJsDatabase, SqlJsStatement, SqlJsValue } from './sql-js.ts';
import { PAGE_BYTES, RESERVED_BYTES } from './squeeze.ts';
import { isPlainlySingle, kindOf, type StatementKind, trimStart } from './statements.ts';
import type { SealedCursor, SqlValue } from './types.ts';

/** Prepared statements that are kept; an object has some dozens of queries, and whoever builds texts must not fill the heap. */
const STATEMENTS_MAX = 256;

/**
 * Each of these keeps the engine inside its pager. `cache_spill=OFF`: nothing is written before the commit, so a rollback
 * touches no page; with it on, a large rollback truncates the file and later commits reach no storage. `journal_mode=MEMORY`:
 * a rollback is possible without a file, which `OFF` does not give and `WAL` would keep elsewhere. `EXCLUSIVE`: the first page
 * is not written and the cache not checked again at each transaction. `secure_delete`: freed bytes are zeros.
 * `recursive_triggers`: a row that REPLACE removes fires its triggers, which the log of a compaction needs.
 */
const PRAGMAS = [
  'PRAGMA locking_mode=EXCLUSIVE',
  'PRAGMA synchronous=OFF',
  'PRAGMA temp_store=MEMORY',
  'PRAGMA cache_spill=OFF',
  'PRAGMA secure_delete=ON',
  'PRAGMA trusted_schema=OFF',
  'PRAGMA recursive_triggers=ON',
].join(';');

const EXACT = { useBigInt: true } as const;

/** A value as the engine has it: an integer is a `bigint`, a number a real. What is bound may be either. */
export type Value = string | number | bigint | Uint8Array | null;

export type Row = Record<string, SqlValue>;
export type Binding = SqlValue | Uint8Array;

/** Where the pages of a connection come from and go to. */
export interface Pages {
  image(pages: number): FileImage | Uint8Array;
  /** Whether pages were written since the last flush. */
  readonly hasPending: boolean;
  /** Whether the engine was found to read or write elsewhere. */
  readonly detached: boolean;
  /** The reason behind an I/O error of SQLite, once. */
  takeFault(): SealedError | null;
}

export interface ConnectionOptions {
  readonly engine: SqlJs;
  readonly pager: Pages;
  readonly pages: number;
  readonly cacheBytes: number;
  /** Off where rows are copied in an order of their own. Default: on. */
  readonly foreignKeys?: boolean;
}

interface Prepared {
  readonly statement: SqlJsStatement;
  readonly kind: StatementKind;
  /** Read at the first row. */
  names: readonly string[] | null;
}

/** One SQLite connection over one pager: statements, kept prepared, and what they changed. */
export class Connection {
  readonly #pager: Pages;
  readonly #db: SqlJsDatabase;
  readonly #prepared = new Map<string, Prepared>();
  /** BEGIN and its kin, apart from those of callers, who may not run them. */
  readonly #control = new Map<string, SqlJsStatement>();
  /** Whether rows, and whether tables, were changed since `begin`. */
  #rowsChanged = false;
  #schemaBefore: number | null = null;

  constructor(options: ConnectionOptions) {
    this.#pager = options.pager;
    this.#db = new options.engine.Database(options.pager.image(options.pages));
    try {
      // The answer is what counts: SQLite refuses a mode by keeping another one.
      const mode = this.#scalar('PRAGMA journal_mode=MEMORY');
      if (mode !== 'memory') throw new SealedError('escaped', `the journal mode is ${String(mode)}`);
      this.#db.run(PRAGMAS);
      this.#db.run(`PRAGMA foreign_keys=${options.foreignKeys === false ? 'OFF' : 'ON'}`);
      this.setCacheBytes(options.cacheBytes);
      // Reads the first page and the schema, so that damage shows here.
      this.#scalar('SELECT count(*) FROM sqlite_master');
    } catch (error) {
      this.close();
      throw this.#reason(error);
    }
  }

  setCacheBytes(bytes: number): void {
    this.#db.run(`PRAGMA cache_size=-${Math.ceil(bytes / 1_024)}`);
  }

  get pageCount(): number {
    return Number(this.#scalar('PRAGMA page_count'));
  }

  /** Rises with every change of a table, index or trigger. */
  get schemaVersion(): number {
    return Number(this.#scalar('PRAGMA schema_version'));
  }

  begin(): void {
    this.#rowsChanged = false;
    this.#schemaBefore = null;
    this.#run('BEGIN IMMEDIATE');
  }

  /** Writes to the pager only; it is for the caller to flush that. */
  commit(): void {
    this.#run('COMMIT');
    const schemaChanged = this.#schemaBefore !== null && this.schemaVersion !== this.#schemaBefore;
    if (this.#pager.detached || ((this.#rowsChanged || schemaChanged) && !this.#pager.hasPending)) {
      throw new SealedError('escaped', 'a commit changed no page: the pager is out of use');
    }
  }

  rollback(): void {
    this.#run('ROLLBACK');
    if (this.#schemaBefore !== null) this.#forgetPrepared();
    if (this.#pager.hasPending || this.#pager.detached) throw new SealedError('escaped', 'pages were written before the commit');
  }

  /** `body` in a transaction of its own; what it throws undoes it. */
  transaction(body: () => void): void {
    this.begin();
    try {
      body();
    } catch (error) {
      this.rollback();
      throw error;
    }
    this.commit();
  }

  savepoint<T>(name: string, body: () => T): T {
    const changedBefore = this.#rowsChanged;
    this.#run(`SAVEPOINT ${name}`);
    try {
      const value = body();
      this.#run(`RELEASE ${name}`);
      return value;
    } catch (error) {
      try {
        this.#run(`ROLLBACK TO ${name}`);
        this.#run(`RELEASE ${name}`);
        this.#rowsChanged = changedBefore;
        if (this.#schemaBefore !== null) this.#forgetPrepared();
      } catch {
        // The whole transaction has ended; its commit will say so.
      }
      throw error;
    }
  }

  /** The kind of what `query` begins with; throws for what is refused. */
  kindOf(query: string): StatementKind {
    return this.#prepared.get(query)?.kind ?? kindOf(query);
  }

  exec<T extends Row>(query: string, bindings: readonly Binding[]): SealedCursor<T> {
    try {
      const known = this.#prepared.get(query);
      if (known !== undefined) return this.#execute<T>(known, bindings);
      if (isPlainlySingle(query)) return this.#execute<T>(this.#prepare(query), bindings);
      return this.#executeAll<T>(query, bindings);
    } catch (error) {
      throw this.#reason(error);
    }
  }

  /** For copying: rows as lists, every value exact and with its type. */
  values(query: string, bindings: readonly Value[]): Value[][] {
    try {
      const { statement, kind } = this.#prepared.get(query) ?? this.#prepare(query);
      const rows: Value[][] = [];
      try {
        if (bindings.length > 0) statement.bind(bindings.map(bindable));
        while (statement.step()) rows.push(statement.get(null, EXACT));
      } finally {
        statement.reset();
      }
      if (kind === 'write' && this.#db.getRowsModified() > 0) this.#rowsChanged = true;
      return rows;
    } catch (error) {
      throw this.#reason(error);
    }
  }

  close(): void {
    this.#forgetPrepared();
    try {
      this.#db.close();
    } catch {
      // A connection that is broken is let go of all the same.
    }
  }

  #prepare(query: string): Prepared {
    const kind = kindOf(query);
    const prepared: Prepared = { statement: this.#db.prepare(query), kind, names: null };
    const [oldest] = this.#prepared;
    if (oldest !== undefined && this.#prepared.size >= STATEMENTS_MAX) {
      this.#prepared.delete(oldest[0]);
      oldest[1].statement.free();
    }
    this.#prepared.set(query, prepared);
    return prepared;
  }

  #execute<T extends Row>(prepared: Prepared, bindings: readonly Binding[]): SealedCursor<T> {
    const { statement, kind } = prepared;
    if (kind === 'schema') this.#schemaBefore ??= this.schemaVersion;
    const rows: Row[] = [];
    try {
      if (bindings.length > 0) statement.bind(bindings.map(toEngine));
      while (statement.step()) {
        prepared.names ??= statement.getColumnNames();
        rows.push(toRow(prepared.names, statement.get()));
      }
    } finally {
      statement.reset();
    }
    // Others may have other columns now.
    if (kind === 'schema') this.#forgetPrepared();
    const rowsWritten = kind === 'write' ? this.#db.getRowsModified() : 0;
    if (rowsWritten > 0) this.#rowsChanged = true;
    return new Cursor<T>(rows as T[], rowsWritten);
  }

  /** Each statement is looked at before it is prepared, as some pragmas take effect then. */
  #executeAll<T extends Row>(query: string, bindings: readonly Binding[]): SealedCursor<T> {
    const statements = this.#db.iterateStatements(query);
    let cursor: SealedCursor<T> = new Cursor<T>([], 0);
    let rest = trimStart(query);
    while (rest !== '') {
      const kind = kindOf(rest);
      const next = statements.next();
      if (next.done === true) break;
      rest = trimStart(statements.getRemainingSQL());
      cursor = this.#execute<T>({ statement: next.value, kind, names: null }, rest === '' ? bindings : []);
    }
    // Past the last one it frees what it holds.
    statements.next();
    return cursor;
  }

  #scalar(query: string): SqlJsValue | undefined {
    try {
      return this.#db.exec(query)[0]?.values[0]?.[0];
    } catch (error) {
      throw this.#reason(error);
    }
  }

  #run(query: string): void {
    try {
      let statement = this.#control.get(query);
      if (statement === undefined) this.#control.set(query, (statement = this.#db.prepare(query)));
      try {
        statement.step();
      } finally {
        statement.reset();
      }
    } catch (error) {
      throw this.#reason(error);
    }
  }

  #forgetPrepared(): void {
    for (const { statement } of this.#prepared.values()) statement.free();
    this.#prepared.clear();
  }

  /** What the pager knows about an I/O error is better than SQLite's text for it. */
  #reason(error: unknown): unknown {
    return this.#pager.takeFault() ?? error;
  }
}

/** sql.js binds a `bigint` as text; compared with a column without a type it would find nothing. */
const bindable = (value: Value): Value =>
  typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;

class Cursor<T> implements SealedCursor<T> {
  readonly #rows: T[];
  readonly rowsWritten: number;

  constructor(rows: T[], rowsWritten: number) {
    this.#rows = rows;
    this.rowsWritten = rowsWritten;
  }

  toArray(): T[] {
    return this.#rows;
  }

  one(): T {
    const [row] = this.#rows;
    if (this.#rows.length !== 1 || row === undefined) throw new Error(`expected exactly one row, got ${this.#rows.length}`);
    return row;
  }
}

function toEngine(value: Binding): string | number | Uint8Array | null {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
}

function toRow(names: readonly string[], values: readonly SqlJsValue[]): Row {
  const row: Row = {};
  for (const [index, name] of names.entries()) {
    const value = values[index] ?? null;
    row[name] = value instanceof Uint8Array ? value.buffer : value;
  }
  return row;
}

/**
 * The first page of an empty database: the file system takes our pager only for a file that is not empty. The
 * number of bytes that each page leaves unused can be set nowhere but in its header.
 */
export function firstImage(engine: SqlJs): Uint8Array {
  const db = new engine.Database();
  try {
    db.run(`PRAGMA page_size=${PAGE_BYTES}; PRAGMA application_id=${APPLICATION_ID}`);
    const page = db.export();
    // File header: bytes reserved per page. B-tree header behind it: where the cells of this empty page begin.
    page[20] = RESERVED_BYTES;
    new DataView(page.buffer, page.byteOffset).setUint16(105, PAGE_BYTES - RESERVED_BYTES);
    return page;
  } finally {
    db.close();
  }
}

/** "FMmb": marks an exported file as one of ours. */
const APPLICATION_ID = 0x464d6d62;
