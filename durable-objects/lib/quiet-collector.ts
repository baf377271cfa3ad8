/** Calls between two collections at least: below that there is too little to gain. */
const AFTER_CALLS = 200;
/** Time between two collections at least, so that a busy isolate spends no more than some percent of it on them. */
const AFTER_MS = 500;
/** An isolate is quiet when nothing came for so long. */
const QUIET_MS = 2;
/** How often quiet is looked for before the next `AFTER_MS` begin anew. */
const LOOKS = 20;

/** The runtime's clock, timer and collector; a test gives its own. */
export interface CollectorRuntime {
  nowMs(): number;
  sleep(ms: number): Promise<void>;
  /** A full collection, now. */
  collect(): void;
}

/**
 * Collects an isolate's garbage while nobody waits.
 *
 * Left alone, the runtime collects when the heap has grown by some ten megabytes, in the middle of whatever it serves. What
 * it then clears is mostly its own: each request and each call between objects leaves some twenty wrapped objects that only
 * a full collection ends, at some twenty microseconds a call. After two thousand calls everybody waits for 50 to 150 ms;
 * after two hundred, in a pause between calls, it is 15.
 *
 * Only a runtime that hands out its collector can do this, as the local fleet's does; elsewhere it is the platform's matter.
 */
export class QuietCollector {
  readonly #runtime: CollectorRuntime;
  #calls = 0;
  #lastAtMs: number;
  #isLooking = false;

  constructor(runtime: CollectorRuntime) {
    this.#runtime = runtime;
    this.#lastAtMs = runtime.nowMs();
  }

  /** A call was served. `keepAlive` is told of what goes on afterwards. */
  served(keepAlive: (work: Promise<void>) => void): void {
    this.#calls += 1;
    if (this.#isLooking || this.#calls < AFTER_CALLS || this.#runtime.nowMs() - this.#lastAtMs < AFTER_MS) return;
    this.#isLooking = true;
    keepAlive(this.#collectWhenQuiet());
  }

  async #collectWhenQuiet(): Promise<void> {
    const { nowMs, sleep, collect } = this.#runtime;
    try {
      for (let look = 0; look < LOOKS; look += 1) {
        const [calls, fromMs] = [this.#calls, nowMs()];
        await sleep(QUIET_MS);
        // A timer that comes late tells that the thread is busy, with this isolate or another one.
        if (this.#calls !== calls || nowMs() - fromMs > QUIET_MS + 1) continue;
        this.#calls = 0;
        collect();
        break;
      }
    } finally {
      this.#lastAtMs = nowMs();
      this.#isLooking = false;
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
