import { describe, expect, it } from 'vitest';
import { ok } from '../../../shared/result.ts';
import type { DemandSpec, PoolRpc, WhyTask } from '../../../shared/rpc.ts';
import type { Why } from '../../../shared/schemas/why.ts';
import { liveRoute } from '../../../workers/region/placement.ts';
import type { RegionPorts } from '../../../workers/region/region.ts';
import { mergeWhys, retold, whyAcrossRegions, whyTask } from '../../../workers/region/why.ts';
import { CALLER, idIn, placementRoute, REGION } from './fixtures.ts';

const why = (over: Partial<Why> = {}): Why => ({
  agents: 2,
  eligible: 0,
  needed: 1,
  matching: 2,
  fitting: 2,
  failed: [{ predicate: 'freeSlots', agents: 2 }],
  detail: 'of one',
  ...over,
});
const miss = (agentId: string, ...predicates: string[]): NonNullable<Why['nearMisses']>[number] => ({
  agentId,
  failed: predicates.map((predicate) => ({ predicate, detail: `fails ${predicate}` })),
});

describe('why, over several shards', () => {
  it('P148: agents and predicates add up, and the nearest of all are the nearest', () => {
    const merged = mergeWhys([
      why({ nearMisses: [miss('a', 'freeSlots'), miss('b', 'capabilities', 'freeSlots')] }),
      why({ failed: [{ predicate: 'capabilities', agents: 1 }], matching: 1, fitting: 0 }),
      why({ nearMisses: ['c', 'd', 'e', 'f'].map((id) => miss(id, 'silent')) }),
    ]);
    expect(merged).toMatchObject({
      agents: 6,
      eligible: 0,
      matching: 5,
      fitting: 4,
      failed: [
        { predicate: 'freeSlots', agents: 4 },
        { predicate: 'capabilities', agents: 1 },
      ],
    });
    expect(merged?.nearMisses?.map((m) => m.agentId)).toEqual(['a', 'c', 'd', 'e', 'f']);
    expect(merged?.detail).toMatch(
      /^0 of 6 agents could take this now, 1 needed: 4 agents fit, none of them is free\. The nearest is a: fails freeSlots\./,
    );
  });

  it('P148: one answer alone is left as it is', () => {
    expect(mergeWhys([why()])).toEqual(why());
    expect(mergeWhys([])).toBeUndefined();
  });

  it('P148: what waits nowhere yet starts where it can first; a task where it waits', () => {
    const [early, late] = [why({ estimatedStartAtMs: 1_000 }), why({ estimatedStartAtMs: 2_000 })];
    expect(mergeWhys([early, late, why()])?.estimatedStartAtMs).toBe(1_000);
    const task = why({ position: 3, waitsFor: { for: 'agent' } });
    expect(mergeWhys([early, { ...task, estimatedStartAtMs: 5_000 }])).toMatchObject({ position: 3, estimatedStartAtMs: 5_000 });
    expect(mergeWhys([early, task])?.estimatedStartAtMs).toBeUndefined();
    expect(mergeWhys([early, task])?.detail).toMatch(
      /^3 others that could go to the same agents are served before it\. 0 of 4 agents/,
    );
  });

  it('P148: the maximum of a pool is in the way only where all shards have their share', () => {
    const full = why({ limitedBy: { scope: 'pool', limit: 5, inUse: 5 } });
    expect(mergeWhys([full, full])).toMatchObject({
      limitedBy: { scope: 'pool', limit: 10, inUse: 10 },
      detail: expect.stringContaining('The pool is at its maximum of 10 agents.') as unknown,
    });
    expect(mergeWhys([why(), full])?.limitedBy).toBeUndefined();
    const queue = why({ limitedBy: { scope: 'queue', limit: 7, inUse: 7 } });
    expect(mergeWhys([full, queue])?.limitedBy?.scope).toBe('queue');
  });

  it('P148: a gang comes from one shard, and is told so when all together would do', () => {
    const two = why({ needed: 3, eligible: 2 });
    expect(mergeWhys([two, two])?.detail).toBe(
      '4 of 4 agents could take this now, but all 3 of a gang come from one of the 2 shards, and none has more than 2. Ask for fewer at once, or add agents.',
    );
    expect(whyAcrossRegions([two, two])?.detail).toMatch(/^In 2 regions: 4 of 4 .* one of the 2 regions/);
  });

  it('P148: over regions the nearest one has the last word on place, and all are counted', () => {
    const near = why({ limitedBy: { scope: 'queue', limit: 7 } });
    expect(whyAcrossRegions([near, why()])).toMatchObject({ agents: 4, limitedBy: { scope: 'queue', limit: 7 } });
    expect(
      whyAcrossRegions([why({ agents: 0, matching: 0, fitting: 0, failed: [] }), why({ agents: 0, failed: [] })])?.detail,
    ).toBe('The pool has no agents in any of the 2 regions asked. Register some, or scale it up.');
  });

  it('P148: a refusal tells what all say in place of what the last said', () => {
    const [own, merged] = [why(), why({ detail: 'of all' })];
    expect(retold('Nobody came. of one', own, merged)).toBe('Nobody came. of all');
    expect(retold('Something else.', own, merged)).toBe('Something else.');
  });
});

describe('why a task waits', () => {
  const DEMAND: DemandSpec = { capabilities: ['x'], selectors: [], slots: 1, count: 1, connected: true };
  function region(shards: number, own: WhyTask): { readonly ports: RegionPorts; readonly asked: unknown[] } {
    const asked: unknown[] = [];
    const pool = (shard: number): Partial<PoolRpc> => ({
      whyTask: async () => ok(own),
      explainDemand: async (demand) => {
        asked.push([shard, demand]);
        return why({ agents: 10 });
      },
    });
    const ports = {
      region: REGION,
      pool: (_fleet: string, home: { shard: number }) => pool(home.shard) as PoolRpc,
      routes: { find: async () => liveRoute(placementRoute(shards)) },
    } as unknown as RegionPorts;
    return { ports, asked };
  }

  it('P148: the agents of other shards count while it waits for one', async () => {
    const { ports, asked } = region(3, { why: why({ position: 0, waitsFor: { for: 'agent' } }), demand: DEMAND });
    expect(await whyTask(ports, CALLER, idIn('tsk', 'coder', 1))).toMatchObject({ ok: true, value: { agents: 22, position: 0 } });
    expect(asked).toEqual([
      [0, DEMAND],
      [2, DEMAND],
    ]);
  });

  it('P148: nobody else is asked for what waits for something else', async () => {
    const own = why({ waitsFor: { for: 'delay', untilMs: 5 } });
    const { ports, asked } = region(3, { why: own, demand: DEMAND });
    expect(await whyTask(ports, CALLER, idIn('tsk', 'coder', 1))).toEqual(ok(own));
    const ended = region(3, { why: why(), demand: null });
    expect(await whyTask(ended.ports, CALLER, idIn('tsk', 'coder', 1))).toEqual(ok(why()));
    expect([...asked, ...ended.asked]).toEqual([]);
  });
});
