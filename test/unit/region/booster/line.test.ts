import { describe, expect, it, vi } from 'vitest';
import { LIMITS } from '../../../../shared/limits.ts';
import type { BoosterRpc, BoosterRun } from '../../../../shared/rpc-booster.ts';
import type { BoosterInstruction } from '../../../../shared/schemas/booster.ts';
import { chunksOf } from '../../../../workers/region/booster/chunks.ts';
import { type CallFacts, isolatesOf, LATE, type LinePorts, runOnBoosters } from '../../../../workers/region/booster/line.ts';
import { boundBoosters } from '../../../../workers/region/booster/region-booster.ts';

const ASKER = { fleet: 'f', region: 'eu-west-1', requestId: 'r' };
const task = (original: string): BoosterInstruction => ({ operation: 'check', original });
const many = (count: number): BoosterInstruction[] => Array.from({ length: count }, (_, i) => task(`f${i}`));
const DONE = { reason: null, json: '{"ok":true}' } as const;

function fakeBooster(run: (call: BoosterRun) => Promise<readonly (typeof DONE)[]> = async ({ tasks }) => tasks.map(() => DONE)) {
  return {
    run: vi.fn(run),
    status: vi.fn<BoosterRpc['status']>(async () => {
      throw new Error('away');
    }),
  };
}
const ports = (boosters: readonly BoosterRpc[], more: Partial<LinePorts> = {}): LinePorts => ({
  boosters,
  nowMs: () => 0,
  within: (_, work) => work,
  logError: vi.fn(),
  ...more,
});

describe('calls', () => {
  it('B264: hold at most a hundred files, and at most so many characters', () => {
    expect(chunksOf(many(250)).map(({ tasks }) => tasks.length)).toEqual([100, 100, 50]);
    const large = 'x'.repeat(LIMITS.boosterFileChars);
    expect(chunksOf(Array.from({ length: 20 }, () => task(large))).map(({ tasks }) => tasks.length)).toEqual([8, 8, 4]);
    expect(chunksOf([task('x'.repeat(LIMITS.boosterCharsPerCall + 1))])).toHaveLength(1);
    expect(chunksOf([])).toEqual([]);
  });

  it('B265: go to the booster with the fewest under way', async () => {
    const boosters = [fakeBooster(), fakeBooster(), fakeBooster()];
    await runOnBoosters(ports(boosters), [1, 0, 1], ASKER, many(1), () => undefined);
    expect(boosters.map(({ run }) => run.mock.calls.length)).toEqual([0, 1, 0]);
    const connections: number[] = [];
    await runOnBoosters(ports(boosters), connections, ASKER, many(600), () => undefined);
    expect(boosters.map(({ run }) => run.mock.calls.length)).toEqual([2, 3, 2]);
    expect(connections).toEqual([0, 0, 0]);
  });

  it('B266: one that takes too long is a fault for its tasks, and is not tried again', async () => {
    const booster = fakeBooster();
    const facts: CallFacts[] = [];
    const late = ports([booster], { within: async () => LATE });
    const outcomes = await runOnBoosters(late, [], ASKER, many(3), (one) => facts.push(one));
    expect(outcomes.map(({ reason }) => reason)).toEqual(['fault', 'fault', 'fault']);
    expect(booster.run).toHaveBeenCalledOnce();
    expect(facts).toMatchObject([{ late: true }]);
  });

  it('B267: boosters that are gone are given up soon, whatever was asked of them', async () => {
    const booster = fakeBooster(async () => {
      throw new Error('gone');
    });
    const outcomes = await runOnBoosters(ports([booster]), [], ASKER, many(1_000), () => undefined);
    expect(outcomes.every(({ reason }) => reason === 'fault')).toBe(true);
    expect(booster.run.mock.calls.length).toBeLessThan(60);
  });

  it('B268: a region without a booster answers a fault, so that an agent takes over', async () => {
    const outcomes = await runOnBoosters(ports([]), [], ASKER, many(2), () => undefined);
    expect(outcomes.map(({ reason }) => reason)).toEqual(['fault', 'fault']);
  });

  it('B262: a booster that does not answer is null in the status, the others are not', async () => {
    expect(await isolatesOf(ports([fakeBooster()]), ASKER)).toEqual([null]);
  });
});

it('B269: every bound booster is found by its number', () => {
  const [a, b, c] = [fakeBooster(), fakeBooster(), fakeBooster()];
  expect(boundBoosters({})).toEqual([]);
  expect(boundBoosters({ BOOSTER: a, BOOSTER_2: b, BOOSTER_3: c, BOOSTER_5: a })).toEqual([a, b, c]);
});
