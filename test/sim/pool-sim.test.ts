import { describe, expect, it } from 'vitest';
import { migrate } from '../../durable-objects/lib/migrate.ts';
import { POOL_MIGRATIONS } from '../../durable-objects/pool/migrations.ts';
import { SqlitePoolStorage } from '../../durable-objects/pool/sqlite-storage.ts';
import { reopened } from '../lib/reopened-storage.ts';
import { NodeStorage } from '../lib/sql-storage.ts';
import { MUTANTS } from './lib/mutants.ts';
import { simulate } from './lib/simulate.ts';

/**
 * Deterministic simulation of a pool shard: the real engine over a storage, with everything around it made from a seed.
 *
 *   npm run test:sim                 10,000 seeds
 *   SIM_SEEDS=200 npm run test:sim   as many as one likes; SIM_FROM=5000 begins there
 *   SEED=4711 npm run test:sim       that one, with its trace
 */
const isLongRun = process.env['npm_lifecycle_event'] === 'test:sim';
const SEEDS = Number(process.env['SIM_SEEDS'] ?? (isLongRun ? 10_000 : 300));
const FROM = Number(process.env['SIM_FROM'] ?? 1);
/** Seeds of one test: small enough that a failure comes soon and no test runs into its time limit. */
const CHUNK = 250;
/** A planted bug is found within so many seeds. */
const MUTANT_SEEDS = 60;

const failure = (n: number, asFound = false): string | null => {
  const result = simulate(n, { asFound });
  return result.failure === null
    ? null
    : `seed ${n}, step ${result.steps}: ${result.failure}\nreplay: SEED=${n} npm run test:sim`;
};

/**
 * Runs that find a bug we once had: each was seen to fail with the fix taken out. Whoever changes what a seed means
 * (`lib/`) looks for new ones, or leaves it as it was under `asFound`.
 */
const FOUND: Readonly<Record<string, number>> = {
  'a wake judged its agents before it knew their sockets': 382,
  'an agent that beats was lost by an old row': 160,
  'a renewal met the row of before its own step': 18,
  'a cancel met the row of before its own step': 29,
  'a raised concurrency limit let nobody in': 191,
  'a task cancelled the one it depends on, and waited for ever': 471,
  'an agent that was lost while it drained came back ready': 3,
  'pruned tasks left the counters, not their version': 1,
  'a withdrawal dropped what its step had granted to others': 59,
  'so did the end of a poll': 79,
  'an agent was lost as soon as its poll had brought it work': 31,
  'of several freed agents the first took what was for another': 7,
  'a restart put work that was ready behind newer work': 69,
  'a delay that ended while a task waited for another delayed it again': 12,
  'an agent that never opened its socket was lost as soon as it drained': 101,
};

function replayOne(seed: string): void {
  it(`P110: seed ${seed}`, () => {
    const lines: string[] = [];
    const result = simulate(Number(seed), { trace: (line) => lines.push(line) });
    console.log(lines.join('\n'));
    expect(result.failure).toBeNull();
  });
}

function runMany(): void {
  const chunks = Array.from({ length: Math.ceil(SEEDS / CHUNK) }, (_, i) => FROM + i * CHUNK);
  it.each(chunks)('P110: every invariant holds after every step, seeds from %i', (first) => {
    for (let n = first; n < Math.min(first + CHUNK, FROM + SEEDS); n += 1) expect(failure(n)).toBeNull();
  });

  it.each(Object.entries(FOUND))('P110: %s', (_, n) => {
    expect(failure(n, true)).toBeNull();
  });

  it('P110: a run is its seed: twice the same', () => {
    const traced = (): string => {
      const lines: string[] = [];
      simulate(7, { trace: (line) => lines.push(line) });
      return lines.join('\n');
    };
    expect(traced()).toBe(traced());
  });

  it.each([11, 12, 13, 14, 15, 16])('P111: SQLite told the same as memory holds the same, seed %i', (n) => {
    const storage = new NodeStorage();
    migrate(storage, POOL_MIGRATIONS);
    expect(simulate(n, { mirror: new SqlitePoolStorage(storage.sql) }).failure).toBeNull();
  });

  it.each([21, 22, 23, 24, 25, 26])('P181: SQLite that loses its memory again and again holds the same, seed %i', (n) => {
    const storage = new NodeStorage();
    migrate(storage, POOL_MIGRATIONS);
    expect(simulate(n, { mirror: reopened(storage.sql, 1 + (n % 6)) }).failure).toBeNull();
  });

  it.each(Object.entries(MUTANTS))('P112: is found: %s', (_, mutant) => {
    const found = Array.from({ length: MUTANT_SEEDS }, (__, i) => i + 1).find((n) => simulate(n, { mutant }).failure !== null);
    expect(found).toBeDefined();
  });
}

const seed = process.env['SEED'];
describe('simulation of a pool shard', () => {
  if (seed === undefined) runMany();
  else replayOne(seed);
});
