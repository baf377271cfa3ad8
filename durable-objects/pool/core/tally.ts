import type { AgentIndex } from './agent-index.ts';
import type { LiveAgent } from './live-agent.ts';
import { classFits, classFitsAny, hasCapabilities, matchesAny, type Predicate } from './predicates.ts';
import type { Demand } from './queue.ts';
import { indexFor } from './selection.ts';
import type { PoolState } from './state.ts';

/** How a demand fares with the agents of a shard. */
export interface Tally {
  readonly agents: number;
  readonly eligible: number;
  readonly matching: number;
  readonly fitting: number;
  readonly failed: readonly { readonly predicate: Predicate; readonly agents: number }[];
}

/**
 * Counts for each predicate who fails it. Reads classes and counters, so it costs the number of different kinds of agents,
 * not the number of agents; silence alone is asked of each agent that is otherwise eligible.
 */
export function tally(state: PoolState, demand: Demand, isSilent: ((agent: LiveAgent) => boolean) | null): Tally {
  const { selectable, agentCounts } = state;
  const { total } = selectable;
  const serving = demand.connected ? 'connected' : 'inService';
  let [incapable, unselected, matching, fitting] = [0, 0, 0, 0];
  for (const kind of selectable.kinds()) {
    const capable = hasCapabilities(kind.capabilities, demand.capabilities);
    if (!capable) incapable += kind.members;
    if (demand.selectors.length === 0 && demand.slots === 1) {
      if (!capable) continue;
      matching += kind.members;
      fitting += kind[serving];
      continue;
    }
    for (const klass of kind.classes) {
      if (!matchesAny(klass.labels, demand.selectors)) unselected += klass.members.size;
      else if (capable) {
        matching += klass.members.size;
        if (klass.slots >= demand.slots) fitting += klass[serving];
      }
    }
  }
  const { eligible, silent, otherwise } = countEligible(state, demand, isSilent);
  const failed: { predicate: Predicate; agents: number }[] = [];
  const note = (predicate: Predicate, agents: number): void => {
    if (agents > 0) failed.push({ predicate, agents });
  };
  note('capabilities', incapable);
  // A gang is of one selector: who could come by another only is passed over for the selector.
  note('selectors', unselected + otherwise);
  for (const status of ['starting', 'draining', 'unhealthy', 'quarantined', 'offline'] as const)
    note(`status:${status}`, agentCounts[status]);
  if (demand.connected) note('connected', total.inService - total.connected);
  note('freeSlots', total.inService - withRoom(selectable, demand.slots));
  note('silent', silent);
  return { agents: agentCounts.total, eligible, matching, fitting, failed };
}

/** Agents with so many slots free, whatever they are. */
function withRoom(index: AgentIndex, slots: number): number {
  if (slots === 1) return index.total.placed;
  let agents = 0;
  for (const klass of index.classes()) for (const run of klass.runs.values()) if (run.free >= slots) agents += run.places.size;
  return agents;
}

/** Who could be chosen now, under the selector by which most could; `otherwise` could be under another one only. */
function countEligible(
  state: PoolState,
  demand: Demand,
  isSilent: ((agent: LiveAgent) => boolean) | null,
): { readonly eligible: number; readonly silent: number; readonly otherwise: number } {
  const index = indexFor(state, demand);
  const { selectors, slots } = demand;
  const perSelector = selectors.map(() => 0);
  let all = 0;
  let silent = 0;
  for (const kind of index.kinds()) {
    if (kind.placed === 0 || !hasCapabilities(kind.capabilities, demand.capabilities)) continue;
    if (selectors.length === 0 && slots === 1 && isSilent === null) {
      all += kind.placed;
      continue;
    }
    for (const klass of kind.classes) {
      if (klass.runs.size === 0 || !matchesAny(klass.labels, selectors)) continue;
      let here = 0;
      for (const run of klass.runs.values()) {
        if (run.free < slots) continue;
        here += run.places.size;
        if (isSilent === null) continue;
        for (const { agent } of run.places) {
          if (!isSilent(agent)) continue;
          here -= 1;
          silent += 1;
        }
      }
      all += here;
      for (const [i, selector] of selectors.entries())
        if (classFits(klass, demand, selector)) perSelector[i] = (perSelector[i] ?? 0) + here;
    }
  }
  if (demand.count === 1 || selectors.length < 2) return { eligible: all, silent, otherwise: 0 };
  const most = Math.max(...perSelector);
  return { eligible: most, silent, otherwise: all - most };
}

/**
 * Whether two demands may be given the same agent of those that are here. A demand that nobody fits waits for an agent with
 * just what it asks for, which might be given to others as well.
 */
export function competition(state: PoolState, demand: Demand): (other: Demand) => boolean {
  const { selectable } = state;
  const mine = [...selectable.classes()].filter(
    (klass) => klass.inService > 0 && klass.slots >= demand.slots && classFitsAny(klass, demand) && serves(klass, demand),
  );
  let checks = CHECKS_MAX;
  return (other) => {
    if (mine.length === 0) return other.connected === demand.connected && asksNoMore(other, demand);
    for (const klass of mine) {
      // Rather one too many ahead than a look that holds up the shard.
      if ((checks -= 1) < 0) return true;
      if (klass.slots >= other.slots && serves(klass, other) && classFitsAny(klass, other)) return true;
    }
    return false;
  };
}

const asksNoMore = (other: Demand, demand: Demand): boolean =>
  hasCapabilities(new Set(demand.capabilities), other.capabilities) &&
  (other.selectors.length === 0 || JSON.stringify(other.selectors) === JSON.stringify(demand.selectors));

const CHECKS_MAX = 200_000;

const serves = (klass: { readonly connected: number }, demand: Demand): boolean => !demand.connected || klass.connected > 0;
