import { LIMITS } from '../../../shared/limits.ts';
import { InvalidStateError, LeaseError, NotFoundError } from '../errors.ts';
import type { Assignment } from '../types.ts';
import { LeaseLostError, TaskCancelledError, TaskTimeoutError } from './errors.ts';
import { type Outcome, messageOf, outcomeOfError, outcomeOfResult } from './outcome.ts';
import type { Ack, AgentTask, Reports, TaskHandler } from './types.ts';

export interface HeldTaskFacts {
  readonly agentId: string;
  readonly pool: string;
  readonly region: string;
}

interface Update {
  readonly progress?: unknown;
  readonly checkpoint?: unknown;
}

/** Refusals that mean the fleet gave the task to someone else or ended it. */
export const isLeaseGone = (error: unknown): boolean =>
  error instanceof LeaseError ||
  error instanceof NotFoundError ||
  error instanceof InvalidStateError ||
  error instanceof LeaseLostError;

/** One attempt this process holds, from assignment to stored result. */
export class HeldTask {
  readonly assignment: Assignment;
  readonly #reports: Reports;
  readonly #abort = new AbortController();
  #isLost = false;
  #update: Update = {};
  #next: Promise<void> | null = null;
  #sending: Promise<void> = Promise.resolve();

  constructor(assignment: Assignment, reports: Reports) {
    this.assignment = assignment;
    this.#reports = reports;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Ends the handler early; the outcome is still reported. */
  abort(reason: Error): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(reason);
  }

  /** The lease is gone: the handler is told, and nothing it says is reported any more. */
  lose(reason: Error): void {
    this.#isLost = true;
    this.abort(reason);
    this.#reports.forget(this.assignment, reason);
  }

  /** Takes up what an answer of the fleet says besides yes. */
  heed(ack: Ack): void {
    if (ack.cancelRequested) this.abort(new TaskCancelledError('cancelled', LIMITS.cancelGraceMs));
  }

  /** Runs the handler; `null` when the lease was lost on the way. */
  async work(handler: TaskHandler, facts: HeldTaskFacts): Promise<Outcome | null> {
    const { signal } = this.#abort;
    const { timeoutMs } = this.assignment;
    const timer = setTimeout(() => this.abort(new TaskTimeoutError(`The attempt did not end within ${timeoutMs} ms`)), timeoutMs);
    try {
      const result = await handler(this.#view(facts));
      return this.#isLost ? null : outcomeOfResult(result);
    } catch (error) {
      return this.#isLost ? null : outcomeOfError(error, signal);
    } finally {
      clearTimeout(timer);
    }
  }

  #view(facts: HeldTaskFacts): AgentTask {
    const { taskId, attempt, payload, checkpoint, timeoutMs, allocationId, fencingToken } = this.assignment;
    const deadlineAtMs = Date.now() + timeoutMs;
    return {
      ...facts,
      id: taskId,
      attempt,
      payload,
      checkpoint,
      timeoutMs,
      allocationId,
      fencingToken,
      deadlineAtMs,
      signal: this.#abort.signal,
      progress: (progress, saved) => {
        const stored = this.#report({ progress, ...(saved === undefined ? {} : { checkpoint: saved }) });
        // A handler may choose not to wait; a lost lease reaches it by its signal, not as an unhandled rejection.
        stored.catch(() => undefined);
        return stored;
      },
    };
  }

  /** One report under way at a time; what comes meanwhile is merged into the next, the newest wins. */
  #report(update: Update): Promise<void> {
    this.#update = { ...this.#update, ...update };
    this.#next ??= this.#sending
      .catch(() => undefined)
      .then(() => {
        const merged = this.#update;
        this.#update = {};
        this.#next = null;
        this.#sending = this.#send(merged);
        return this.#sending;
      });
    return this.#next;
  }

  async #send(update: Update): Promise<void> {
    this.#abort.signal.throwIfAborted();
    try {
      this.heed(await this.#reports.progress(this.assignment, update));
    } catch (error) {
      if (isLeaseGone(error) && !this.#isLost) this.lose(new LeaseLostError(messageOf(error), { cause: error }));
      throw error;
    }
  }
}
