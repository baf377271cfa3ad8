import { LIMITS } from '../../../shared/limits.ts';
import { choose, DEFAULT_PREFERENCE } from './selection.ts';
import { dependencyEnded } from './dependencies.ts';
import { grant } from './leases.ts';
import { usable } from './liveness.ts';
import { hasRoom, keepOut } from './quotas.ts';
import { goesBefore, type Candidate, type DemandGroup, type QueueEntry } from './queue.ts';
import { classFitsAny, freeSlots, isConnected } from './predicates.ts';
import type { TaskRecord } from './records.ts';
import type { LiveAgent } from './live-agent.ts';
import { isSelectable, reindex } from './state.ts';
import type { Step } from './step.ts';

/**
 * Ends every command: nothing that waits and could be served is left waiting (I10). What has arrived, and what an agent that
 * became able to work might take, is served together, the best first over all demands: neither an arrival nor the order in
 * which agents became free may take an agent from something better that waits for it.
 */
export function settle(step: Step): void {
  // Serving may free or lose further agents, which adds to the sets; each round strictly consumes queue or agents.
  while (step.arrived.size > 0 || step.freed.size > 0 || step.ended.size > 0) {
    for (const [id, status] of step.ended) {
      step.ended.delete(id);
      dependencyEnded(step, id, status);
    }
    const { queue, agents } = step.state;
    const arrived = new Set([...step.arrived].flatMap((id) => queue.groupOf(id) ?? []));
    const freed = queue.size === 0 ? [] : [...step.freed].flatMap((id) => agents.get(id) ?? []).filter(isSelectable);
    step.arrived.clear();
    step.freed.clear();
    serveBest(step, arrived, freed);
  }
}

/** Serves the groups that may be served now: those with an arrival, and those that a freed agent fits while it is free. */
function serveBest(step: Step, arrived: Set<DemandGroup>, freed: readonly LiveAgent[]): void {
  const { queue } = step.state;
  const fitting = new Set<DemandGroup>();
  for (const agent of freed)
    for (const group of queue.groups()) if (!arrived.has(group) && fits(step, agent, group)) fitting.add(group);
  for (;;) {
    // Once the freed agents are taken, what waited for them need not be looked at.
    const open = fitting.size > 0 && freed.some(isSelectable) ? [arrived, fitting] : [arrived];
    let best: Candidate | undefined;
    for (const groups of open) {
      for (const group of groups) {
        const head = queue.head(group, step.nowMs);
        if (head === undefined) groups.delete(group);
        else if (best === undefined || goesBefore(head, best)) best = head;
      }
    }
    if (best === undefined) return;
    if (serve(step, best.entry)) continue;
    if (arrived.has(best.group)) step.came = true;
    arrived.delete(best.group);
    fitting.delete(best.group);
  }
}

function fits(step: Step, agent: LiveAgent, group: DemandGroup): boolean {
  const { demand } = group;
  if (demand.connected && !isConnected(agent)) return false;
  if (freeSlots(agent) < demand.slots) return false;
  const klass = step.state.selectable.placeOf(agent.record.id)?.klass;
  return klass !== undefined && classFitsAny(klass, demand);
}

function serve(step: Step, entry: QueueEntry): boolean {
  const waiter = entry.kind === 'waiter' ? step.state.waiters.get(entry.id) : undefined;
  if (waiter !== undefined && waiter.quota !== null) {
    const { callerSubject, quota, spec } = waiter;
    if (!hasRoom(step.state, callerSubject, quota, spec.count)) {
      // Its caller took its last lease after this came into the queue. Those behind it go on.
      step.state.queue.remove(entry.id);
      keepOut(step.state, waiter, quota, entry);
      return true;
    }
  }
  const preference = waiter === undefined ? DEFAULT_PREFERENCE : waiter.spec;
  const agents = choose(step.state, entry.demand, preference, (agent) => usable(step, agent));
  if (agents === null) return false;
  if (waiter !== undefined) {
    step.state.queue.serve(entry.id);
    step.state.waiters.delete(waiter.id);
    const leases = agents.map((agent) =>
      grant(step, agent, {
        kind: 'direct',
        taskId: waiter.spec.taskId ?? null,
        slots: waiter.spec.slots,
        leaseMs: waiter.spec.leaseMs,
        timeoutAtMs: null,
        metadata: waiter.spec.metadata ?? null,
        holder: waiter.callerSubject,
      }),
    );
    step.effects.push({ type: 'waiterGranted', waiter, leaseIds: leases.map((l) => l.id) });
    return true;
  }
  const task = step.state.tasks.get(entry.id);
  const [agent] = agents;
  if (task === undefined || agent === undefined) throw new Error(`queued without a task: ${entry.id}`);
  assign(step, task, agent);
  return true;
}

function assign(step: Step, task: TaskRecord, agent: LiveAgent): void {
  const lease = grant(step, agent, {
    kind: 'dispatched',
    taskId: task.id,
    slots: 1,
    leaseMs: Math.min(LIMITS.dispatchLeaseMs, task.timeoutMs),
    timeoutAtMs: step.nowMs + task.timeoutMs,
    metadata: null,
    holder: null,
  });
  step.emit({
    type: 'taskAssigned',
    taskId: task.id,
    leaseId: lease.id,
    agentId: agent.record.id,
    fencingToken: lease.fencingToken,
  });
  if (agent.sessionOpen) {
    step.effects.push({ type: 'assign', agentId: agent.record.id, leaseId: lease.id });
    return;
  }
  agent.pollRoom -= 1;
  // It held the line until now: its silence begins here.
  agent.aliveAsOfMs = step.nowMs;
  reindex(step.state, agent);
  step.effects.push({ type: 'pollReady', agentId: agent.record.id });
}
