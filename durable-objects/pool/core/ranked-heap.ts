/** What an order goes by; smaller comes first. Sequence numbers differ, so no two places of one index are equal. */
export interface Rank {
  readonly score: number;
  /** Share of slots in use, negative when the fuller one is wanted. */
  readonly load: number;
  readonly seq: number;
}

export const ranksBefore = (a: Rank, b: Rank): boolean =>
  a.score !== b.score ? a.score < b.score : a.load !== b.load ? a.load < b.load : a.seq < b.seq;

interface Entry<T> {
  readonly item: T;
  rank: Rank;
  at: number;
}

/** A binary heap whose items can be moved and taken out wherever they stand. */
export class RankedHeap<T> {
  readonly #entries: Entry<T>[] = [];
  readonly #of = new Map<T, Entry<T>>();

  get size(): number {
    return this.#entries.length;
  }

  /** The entry at a place of the heap: none comes before the one at 0; those at 2n+1 and 2n+2 come after the one at n. */
  at(place: number): { readonly item: T; readonly rank: Rank } | undefined {
    return this.#entries[place];
  }

  rankOf(item: T): Rank | undefined {
    return this.#of.get(item)?.rank;
  }

  /** Puts an item in, or where its new rank belongs. */
  set(item: T, rank: Rank): void {
    let entry = this.#of.get(item);
    if (entry === undefined) {
      entry = { item, rank, at: this.#entries.length };
      this.#of.set(item, entry);
      this.#entries.push(entry);
      this.#rise(entry);
      return;
    }
    const rises = ranksBefore(rank, entry.rank);
    entry.rank = rank;
    if (rises) this.#rise(entry);
    else this.#sink(entry);
  }

  delete(item: T): void {
    const entry = this.#of.get(item);
    if (entry === undefined) return;
    this.#of.delete(item);
    const last = this.#entries.pop() as Entry<T>;
    if (last === entry) return;
    this.#put(last, entry.at);
    this.#rise(last);
    this.#sink(last);
  }

  #put(entry: Entry<T>, at: number): void {
    this.#entries[at] = entry;
    entry.at = at;
  }

  #rise(entry: Entry<T>): void {
    while (entry.at > 0) {
      const parent = this.#entries[(entry.at - 1) >> 1] as Entry<T>;
      if (!ranksBefore(entry.rank, parent.rank)) return;
      const { at } = parent;
      this.#put(parent, entry.at);
      this.#put(entry, at);
    }
  }

  #sink(entry: Entry<T>): void {
    for (;;) {
      const left = this.#entries[2 * entry.at + 1];
      if (left === undefined) return;
      const right = this.#entries[left.at + 1];
      const child = right !== undefined && ranksBefore(right.rank, left.rank) ? right : left;
      if (!ranksBefore(child.rank, entry.rank)) return;
      const { at } = child;
      this.#put(child, entry.at);
      this.#put(entry, at);
    }
  }
}
