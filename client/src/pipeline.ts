import { type BatchResult, jsonBytes } from './batch.ts';

/** How one kind of call travels: alone, or many in one request. */
export interface PipelineRoutes<Item, Value> {
  one(item: Item): Promise<Value>;
  many(items: readonly Item[]): Promise<readonly BatchResult<Value>[]>;
  readonly maxItems: number;
  /** Length of an item's JSON in UTF-8; measured when the caller does not know it. */
  bytes?(item: Item): number;
}

interface Waiting<Item, Value> {
  readonly item: Item;
  readonly bytes: number;
  resolve(value: Value): void;
  reject(error: unknown): void;
}

/** While one request is worked on over there, the next one is made here. More would only cut the batches smaller. */
const IN_FLIGHT_MAX = 2;
/** From this many calls on, two batches at a time are faster than one of all: the fleet works while this side reads. */
const SPLIT_MIN = 16;
/** A few calls may wait so long for a big request that is under way, to share the next one with those that return from it. */
const HOLD_MS = 5;
/** Turns of promises in which those who continue together come to their next call. */
const GATHER_TURNS = 8;
/** A batch stays well under the body limit; bigger items travel alone. */
const BATCH_BYTES_MAX = 512 * 1024;
const ITEM_BYTES_MAX = 64 * 1024;

/**
 * Turns concurrent calls into batches: a call goes out in the same turn of the event loop while the line is free, together
 * with the others of that turn; otherwise it joins those that wait, and they leave together when a request returns. One
 * caller by itself waits for nothing.
 */
export class Pipeline<Item, Value> {
  readonly #routes: PipelineRoutes<Item, Value>;
  #waiting: Waiting<Item, Value>[] = [];
  #requests = 0;
  #itemsInFlight = 0;
  #gathering = false;
  #held: ReturnType<typeof setTimeout> | null = null;

  constructor(routes: PipelineRoutes<Item, Value>) {
    this.#routes = routes;
  }

  /** Runs the call, alone or with others; the caller cannot tell which. */
  run(item: Item): Promise<Value> {
    const bytes = this.#routes.bytes?.(item) ?? jsonBytes(item);
    if (bytes > ITEM_BYTES_MAX) return this.#routes.one(item);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, bytes, resolve, reject });
      void this.#gather();
    });
  }

  /** Whoever is about to call is let in first: an answer to a hundred callers is a hundred next calls. */
  async #gather(): Promise<void> {
    if (this.#gathering) return;
    this.#gathering = true;
    for (let turn = 0; turn < GATHER_TURNS; turn++) await Promise.resolve();
    this.#gathering = false;
    this.#leave(false);
  }

  #leave(overdue: boolean): void {
    while (this.#requests < IN_FLIGHT_MAX && this.#waiting.length > 0) {
      const { length } = this.#waiting;
      // Next to a big request a small one would return at once and cut what follows into ever smaller ones.
      if (this.#requests > 0 && 2 * length < this.#itemsInFlight && !overdue) return this.#hold();
      const batch = this.#take(this.#requests === 0 && length >= SPLIT_MIN ? Math.ceil(length / IN_FLIGHT_MAX) : length);
      this.#requests++;
      this.#itemsInFlight += batch.length;
      void this.#send(batch).finally(() => {
        this.#requests--;
        this.#itemsInFlight -= batch.length;
        void this.#gather();
      });
    }
    if (this.#held !== null) clearTimeout(this.#held);
    this.#held = null;
  }

  #hold(): void {
    this.#held ??= setTimeout(() => {
      this.#held = null;
      this.#leave(true);
    }, HOLD_MS);
  }

  #take(most: number): Waiting<Item, Value>[] {
    let bytes = 0;
    let count = 0;
    for (const entry of this.#waiting) {
      bytes += entry.bytes;
      if (count > 0 && (bytes > BATCH_BYTES_MAX || count >= Math.min(most, this.#routes.maxItems))) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #send(batch: readonly Waiting<Item, Value>[]): Promise<void> {
    try {
      const [first] = batch;
      if (batch.length === 1 && first !== undefined) return first.resolve(await this.#routes.one(first.item));
      const results = await this.#routes.many(batch.map((entry) => entry.item));
      for (const [index, entry] of batch.entries()) {
        const result = results[index];
        if (result === undefined) entry.reject(new Error('The batch answer is shorter than the batch.'));
        else if (result.ok) entry.resolve(result.value);
        else entry.reject(result.error);
      }
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    }
  }
}
