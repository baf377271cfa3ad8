import { ValidationError } from '../errors.ts';
import type { Assignment, RevokedLease } from '../types.ts';
import { LeaseLostError, TaskCancelledError } from './errors.ts';
import { HeldTask, type HeldTaskFacts, isLeaseGone } from './held-task.ts';
import { type Outcome, failure, messageOf } from './outcome.ts';
import type { Slots } from './slots.ts';
import type { AgentEvent, Reports, TaskHandler } from './types.ts';

export interface HeldTasksConfig {
  readonly handler: TaskHandler;
  readonly facts: HeldTaskFacts;
  readonly reports: Reports;
  /** Shared with the tasks of an earlier registration, which may still be unwinding. */
  readonly slots: Slots;
  readonly emit: (event: AgentEvent) => void;
}

interface Entry {
  readonly task: HeldTask;
  readonly done: Promise<void>;
}

/** The attempts one registration holds here, kept in step with what the fleet says it holds. */
export class HeldTasks {
  readonly #config: HeldTasksConfig;
  readonly #entries = new Map<string, Entry>();
  readonly #reporting = new Set<HeldTask>();
  #onIdle: (() => void)[] = [];
  #onEnd: (() => void)[] = [];

  constructor(config: HeldTasksConfig) {
    this.#config = config;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The assignments that are still ours, for beats. */
  get assignments(): Assignment[] {
    return [...this.#entries.values()].filter(({ task }) => !task.isLost).map(({ task }) => task.assignment);
  }

  /** Takes an assignment; one already held is a repeat and changes nothing. */
  assigned(assignment: Assignment): void {
    const known = this.#entries.get(assignment.taskId);
    if (known !== undefined && !known.task.isLost && known.task.assignment.fencingToken === assignment.fencingToken) return;
    // The same task under a new lease: the old attempt must be out of the way first.
    if (known !== undefined && !known.task.isLost) this.#lose(known.task, 'The task was assigned anew');
    const task = new HeldTask(assignment, this.#config.reports);
    const done = this.#run(task, known?.done ?? Promise.resolve()).finally(() => {
      if (this.#entries.get(assignment.taskId)?.task === task) this.#entries.delete(assignment.taskId);
      for (const resolve of this.#onEnd.splice(0)) resolve();
      if (this.#entries.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    });
    this.#entries.set(assignment.taskId, { task, done });
  }

  /** Resumes what the fleet still holds for us, starts what we do not know, drops what is not ours any more. */
  held(assignments: readonly Assignment[]): void {
    const tokens = new Map(assignments.map((assignment) => [assignment.taskId, assignment.fencingToken]));
    for (const { task } of this.#entries.values()) {
      const token = tokens.get(task.assignment.taskId);
      // A finished task whose acknowledgement was lost is not held any more, and its report is answered when sent again.
      if (token === undefined && !task.isLost && !this.#reporting.has(task))
        this.#lose(task, 'The fleet does not hold the task for this agent any more');
    }
    for (const assignment of assignments) this.assigned(assignment);
  }

  cancelled(taskId: string, reason: string, graceMs: number): void {
    const task = this.#entries.get(taskId)?.task;
    if (task === undefined || task.isLost) return;
    const error = new TaskCancelledError(reason, graceMs);
    this.#config.emit({ type: 'taskAborted', taskId, reason: error });
    // Without a grace the lease is revoked already: nothing to report.
    if (graceMs > 0) task.abort(error);
    else task.lose(error);
  }

  leaseLost(taskId: string, reason: string): void {
    const task = this.#entries.get(taskId)?.task;
    if (task !== undefined && !task.isLost) this.#lose(task, reason);
  }

  /** Stops the work under exactly these leases: the same task may already be here again under a new one. */
  revoked(leases: readonly RevokedLease[]): void {
    for (const { taskId, fencingToken, reason } of leases) {
      const task = taskId === undefined ? undefined : this.#entries.get(taskId)?.task;
      if (task !== undefined && !task.isLost && task.assignment.fencingToken === fencingToken)
        this.#lose(task, `The fleet revoked the lease: ${reason}`);
    }
  }

  /** Every handler is told to stop, and nothing is reported. */
  allLost(reason: string | Error): void {
    for (const { task } of this.#entries.values()) if (!task.isLost) this.#lose(task, reason);
  }

  /** Resolves when nothing is held. */
  async idle(): Promise<void> {
    if (this.#entries.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  /** Resolves when one of the held ends. */
  async ended(): Promise<void> {
    if (this.#entries.size > 0) await new Promise<void>((resolve) => this.#onEnd.push(resolve));
  }

  async #run(task: HeldTask, before: Promise<void>): Promise<void> {
    const { emit, handler, facts, reports, slots } = this.#config;
    const { taskId, attempt } = task.assignment;
    await before;
    await slots.acquire();
    try {
      if (task.isLost) return;
      // Work begins only once the fleet has confirmed that the task is still ours: the frame may have lain in a buffer.
      task.heed(await reports.accept(task.assignment));
      if (task.isLost) return;
      emit({ type: 'taskStarted', taskId, attempt });
      const startedAt = performance.now();
      const outcome = await task.work(handler, facts);
      if (outcome === null) return;
      this.#reporting.add(task);
      const reported = await this.#report(task, outcome);
      const durationMs = Math.round(performance.now() - startedAt);
      if (reported.type === 'complete') emit({ type: 'taskEnded', taskId, outcome: 'completed', durationMs });
      else emit({ type: 'taskEnded', taskId, outcome: 'failed', durationMs, error: reported.error.message });
    } catch (error) {
      emit({ type: 'taskDropped', taskId, reason: messageOf(error) });
    } finally {
      this.#reporting.delete(task);
      slots.release();
    }
  }

  /** Sends the outcome until stored. One that the fleet finds unfit (too large, too deep) is reported as a failure instead. */
  async #report(task: HeldTask, outcome: Outcome): Promise<Outcome> {
    const { reports } = this.#config;
    try {
      if (outcome.type === 'complete') await reports.complete(task.assignment, outcome.result);
      else await reports.fail(task.assignment, outcome.error, outcome.retryable);
      return outcome;
    } catch (error) {
      if (outcome.type === 'fail' || isLeaseGone(error) || !(error instanceof ValidationError)) throw error;
      const refused = failure('result_refused', messageOf(error), false);
      await reports.fail(task.assignment, refused.error, refused.retryable);
      return refused;
    }
  }

  #lose(task: HeldTask, reason: string | Error): void {
    const error = typeof reason === 'string' ? new LeaseLostError(reason) : reason;
    this.#config.emit({ type: 'taskAborted', taskId: task.assignment.taskId, reason: error });
    task.lose(error);
  }
}
