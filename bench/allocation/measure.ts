import { cpuUsOf, settled } from '../lib/cpu.ts';
import { median, percentile } from '../lib/stats.ts';

/** One way to allocate and release, driven the same way as all others. */
export interface Contender {
  readonly name: string;
  readonly concurrency: readonly number[];
  /** The processes that serve it. */
  readonly servers: () => readonly number[];
  /** One caller does its work once, tells how long the measured call took, and answers how many units that was. */
  turn(concurrency: number, note: (ms: number) => void): Promise<number>;
}

export interface Figures {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Processor time of the servers for one unit. */
  readonly cpuUs: number;
}

/** Results by contender and concurrency, one entry per round. */
export type Rounds = Map<string, Figures[]>;

const keyOf = (name: string, concurrency: number): string => `${name}\n${concurrency}`;

/** `concurrency` callers take turns; what ends within `seconds` after the warm-up is counted. */
async function measure(contender: Contender, concurrency: number, seconds: number): Promise<Figures> {
  const samples: number[] = [];
  const warmUntil = performance.now() + seconds * 250;
  const end = warmUntil + seconds * 1_000;
  let units = 0;
  let cpuFrom = Number.NaN;
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      const mine: number[] = [];
      const done = await contender.turn(concurrency, (ms) => mine.push(ms));
      const now = performance.now();
      if (now < warmUntil) continue;
      // The first turn that counts reads the clock of the processor, so that no timer is in the way.
      if (Number.isNaN(cpuFrom)) cpuFrom = cpuUsOf(contender.servers());
      samples.push(...mine);
      if (now <= end) units += done;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  const cpuUs = (cpuUsOf(contender.servers()) - cpuFrom) / Math.max(1, units);
  return { perSecond: units / seconds, p50: percentile(samples, 50), p99: percentile(samples, 99), cpuUs };
}

/**
 * Every contender at every concurrency, in rounds that each run all of them one after the other: what disturbs the machine
 * for a while disturbs them alike. Each round begins with another one, so that none always follows the same neighbour, and
 * each waits for what the one before left behind (a vacuum, a log being rewritten).
 */
export async function compare(
  contenders: readonly Contender[],
  options: { readonly rounds: number; readonly seconds: number; readonly say: (text: string) => void },
): Promise<Rounds> {
  const results: Rounds = new Map();
  const concurrencies = [...new Set(contenders.flatMap((c) => c.concurrency))].toSorted((a, b) => a - b);
  for (let round = 0; round < options.rounds; round += 1) {
    for (const concurrency of concurrencies) {
      const running = contenders.filter((c) => c.concurrency.includes(concurrency));
      for (let i = 0; i < running.length; i += 1) {
        const contender = running[(i + round) % running.length] as Contender;
        await settled();
        const figures = await measure(contender, concurrency, options.seconds);
        const key = keyOf(contender.name, concurrency);
        results.set(key, [...(results.get(key) ?? []), figures]);
        options.say(`round ${round + 1}, ${contender.name} × ${concurrency}: ${figures.perSecond.toFixed(0)}/s`);
      }
    }
  }
  return results;
}

/** The median of the rounds, each figure by itself; null when it was not run. */
export function figuresOf(rounds: Rounds, name: string, concurrency: number): Figures | null {
  const all = rounds.get(keyOf(name, concurrency));
  if (all === undefined) return null;
  return {
    perSecond: median(all.map((f) => f.perSecond)),
    p50: median(all.map((f) => f.p50)),
    p99: median(all.map((f) => f.p99)),
    cpuUs: median(all.map((f) => f.cpuUs)),
  };
}
