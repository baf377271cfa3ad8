import type { Selector } from '../../../shared/schemas/allocations.ts';
import type { AgentClass, AgentIndex } from './agent-index.ts';
import { classFits } from './predicates.ts';
import { firstOf, type Order } from './order.ts';
import { RankedHeap } from './ranked-heap.ts';

/** A demand and a preference as far as they decide which agents come in which order. */
export interface Shape {
  readonly capabilities: readonly string[];
  readonly selector: Selector | undefined;
  readonly order: Order;
}

/** Classes that the views of one index hold together: what they may cost in memory, about 100 bytes for each. */
const HELD_MAX = 150_000;
/** Views of one index: each is told when an agent of its classes moves. */
const VIEWS_MAX = 48;

/** The classes that fit one shape, in the order of their best agents. Brought up to date when it is asked, not when agents move. */
export class ClassView {
  readonly #shape: Shape;
  readonly #heap = new RankedHeap<AgentClass>();
  readonly #stale = new Set<AgentClass>();
  /** Classes that fit, with somebody free or not. */
  size = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
  }

  fits(klass: AgentClass): boolean {
    return classFits(klass, this.#shape, this.#shape.selector);
  }

  add(klass: AgentClass): void {
    this.size += 1;
    klass.views.push(this);
    this.#stale.add(klass);
  }

  delete(klass: AgentClass): void {
    this.size -= 1;
    this.#heap.delete(klass);
    this.#stale.delete(klass);
  }

  moved(klass: AgentClass): void {
    this.#stale.add(klass);
  }

  upToDate(): RankedHeap<AgentClass> {
    for (const klass of this.#stale) {
      const first = firstOf(klass, this.#shape.order);
      if (first === null) this.#heap.delete(klass);
      else this.#heap.set(klass, first);
    }
    this.#stale.clear();
    return this.#heap;
  }
}

/** The views of one index, forgotten, the longest unused first, when they are too many or hold too much. */
export class ClassViews {
  readonly #index: AgentIndex;
  /** In the order of use, latest last. */
  readonly #views = new Map<string, ClassView>();
  #held = 0;

  constructor(index: AgentIndex) {
    this.#index = index;
  }

  /** The view of a shape, if there is one. */
  find(shape: Shape): ClassView | null {
    const key = keyOf(shape);
    const view = this.#views.get(key);
    if (view === undefined) return null;
    this.#views.delete(key);
    this.#views.set(key, view);
    return view;
  }

  make(shape: Shape): ClassView {
    const view = new ClassView(shape);
    for (const klass of this.#index.fitting(shape, shape.selector)) view.add(klass);
    this.#held += view.size;
    this.#views.set(keyOf(shape), view);
    for (const [key, longestUnused] of this.#views) {
      if ((this.#held <= HELD_MAX && this.#views.size <= VIEWS_MAX) || this.#views.size === 1) break;
      this.#views.delete(key);
      this.#held -= longestUnused.size;
      for (const klass of this.#index.classes()) klass.views = klass.views.filter((v) => v !== longestUnused);
    }
    return view;
  }

  created(klass: AgentClass): void {
    for (const view of this.#views.values()) {
      if (!view.fits(klass)) continue;
      view.add(klass);
      this.#held += 1;
    }
  }

  dropped(klass: AgentClass): void {
    for (const view of klass.views) view.delete(klass);
    this.#held -= klass.views.length;
    klass.views = [];
  }
}

const keyOf = ({ capabilities, selector, order }: Shape): string =>
  `${order.strategy}|${order.packing}|${order.slots}|${capabilities.length > 1 ? capabilities.toSorted().join(',') : (capabilities[0] ?? '')}|${selector === undefined ? '' : JSON.stringify(selector)}`;
