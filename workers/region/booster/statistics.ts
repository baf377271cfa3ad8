import { LIMITS } from '../../../shared/limits.ts';
import type { BoosterOutcome } from '../../../shared/rpc-booster.ts';
import type { BoosterInstruction, BoosterReport } from '../../../shared/schemas/booster.ts';
import type { CallFacts } from './line.ts';

interface Operation {
  operations: number;
  done: number;
  refused: number;
  faults: number;
  sumMs: number;
  /** The latest, in a ring. */
  readonly samplesMs: number[];
}

/** What this isolate measured of the calls it made for one fleet. Clocks move between calls, so a call's share is told, not an operation's own time. */
export class BoosterStatistics {
  readonly #operations = new Map<string, Operation>();
  readonly #sinceMs: number;
  #calls = 0;
  #timeouts = 0;
  #durationMs = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  note({ tasks, outcomes, ms, late }: CallFacts): void {
    this.#calls += 1;
    this.#timeouts += late ? 1 : 0;
    this.#durationMs += ms;
    for (const [i, task] of tasks.entries()) this.#count(task, outcomes[i], ms / tasks.length);
  }

  #count({ operation }: BoosterInstruction, outcome: BoosterOutcome | undefined, ms: number): void {
    let of = this.#operations.get(operation);
    if (of === undefined) {
      of = { operations: 0, done: 0, refused: 0, faults: 0, sumMs: 0, samplesMs: [] };
      this.#operations.set(operation, of);
    }
    of.samplesMs[of.operations % LIMITS.boosterSamples] = ms;
    of.operations += 1;
    of.sumMs += ms;
    if (outcome?.reason === null) of.done += 1;
    else if (outcome === undefined || outcome.reason === 'fault') of.faults += 1;
    else of.refused += 1;
  }

  report(region: string): BoosterReport {
    return {
      region,
      sinceMs: this.#sinceMs,
      calls: this.#calls,
      timeouts: this.#timeouts,
      durationMs: Math.round(this.#durationMs),
      operations: Object.fromEntries(
        [...this.#operations].map(([name, { samplesMs, sumMs, ...counts }]) => [
          name,
          {
            ...counts,
            meanMs: rounded(sumMs / counts.operations),
            p50Ms: rounded(percentile(samplesMs, 50)),
            p99Ms: rounded(percentile(samplesMs, 99)),
          },
        ]),
      ),
    };
  }
}

/** Nearest rank. */
function percentile(samples: readonly number[], p: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? 0;
}

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;
