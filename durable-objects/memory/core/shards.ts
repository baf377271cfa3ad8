import { invalidState, type FleetError } from '../../../shared/errors.ts';
import { first, run, sql, type Sql } from './sql.ts';

/*
 * A large swarm's entries are spread over several objects by key. Their number is chosen before anything is written and stays:
 * so every isolate that has learned it once is right for ever, and nothing has to be moved while it is served.
 */

/** What of a key decides: all of it, or what stands in its first braces, so that keys can be kept together. */
const TAG = /\{([^}]+)\}/;

/** The shard of a key. FNV-1a, mixed once more, since the last bits of FNV follow the last character. */
export function shardOf(key: string, shards: number): number {
  if (shards === 1) return 0;
  const text = TAG.exec(key)?.[1] ?? key;
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash ^= hash >>> 13;
  return (hash >>> 0) % shards;
}

const OTHER_COUNT = 'shards';
/** Said to a Worker that has another number in mind; never to a caller. */
export const otherCount = (): FleetError => invalidState(OTHER_COUNT, 'This memory has another number of shards. Try again.');
export const isOtherCount = (error: FleetError): boolean => error.kind === 'invalid_state' && error.state === OTHER_COUNT;

export const shardCount = (db: Sql): number => first<{ shards: number }>(db, sql`SELECT shards FROM counters`)?.shards ?? 1;

/** Whether nothing has been done here yet: every change has its audit row. */
export const isUntouched = (db: Sql): boolean => first(db, sql`SELECT 1 AS n FROM audit LIMIT 1`) === null;

export const setShardCount = (db: Sql, shards: number): void => void run(db, sql`UPDATE counters SET shards = ${shards}`);
