import { Violation } from '../lib/must.ts';
import { OPERATIONS } from './operations.ts';
import { ShardedPool, type PoolMutant } from './pool.ts';
import { finish } from './quiet-end.ts';

const STEPS = 240;

export interface ShardsResult {
  readonly steps: number;
  /** Attempts that were made by an agent of another shard. */
  readonly lent: number;
  readonly failure: string | null;
}

/** Runs one seed over several shards: random operations under faults, every invariant after every step, then the quiet end. */
export function simulateShards(
  seed: number,
  options: { readonly mutant?: PoolMutant; readonly trace?: (line: string) => void } = {},
): ShardsResult {
  const pool = new ShardedPool(seed, options.mutant ?? null, options.trace ?? null);
  const weights = Object.fromEntries(
    Object.entries(OPERATIONS).map(([name, [weight]]) => [name, weight * pool.random.pick([0.3, 1, 1, 1, 2])]),
  );
  // Some networks are slow.
  weights['letter'] = (weights['letter'] ?? 1) * pool.random.pick([0.3, 1, 1]);
  let steps = 0;
  try {
    for (; steps < STEPS; steps += 1) OPERATIONS[pool.random.weighted(weights)]?.[1](pool);
    finish(pool);
  } catch (error) {
    const what =
      error instanceof Violation ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
    pool.log(() => `! ${what}`);
    return { steps, lent: pool.lent, failure: what };
  }
  return { steps, lent: pool.lent, failure: null };
}
