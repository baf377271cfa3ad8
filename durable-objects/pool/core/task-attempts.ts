import type { TaskError, Retry } from '../../../shared/schemas/tasks.ts';
import { returnLoan } from './loan-ends.ts';
import type { LeaseRecord, TaskRecord } from './records.ts';
import type { Step } from './step.ts';

/**
 * Delay before attempt n+1: `base · factor^(n−1)`, capped, then uniform in [delay·(1−jitter), delay]
 * (SEMANTICS §5). Milliseconds.
 */
export function backoffMs(retry: Retry, attempts: number, random: () => number): number {
  const full = Math.min(retry.maxMs, retry.baseMs * retry.factor ** Math.max(0, attempts - 1));
  return Math.round(full - full * retry.jitter * random());
}

/** A dispatched lease ended without a result: the task goes back into the queue, or ends when it may not try again. */
export function loseAttempt(
  step: Step,
  lease: LeaseRecord,
  error: TaskError,
  how: { readonly counted: boolean; readonly backoff: boolean },
): void {
  if (lease.loan !== undefined) {
    returnLoan(step, lease, { ...error, ...how });
    return;
  }
  const task = lease.taskId === null ? undefined : step.state.tasks.get(lease.taskId);
  if (task === undefined || task.allocationId !== lease.id) return;
  attemptLost(step, task, error, how);
}

/** The present attempt of a task is over without a result. */
export function attemptLost(
  step: Step,
  task: TaskRecord,
  error: TaskError,
  how: { readonly counted: boolean; readonly backoff: boolean },
): void {
  if (task.cancelDueAtMs !== null) {
    step.emit({ type: 'taskEnded', taskId: task.id, status: 'cancelled', atMs: step.nowMs, error: null });
    return;
  }
  if (how.counted && task.attempts >= task.maxAttempts) {
    step.emit({ type: 'taskEnded', taskId: task.id, status: 'dead', atMs: step.nowMs, error });
    return;
  }
  const delayMs = how.backoff ? backoffMs(task.retry, task.attempts, step.ctx.random) : 0;
  step.emit({
    type: 'taskRequeued',
    taskId: task.id,
    notBeforeMs: delayMs === 0 ? 0 : step.nowMs + delayMs,
    counted: how.counted,
    error,
  });
}
