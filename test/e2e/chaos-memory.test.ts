import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { runChaosMemory } from '../../scripts/chaos-memory/run.ts';
import { FleetLedger, judgeEntries } from '../../scripts/chaos-memory/fleet-ledger.ts';
import { runChaosFleet } from '../../scripts/chaos-memory/fleet-run.ts';
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

  it(
    'M46: four kills of the real fleet under agents over HTTP lose nothing that was acknowledged',
    { timeout: 240_000 },
    async () => {
      const result = await runChaosFleet({ kills: 4, parent: tmpdir(), say: () => undefined });
      expect(result.violations).toEqual([]);
      expect(result.acknowledged).toBeGreaterThan(100);
      expect(result.duringRotation).toBeGreaterThan(0);
      expect(result.duringCompaction).toBeGreaterThan(0);
    },
  );

  it('M46: the judge of the fleet sees what was lost, went back, came twice or was torn', () => {
    const ledger = new FleetLedger();
    const groupOf = (key: string): string | null => (key.startsWith('g') ? 'g' : null);
    for (const [key, version] of [
      ['a', 1],
      ['a', 2],
      ['g1', 1],
      ['g2', 1],
    ] as const) {
      ledger.send(key, { value: version, version });
      ledger.acknowledge(key);
    }
    ledger.send('a', { value: 3, version: 3 });
    const whole = { a: 2, g1: 1, g2: 1 };
    const judged = (versions: Readonly<Record<string, number>>): number =>
      judgeEntries(
        ledger.snapshot(),
        new Map(Object.entries(versions).map(([key, version]) => [key, { value: version, version }])),
        groupOf,
      ).length;
    expect([judged(whole), judged({ ...whole, a: 3 })]).toEqual([0, 0]);
    for (const broken of [
      { g1: 1, g2: 1 },
      { ...whole, a: 1 },
      { ...whole, a: 4 },
      { ...whole, b: 1 },
    ])
      expect(judged(broken), JSON.stringify(broken)).toBe(1);
    // One is gone, and with it the group is torn.
    expect(judged({ a: 2, g1: 1 })).toBe(2);
  });

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
