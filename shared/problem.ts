import type { FleetError, FleetErrorKind } from './errors.ts';
import type { Problem } from './schemas/problem.ts';

/** Status and title of every kind of error. A new kind does not compile until it stands here. */
export const PROBLEMS: Readonly<Record<FleetErrorKind, { readonly status: number; readonly title: string }>> = {
  unauthorized: { status: 401, title: 'Not authenticated' },
  forbidden: { status: 403, title: 'Not allowed' },
  residency_violation: { status: 403, title: 'Not allowed by the residency rule' },
  not_found: { status: 404, title: 'Not found' },
  pool_not_found: { status: 404, title: 'No such pool' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  payload_too_large: { status: 413, title: 'Too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  malformed_request: { status: 400, title: 'Not JSON' },
  validation_failed: { status: 422, title: 'Fails its schema' },
  unsupported: { status: 422, title: 'Not supported yet' },
  unknown_region: { status: 422, title: 'Unknown region' },
  region_required: { status: 422, title: 'A region is required' },
  idempotency_mismatch: { status: 422, title: 'Idempotency key used with another request' },
  invalid_cursor: { status: 422, title: 'Invalid cursor' },
  no_capacity: { status: 409, title: 'No capacity' },
  quota_exceeded: { status: 409, title: 'Quota exceeded' },
  lease_superseded: { status: 409, title: 'Lease superseded' },
  lease_expired: { status: 409, title: 'Lease expired' },
  lease_released: { status: 409, title: 'Lease released' },
  invalid_state: { status: 409, title: 'Not possible in this state' },
  idempotency_in_progress: { status: 409, title: 'The first request with this key still runs' },
  version_conflict: { status: 412, title: 'Version conflict' },
  rate_limited: { status: 429, title: 'Too many requests' },
  queue_full: { status: 429, title: 'The queue is full' },
  overloaded: { status: 503, title: 'Overloaded' },
  region_unavailable: { status: 503, title: 'Region unavailable' },
  revoke_incomplete: { status: 503, title: 'Not everything was reached' },
  unsure: { status: 422, title: 'The edit is not sure' },
  not_configured: { status: 503, title: 'Not configured' },
  internal: { status: 500, title: 'Internal error' },
};

/** An error as its RFC 9457 document. The facts that a kind carries are members beside the standard ones. */
export function problemOf(error: FleetError, where: { readonly instance: string; readonly requestId: string }): Problem {
  const { status, title } = PROBLEMS[error.kind];
  return {
    type: `/docs/problems#${error.kind}`,
    title,
    status,
    detail: error.detail,
    instance: where.instance,
    code: error.kind,
    requestId: where.requestId,
    ...('retryAfterMs' in error ? { retryAfterMs: error.retryAfterMs } : {}),
    ...(error.kind === 'validation_failed' ? { errors: [...error.errors] } : {}),
    ...('why' in error && error.why !== undefined ? { why: error.why } : {}),
    ...('revocation' in error ? { revocation: error.revocation } : {}),
    ...('limit' in error ? { limit: error.limit } : {}),
    ...('scope' in error ? { scope: error.scope } : {}),
    ...('state' in error ? { state: error.state } : {}),
  };
}
