import { describe, expect, it } from 'vitest';
import type { PoolMutant } from './shards/pool.ts';
import { simulateShards } from './shards/simulate.ts';

/**
 * Deterministic simulation of a pool of two or three shards and the letters between them. As `pool-sim.test.ts`:
 * SIM_SEEDS, SIM_FROM, SHARDS_SEED=n for one seed with its trace.
 */
const isLongRun = process.env['npm_lifecycle_event'] === 'test:sim';
const SEEDS = Number(process.env['SIM_SEEDS'] ?? (isLongRun ? 10_000 : 200));
const FROM = Number(process.env['SIM_FROM'] ?? 1);
const CHUNK = 250;
/** A planted bug is found within so many seeds. */
const MUTANT_SEEDS = 60;

const failure = (n: number): string | null => {
  const result = simulateShards(n);
  return result.failure === null
    ? null
    : `seed ${n}, step ${result.steps}: ${result.failure}\nreplay: SHARDS_SEED=${n} npm run test:sim`;
};

const MUTANTS: Readonly<Record<string, PoolMutant>> = {
  'what is said of a lent task is not held against the lender’s lease': { unchecked: true },
  'siblings are not asked': { forgets: 'borrow' },
  'offers are not confirmed': { forgets: 'confirmLoans' },
  'what a lender takes back is not returned': { forgets: 'loanNews' },
};

/** Runs that found a bug we once had. Whoever changes what a seed means looks for new ones. */
const FOUND: Readonly<Record<string, number>> = {
  'the end of a lease stayed put off after its home had decided': 1858,
};

const seed = process.env['SHARDS_SEED'];
describe('simulation of several shards', () => {
  if (seed !== undefined) {
    it(`P179: seed ${seed}`, () => {
      const lines: string[] = [];
      const result = simulateShards(Number(seed), { trace: (line) => lines.push(line) });
      console.log(lines.join('\n'));
      expect(result.failure).toBeNull();
    });
    return;
  }

  const chunks = Array.from({ length: Math.ceil(SEEDS / CHUNK) }, (_, i) => FROM + i * CHUNK);
  it.each(chunks)('P179: every invariant holds over shards after every step, seeds from %i', (first) => {
    for (let n = first; n < Math.min(first + CHUNK, FROM + SEEDS); n += 1) expect(failure(n)).toBeNull();
  });

  it.each(Object.entries(FOUND))('P179: %s', (_, n) => {
    expect(failure(n)).toBeNull();
  });

  it('P179: the runs do lend', () => {
    const lent = Array.from({ length: 20 }, (_, i) => simulateShards(i + 1).lent).reduce((a, b) => a + b, 0);
    expect(lent).toBeGreaterThan(50);
  });

  it.each(Object.entries(MUTANTS))('P112: is found: %s', (_, mutant) => {
    const found = Array.from({ length: MUTANT_SEEDS }, (__, i) => i + 1).find(
      (n) => simulateShards(n, { mutant }).failure !== null,
    );
    expect(found).toBeDefined();
  });
});
