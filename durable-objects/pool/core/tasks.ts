import { invalidState, notFound, type FleetError } from '../../../shared/errors.ts';
import { makeId, parseIdOf } from '../../../shared/ids.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { PoolCommandOf, PoolOutput, TaskView } from '../../../shared/rpc.ts';
import type { TaskError } from '../../../shared/schemas/tasks.ts';
import { recordOutcome } from './allocations.ts';
import { demandOfTask } from './demand.ts';
import { explain, REFUSED } from './explain.ts';
import { remoteDependencies, resolveDependencies } from './dependencies.ts';
import { endLease, extendDispatched, findLease, hasEnded, isBeingRevoked } from './leases.ts';
import { notZombie } from './liveness.ts';
import { ENDED, type BlobKind, type LeaseRecord, type TaskRecord } from './records.ts';
import { waitingCount, type PoolState } from './state.ts';
import type { Step } from './step.ts';
import { attemptLost } from './task-attempts.ts';
import { taskView } from './views.ts';

/** Accepts a task into the queue. `needsAgent` refuses where no live agent could ever take it, so that the router tries elsewhere. */
export function submitTask(step: Step, command: PoolCommandOf<'submitTask'>): Result<TaskView, FleetError> {
  const { state } = step;
  const { spec } = command;
  if (waitingCount(state) >= LIMITS.queuePerShard) {
    return err({
      kind: 'queue_full',
      limit: LIMITS.queuePerShard,
      retryAfterMs: 1_000,
      detail: 'Too much already waits for this pool.',
    });
  }
  if (command.needsAgent && !hasLiveFit(state, spec)) {
    const why = explain(state, demandOfTask(spec), { nowMs: step.nowMs, isSilent: null, most: REFUSED });
    return err({ kind: 'no_capacity', why, detail: why.detail });
  }
  const dependencies = resolveDependencies(step, spec.dependsOn ?? []);
  if (!dependencies.ok) return dependencies;
  const task: TaskRecord = {
    id: makeId('task', state.home, step.ctx.ulid()),
    seq: state.nextTaskSeq,
    priority: spec.priority,
    capabilities: [...new Set(spec.capabilities)],
    selectors: spec.selectors,
    concurrency: spec.concurrency ?? null,
    fairnessKey: spec.fairnessKey ?? '',
    fairnessWeight: spec.fairnessWeight ?? 1,
    maxAttempts: spec.maxAttempts,
    retry: spec.retry,
    timeoutMs: spec.timeoutMs,
    deadlineAtMs: spec.deadlineMs === undefined ? null : step.nowMs + spec.deadlineMs,
    resultTtlMs: spec.resultTtlMs ?? LIMITS.resultTtlMsDefault,
    createdAtMs: step.nowMs,
    readyAtMs: step.nowMs + (spec.delayMs ?? 0),
    replayOf: command.replayOf ?? null,
    metadata: spec.metadata ?? null,
    status: 'queued',
    attempts: 0,
    notBeforeMs: spec.delayMs === undefined || spec.delayMs === 0 ? 0 : step.nowMs + spec.delayMs,
    waitsFor: dependencies.value.waitsFor,
    agentId: null,
    allocationId: null,
    fencingToken: null,
    startedAtMs: null,
    completedAtMs: null,
    cancelDueAtMs: null,
    error: null,
  };
  const { failed } = dependencies.value;
  const limited = failed === null ? limitConcurrency(step, task) : null;
  step.emit({ type: 'taskSubmitted', task, payload: spec.payload });
  if (failed !== null) step.emit({ type: 'taskEnded', taskId: task.id, status: 'failed', atMs: step.nowMs, error: failed });
  else if (limited !== null)
    step.emit({ type: 'taskEnded', taskId: task.id, status: 'cancelled', atMs: step.nowMs, error: limited });
  else {
    for (const dependencyId of remoteDependencies(state, task)) step.effects.push({ type: 'watch', dependencyId });
    // Making room at the concurrency limit may have cancelled one that this task waits for.
    for (const id of task.waitsFor) {
      const status = state.tasks.has(id) ? undefined : step.changes.tasks.get(id)?.status;
      if (status !== undefined) step.ended.set(id, status);
    }
  }
  return ok(taskView(task, state.home));
}

/**
 * What a full concurrency key means for a new task: `queue` waits, `cancel_oldest` asks the oldest of the key to stop,
 * `cancel_newest` ends the new one; then the reason is answered.
 */
