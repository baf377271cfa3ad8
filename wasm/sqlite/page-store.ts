import { SealedError } from './errors.ts';
import { ReadWindow } from './read-window.ts';
import type { HostSql } from './types.ts';

/** Pages of one statement; two bindings each, of the hundred that the platform allows. */
export const PAGES_AT_ONCE = 16;

export interface StoredPage {
  readonly no: number;
  readonly box: Uint8Array;
}

/**
 * The tables in the object's own storage, and all that is in them: boxes, by number. A page set is one image of a database;
 * one is served, others are restore points or half-written successors.
 *
 * - `sealed_header` one row: the region in clear, so that a foreign opener is told what is wrong, and the pager row, sealed
 * - `sealed_keys` id → wrapped data key
 * - `sealed_pages_<set>` page number → box
 */
export class PageStore {
  readonly #sql: HostSql;
  readonly #window: ReadWindow;
  /** Texts that are built once: the platform finds a prepared statement by its text, and a new string is hashed anew. */
  readonly #selects = new Map<number, string>();
  /** By set and number of rows. */
  readonly #upserts = new Map<number, string[]>();

  constructor(sql: HostSql) {
    this.#sql = sql;
    this.#window = new ReadWindow(sql);
  }

  get exists(): boolean {
    return (
      this.#sql.exec("SELECT 1 AS n FROM sqlite_master WHERE type = 'table' AND name = 'sealed_header'").toArray().length > 0
    );
  }

  create(): void {
    this.#window.close();
    this.#sql.exec('CREATE TABLE sealed_header (id INTEGER PRIMARY KEY CHECK (id = 1), region TEXT NOT NULL, box BLOB NOT NULL)');
    this.#sql.exec('CREATE TABLE sealed_keys (id INTEGER PRIMARY KEY, wrapped BLOB NOT NULL)');
  }

  /** Everything, and with it the wrapped keys: what backups of the pages exist elsewhere can no longer be opened. */
  destroy(): void {
    this.#window.close();
    const tables = this.#sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'sealed_*'")
      .toArray();
    for (const { name } of tables) this.#sql.exec(`DROP TABLE "${name}"`);
  }

  readHeader(): { readonly region: string; readonly box: Uint8Array } {
    const [row] = this.#sql.exec<{ region: string; box: ArrayBuffer }>('SELECT region, box FROM sealed_header').toArray();
    if (row === undefined) throw new SealedError('tampered', 'the pager row is missing');
    return { region: row.region, box: new Uint8Array(row.box) };
  }

  writeHeader(region: string, box: Uint8Array<ArrayBuffer>): void {
    this.#window.close();
    this.#sql.exec(
      'INSERT INTO sealed_header (id, region, box) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET region = excluded.region, box = excluded.box',
      region,
      box.buffer,
    );
  }

  wrappedKeys(): readonly { readonly id: number; readonly wrapped: Uint8Array }[] {
    return this.#sql
      .exec<{ id: number; wrapped: ArrayBuffer }>('SELECT id, wrapped FROM sealed_keys ORDER BY id')
      .toArray()
      .map(({ id, wrapped }) => ({ id, wrapped: new Uint8Array(wrapped) }));
  }

  addWrappedKey(id: number, wrapped: Uint8Array): void {
    this.#window.close();
    this.#sql.exec('INSERT INTO sealed_keys (id, wrapped) VALUES (?, ?)', id, new Uint8Array(wrapped).buffer);
  }

  deleteWrappedKey(id: number): void {
    this.#window.close();
    // Overwritten first: the host may leave the bytes of a deleted row in its file until the place is used again.
    this.#sql.exec('UPDATE sealed_keys SET wrapped = zeroblob(length(wrapped)) WHERE id = ?', id);
    this.#sql.exec('DELETE FROM sealed_keys WHERE id = ?', id);
  }

  createSet(set: number): void {
    this.#window.close();
    this.#sql.exec(`CREATE TABLE ${tableOf(set)} (no INTEGER PRIMARY KEY, box BLOB NOT NULL)`);
  }

  dropSet(set: number): void {
    this.#window.close();
    this.#sql.exec(`DROP TABLE IF EXISTS ${tableOf(set)}`);
  }

  readPage(set: number, no: number): Uint8Array | null {
    let query = this.#selects.get(set);
    if (query === undefined) this.#selects.set(set, (query = `SELECT box FROM ${tableOf(set)} WHERE no = ?`));
    this.#window.use();
    // The platform makes an array in twice the time of a row.
    const { value } = this.#sql.exec<{ box: ArrayBuffer }>(query, no).next();
    return value === undefined ? null : new Uint8Array(value.box);
  }

  /** Several pages in one statement: each call into the platform costs as much as the write of a page. */
  writePages(set: number, pages: Iterable<readonly [no: number, box: Uint8Array<ArrayBuffer>]>): void {
    this.#window.close();
    let row: (number | ArrayBuffer)[] = [];
    for (const [no, box] of pages) {
      row.push(no, box.buffer);
      if (row.length < 2 * PAGES_AT_ONCE) continue;
      this.#sql.exec(this.#writing(set, PAGES_AT_ONCE), ...row);
      row = [];
    }
    if (row.length > 0) this.#sql.exec(this.#writing(set, row.length / 2), ...row);
  }

  /** Up to `limit` pages from `fromNo` on, in order. */
  pagesFrom(set: number, fromNo: number, limit: number): readonly StoredPage[] {
    return this.#sql
      .exec<{ no: number; box: ArrayBuffer }>(
        `SELECT no, box FROM ${tableOf(set)} WHERE no >= ? ORDER BY no LIMIT ?`,
        fromNo,
        limit,
      )
      .toArray()
      .map(({ no, box }) => ({ no, box: new Uint8Array(box) }));
  }

  /** Deletes up to `limit` of the last pages; answers whether any are left. */
  trimSet(set: number, limit: number): boolean {
    this.#window.close();
    const table = tableOf(set);
    this.#sql.exec(`DELETE FROM ${table} WHERE no IN (SELECT no FROM ${table} ORDER BY no DESC LIMIT ?)`, limit);
    return this.#sql.exec(`SELECT 1 AS n FROM ${table} LIMIT 1`).toArray().length > 0;
  }

  #writing(set: number, rows: number): string {
    let texts = this.#upserts.get(set);
    if (texts === undefined) this.#upserts.set(set, (texts = []));
    return (texts[rows] ??=
      `INSERT INTO ${tableOf(set)} (no, box) VALUES ${'(?, ?), '.repeat(rows - 1)}(?, ?) ON CONFLICT (no) DO UPDATE SET box = excluded.box`);
  }
}

const tableOf = (set: number): string => `sealed_pages_${set}`;
