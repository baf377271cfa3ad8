import type { HostCursor, HostSql, SqlValue } from './types.ts';

/** Two rows: the first is read, and the second keeps the cursor, and with it the host's transaction, open. */
const HELD = 'SELECT id FROM sealed_header UNION ALL SELECT id FROM sealed_header';

/**
 * Every read of a page outside of a transaction begins and ends one of the host's own, which is a third of what the read
 * costs. From the third read of a turn on a cursor is held open, and they share one; for one or two, as a small write has them,
 * it would cost what it saves.
 *
 * It never outlives the turn: a transaction of reading that is open when the host commits would keep it from moving its
 * journal into its file, and tables cannot be dropped beside one. So a write closes it, too.
 */
export class ReadWindow {
  readonly #sql: HostSql;
  #held: HostCursor<Record<string, SqlValue>> | null = null;
  /** Of this turn. */
  #state: 'idle' | 'read' | 'read twice' | 'closed' = 'idle';
  readonly #endTurn = (): void => {
    this.#state = 'idle';
    this.#release();
  };

  constructor(sql: HostSql) {
    this.#sql = sql;
  }

  /** Before a page is read. */
  use(): void {
    if (this.#state === 'idle') {
      this.#state = 'read';
      queueMicrotask(this.#endTurn);
    } else if (this.#state === 'read') {
      this.#state = 'read twice';
    } else if (this.#state === 'read twice' && this.#held === null) {
      this.#held = this.#sql.exec(HELD);
      this.#held.next();
    }
  }

  /** Before anything is written: the host's transaction of writing serves the reads of this turn as well. */
  close(): void {
    if (this.#state === 'idle') queueMicrotask(this.#endTurn);
    this.#state = 'closed';
    this.#release();
  }

  #release(): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    try {
      // Read to its end, a cursor is over.
      held.toArray();
    } catch {
      // A rollback has ended it.
    }
  }
}
