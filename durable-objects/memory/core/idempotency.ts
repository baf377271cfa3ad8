import type { FleetError } from '../../../shared/errors.ts';
import { invalidState } from '../../../shared/errors.ts';
import { utf8Bytes } from '../../../shared/json.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import { err } from '../../../shared/result.ts';
import type { IdempotencyRef } from '../../../shared/rpc.ts';
import type { Result } from '../../../shared/result.ts';
import { first, run, sql, type Sql } from './sql.ts';

export type Kept = Result<unknown, FleetError> & { readonly replayed?: boolean };

const TOO_LARGE: Kept = err(invalidState('done', 'This request was done; its answer was too large to be kept.'));

/** The answer that a key was given before, or null when the request is new. */
export function recall(db: Sql, ref: IdempotencyRef, nowMs: number): Kept | null {
  const kept = first<{ body_hash: string; answer: string; at: number }>(
    db,
    sql`SELECT body_hash, answer, at FROM idempotency WHERE key = ${ref.key}`,
  );
  if (kept === null || nowMs - kept.at > MEMORY_LIMITS.idempotencyTtlMs) return null;
  if (kept.body_hash !== ref.bodyHash) {
    return err({ kind: 'idempotency_mismatch', detail: 'This idempotency key was used with another request.' });
  }
  return { ...(JSON.parse(kept.answer) as Kept), replayed: true };
}

/** Keeps an answer in the transaction that did the work. `memoryIds`: the entries it is about, so that erasing them finds it. */
export function remember(db: Sql, ref: IdempotencyRef, answer: Kept, nowMs: number, memoryIds: readonly number[]): void {
  const text = JSON.stringify(answer);
  const stored = utf8Bytes(text) <= MEMORY_LIMITS.idempotencyAnswerBytes ? text : JSON.stringify(TOO_LARGE);
  run(
    db,
    sql`INSERT INTO idempotency (key, body_hash, answer, at, memory_ids) VALUES (${ref.key}, ${ref.bodyHash}, ${stored}, ${nowMs},
      ${JSON.stringify(memoryIds)}) ON CONFLICT (key) DO UPDATE SET body_hash = excluded.body_hash, answer = excluded.answer,
      at = excluded.at, memory_ids = excluded.memory_ids`,
  );
}
