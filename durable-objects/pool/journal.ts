import type { SqlDatabase } from '../lib/sql.ts';
import { PARAMETER_CHARS_MAX, PendingRows } from './pending-rows.ts';

/** Rows that may wait for their tables: writing them takes some five milliseconds, which the next caller waits. */
const WAITING_MIN = 256;
/** With many callers at once the sum counts: more of what waits is changed again before it is written. */
const GROUPS_WAITING = 6;
/** Even then: the first small transaction after a burst folds what the burst left, in some 50 ms. */
const WAITING_MAX = 2_500;
/** Characters of the entries in the journal; they are in memory, too. */
const JOURNAL_CHARS_MAX = 3_000_000;

interface Table {
  /** Take a JSON array of rows. */
  readonly write: readonly string[];
  /** The key that a row waits under. */
  readonly keyOf: (row: never) => string;
}

const byId = (row: { readonly id: string }): string => row.id;

/** How rows go into their tables. Each statement may run again with the same rows. */
const TABLES = {
  meta: { write: ['INSERT OR REPLACE INTO meta (id, data) SELECT 1, value FROM json_each(?)'], keyOf: () => '' },
  agents: {
    write: ["UPDATE agents SET state = row.value->'$.state' FROM json_each(?) AS row WHERE agents.id = row.value->>'$.id'"],
    keyOf: byId,
  },
  leases: {
    write: [
      `INSERT OR REPLACE INTO leases (id, ended_at_ms, data)
         SELECT value->>'$.id', value->>'$.endedAtMs', value FROM json_each(?)`,
    ],
    keyOf: byId,
  },
  tasks: {
    write: [
      `INSERT OR REPLACE INTO tasks (id, status, expires_at_ms, data)
         SELECT value->>'$.id', value->>'$.status', value->>'$.completedAtMs' + value->>'$.resultTtlMs', value FROM json_each(?)`,
    ],
    keyOf: byId,
  },
  blobs: {
    write: [
      `DELETE FROM task_blobs WHERE (task_id, kind) IN
         (SELECT value->>'$.id', value->>'$.kind' FROM json_each(?) WHERE value->>'$.data' IS NULL)`,
      `INSERT OR REPLACE INTO task_blobs (task_id, kind, data)
         SELECT value->>'$.id', value->>'$.kind', value->>'$.data' FROM json_each(?) WHERE value->>'$.data' IS NOT NULL`,
    ],
    keyOf: ({ id, kind }: { readonly id: string; readonly kind: string }) => blobKey(id, kind),
  },
  answers: {
    write: [
      `INSERT OR REPLACE INTO idempotency (key, body_hash, state, answer, at_ms)
         SELECT value->>'$.key', value->>'$.bodyHash', value->>'$.state', value->'$.answer', value->>'$.atMs' FROM json_each(?)`,
    ],
    keyOf: ({ key }: { readonly key: string }) => key,
  },
  audit: {
    write: [
      `INSERT OR REPLACE INTO audit (seq, at_ms, actor, action, request_id, entries)
         SELECT value->>'$.seq', value->>'$.atMs', value->>'$.actor', value->>'$.action', value->>'$.requestId', value->'$.entries'
         FROM json_each(?)`,
    ],
    keyOf: ({ seq }: { readonly seq: number }) => String(seq),
  },
} as const satisfies Readonly<Record<string, Table>>;

type TableName = keyof typeof TABLES;
const NAMES = Object.keys(TABLES) as TableName[];

export const blobKey = (taskId: string, kind: string): string => `${taskId}\n${kind}`;

/**
 * Puts a commit's rows into one row of a table that only grows, and what several commits changed into the tables together.
 * A commit by itself writes some ten rows in as many pages, each with its way in and out of the database; here it is one row
 * in one page. A row that changes three times within a second, as a task's does, is written to its table once.
 *
 * The journal is the truth until it is folded; what waits is in memory besides, for those who read. After a crash `replay`
 * finds it again.
 */
export class Journal {
  readonly #sql: SqlDatabase;
  readonly #rows = Object.fromEntries(NAMES.map((name) => [name, new PendingRows()])) as Readonly<Record<TableName, PendingRows>>;
  #chars = 0;
  #waits = false;
  /** There are entries in the journal, not only rows in memory. */
  #isWritten = false;

  constructor(sql: SqlDatabase) {
    this.#sql = sql;
  }

  set(table: TableName, key: string, json: string): void {
    this.#rows[table].set(key, json);
    this.#waits = true;
  }

  get(table: TableName, key: string): string | undefined {
    return this.#rows[table].get(key);
  }

  /** At the end of a transaction: what was set in it is durable with it. */
  flush(): void {
    if (!this.#waits) return;
    let waiting = 0;
    let fresh = 0;
    const parts: string[] = [];
    for (const name of NAMES) {
      waiting += this.#rows[name].size;
      const rows = this.#rows[name].takeFresh();
      fresh += rows.length;
      if (rows.length > 0) parts.push(`"${name}":[${rows.join(',')}]`);
    }
    if (fresh === 0) return;
    const entry = `{${parts.join(',')}}`;
    this.#chars += entry.length;
    const waitingMost = Math.min(WAITING_MAX, Math.max(WAITING_MIN, GROUPS_WAITING * fresh));
    if (waiting > waitingMost || this.#chars > JOURNAL_CHARS_MAX || entry.length > PARAMETER_CHARS_MAX) {
      this.fold();
      return;
    }
    this.#sql.exec('INSERT INTO journal (entry) VALUES (?)', entry);
    this.#isWritten = true;
  }

  /**
   * Writes what waits into the tables. Cut off anywhere it may be run again, and memory forgets nothing before its end; so a
   * read may call it outside of a transaction, where the platform makes one of what is written without an await.
   */
  fold(): void {
    if (!this.#waits) return;
    for (const name of NAMES) {
      for (const array of this.#rows[name].arrays()) for (const statement of TABLES[name].write) this.#sql.exec(statement, array);
    }
    if (this.#isWritten) this.#sql.exec('DELETE FROM journal');
    this.forget();
  }

  /** What the journal holds is waiting again, as before the crash. */
  replay(): void {
    for (const { entry } of this.#sql.exec<{ entry: string }>('SELECT entry FROM journal ORDER BY seq').toArray()) {
      const tables = JSON.parse(entry) as Partial<Record<TableName, readonly never[]>>;
      for (const name of NAMES) {
        for (const row of tables[name] ?? []) this.#rows[name].restore(TABLES[name].keyOf(row), JSON.stringify(row));
      }
      this.#chars += entry.length;
      this.#waits = this.#isWritten = true;
    }
  }

  /** Nothing waits: it is in the tables, or these are gone. */
  forget(): void {
    for (const name of NAMES) this.#rows[name].clear();
    this.#chars = 0;
    this.#waits = this.#isWritten = false;
  }
}
