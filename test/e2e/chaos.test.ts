import { describe, expect, it } from 'vitest';
import type { PlantName } from '../../scripts/chaos/plants.ts';
import { runChaos, type ChaosOptions, type ChaosResult } from '../../scripts/chaos/run.ts';

const OPTIONS: ChaosOptions = {
  kills: 4,
  seconds: 5,
  clients: 16,
  seed: Date.now() % 1_000_000,
  regions: ['eu-west-1'],
  shards: 1,
  isOnDisk: false,
  isKept: false,
  plant: null,
  say: () => undefined,
};

const rulesOf = ({ violations }: ChaosResult): readonly string[] => [...new Set(violations.map(({ rule }) => rule))];

describe('chaos', () => {
  it('H1–H23: kill -9 under sixteen clients breaks no promise', async () => {
    const { kills, violations, counts, linearized, historyFile } = await runChaos(OPTIONS);
    expect(violations, `seed ${OPTIONS.seed}, history in ${historyFile}`).toEqual([]);
    expect(kills).toBe(OPTIONS.kills);
    // A run in which hardly anything happened would show nothing.
    expect(counts.acknowledged).toBeGreaterThan(200);
    expect(counts.leases).toBeGreaterThan(20);
    expect(counts.tasks).toBeGreaterThan(10);
    expect(linearized).toBeGreaterThan(counts.leases + counts.tasks);
  });

  const planted: readonly (readonly [PlantName, string, Partial<ChaosOptions>])[] = [
    ['stale-release', 'H4', { kills: 1, seconds: 2 }],
    ['early-answer', 'H7', { kills: 3, seconds: 3 }],
  ];
  it.each(planted)('would fail: %s is found as %s', async (plant, rule, options) => {
    const result = await runChaos({ ...OPTIONS, ...options, plant });
    expect(rulesOf(result)).toContain(rule);
  });
});
