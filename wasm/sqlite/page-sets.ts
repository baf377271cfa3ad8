import { Connection, firstImage } from './connection.ts';
import type { Engine, Internals } from './internals.ts';
import { Pager } from './pager.ts';
import { rowsAfter, type StoredTable, writeRow } from './tables.ts';
import type { Value } from './connection.ts';

/** Cache of an engine that writes a successor; its pages are hardly read again. */
const CACHE_BYTES = 4 * 2 ** 20;
/** Rows that are held at once while they are copied; one may have a megabyte. */
const ROWS_AT_ONCE = 16;

/** A page set beside the served one, open for writing. Everything here runs inside the host's transaction. */
export interface OpenSet {
  readonly connection: Connection;
  /** `body` in a transaction of the set, whose pages are in storage afterwards. */
  write(body: () => void): void;
}

/** An empty database in a page set of its own; it has one page. */
export function createSet(internals: Internals, { ledger }: Engine): number {
  const set = ledger.header.nextSet;
  ledger.change({ nextSet: set + 1 });
  internals.store.createSet(set);
  const pager = pagerOf(internals, ledger, set);
  pager.set(firstImage(internals.sqlJs), 0);
  pager.flush();
  return set;
}

/** Opens `set` for `body` only: nothing of it stays in memory between the steps in which it is written. */
export function withSet<T>(
  internals: Internals,
  { ledger }: Engine,
  at: { readonly set: number; readonly pages: number },
  body: (open: OpenSet) => T,
): T {
  const pager = pagerOf(internals, ledger, at.set);
  const options = { engine: internals.sqlJs, pager, pages: at.pages, cacheBytes: CACHE_BYTES, foreignKeys: false };
  const connection = new Connection(options);
  try {
    return body({
      connection,
      write(write) {
        connection.transaction(write);
        pager.flush();
      },
    });
  } finally {
    connection.close();
  }
}

/**
 * Copies rows of `table` behind `after`, until there are none, or `rowsMax`, or `bytesMax` is passed. Answers the last key
 * that was copied, null when the end was reached.
 */
export function copyRows(
  source: Connection,
  target: Connection,
  table: StoredTable,
  from: { readonly after: readonly Value[] | null; readonly rowsMax: number; readonly bytesMax: number },
): readonly Value[] | null {
  let { after, rowsMax, bytesMax } = from;
  while (rowsMax > 0 && bytesMax > 0) {
    const rows = rowsAfter(source, table, after, ROWS_AT_ONCE);
    for (const row of rows) {
      writeRow(target, table, row);
      bytesMax -= row.reduce<number>((sum, value) => sum + sizeOf(value), 0);
    }
    rowsMax -= rows.length;
    after = rows.at(-1)?.slice(0, table.key.length) ?? after;
    if (rows.length < ROWS_AT_ONCE) return null;
  }
  return after;
}

const pagerOf = (internals: Internals, ledger: Engine['ledger'], set: number): Pager =>
  new Pager({ store: internals.store, cipher: internals.cipher, ledger, set });

const sizeOf = (value: Value): number => (typeof value === 'string' || value instanceof Uint8Array ? value.length : 8);