function limitConcurrency(step: Step, task: TaskRecord): TaskError | null {
  const gate = task.concurrency === null ? undefined : step.state.gates.get(task.concurrency.key);
  if (task.concurrency === null || gate === undefined || gate.admitted.size + gate.waiting.size < task.concurrency.limit)
    return null;
  const { key, limit, strategy } = task.concurrency;
  if (strategy === 'cancel_newest')
    return { code: 'concurrency_limit', message: `${limit} tasks with the concurrency key "${key}" are under way already.` };
  if (strategy === 'cancel_oldest') {
    const held = [...gate.admitted, ...gate.waiting.keys()].flatMap((id) => step.state.tasks.get(id) ?? []);
    const oldest = held
      .filter((t) => t.cancelDueAtMs === null)
      .reduce<TaskRecord | null>((a, b) => (a === null || b.seq < a.seq ? b : a), null);
    if (oldest !== null) requestCancel(step, oldest, 'replaced by a newer task of its concurrency key');
  }
  return null;
}

/** Whether some agent that is in service and takes tasks (even if it is full or away just now) could take such a task. */
function hasLiveFit(
  state: PoolState,
  spec: { readonly capabilities: readonly string[]; readonly selectors: TaskRecord['selectors'] },
): boolean {
  const demand = demandOfTask(spec);
  const selectors = demand.selectors.length === 0 ? [undefined] : demand.selectors;
  for (const selector of selectors)
    for (const klass of state.taskReady.fitting(demand, selector)) if (klass.members.size > 0) return true;
  return false;
}

/** A live or ended task of this shard. An agent sees only tasks it holds, or held to their end. */
function findTask(step: Step, taskId: string): TaskRecord | null {
  if (parseIdOf('task', taskId) === null) return null;
  const task = step.task(taskId);
  if (task === null) return null;
  const self = step.caller?.agentId;
  return self !== undefined && task.agentId !== self ? null : task;
}

interface Held {
  readonly task: TaskRecord;
  /** Null when an agent of a sibling holds the task: the lease is there. */
  readonly lease: LeaseRecord | null;
}

/**
 * The check for whatever an agent says about a task: the token must be the one of the task's present lease (I3), and
 * the lease must not have ended by the clock.
 */
function holdTask(step: Step, taskId: string, fencingToken: number): Result<Held | { readonly ended: TaskRecord }, FleetError> {
  const task = parseIdOf('task', taskId) === null ? null : step.task(taskId);
  if (task === null) return err(notFound('task'));
  // Who held it before is told that it lost it, not that there is no such task.
  if (task.fencingToken !== fencingToken || task.allocationId === null) {
    return err({ kind: 'lease_superseded', detail: 'The fencing token is not that of the task’s present lease. Drop the work.' });
  }
  const self = step.caller?.agentId;
  if (self !== undefined && task.agentId !== self) return err(notFound('task'));
  if (ENDED.has(task.status)) {
    // What we took away ended without its holder, whose token was revoked with the lease.
    if (findLease(step, task.allocationId)?.status !== 'revoked') return ok({ ended: task });
    return err({ kind: 'lease_superseded', detail: 'The lease was revoked before the task ended. Drop the work.' });
  }
  if (task.loan !== undefined) {
    // The lender has looked at its lease first; what does not come through it is not under that lease.
    if (step.loanId !== task.allocationId)
      return err({ kind: 'lease_superseded', detail: 'The shard of the agent no longer holds this lease. Drop the work.' });
    if (task.loan.timeoutAtMs <= step.nowMs)
      return err({ kind: 'lease_expired', detail: 'The lease ended before this call. Drop the work.' });
    return ok({ task, lease: null });
  }
  const lease = step.state.leases.get(task.allocationId);
  if (lease === undefined || isBeingRevoked(step.state, lease))
    return err({ kind: 'lease_superseded', detail: 'The task is no longer held under this lease. Drop the work.' });
  if (hasEnded(lease, step.nowMs))
    return err({ kind: 'lease_expired', detail: 'The lease ended before this call. Drop the work.' });
  return ok({ task, lease });
}

function start(step: Step, { task, lease }: Held): void {
  if (lease !== null) {
    const agent = step.state.agents.get(lease.agentId);
    if (agent !== undefined) notZombie(step, agent);
    if (!lease.accepted) step.emit({ type: 'leaseAccepted', leaseId: lease.id });
  }
  if (task.status === 'assigned') step.emit({ type: 'taskStarted', taskId: task.id, atMs: step.nowMs });
}

/** The agent's result: at most one completion is ever accepted (I7); the same one again gets the same answer. */
export function completeTask(step: Step, command: PoolCommandOf<'completeTask'>): Result<TaskView, FleetError> {
  const held = holdTask(step, command.taskId, command.fencingToken);
  if (!held.ok) return held;
  if ('ended' in held.value) {
    const { ended } = held.value;
    const result = step.ctx.archive.blob(ended.id, 'result');
    return ended.status === 'succeeded'
      ? ok(taskView(ended, step.state.home, result === null ? {} : { result }))
      : err(invalidState(ended.status, 'The task has already ended otherwise.'));
  }
  const { task, lease } = held.value;
  start(step, held.value);
  if (lease !== null) recordOutcome(step, lease, true, step.nowMs - lease.grantedAtMs);
  step.emit({
    type: 'taskEnded',
    taskId: task.id,
    status: 'succeeded',
    atMs: step.nowMs,
    error: null,
    ...(command.result === undefined ? {} : { result: command.result }),
  });
  if (lease !== null) endLease(step, lease, 'released');
  return ok(taskView(task, step.state.home, command.result === undefined ? {} : { result: command.result }));
}

