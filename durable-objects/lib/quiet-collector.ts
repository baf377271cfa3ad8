/** Calls between two collections at least: below that there is too little to gain. */
const AFTER_CALLS = 200;
/** Time between two collections at least, so that a busy isolate spends no more than some percent of it on them. */
const AFTER_MS = 500;
/** An isolate is quiet when nothing came for so long. */
const QUIET_MS = 2;
/** How often quiet is looked for before the next `AFTER_MS` begin anew. */
const LOOKS = 20;
/** So many calls are not left to the runtime: where quiet is not found, a short pause is better than its long one. */
const ENOUGH_CALLS = 600;
/** More come to an isolate that has no time at all: what counts there is the sum, and the runtime collects seldom. */
const TOO_MANY_CALLS = 1_200;
/** A look that takes longer went with the object in whose time it ran: an object that is reset rejects nothing. */
const LOST_AFTER_MS = 5_000;

/** The runtime's clock, timer and collector; a test gives its own. */
export interface CollectorRuntime {
  nowMs(): number;
  sleep(ms: number): Promise<void>;
  /** A full collection, now. */
  collect(): void;
}

/**
 * Collects an isolate's garbage in pauses between calls; where none comes in time, at a moment when the thread has time.
 *
 * Left alone, the runtime collects when the heap has grown by some ten megabytes, in the middle of whatever it serves. What
 * it then clears is mostly its own: each request and each call between objects leaves wrapped objects that only a full
 * collection ends, at some twenty microseconds a call. After thousands of calls everybody waits for 50 to 150 ms; after two
 * hundred it is some 17.
 *
 * Only a runtime that hands out its collector can do this, as the local fleet's does; elsewhere it is the platform's matter.
 */
export class QuietCollector {
  readonly #runtime: CollectorRuntime;
  /** Since the last collection. */
  #calls = 0;
  /** Calls that came or were served, ever. */
  #moves = 0;
  #lastAtMs: number;
  #lookingSinceMs: number | null = null;

  constructor(runtime: CollectorRuntime) {
    this.#runtime = runtime;
    this.#lastAtMs = runtime.nowMs();
  }

  /** A call is here: it must not wait for a collection. */
  came(): void {
    this.#moves += 1;
  }

  /** A call was served. `keepAlive` is told of what goes on afterwards. */
  served(keepAlive: (work: Promise<void>) => void): void {
    this.#calls += 1;
    this.#moves += 1;
    if (this.#calls < AFTER_CALLS) return;
    const nowMs = this.#runtime.nowMs();
    if (nowMs - this.#lastAtMs < AFTER_MS) return;
    if (this.#lookingSinceMs !== null && nowMs - this.#lookingSinceMs < LOST_AFTER_MS) return;
    this.#lookingSinceMs = nowMs;
    keepAlive(this.#collectWhenQuiet());
  }

  async #collectWhenQuiet(): Promise<void> {
    const { nowMs, sleep, collect } = this.#runtime;
    try {
      for (let look = 0; look < LOOKS; look += 1) {
        const [moves, fromMs] = [this.#moves, nowMs()];
        await sleep(QUIET_MS);
        // A timer that comes late tells that the thread is busy, with this isolate or another one.
        if (nowMs() - fromMs > QUIET_MS + 1) continue;
        const isQuiet = this.#moves === moves;
        const isDue = look >= LOOKS / 2 && this.#calls >= ENOUGH_CALLS && this.#calls <= TOO_MANY_CALLS;
        if (!isQuiet && !isDue) continue;
        this.#calls = 0;
        collect();
        break;
      }
    } finally {
      this.#lastAtMs = nowMs();
      this.#lookingSinceMs = null;
    }
  }
}

declare const gc: (() => void) | undefined;

/** This isolate's; null where the runtime keeps its collector to itself. */
export const COLLECTOR: QuietCollector | null =
  typeof gc === 'function'
    ? new QuietCollector({
        nowMs: () => Date.now(),
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
        collect: gc,
      })
    : null;
