import type { FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { IdempotencyRef } from '../../../shared/rpc.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';

/** A first request that has not finished after this time has died; its key is free again. */
const RUNNING_TTL_MS = 60_000;

/** What a repeated key is answered: the kept answer, a refusal, or null when the request is new. */
export function beginKey(
  kept: { readonly bodyHash: string; readonly answer: JsonText | null; readonly atMs: number } | null,
  idempotency: IdempotencyRef,
  nowMs: number,
): Result<JsonText | null, FleetError> {
  if (kept === null || nowMs - kept.atMs > (kept.answer === null ? RUNNING_TTL_MS : LIMITS.idempotencyTtlMs)) return ok(null);
  if (kept.bodyHash !== idempotency.bodyHash) {
    return err({ kind: 'idempotency_mismatch', detail: 'This idempotency key was used with another request.' });
  }
  if (kept.answer === null) {
    return err({
      kind: 'idempotency_in_progress',
      retryAfterMs: 500,
      detail: 'The first request with this key is still running.',
    });
  }
  return ok(kept.answer);
}
