import type { SqlDatabase } from '../lib/sql.ts';

/**
 * Counts that the object was started. Whatever happens to a sleeping object starts it, sockets that answer pings do not:
 * so the number shows from outside, in its database, whether an idle shard sleeps.
 */
export function countWake(sql: SqlDatabase, nowMs: number): void {
  sql.exec(
    'INSERT INTO wakes (id, count, at_ms) VALUES (1, 1, ?) ON CONFLICT (id) DO UPDATE SET count = count + 1, at_ms = excluded.at_ms',
    nowMs,
  );
}
