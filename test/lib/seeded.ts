/** A small seeded generator (mulberry32): the same seed gives the same run on every machine. */
export class Seeded {
  #state: number;
  /** Uniform in [0, 1); bound, so that it can be handed on as `random`. */
  readonly next: () => number;

  constructor(seed: number) {
    // Neighbouring seeds must not give neighbouring runs.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
    this.next = () => {
      this.#state = (this.#state + 0x6d2b79f5) >>> 0;
      let t = this.#state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
    };
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.next() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** One of the keys, as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let at = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      at -= weight;
      if (at < 0) return key;
    }
    return (entries.at(-1) as [K, number])[0];
  }
}

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/**
 * ULIDs of one instance, as the real factory makes them: rising within the instance, not over a restart with a clock that
 * was set back.
 */
export class SeededUlids {
  readonly #random: () => number;
  readonly #nowMs: () => number;
  #timeMs = -1;
  #low = 0;

  constructor(random: () => number, nowMs: () => number) {
    this.#random = random;
    this.#nowMs = nowMs;
  }

  readonly next = (): string => {
    const nowMs = this.#nowMs();
    if (nowMs > this.#timeMs) {
      this.#timeMs = nowMs;
      this.#low = Math.floor(this.#random() * 2 ** 40);
    } else this.#low += 1;
    return digits(this.#timeMs, 10) + digits(this.#low, 16);
  };
}

function digits(value: number, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) text = (DIGITS[rest % 32] as string) + text;
  return text;
}
