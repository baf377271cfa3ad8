import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { runChaosMemory } from '../../scripts/chaos-memory/run.ts';
import { Ledger } from '../../scripts/chaos-memory/ledger.ts';

describe('sealed memory under kill -9', () => {
  it(
    'M46, M16: four kills during rotation and compaction lose nothing, and leave nothing in clear',
    { timeout: 180_000 },
    async () => {
      const result = await runChaosMemory({ kills: 4, parent: tmpdir(), say: () => undefined });
      expect(result.violations).toEqual([]);
      expect(result.acknowledged).toBeGreaterThan(20);
      expect(result.duringRotation + result.duringCompaction).toBeGreaterThan(0);
    },
  );

  it('M46: the judge sees what was lost, torn, invented or damaged', () => {
    const ledger = new Ledger(3);
    const [first, second] = [ledger.nextPut('a'), ledger.nextPut('a')];
    first.acknowledge();
    second.acknowledge();
    const group = ledger.nextGroup();
    group.acknowledge();
    const whole = {
      integrity: [{ integrity_check: 'ok' }],
      notes: [['a', second.value]],
      groups: [[group.id, 3]],
      words: 1,
    } as const;
    expect(ledger.judge(whole)).toEqual([]);
    for (const broken of [
      { ...whole, integrity: [{ integrity_check: 'page 3 is never used' }] },
      { ...whole, notes: [] },
      { ...whole, notes: [['a', first.value]] as const },
      { ...whole, notes: [['a', 'plainvalue-99-']] as const },
      { ...whole, groups: [], words: 0 },
      { ...whole, groups: [[group.id, 2]] as const },
      { ...whole, words: 0 },
    ]) {
      expect(ledger.judge(broken)).toHaveLength(1);
    }
  });
});
