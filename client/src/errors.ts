import type { Problem } from '../../shared/schemas/problem.ts';
import type { Revocation } from '../../shared/schemas/allocations.ts';
import type { Why } from '../../shared/schemas/why.ts';
import type { Task } from '../../shared/schemas/tasks.ts';

/** Base of everything this package throws on purpose. */
export class FleetError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Options that cannot work, named one by one with what to do instead. Nothing was sent. */
export class ConfigurationError extends FleetError {}

/** The fleet could not be reached, or the answer broke off. */
export class ConnectionError extends FleetError {}

/** No answer, or no end of a task, within the time given. */
export class TimeoutError extends FleetError {}

/** `runTask` waited for a result and the task ended without one. */
export class TaskFailedError extends FleetError {
  readonly task: Task;
  constructor(task: Task) {
    super(`Task ${task.id} ended as ${task.status}${task.error ? `: ${task.error.message}` : ''}`);
    this.task = task;
  }
}

/** The fleet answered, and the answer is no: an RFC 9457 problem. */
export class ApiError extends FleetError {
  readonly status: number;
  /** The contract's code, such as `no_capacity`. */
  readonly code: string;
  readonly problem: Problem;
  readonly requestId: string;
  readonly retryAfterMs: number | undefined;
  /** How often the request was sent. */
  readonly attempts: number;

  constructor(problem: Problem, attempts = 1) {
    super(problem.detail === '' ? problem.title : problem.detail);
    this.status = problem.status;
    this.code = problem.code;
    this.problem = problem;
    this.requestId = problem.requestId;
    this.retryAfterMs = problem.retryAfterMs;
    this.attempts = attempts;
  }
}

/** No agent can take the work now; `why` counts what stood in the way. */
export class NoCapacityError extends ApiError {
  get why(): Why | undefined {
    return this.problem.why;
  }
}

/** A maximum is reached; `scope` and `limit` say which. */
export class QuotaExceededError extends ApiError {
  get limit(): number | undefined {
    return this.problem.limit;
  }
  get scope(): string | undefined {
    return this.problem.scope;
  }
  /** With scope `caller`: what an allocation would have found but for the quota. */
  get why(): Why | undefined {
    return this.problem.why;
  }
}

/** The hold on an agent is gone: stop the work, its result would be refused. */
export class LeaseError extends ApiError {}
export class LeaseSupersededError extends LeaseError {}
export class LeaseExpiredError extends LeaseError {}
export class LeaseReleasedError extends LeaseError {}

export class NotFoundError extends ApiError {}

/** The request is malformed; `errors` names each place. */
export class ValidationError extends ApiError {
  get errors(): NonNullable<Problem['errors']> {
    return this.problem.errors ?? [];
  }
}

/** The entry has another version than the write was made for: read it again and decide anew. */
export class VersionConflictError extends ApiError {}

export class UnauthorizedError extends ApiError {}
export class ForbiddenError extends ApiError {}
export class ResidencyError extends ApiError {}
export class RateLimitedError extends ApiError {}
export class QueueFullError extends ApiError {}

/** The key was used with another body, or its first request is still running. */
export class IdempotencyError extends ApiError {}

/** The thing is in a state that does not allow this; `state` names it. */
export class InvalidStateError extends ApiError {
  get state(): string | undefined {
    return this.problem.state;
  }
}

/** Overloaded, or no allowed region answers. */
export class UnavailableError extends ApiError {}

/**
 * A revocation did not reach every region or shard: leases there may live on. What it did reach is done; repeat it with the
 * same idempotency key.
 */
export class RevokeIncompleteError extends UnavailableError {
  /** What was done, and in `unanswered` what was not reached. */
  get revocation(): Revocation | undefined {
    return this.problem.revocation;
  }
}
/** An edit that the booster is not sure of, where only a whole answer would do. */
export class UnsureError extends ApiError {}

/** The contract has it, this fleet does not yet. */
export class UnsupportedError extends ApiError {}

type ApiErrorClass = new (problem: Problem, attempts?: number) => ApiError;

const BY_CODE: Readonly<Record<string, ApiErrorClass>> = {
  no_capacity: NoCapacityError,
  quota_exceeded: QuotaExceededError,
  lease_superseded: LeaseSupersededError,
  lease_expired: LeaseExpiredError,
  lease_released: LeaseReleasedError,
  not_found: NotFoundError,
  pool_not_found: NotFoundError,
  malformed_request: ValidationError,
  validation_failed: ValidationError,
  unknown_region: ValidationError,
  region_required: ValidationError,
  invalid_cursor: ValidationError,
  payload_too_large: ValidationError,
  unsupported_media_type: ValidationError,
  unauthorized: UnauthorizedError,
  forbidden: ForbiddenError,
  residency_violation: ResidencyError,
  rate_limited: RateLimitedError,
  queue_full: QueueFullError,
  idempotency_mismatch: IdempotencyError,
  idempotency_in_progress: IdempotencyError,
  invalid_state: InvalidStateError,
  version_conflict: VersionConflictError,
  overloaded: UnavailableError,
  region_unavailable: UnavailableError,
  unsupported: UnsupportedError,
  revoke_incomplete: RevokeIncompleteError,
  unsure: UnsureError,
};

const BY_STATUS: Readonly<Record<number, ApiErrorClass>> = {
  400: ValidationError,
  401: UnauthorizedError,
  403: ForbiddenError,
  404: NotFoundError,
  412: VersionConflictError,
  422: ValidationError,
  429: RateLimitedError,
  502: UnavailableError,
  503: UnavailableError,
  504: UnavailableError,
};

/** The typed error of a problem: by its code, else by its status. */
export function apiErrorOf(problem: Problem, attempts = 1): ApiError {
  const known = Object.hasOwn(BY_CODE, problem.code) ? BY_CODE[problem.code] : undefined;
  const Class = known ?? BY_STATUS[problem.status] ?? ApiError;
  return new Class(problem, attempts);
}
