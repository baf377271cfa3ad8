import { FleetError } from '../errors.ts';

/** Throw it from a handler when trying again cannot help; the task then ends as `failed`. */
export class NonRetryableError extends FleetError {
  /** A code of your own, kept with the task. */
  readonly code: string;
  constructor(message: string, options: ErrorOptions & { readonly code?: string } = {}) {
    super(message, options);
    this.code = options.code ?? 'agent_error';
  }
}

/** Why a task's `signal` aborted: the task was cancelled; the fleet waits `graceMs` for the handler to end. */
export class TaskCancelledError extends FleetError {
  readonly reason: string;
  readonly graceMs: number;
  constructor(reason: string, graceMs: number) {
    super(`The task was cancelled (${reason})`);
    this.reason = reason;
    this.graceMs = graceMs;
  }
}

/** Why a task's `signal` aborted: the attempt used up its time. */
export class TaskTimeoutError extends FleetError {}

/** Why a task's `signal` aborted: the lease is lost, another agent may already have the task. Nothing is reported. */
export class LeaseLostError extends FleetError {}

/** Why a task's `signal` aborted: the agent stops and the task goes back to the queue. */
export class AgentStoppedError extends FleetError {}
