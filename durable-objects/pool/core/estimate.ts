import type { AgentClass } from './agent-index.ts';
import type { LiveAgent } from './live-agent.ts';
import { MinHeap } from './min-heap.ts';
import { classFitsAny, freeSlots } from './predicates.ts';
import type { Demand } from './queue.ts';
import type { LeaseRecord } from './records.ts';
import type { PoolState } from './state.ts';

/**
 * When a demand would be served, behind `ahead` agents' worth of others; null when that is not known.
 *
 * Each agent in service that fits offers a start whenever enough of its slots are free: now, or when its leases end. A lease
 * ends one mean duration after its grant (the mean over what the agents that fit have finished); where none is known, or
 * one has passed, a direct lease ends at its end, a task's lease at the timeout of its attempt, if a mean is known at all.
 * Whoever is ahead takes the earliest start and gives it back one mean duration later, or never if none is known.
 */
export function estimateStart(state: PoolState, demand: Demand, ahead: number, nowMs: number): number | null {
  const fitting = fittingAgents(state, demand);
  const meanMs = meanDuration(fitting);
  const starts = new MinHeap<number>((a, b) => a < b);
  for (const agent of fitting)
    for (const atMs of startsOf(state, agent, { demand, meanMs, nowMs, most: ahead + demand.count })) starts.push(atMs);
  let last: number | undefined;
  for (let taken = 0; taken < ahead + demand.count; taken += 1) {
    last = starts.pop();
    if (last === undefined) return null;
    if (meanMs !== null) starts.push(last + meanMs);
  }
  return last === undefined ? null : Math.round(last);
}

function fittingAgents(state: PoolState, demand: Demand): readonly LiveAgent[] {
  const agents: LiveAgent[] = [];
  const classes: Iterable<AgentClass> = state.selectable.fitting(
    demand,
    demand.selectors.length === 1 ? demand.selectors[0] : undefined,
  );
  for (const klass of classes) {
    if (klass.inService === 0 || klass.slots < demand.slots || !classFitsAny(klass, demand)) continue;
    for (const place of klass.members) if (state.selectable.isServing(place, demand.connected)) agents.push(place.agent);
  }
  return agents;
}

function meanDuration(agents: readonly LiveAgent[]): number | null {
  let [finished, durationMs] = [0, 0];
  for (const { record } of agents) {
    finished += record.completed + record.failed;
    durationMs += record.totalDurationMs;
  }
  return finished === 0 ? null : durationMs / finished;
}

interface Terms {
  readonly demand: Demand;
  readonly meanMs: number | null;
  readonly nowMs: number;
  readonly most: number;
}

/** The instants at which one agent can begin with the demand, as its leases end. */
function startsOf(state: PoolState, agent: LiveAgent, { demand, meanMs, nowMs, most }: Terms): number[] {
  const starts: number[] = [];
  let free = freeSlots(agent);
  // One gang takes an agent once.
  const rounds = demand.count > 1 ? 1 : most;
  const offer = (atMs: number): void => {
    for (; free >= demand.slots && starts.length < rounds; free -= demand.slots) starts.push(atMs);
  };
  offer(nowMs);
  const ends: { readonly atMs: number; readonly slots: number }[] = [];
  for (const id of agent.leases) {
    const lease = state.leases.get(id);
    if (lease !== undefined) ends.push({ atMs: endOf(lease, meanMs, nowMs), slots: lease.slots });
  }
  if (ends.length > 1) ends.sort((a, b) => a.atMs - b.atMs);
  for (const end of ends) {
    if (end.atMs === Number.POSITIVE_INFINITY) break;
    free += end.slots;
    offer(end.atMs);
  }
  return starts;
}

function endOf(lease: LeaseRecord, meanMs: number | null, nowMs: number): number {
  const own = lease.timeoutAtMs ?? lease.expiresAtMs;
  if (meanMs === null) return lease.kind === 'direct' ? Math.max(nowMs, own) : Number.POSITIVE_INFINITY;
  const expectedMs = lease.grantedAtMs + meanMs;
  if (expectedMs < nowMs) return Math.max(nowMs, own);
  return lease.timeoutAtMs === null ? expectedMs : Math.min(expectedMs, lease.timeoutAtMs);
}
