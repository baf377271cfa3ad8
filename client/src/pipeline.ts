import { type BatchResult, jsonBytes } from './batch.ts';

/** How one kind of call travels: alone, or many in one request. */
export interface PipelineRoutes<Item, Value> {
  one(item: Item): Promise<Value>;
  many(items: readonly Item[]): Promise<readonly BatchResult<Value>[]>;
  readonly maxItems: number;
}

interface Waiting<Item, Value> {
  readonly item: Item;
  readonly bytes: number;
  resolve(value: Value): void;
  reject(error: unknown): void;
}

/** Two requests under way keep the line busy; what comes meanwhile shares the next one. */
const IN_FLIGHT_MAX = 2;
/** A batch stays well under the body limit; bigger items travel alone. */
const BATCH_BYTES_MAX = 512 * 1024;
const ITEM_BYTES_MAX = 64 * 1024;

/**
 * Turns concurrent calls into batches without anyone waiting for a timer: a call goes out at once while the line is
 * free, otherwise it joins the others that wait, and they leave together when a request returns.
 */
export class Pipeline<Item, Value> {
  readonly #routes: PipelineRoutes<Item, Value>;
  #waiting: Waiting<Item, Value>[] = [];
  #inFlight = 0;

  constructor(routes: PipelineRoutes<Item, Value>) {
    this.#routes = routes;
  }

  /** Runs the call, alone or with others; the caller cannot tell which. */
  run(item: Item): Promise<Value> {
    const bytes = jsonBytes(item);
    if (bytes > ITEM_BYTES_MAX) return this.#routes.one(item);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, bytes, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    while (this.#inFlight < IN_FLIGHT_MAX && this.#waiting.length > 0) {
      const batch = this.#take();
      this.#inFlight++;
      void this.#send(batch).finally(() => {
        this.#inFlight--;
        this.#next();
      });
    }
  }

  #take(): Waiting<Item, Value>[] {
    let bytes = 0;
    let count = 0;
    for (const entry of this.#waiting) {
      bytes += entry.bytes;
      if (count > 0 && (bytes > BATCH_BYTES_MAX || count >= this.#routes.maxItems)) break;
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
