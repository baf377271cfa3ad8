import type { AllocateSpec } from '../../../shared/rpc.ts';
import type { Demand, QueueEntry } from './queue.ts';
import type { TaskRecord } from './records.ts';
import type { Waiter } from './state.ts';

/** What a task asks of an agent: one slot of a connected one. */
export const demandOfTask = (task: Pick<TaskRecord, 'capabilities' | 'selectors'>): Demand => ({
  capabilities: task.capabilities,
  selectors: task.selectors,
  slots: 1,
  count: 1,
  connected: true,
});

/** What an allocation asks of agents. */
export const demandOfAllocate = (spec: AllocateSpec): Demand => ({
  capabilities: spec.capabilities,
  selectors: spec.selectors,
  slots: spec.slots,
  count: spec.count,
  connected: false,
});

export const entryOfTask = (task: TaskRecord): QueueEntry => ({
  id: task.id,
  kind: 'task',
  priority: task.priority,
  seq: task.seq,
  sinceMs: task.readyAtMs,
  started: task.attempts > 0,
  fairnessKey: task.fairnessKey,
  fairnessWeight: task.fairnessWeight,
  demand: demandOfTask(task),
});

export const entryOfWaiter = (waiter: Waiter, seq: number, nowMs: number): QueueEntry => ({
  id: waiter.id,
  kind: 'waiter',
  priority: waiter.spec.priority,
  seq,
  sinceMs: nowMs,
  started: false,
  fairnessKey: '',
  fairnessWeight: 1,
  demand: demandOfAllocate(waiter.spec),
});
