import type { Allocate } from '../../../shared/schemas/allocations.ts';
import type { AgentClass } from './agent-index.ts';
import { MinHeap } from './min-heap.ts';
import { ranksBefore, type Rank, type RankedHeap } from './ranked-heap.ts';
import { classScore, rankingOf, type Placement, type Run, type Strategy } from './runs.ts';

/** By what agents that fit are put in order; `slots` of them must be free. */
export interface Order {
  readonly strategy: Strategy;
  readonly packing: Allocate['packing'];
  readonly slots: number;
}

/** Load as the packing wants it: smaller comes first. */
const loadIn = (run: Run, { packing }: Order): number => (packing === 'pack' ? -run.load : run.load);

/** The best agent of a run, which has room and is never empty. */
function headOf(run: Run, { strategy }: Order): Placement {
  const ranking = rankingOf(strategy);
  const head = ranking === null ? run.places.values().next().value : run.ranked(ranking).at(0)?.item;
  if (head === undefined) throw new Error('an empty run');
  return head;
}

function rankOf(place: Placement, run: Run, order: Order): Rank {
  const ranking = rankingOf(order.strategy);
  const score = ranking === null ? classScore(place.klass, order.strategy) : (run.ranked(ranking).rankOf(place)?.score ?? 0);
  return { score, load: loadIn(run, order), seq: place.seq };
}

/** Where the best agent of a class stands among others; null when none has room. */
export function firstOf(klass: AgentClass, order: Order): Rank | null {
  let first: Rank | null = null;
  for (const run of klass.runs.values()) {
    if (run.free < order.slots) continue;
    const rank = rankOf(headOf(run, order), run, order);
    if (first === null || ranksBefore(rank, first)) first = rank;
  }
  return first;
}

/** The best agent of all classes; null when none has room. */
export function bestOf(classes: readonly AgentClass[], order: Order): Placement | null {
  let best: Placement | null = null;
  let bestRank: Rank | null = null;
  for (const klass of classes) {
    for (const run of klass.runs.values()) {
      if (run.free < order.slots) continue;
      const head = headOf(run, order);
      const rank = rankOf(head, run, order);
      if (bestRank !== null && !ranksBefore(rank, bestRank)) continue;
      [best, bestRank] = [head, rank];
    }
  }
  return best;
}

/** A place in one of the orders that are being merged: whatever comes after it there ranks after it. */
type Cursor = { readonly rank: Rank } & (
  | { readonly of: 'class'; readonly heap: RankedHeap<AgentClass>; readonly at: number }
  | { readonly of: 'ranked'; readonly run: Run; readonly heap: RankedHeap<Placement>; readonly at: number }
  | { readonly of: 'run'; readonly run: Run; readonly place: Placement; readonly rest: Iterator<Placement> }
);

/**
 * The agents with room, best first: those of some classes, or of all in a heap. Whoever takes agents out of the index
 * meanwhile must begin anew.
 */
export function* inOrder(from: readonly AgentClass[] | RankedHeap<AgentClass>, order: Order): Generator<Placement> {
  const cursors = new MinHeap<Cursor>((a, b) => ranksBefore(a.rank, b.rank));
  const ranking = rankingOf(order.strategy);
  const pushClass = (heap: RankedHeap<AgentClass>, at: number): void => {
    const entry = heap.at(at);
    if (entry !== undefined) cursors.push({ of: 'class', heap, at, rank: entry.rank });
  };
  const pushRanked = (run: Run, heap: RankedHeap<Placement>, at: number): void => {
    const entry = heap.at(at);
    if (entry !== undefined) cursors.push({ of: 'ranked', run, heap, at, rank: { ...entry.rank, load: loadIn(run, order) } });
  };
  const pushRest = (run: Run, rest: Iterator<Placement, undefined>): void => {
    const place = rest.next().value;
    if (place !== undefined) cursors.push({ of: 'run', run, place, rest, rank: rankOf(place, run, order) });
  };
  const pushRuns = (klass: AgentClass): void => {
    for (const run of klass.runs.values()) {
      if (run.free < order.slots) continue;
      if (ranking === null) pushRest(run, run.places.values());
      else pushRanked(run, run.ranked(ranking), 0);
    }
  };
  if (Array.isArray(from)) (from as readonly AgentClass[]).forEach(pushRuns);
  else pushClass(from as RankedHeap<AgentClass>, 0);
  for (let next = cursors.pop(); next !== undefined; next = cursors.pop()) {
    if (next.of === 'run') {
      yield next.place;
      pushRest(next.run, next.rest as Iterator<Placement, undefined>);
      continue;
    }
    const item = next.heap.at(next.at)?.item;
    if (item === undefined) return;
    const [left, right] = [2 * next.at + 1, 2 * next.at + 2];
    if (next.of === 'class') {
      pushRuns(item as AgentClass);
      pushClass(next.heap, left);
      pushClass(next.heap, right);
    } else {
      yield item as Placement;
      pushRanked(next.run, next.heap, left);
      pushRanked(next.run, next.heap, right);
    }
  }
}
