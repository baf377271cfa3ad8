import type { Revocation } from './schemas/allocations.ts';
import type { BoosterReason } from './booster.ts';
import type { Why } from './schemas/why.ts';

/** One place of the input that failed its schema; `path` is a JSON pointer-like dotted path. */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

interface ErrorBase {
  /** What was wrong, in words a caller can act on. Never a secret, a token or a stack. */
  readonly detail: string;
}

/**
 * Every expected failure of the system, tagged by the `code` that callers see.
 * `workers/` maps each kind to a status in one exhaustive switch.
 */
export type FleetError = ErrorBase &
  (
    | { readonly kind: 'unauthorized' }
    | { readonly kind: 'forbidden' }
    | { readonly kind: 'residency_violation' }
    | { readonly kind: 'not_found' }
    | { readonly kind: 'pool_not_found' }
    | { readonly kind: 'method_not_allowed' }
    | { readonly kind: 'payload_too_large'; readonly limitBytes: number }
    | { readonly kind: 'unsupported_media_type' }
    | { readonly kind: 'malformed_request' }
    | { readonly kind: 'validation_failed'; readonly errors: readonly FieldError[] }
    | { readonly kind: 'unsupported' }
    | { readonly kind: 'unknown_region' }
    | { readonly kind: 'region_required' }
    | { readonly kind: 'idempotency_mismatch' }
    | { readonly kind: 'invalid_cursor' }
    | { readonly kind: 'no_capacity'; readonly why?: Why }
    | {
        readonly kind: 'quota_exceeded';
        readonly scope: 'pool' | 'region' | 'fleet' | 'caller' | 'swarm';
        readonly limit: number;
        readonly why?: Why;
      }
    | { readonly kind: 'lease_superseded' }
    | { readonly kind: 'lease_expired' }
    | { readonly kind: 'lease_released' }
    | { readonly kind: 'invalid_state'; readonly state: string }
    | { readonly kind: 'idempotency_in_progress'; readonly retryAfterMs: number }
    | { readonly kind: 'version_conflict' }
    | { readonly kind: 'rate_limited'; readonly retryAfterMs: number }
    | { readonly kind: 'queue_full'; readonly limit: number; readonly retryAfterMs: number }
    | { readonly kind: 'overloaded'; readonly retryAfterMs: number }
    | { readonly kind: 'region_unavailable'; readonly region?: string; readonly retryAfterMs: number }
    | { readonly kind: 'revoke_incomplete'; readonly revocation: Revocation; readonly retryAfterMs: number }
    /** The booster did not do an edit; only the drop-in routes say it as an error. */
    | { readonly kind: 'unsure'; readonly reason: BoosterReason; readonly candidates?: readonly unknown[] }
    | { readonly kind: 'not_configured' }
    | { readonly kind: 'internal' }
  );

export type FleetErrorKind = FleetError['kind'];

/** The same answer for an id that never was, is gone, or belongs to another fleet (I15). */
export const notFound = (what: string): FleetError => ({ kind: 'not_found', detail: `No such ${what}.` });

export const invalidState = (state: string, detail: string): FleetError => ({ kind: 'invalid_state', state, detail });
