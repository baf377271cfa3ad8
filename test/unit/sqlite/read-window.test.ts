import { describe, expect, it } from 'vitest';
import type { HostCursor, HostSql, HostStorage, SqlValue } from '../../../wasm/sqlite/types.ts';
import { addNotes, NOTES, openSealed } from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

/** Knows which cursors of the host are open: begun and not read to their end. */
class Watched implements HostStorage {
  readonly inner = new NodeStorage();
  readonly open = new Set<HostCursor<never>>();
  /** What ran beside an open cursor and is no read of a page. */
  readonly beside: string[] = [];
  held = 0;

  readonly sql: HostSql = {
    exec: <T extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]) => {
      if (this.open.size > 0 && !query.startsWith('SELECT')) this.beside.push(query);
      return this.#watched<T>(this.inner.sql.exec<T>(query, ...bindings));
    },
  };

  transactionSync<T>(closure: () => T): T {
    return this.inner.transactionSync(closure);
  }

  sync(): Promise<void> {
    return this.inner.sync();
  }

  /** Like the platform's: a cursor is over once its last row was given out. */
  #watched<T>(cursor: HostCursor<T>): HostCursor<T> {
    const rows = cursor.toArray();
    let at = 0;
    const watched: HostCursor<T> = {
      toArray: () => {
        this.open.delete(watched as HostCursor<never>);
        return rows.slice(at, (at = rows.length));
      },
      next: () => {
        const value: T | undefined = rows[at++];
        if (at < rows.length) {
          this.open.add(watched as HostCursor<never>);
          this.held += 1;
        } else this.open.delete(watched as HostCursor<never>);
        return value === undefined ? { done: true } : { value: value as T };
      },
    };
    return watched;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the window of reading', () => {
  it('M47: reads of one turn share a cursor, which ends with the turn and before anything is written', async () => {
    const host = new Watched();
    const db = await openSealed(host, { cacheBytes: 64 * 1_024 });
    db.sql.exec(NOTES);
    addNotes(db, 400);
    await turn();
    const read = (from: number, to: number): void => {
      for (let i = from; i < to; i += 1) db.sql.exec('SELECT value FROM notes WHERE key = ?', `key-${i}`).one();
    };
    const reads = db.stats().pageReads;
    const held = host.held;
    read(0, 100);
    expect(db.stats().pageReads - reads).toBeGreaterThan(20);
    expect([host.held - held, host.open.size]).toEqual([1, 1]);
    await turn();
    expect(host.open.size).toBe(0);

    read(100, 200);
    expect(host.open.size).toBe(1);
    db.sql.exec("UPDATE notes SET value = 'x' WHERE key = 'key-7'");
    expect(host.open.size).toBe(0);
    // What was written is committed by the platform when the turn has ended: nothing is read beside it.
    read(200, 300);
    expect(host.open.size).toBe(0);
    await turn();
    read(300, 400);
    expect(host.open.size).toBe(1);
    // Its tables are dropped.
    db.erase();
    expect(host.open.size).toBe(0);
    expect(host.beside).toEqual([]);
  });
});
