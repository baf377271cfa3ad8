import type { TaskRecord } from '../../../durable-objects/pool/core/records.ts';
import { classFitsAny } from '../../../durable-objects/pool/core/predicates.ts';
import type { LiveAgent } from '../../../durable-objects/pool/core/live-agent.ts';
import type { PoolState } from '../../../durable-objects/pool/core/state.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { must } from './must.ts';

/** What waits, and how often it was handed out before. */
export type Waiting = ReadonlyMap<string, number>;

export const waitingOf = (state: PoolState): Waiting =>
  new Map([...state.queue.ids()].map((id) => [id, state.tasks.get(id)?.attempts ?? 0]));

/**
 * The best goes first (P41 to P43): no task was handed to an agent while something of strictly higher effective priority
 * waited for the same agent, before and after.
 */
export function checkOrder(state: PoolState, before: Waiting, granted: readonly string[], nowMs: number): void {
  for (const leaseId of granted) {
    const lease = state.leases.get(leaseId);
    if (lease?.kind !== 'dispatched' || lease.taskId === null) continue;
    const task = state.tasks.get(lease.taskId);
    const agent = state.agents.get(lease.agentId);
    if (task === undefined || agent === undefined) continue;
    const served = effective(task.priority, task.readyAtMs, nowMs);
    for (const [id, attempts] of before) {
      const other = state.queue.has(id) ? state.tasks.get(id) : undefined;
      if (other?.attempts !== attempts || !fits(agent, other)) continue;
      const better = effective(other.priority, other.readyAtMs, nowMs);
      must(better <= served, `${task.id} (${served}) was served while ${id} (${better}) waited for the same agent`);
    }
  }
}

const effective = (priority: number, sinceMs: number, nowMs: number): number =>
  priority + Math.floor(Math.max(0, nowMs - sinceMs) / LIMITS.ageingStepMs);

function fits(agent: LiveAgent, task: TaskRecord): boolean {
  const klass = { capabilities: new Set(agent.record.spec.capabilities), labels: agent.record.spec.labels };
  return classFitsAny(klass, task);
}
