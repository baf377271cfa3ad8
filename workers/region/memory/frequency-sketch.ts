/** Hash functions of the sketch; four keep the error small at eight counters a key. */
const ROWS = 4;
const LARGEST = 15;

/**
 * How often keys were asked for lately, in a fixed space: a count-min sketch of small counters that are halved from time to
 * time, so that yesterday's favourites make room. It may count too high, never too low.
 */
export class FrequencySketch {
  readonly #mask: number;
  readonly #counters: Uint8Array;
  readonly #window: number;
  #seen = 0;

  /** @param keys about how many keys there are room for in the cache */
  constructor(keys: number) {
    const width = 2 ** Math.max(4, Math.ceil(Math.log2(keys * 8)));
    this.#mask = width - 1;
    this.#counters = new Uint8Array(width * ROWS);
    this.#window = Math.max(10, keys) * 10;
  }

  note(key: string): void {
    const hash = hashOf(key);
    for (let row = 0; row < ROWS; row += 1) {
      const at = this.#at(hash, row);
      const count = this.#counters[at] ?? 0;
      if (count < LARGEST) this.#counters[at] = count + 1;
    }
    this.#seen += 1;
    if (this.#seen >= this.#window) this.#age();
  }

  estimate(key: string): number {
    const hash = hashOf(key);
    let least = LARGEST;
    for (let row = 0; row < ROWS; row += 1) least = Math.min(least, this.#counters[this.#at(hash, row)] ?? 0);
    return least;
  }

  #at(hash: number, row: number): number {
    let x = Math.imul(hash ^ Math.imul(row + 1, 0x9e3779b1), 0x85ebca6b);
    x ^= x >>> 13;
    x = Math.imul(x, 0xc2b2ae35);
    x ^= x >>> 16;
    return row * (this.#mask + 1) + (x & this.#mask);
  }

  #age(): void {
    for (let i = 0; i < this.#counters.length; i += 1) this.#counters[i] = (this.#counters[i] ?? 0) >> 1;
    this.#seen >>= 1;
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash;
}
