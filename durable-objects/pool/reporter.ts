import { LIMITS } from '../../shared/limits.ts';
import type { ShardConfig } from '../../shared/rpc.ts';
import type { RegionEnv } from '../env.ts';
import { disposable } from '../lib/disposable.ts';
import { registryStub } from '../stubs.ts';
import type { PoolEngine } from './engine.ts';

/** A registry that does not answer is asked again ever more rarely. */
const RETRY_MS_MAX = 10_000;

/**
 * Tells the registry this shard's counters, soon after a change and never for each one. Reports are absolute and
 * numbered: lost or repeated ones do no harm, and the alarm sends what a crash kept back.
 */
export class Reporter {
  readonly #env: RegionEnv;
  readonly #engine: () => PoolEngine | null;
  readonly #onConfig: (config: ShardConfig) => void;
  #reportedVersion = 0;
  #scheduled = false;
  #failures = 0;

  constructor(env: RegionEnv, engine: () => PoolEngine | null, onConfig: (config: ShardConfig) => void) {
    this.#env = env;
    this.#engine = engine;
    this.#onConfig = onConfig;
  }

  /** The shard was purged and starts anew. */
  reset(): void {
    this.#reportedVersion = 0;
  }

  /** Counters may have changed. */
  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(
      () => {
        this.#scheduled = false;
        void this.flush();
      },
      Math.min(RETRY_MS_MAX, LIMITS.summaryDelayMs * 2 ** this.#failures),
    );
  }

  /** Sends what the registry has not seen. A failure is left to the alarm's next turn. */
  async flush(): Promise<void> {
    const engine = this.#engine();
    if (engine === null) return;
    const summary = engine.summary();
    if (summary.version <= this.#reportedVersion) return;
    const { fleet, home } = engine.state;
    try {
      const registry = registryStub(this.#env, fleet, home.region);
      const answer = await registry.report(fleet, home.region, summary);
      this.#failures = 0;
      this.#reportedVersion = Math.max(this.#reportedVersion, summary.version);
      if (answer === null) return;
      using config = disposable(answer);
      if (config.value.version > engine.state.config.version) this.#onConfig({ ...config.value });
    } catch (error) {
      this.#failures += 1;
      console.error(
        JSON.stringify({
          level: 'error',
          message: 'counters not reported',
          error: error instanceof Error ? error.message : String(error),
        }),
      );
      this.changed();
    }
  }
}
