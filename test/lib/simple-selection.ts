import type { LiveAgent } from '../../durable-objects/pool/core/live-agent.ts';
import { matchesSelector } from '../../durable-objects/pool/core/predicates.ts';
import type { Demand } from '../../durable-objects/pool/core/queue.ts';
import type { Preference } from '../../durable-objects/pool/core/selection.ts';
import { isSelectable, type PoolState } from '../../durable-objects/pool/core/state.ts';

/**
 * Selection as it is defined (P30 to P35): every agent that fits is scored, all are sorted, the first are taken. What the
 * indexed one must agree with, whatever the state.
 */
export function simpleChoose(
  state: PoolState,
  demand: Demand,
  preference: Preference,
  usable: (agent: LiveAgent) => boolean,
): readonly LiveAgent[] | null {
  const index = demand.connected ? state.taskReady : state.selectable;
  const seq = (agent: LiveAgent): number => index.placeOf(agent.record.id)?.seq ?? 0;
  const load = (agent: LiveAgent): number =>
    (agent.slotsUsed / agent.record.spec.slots) * (preference.packing === 'pack' ? -1 : 1);
  const selectors = demand.selectors.length === 0 ? [{}] : demand.selectors;
  for (const selector of selectors) {
    const fitting = [...state.agents.values()]
      .filter((agent) => couldTake(agent, demand))
      .filter(({ record }) => matchesSelector(record.spec.labels, selector))
      .map((agent) => ({ agent, score: scoreOf(agent, preference.strategy), load: load(agent), seq: seq(agent) }))
      .toSorted((a, b) => a.score - b.score || a.load - b.load || a.seq - b.seq);
    const chosen: LiveAgent[] = [];
    for (const { agent } of fitting) {
      if (!usable(agent)) continue;
      chosen.push(agent);
      if (chosen.length === demand.count) return chosen;
    }
  }
  return null;
}

const couldTake = (agent: LiveAgent, demand: Demand): boolean =>
  isSelectable(agent) &&
  (!demand.connected || agent.sessionOpen || agent.pollRoom > 0) &&
  agent.record.spec.slots - agent.slotsUsed >= demand.slots &&
  demand.capabilities.every((c) => agent.record.spec.capabilities.includes(c));

function scoreOf({ record, grantSeq }: LiveAgent, strategy: Preference['strategy']): number {
  switch (strategy) {
    case 'least_loaded':
      return 0;
    case 'round_robin':
      return grantSeq;
    case 'capability_match':
      return record.spec.capabilities.length;
    case 'priority_based': {
      const priority = Number(record.spec.labels['priority'] ?? Number.NaN);
      return Number.isFinite(priority) ? -priority : 0;
    }
    case 'performance_based': {
      const finished = record.completed + record.failed;
      const meanMs = finished === 0 ? 0 : record.totalDurationMs / finished;
      return -(record.completed + 1) / (finished + 2) + Math.min(meanMs, 1e9) * 1e-12;
    }
  }
}
