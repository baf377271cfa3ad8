import type { Allocate } from '../../../shared/schemas/allocations.ts';
import { unreachable } from '../../../shared/result.ts';
import type { AgentClass } from './agent-index.ts';
import type { LiveAgent } from './live-agent.ts';
import { RankedHeap } from './ranked-heap.ts';

export type Strategy = Allocate['strategy'];
/** Strategies by which the agents of one class differ, beyond load and order. */
export type Ranking = 'round_robin' | 'performance_based';

export const rankingOf = (strategy: Strategy): Ranking | null =>
  strategy === 'round_robin' || strategy === 'performance_based' ? strategy : null;

/** An agent's place in an index. */
export interface Placement {
  readonly agent: LiveAgent;
  readonly klass: AgentClass;
  /** Where it stands while it is selectable. */
  run: Run | null;
  /** What it is counted as; bits of `COUNTED`. */
  counted: number;
  /** Order of the latest placement, comparable over classes. */
  seq: number;
}

/**
 * The agents of a class with one number of free slots, in the order of becoming so. By the strategies that look at the
 * agent itself they are ordered only once one of those is asked for, and kept so from then on.
 */
export class Run {
  readonly free: number;
  /** Share of slots in use, 0 to 1. */
  readonly load: number;
  /** Least recently moved first. */
  readonly places = new Set<Placement>();
  #ranked: Map<Ranking, RankedHeap<Placement>> | null = null;

  constructor(free: number, slots: number) {
    this.free = free;
    this.load = (slots - free) / slots;
  }

  /** Whether an order is kept that looks at the agents themselves. */
  get isRanked(): boolean {
    return this.#ranked !== null;
  }

  add(place: Placement): void {
    this.places.add(place);
    if (this.#ranked === null) return;
    for (const [ranking, heap] of this.#ranked) heap.set(place, rankIn(ranking, place));
  }

  delete(place: Placement): void {
    this.places.delete(place);
    if (this.#ranked === null) return;
    for (const heap of this.#ranked.values()) heap.delete(place);
  }

  /** The agent has changed where it stands; answers whether that may have changed an order here. */
  refresh(place: Placement): boolean {
    if (this.#ranked === null) return false;
    for (const [ranking, heap] of this.#ranked) heap.set(place, rankIn(ranking, place));
    return true;
  }

  ranked(ranking: Ranking): RankedHeap<Placement> {
    this.#ranked ??= new Map();
    let heap = this.#ranked.get(ranking);
    if (heap === undefined) {
      this.#ranked.set(ranking, (heap = new RankedHeap()));
      for (const place of this.places) heap.set(place, rankIn(ranking, place));
    }
    return heap;
  }
}

const rankIn = (ranking: Ranking, { agent, seq }: Placement): { score: number; load: number; seq: number } => ({
  score: ranking === 'round_robin' ? agent.grantSeq : performanceOf(agent),
  load: 0,
  seq,
});

function performanceOf({ record }: LiveAgent): number {
  // Laplace's rule of succession: an agent without history counts as one half, not as perfect or useless.
  const finished = record.completed + record.failed;
  const rate = (record.completed + 1) / (finished + 2);
  const meanMs = finished === 0 ? 0 : record.totalDurationMs / finished;
  return -rate + Math.min(meanMs, 1e9) * 1e-12;
}

/** What all agents of a class score by a strategy; smaller is better. */
export function classScore(klass: AgentClass, strategy: Strategy): number {
  switch (strategy) {
    case 'least_loaded':
    case 'round_robin':
    case 'performance_based':
      return 0;
    case 'capability_match':
      // Best fit: the fewest capabilities that the demand does not need, so that generalists stay free.
      return klass.capabilities.size;
    case 'priority_based': {
      const priority = Number(klass.labels['priority'] ?? Number.NaN);
      return Number.isFinite(priority) ? -priority : 0;
    }
    default:
      return unreachable(strategy);
  }
}
