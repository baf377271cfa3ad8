import type { FleetError } from '../../../shared/errors.ts';
import { parseIdOf } from '../../../shared/ids.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { TaskError, TaskStatus } from '../../../shared/schemas/tasks.ts';
import { ENDED, type TaskRecord } from './records.ts';
import type { PoolState } from './state.ts';
import type { Step } from './step.ts';

/** What a new task has to wait for, or why it can never run. */
export interface Dependencies {
  readonly waitsFor: string[];
  readonly failed: TaskError | null;
}

/** Whether a task id belongs to this shard; others are watched through their own object. */
export function isLocal(state: PoolState, taskId: string): boolean {
  const home = parseIdOf('task', taskId);
  return home !== null && home.pool === state.home.pool && home.shard === state.home.shard;
}

const failure = (taskId: string, status: string): TaskError => ({
  code: 'dependency_failed',
  message: `The task ${taskId} it depends on is ${status}.`,
});

/**
 * Sorts out the dependencies of a new task. They are ids of tasks that exist, so a cycle cannot be stored; they must be
 * of this region, since waiting for another region would move data between them.
 */
export function resolveDependencies(step: Step, ids: readonly string[]): Result<Dependencies, FleetError> {
  const waitsFor: string[] = [];
  let failed: TaskError | null = null;
  for (const [i, id] of [...new Set(ids)].entries()) {
    const refuse = (message: string): Result<Dependencies, FleetError> =>
      err({ kind: 'validation_failed', errors: [{ path: `dependsOn.${i}`, message }], detail: `dependsOn.${i}: ${message}` });
    const home = parseIdOf('task', id);
    if (home === null) return refuse('no such task');
    if (home.region !== step.state.home.region) return refuse(`is in ${home.region}; dependencies stay within one region`);
    if (!isLocal(step.state, id)) {
      waitsFor.push(id);
      continue;
    }
    const task = step.task(id);
    if (task === null) return refuse('no such task');
    if (!ENDED.has(task.status)) waitsFor.push(id);
    else if (task.status !== 'succeeded') failed ??= failure(id, task.status);
  }
  return ok({ waitsFor, failed });
}

/** A task that others here wait for has ended, here or elsewhere (`missing`: its shard does not know it). */
export function dependencyEnded(step: Step, dependencyId: string, status: TaskStatus | 'missing'): void {
  for (const taskId of step.state.dependents.get(dependencyId) ?? []) {
    const task = step.state.tasks.get(taskId);
    if (task === undefined) continue;
    if (status === 'succeeded') step.emit({ type: 'taskDependencyMet', taskId, dependencyId, atMs: step.nowMs });
    else step.emit({ type: 'taskEnded', taskId, status: 'failed', atMs: step.nowMs, error: failure(dependencyId, status) });
  }
}

/** Remote dependencies of a task: the shell watches them, again after every wake. */
export const remoteDependencies = (state: PoolState, task: TaskRecord): readonly string[] =>
  task.waitsFor.filter((id) => !isLocal(state, id));
