/** What has a place in a line: when it became ready, and a number of its own. */
interface Placed {
  readonly sinceMs: number;
  readonly seq: number;
}

const comesBefore = (a: Placed, b: Placed): boolean => (a.sinceMs === b.sinceMs ? a.seq < b.seq : a.sinceMs < b.sinceMs);

/**
 * A line in the order of becoming ready. Nearly everything comes at its end and leaves at its head; what comes back, or is
 * loaded in another order, is put where it belongs.
 */
export class Flow<T extends Placed> {
  readonly #items: T[] = [];
  /** Items before this one have left. */
  #start = 0;

  get size(): number {
    return this.#items.length - this.#start;
  }

  get head(): T | undefined {
    return this.#items[this.#start];
  }

  /** The item so many places behind the head. */
  at(place: number): T | undefined {
    return this.#items[this.#start + place];
  }

  add(item: T): void {
    const last = this.#items.at(-1);
    if (last === undefined || this.size === 0 || comesBefore(last, item)) this.#items.push(item);
    else this.#items.splice(this.#indexOf(item), 0, item);
  }

  remove(item: T): void {
    const at = this.#indexOf(item);
    if (this.#items[at] !== item) return;
    if (at !== this.#start) {
      this.#items.splice(at, 1);
      return;
    }
    this.#start += 1;
    // Shifting each time would move the whole of a long line.
    if (this.#start * 2 < this.#items.length) return;
    this.#items.splice(0, this.#start);
    this.#start = 0;
  }

  /** Where the item stands, or would. */
  #indexOf(item: T): number {
    let low = this.#start;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comesBefore(this.#items[middle] as T, item)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
