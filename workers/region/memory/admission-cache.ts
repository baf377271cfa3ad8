import { FrequencySketch } from './frequency-sketch.ts';

interface Item<T> {
  readonly value: T;
  readonly cost: number;
}

export interface CacheBounds {
  /** Most items. */
  readonly items: number;
  /** Most of what the items cost together, such as their bytes. */
  readonly cost: number;
}

/** Share of the cache where everything is let in, so that something new can become known. */
const WINDOW = 0.01;
/** Share of the rest that is kept for what was used again. */
const PROTECTED = 0.8;

/**
 * A cache of bounded size that keeps what is asked for often (W-TinyLFU): a small window in the order of use, then a main part
 * into which something comes only if it has been asked for more often than what it would push out. Values only, per isolate.
 */
export class AdmissionCache<T> {
  readonly #bounds: CacheBounds;
  readonly #sketch: FrequencySketch;
  /** Maps keep the order of insertion, which is the order of use here: the first is the oldest. */
  readonly #window = new Map<string, Item<T>>();
  readonly #probation = new Map<string, Item<T>>();
  readonly #protected = new Map<string, Item<T>>();
  #cost = 0;

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds;
    this.#sketch = new FrequencySketch(bounds.items);
  }

  get size(): number {
    return this.#window.size + this.#probation.size + this.#protected.size;
  }

  get cost(): number {
    return this.#cost;
  }

  get(key: string): T | undefined {
    this.#sketch.note(key);
    const kept = this.#protected.get(key) ?? this.#window.get(key);
    if (kept !== undefined) {
      const part = this.#protected.has(key) ? this.#protected : this.#window;
      part.delete(key);
      part.set(key, kept);
      return kept.value;
    }
    const item = this.#probation.get(key);
    if (item === undefined) return undefined;
    // Used again: it has earned a safer place.
    this.#probation.delete(key);
    this.#protected.set(key, item);
    this.#demote();
    return item.value;
  }

  /** Puts a value in, in place of an older one. One that is larger than everything else together is not kept. */
  set(key: string, value: T, cost: number): void {
    const item = { value, cost };
    for (const part of [this.#protected, this.#probation, this.#window]) {
      const old = part.get(key);
      if (old === undefined) continue;
      part.set(key, item);
      this.#cost += cost - old.cost;
      this.#makeRoom();
      return;
    }
    if (cost > this.#bounds.cost / 4) return;
    this.#window.set(key, item);
    this.#cost += cost;
    this.#makeRoom();
  }

  delete(key: string): void {
    for (const part of [this.#window, this.#probation, this.#protected]) {
      const item = part.get(key);
      if (item === undefined) continue;
      part.delete(key);
      this.#cost -= item.cost;
    }
  }

  clear(): void {
    for (const part of [this.#window, this.#probation, this.#protected]) part.clear();
    this.#cost = 0;
  }

  #demote(): void {
    const room = Math.max(1, Math.floor((this.#bounds.items - this.#windowItems) * PROTECTED));
    while (this.#protected.size > room) move(this.#protected, this.#probation);
  }

  get #windowItems(): number {
    return Math.max(1, Math.ceil(this.#bounds.items * WINDOW));
  }

  #makeRoom(): void {
    while (this.#window.size > this.#windowItems) {
      const candidate = move(this.#window, this.#probation);
      if (candidate !== undefined) this.#admit(candidate);
    }
    // Values that grew, or a window of few large ones: the oldest goes.
    while (this.#isOver) {
      const oldest = firstKey(this.#probation) ?? firstKey(this.#protected) ?? firstKey(this.#window);
      if (oldest === undefined) return;
      this.delete(oldest);
    }
  }

  get #isOver(): boolean {
    return this.size > this.#bounds.items || this.#cost > this.#bounds.cost;
  }

  /** What leaves the window meets the oldest of the main part; the one that was asked for less goes. */
  #admit(candidate: string): void {
    while (this.#isOver) {
      const oldest = firstKey(this.#probation);
      const victim = oldest === candidate ? firstKey(this.#protected) : oldest;
      if (victim === undefined || this.#sketch.estimate(candidate) <= this.#sketch.estimate(victim)) {
        this.delete(candidate);
        return;
      }
      this.delete(victim);
    }
  }
}

/** Moves the oldest item and answers its key. */
function move<T>(from: Map<string, T>, to: Map<string, T>): string | undefined {
  const key = firstKey(from);
  const item = key === undefined ? undefined : from.get(key);
  if (key === undefined || item === undefined) return undefined;
  from.delete(key);
  to.set(key, item);
  return key;
}

const firstKey = (part: ReadonlyMap<string, unknown>): string | undefined => part.keys().next().value;
