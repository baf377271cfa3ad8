/** A value for each of the keys seen lately, made when first used. Beyond the bound the one not used for longest is forgotten. */
export class RecentMap<T> {
  readonly #values = new Map<string, T>();
  readonly #make: () => T;
  readonly #max: number;

  constructor(max: number, make: () => T) {
    this.#max = max;
    this.#make = make;
  }

  get size(): number {
    return this.#values.size;
  }

  /** Looks without using. */
  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  use(key: string): T {
    const value = this.#values.get(key) ?? this.#make();
    this.#values.delete(key);
    this.#values.set(key, value);
    const [oldest] = this.#values.keys();
    if (this.#values.size > this.#max && oldest !== undefined) this.#values.delete(oldest);
    return value;
  }
}