/** The agent's failure: tried again after a backoff unless it says that would not help, or no attempt is left. */
export function failTask(step: Step, command: PoolCommandOf<'failTask'>): Result<TaskView, FleetError> {
  const held = holdTask(step, command.taskId, command.fencingToken);
  if (!held.ok) return held;
  if ('ended' in held.value) {
    const { ended } = held.value;
    return ended.status === 'succeeded'
      ? err(invalidState(ended.status, 'The task has already succeeded.'))
      : ok(taskView(ended, step.state.home));
  }
  const { task, lease } = held.value;
  start(step, held.value);
  if (lease !== null) recordOutcome(step, lease, false, step.nowMs - lease.grantedAtMs);
  if (command.retryable || task.cancelDueAtMs !== null) attemptLost(step, task, command.error, { counted: true, backoff: true });
  else step.emit({ type: 'taskEnded', taskId: task.id, status: 'failed', atMs: step.nowMs, error: command.error });
  if (lease !== null) endLease(step, lease, 'released');
  return ok(taskView(task, step.state.home));
}

/** A sign of work: accepts the task, keeps progress and checkpoint over attempts, tells of a requested cancel. */
export function progressTask(step: Step, command: PoolCommandOf<'progressTask'>): Result<PoolOutput<'progressTask'>, FleetError> {
  const held = holdTask(step, command.taskId, command.fencingToken);
  if (!held.ok) return held;
  if ('ended' in held.value) return err(invalidState(held.value.ended.status, 'The task has already ended.'));
  const { task, lease } = held.value;
  start(step, held.value);
  const blobs: Partial<Record<BlobKind, string>> = {};
  if (command.progress !== undefined) blobs.progress = command.progress;
  if (command.checkpoint !== undefined) blobs.checkpoint = command.checkpoint;
  if (Object.keys(blobs).length > 0) step.emit({ type: 'taskProgressed', taskId: task.id, blobs });
  if (lease !== null) extendDispatched(step, lease);
  const leaseExpiresAtMs =
    lease?.expiresAtMs ?? Math.min(step.nowMs + LIMITS.loanSilentMs, task.loan?.timeoutAtMs ?? Number.MAX_SAFE_INTEGER);
  return ok({ taskId: task.id, leaseExpiresAtMs, cancelRequested: task.cancelDueAtMs !== null });
}

/** A task nobody holds ends at once; a held one is asked to stop, and taken away when it does not. */
export function cancelTask(step: Step, { taskId }: PoolCommandOf<'cancelTask'>): Result<TaskView, FleetError> {
  const task = findTask(step, taskId);
  if (task === null) return err(notFound('task'));
  if (ENDED.has(task.status)) return err(invalidState(task.status, 'The task has already ended.'));
  requestCancel(step, task, 'cancelled by its owner');
  return ok(taskView(task, step.state.home));
}

function requestCancel(step: Step, task: TaskRecord, reason: string): void {
  const taskId = task.id;
  if (task.status === 'queued') {
    step.emit({ type: 'taskEnded', taskId, status: 'cancelled', atMs: step.nowMs, error: null });
  } else if (task.cancelDueAtMs === null) {
    step.emit({ type: 'taskCancelRequested', taskId, dueAtMs: step.nowMs + LIMITS.cancelGraceMs });
    if (task.agentId !== null)
      step.effects.push({ type: 'cancel', agentId: task.agentId, taskId, reason, graceMs: LIMITS.cancelGraceMs });
  }
}

/** Runs an ended task again as a new one with a new id. */
export function replayTask(step: Step, { taskId }: PoolCommandOf<'replayTask'>): Result<TaskView, FleetError> {
  const task = findTask(step, taskId);
  if (task === null) return err(notFound('task'));
  if (!ENDED.has(task.status)) return err(invalidState(task.status, 'Only an ended task can be replayed.'));
  const payload = step.ctx.archive.blob(taskId, 'payload');
  if (payload === null) return err(notFound('task'));
  return submitTask(step, {
    type: 'submitTask',
    needsAgent: false,
    replayOf: taskId,
    spec: {
      payload,
      capabilities: [...task.capabilities],
      selectors: [...task.selectors],
      priority: task.priority,
      ...(task.concurrency === null ? {} : { concurrency: task.concurrency }),
      ...(task.fairnessKey === '' ? {} : { fairnessKey: task.fairnessKey, fairnessWeight: task.fairnessWeight }),
      maxAttempts: task.maxAttempts,
      retry: task.retry,
      timeoutMs: task.timeoutMs,
      resultTtlMs: task.resultTtlMs,
      ...(task.metadata === null ? {} : { metadata: task.metadata }),
    },
  });
}
