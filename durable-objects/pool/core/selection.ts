import type { Selector } from '../../../shared/schemas/allocations.ts';
import type { AgentClass, AgentIndex } from './agent-index.ts';
import type { LiveAgent } from './live-agent.ts';
import { bestOf, inOrder, type Order } from './order.ts';
import { matchesSelector } from './predicates.ts';
import type { Demand } from './queue.ts';
import type { RankedHeap } from './ranked-heap.ts';
import type { Placement, Strategy } from './runs.ts';
import type { PoolState } from './state.ts';

export interface Preference {
  readonly strategy: Strategy;
  readonly packing: Order['packing'];
}
export const DEFAULT_PREFERENCE: Preference = { strategy: 'least_loaded', packing: 'spread' };

type Usable = (agent: LiveAgent) => boolean;

/** Agents of a wider order that are tried before a selector gets one of its own. */
const TRIED_MAX = 64;

/** The index whose agents a demand can be given. */
export const indexFor = (state: PoolState, demand: Pick<Demand, 'connected'>): AgentIndex =>
  demand.connected ? state.taskReady : state.selectable;

/**
 * Chooses `demand.count` different agents, or none. Selectors are tried in order and the first that can be satisfied
 * wins. `usable` is asked at the moment of choice whether an agent is really still alive; it may say no, and take it out.
 */
export function choose(state: PoolState, demand: Demand, preference: Preference, usable: Usable): readonly LiveAgent[] | null {
  const index = indexFor(state, demand);
  if (index.total.placed === 0) return null;
  const order = { strategy: preference.strategy, packing: preference.packing, slots: demand.slots };
  if (demand.selectors.length === 0) return chooseFor(index, demand, undefined, order, usable);
  for (const selector of demand.selectors) {
    const chosen = chooseFor(index, demand, selector, order, usable);
    if (chosen !== null) return chosen;
  }
  return null;
}

/** Few classes are merged as they are; many have an order of their own, kept by a view. */
function chooseFor(
  index: AgentIndex,
  demand: Demand,
  selector: Selector | undefined,
  order: Order,
  usable: Usable,
): readonly LiveAgent[] | null {
  const few = index.few(demand, selector);
  if (few !== null) {
    if (few.length === 0) return null;
    if (demand.count > 1) return take(index, () => few, order, demand.count, usable);
    // Nearly every call ends here.
    const best = bestOf(few, order);
    if (best === null) return null;
    return usable(best.agent) ? [best.agent] : take(index, () => few, order, 1, usable);
  }
  const { capabilities } = demand;
  const shape = { capabilities, selector, order };
  const known = index.views.find(shape);
  if (known === null && selector !== undefined) {
    // Most selectors are met near the head of the wider order, and many come once only.
    const all = { ...shape, selector: undefined };
    const wider = index.views.find(all) ?? index.views.make(all);
    const matches = ({ klass }: Placement): boolean => matchesSelector(klass.labels, selector);
    const chosen = take(index, () => wider.upToDate(), order, demand.count, usable, { matches, most: TRIED_MAX });
    if (chosen !== null) return chosen;
  }
  const view = known ?? index.views.make(shape);
  return take(index, () => view.upToDate(), order, demand.count, usable);
}

/** Takes `count` agents from an order. Each is judged once; when that takes one out, the order is asked anew. */
function take(
  index: AgentIndex,
  from: () => readonly AgentClass[] | RankedHeap<AgentClass>,
  order: Order,
  count: number,
  usable: Usable,
  bound?: { readonly matches: (place: Placement) => boolean; readonly most: number },
): readonly LiveAgent[] | null {
  const chosen: LiveAgent[] = [];
  const judged = new Set<Placement>();
  let tried = 0;
  for (let again = true; again;) {
    again = false;
    const { version } = index;
    for (const place of inOrder(from(), order)) {
      if (judged.has(place)) continue;
      if (bound !== undefined && (tried += 1) > bound.most) return null;
      judged.add(place);
      if (bound?.matches(place) === false) continue;
      if (usable(place.agent)) {
        chosen.push(place.agent);
        if (chosen.length === count) return chosen;
      }
      if (index.version === version) continue;
      again = true;
      break;
    }
  }
  return null;
}
