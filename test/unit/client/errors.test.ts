import { describe, expect, test } from 'vitest';
import * as errors from '../../../client/src/errors.ts';
import type { FleetErrorKind } from '../../../shared/errors.ts';

/** Every code of the contract with the class a caller catches; a new code does not compile until it has one. */
const CLASSES = {
  unauthorized: errors.UnauthorizedError,
  forbidden: errors.ForbiddenError,
  residency_violation: errors.ResidencyError,
  not_found: errors.NotFoundError,
  pool_not_found: errors.NotFoundError,
  method_not_allowed: errors.ApiError,
  payload_too_large: errors.ValidationError,
  unsupported_media_type: errors.ValidationError,
  malformed_request: errors.ValidationError,
  validation_failed: errors.ValidationError,
  unsure: errors.UnsureError,
  unsupported: errors.UnsupportedError,
  unknown_region: errors.ValidationError,
  region_required: errors.ValidationError,
  idempotency_mismatch: errors.IdempotencyError,
  invalid_cursor: errors.ValidationError,
  no_capacity: errors.NoCapacityError,
  quota_exceeded: errors.QuotaExceededError,
  lease_superseded: errors.LeaseSupersededError,
  lease_expired: errors.LeaseExpiredError,
  lease_released: errors.LeaseReleasedError,
  invalid_state: errors.InvalidStateError,
  idempotency_in_progress: errors.IdempotencyError,
  version_conflict: errors.VersionConflictError,
  rate_limited: errors.RateLimitedError,
  queue_full: errors.QueueFullError,
  overloaded: errors.UnavailableError,
  region_unavailable: errors.UnavailableError,
  revoke_incomplete: errors.RevokeIncompleteError,
  not_configured: errors.ApiError,
  internal: errors.ApiError,
} satisfies Record<FleetErrorKind, unknown>;

const problem = (code: string, status = 418) => ({
  type: '',
  title: 'title',
  status,
  detail: 'detail',
  instance: '',
  code,
  requestId: 'req-1',
});

describe('errors', () => {
  test.each(Object.entries(CLASSES))('%s is its own class', (code, Class) => {
    const error = errors.apiErrorOf(problem(code), 2);
    expect(error.constructor).toBe(Class);
    expect(error).toBeInstanceOf(errors.ApiError);
    expect(error).toBeInstanceOf(errors.FleetError);
    expect(error).toMatchObject({ name: Class.name, message: 'detail', code, status: 418, requestId: 'req-1', attempts: 2 });
  });

  test.each([
    [401, errors.UnauthorizedError],
    [404, errors.NotFoundError],
    [429, errors.RateLimitedError],
    [503, errors.UnavailableError],
    [418, errors.ApiError],
  ])('an unknown code with status %i falls back to the status', (status, Class) => {
    expect(errors.apiErrorOf(problem('from_a_later_version', status)).constructor).toBe(Class);
    expect(errors.apiErrorOf(problem('constructor', status)).constructor).toBe(Class);
  });

  test('facts of the problem are at hand', () => {
    const quota = errors.apiErrorOf({ ...problem('quota_exceeded'), limit: 5, scope: 'pool' });
    expect(quota).toMatchObject({ limit: 5, scope: 'pool' });
    const invalid = errors.apiErrorOf({ ...problem('validation_failed'), errors: [{ path: 'slots', message: 'too many' }] });
    expect(invalid).toMatchObject({ errors: [{ path: 'slots', message: 'too many' }] });
  });
});
