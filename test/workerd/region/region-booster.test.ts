import { exports } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { Caller } from '../../../shared/rpc.ts';

const region = exports.RegionEntry;
const caller: Caller = { fleet: 'booster', subject: 'tok-1', role: 'operator', requestId: 'req-1' };
const task = (original: string) => ({ operation: 'check', path: 'a.js', original }) as const;
const outputOf = ({ json }: { readonly json: string }): unknown => (JSON.parse(json) as { output?: unknown }).output;

describe('a region and its booster', () => {
  it('B260: answers stand in the order of the tasks, however many calls they took', async () => {
    const tasks = Array.from({ length: 250 }, (_, i) => task(`file ${i}`));
    const outcomes = await region.runBooster(caller, tasks);
    expect(outcomes.map(outputOf)).toEqual(tasks.map(({ original }) => original));
  });

  it('B261: a task that brings its isolate down is a fault; those that shared its call are done', async () => {
    const tasks = Array.from({ length: 90 }, (_, i) => task(i === 41 ? 'poison' : `file ${i}`));
    const outcomes = await region.runBooster(caller, tasks);
    expect(outcomes.flatMap(({ reason }, i) => (reason === null ? [] : [[i, reason]]))).toEqual([[41, 'fault']]);
  });

  it('B262: the status adds up what the bound boosters say', async () => {
    expect(await region.boosterStatus(caller)).toMatchObject({
      region: 'eu-west-1',
      slots: { max: 4, started: 0, busy: 0 },
      unreachable: 0,
      isolates: [{ isolate: 'one' }],
    });
  });

  it('B263: the report counts a fleet’s own operations', async () => {
    const own: Caller = { ...caller, fleet: 'report' };
    await region.runBooster(own, [task('a'), task('b'), task('poison')]);
    expect(await region.boosterReport(own)).toMatchObject({
      region: 'eu-west-1',
      timeouts: 0,
      operations: { check: { operations: 3, done: 2, refused: 0, faults: 1 } },
    });
    expect((await region.boosterReport({ ...caller, fleet: 'other' })).operations).toEqual({});
  });
});
