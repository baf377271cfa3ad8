import { describe, expect, it } from 'vitest';
import type { AllocateSpec } from '../../../shared/rpc.ts';
import type { Selector } from '../../../shared/schemas/allocations.ts';
import { matchesSelector } from '../../../durable-objects/pool/core/predicates.ts';
import { PoolHarness } from '../../lib/pool-harness.ts';

const serverless = { liveness: 'none', endpoint: 'https://agent.example/' } as const;

/** Grants one after the other and says to whom, by the names given to agents. */
function grants(h: PoolHarness, names: ReadonlyMap<string, string>, n: number, spec: Partial<AllocateSpec> = {}): string[] {
  return Array.from({ length: n }, () => names.get(h.allocate({ leaseMs: 600_000, ...spec }).agentId) ?? '?');
}

describe('who fits', () => {
  it('P30: an agent must have every capability, the slots, and a label for the selector', () => {
    const h = new PoolHarness();
    h.register({ ...serverless, capabilities: ['a'], labels: { zone: 'north' } });
    const both = h.register({ ...serverless, capabilities: ['a', 'b'], slots: 2, labels: { zone: 'south' } });
    expect(h.allocate({ capabilities: ['a', 'b'] }).agentId).toBe(both);
    expect(h.tryAllocate({ capabilities: ['a', 'c'] }).ok).toBe(false);
    expect(h.tryAllocate({ slots: 2 }).ok).toBe(false);
    expect(h.allocate({ selectors: [{ matchLabels: { zone: 'south' } }] }).agentId).toBe(both);
    expect(h.tryAllocate({ selectors: [{ matchLabels: { zone: 'south' } }] }).ok).toBe(false);
  });

  it('P31: selectors are tried in order; the first that can be met wins', () => {
    const h = new PoolHarness();
    const labelled = (zone: string): string => h.register({ ...serverless, labels: { zone } });
    const [north, south] = [labelled('north'), labelled('south')];
    const selectors: Selector[] = [{ matchLabels: { zone: 'south' } }, { matchLabels: { zone: 'north' } }];
    expect(h.allocate({ selectors }).agentId).toBe(south);
    expect(h.allocate({ selectors }).agentId).toBe(north);
    expect(h.tryAllocate({ selectors }).ok).toBe(false);
  });

  it('P32: a gang gets that many different agents, or none', () => {
    const h = new PoolHarness();
    h.register({ ...serverless, slots: 5 });
    h.register({ ...serverless, slots: 5 });
    expect(h.tryAllocate({ count: 3 })).toMatchObject({ ok: false, error: { kind: 'no_capacity' } });
    expect(h.state.leases.size).toBe(0);
    const gang = h.allocateAll({ count: 2, slots: 2 });
    expect(new Set(gang.map((v) => v.agentId)).size).toBe(2);
    expect(gang.map((v) => v.slots)).toEqual([2, 2]);
  });

  it.each<[string, Selector, Record<string, string>, boolean]>([
    ['In', { matchExpressions: [{ key: 'z', operator: 'In', values: ['a', 'b'] }] }, { z: 'b' }, true],
    ['In, absent', { matchExpressions: [{ key: 'z', operator: 'In', values: ['a'] }] }, {}, false],
    ['NotIn', { matchExpressions: [{ key: 'z', operator: 'NotIn', values: ['a'] }] }, { z: 'a' }, false],
    ['NotIn, absent', { matchExpressions: [{ key: 'z', operator: 'NotIn', values: ['a'] }] }, {}, true],
    ['Exists', { matchExpressions: [{ key: 'z', operator: 'Exists', values: [] }] }, { z: '' }, true],
    ['Exists, inherited', { matchExpressions: [{ key: 'toString', operator: 'Exists', values: [] }] }, {}, false],
    ['DoesNotExist', { matchExpressions: [{ key: 'z', operator: 'DoesNotExist', values: [] }] }, { z: 'a' }, false],
    ['Gt', { matchExpressions: [{ key: 'n', operator: 'Gt', values: ['9'] }] }, { n: '10' }, true],
    ['Gt, equal', { matchExpressions: [{ key: 'n', operator: 'Gt', values: ['10'] }] }, { n: '10' }, false],
    ['Gte, equal', { matchExpressions: [{ key: 'n', operator: 'Gte', values: ['10'] }] }, { n: '10' }, true],
    ['Lt', { matchExpressions: [{ key: 'n', operator: 'Lt', values: ['10'] }] }, { n: '9.5' }, true],
    ['Lte, equal', { matchExpressions: [{ key: 'n', operator: 'Lte', values: ['-1'] }] }, { n: '-1' }, true],
    ['a number compared with none', { matchExpressions: [{ key: 'n', operator: 'Lt', values: ['1'] }] }, {}, false],
    ['a number compared with a word', { matchExpressions: [{ key: 'n', operator: 'Lt', values: ['1'] }] }, { n: 'x' }, false],
    ['a number compared with a blank', { matchExpressions: [{ key: 'n', operator: 'Lt', values: ['1'] }] }, { n: ' ' }, false],
    ['a comparison with nothing', { matchExpressions: [{ key: 'n', operator: 'Gt', values: [] }] }, { n: '1' }, false],
    [
      'labels and expressions together',
      { matchLabels: { a: '1' }, matchExpressions: [{ key: 'b', operator: 'Exists', values: [] }] },
      { a: '1' },
      false,
    ],
    ['__proto__ as a label', { matchLabels: { ['__proto__']: 'x' } }, {}, false],
    ['nothing asked', {}, {}, true],
  ])('P31: %s', (_, selector, labels, expected) => {
    expect(matchesSelector(labels, selector)).toBe(expected);
  });
});

describe('strategies', () => {
  it('P33: least_loaded spreads by the share of slots in use; pack fills up first', () => {
    const h = new PoolHarness();
    const names = new Map(['x', 'y'].map((name) => [h.register({ ...serverless, slots: 2 }), name]));
    expect(grants(h, names, 4, { packing: 'spread' })).toEqual(['x', 'y', 'x', 'y']);
    const packed = new PoolHarness();
    const packedNames = new Map(['x', 'y'].map((name) => [packed.register({ ...serverless, slots: 2 }), name]));
    expect(grants(packed, packedNames, 4, { packing: 'pack' })).toEqual(['x', 'x', 'y', 'y']);
  });

  it('P33: among equally loaded agents the one that has been so for longest comes first', () => {
    const h = new PoolHarness();
    const names = new Map(['x', 'y', 'z'].map((name) => [h.register(serverless), name]));
    const lease = h.allocate();
    expect(names.get(lease.agentId)).toBe('x');
    h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
    expect(grants(h, names, 3)).toEqual(['y', 'z', 'x']);
  });

  it('P34: round_robin takes the least recently granted', () => {
    const h = new PoolHarness();
    const names = new Map(['x', 'y', 'z'].map((name) => [h.register({ ...serverless, slots: 9 }), name]));
    expect(grants(h, names, 7, { strategy: 'round_robin' })).toEqual(['x', 'y', 'z', 'x', 'y', 'z', 'x']);
  });

  it('P34: capability_match keeps generalists free', () => {
    const h = new PoolHarness();
    const names = new Map([
      [h.register({ ...serverless, capabilities: ['a', 'b', 'c'] }), 'general'],
      [h.register({ ...serverless, capabilities: ['a'] }), 'special'],
    ]);
    expect(grants(h, names, 2, { strategy: 'capability_match', capabilities: ['a'] })).toEqual(['special', 'general']);
  });

  it('P34: priority_based goes by the label `priority`, none counting as 0', () => {
    const h = new PoolHarness();
    const names = new Map(
      [undefined, '2', 'x', '10', '-1'].map((priority) => [
        h.register({ ...serverless, labels: priority === undefined ? {} : { priority } }),
        priority ?? 'none',
      ]),
    );
    expect(grants(h, names, 5, { strategy: 'priority_based' })).toEqual(['10', '2', 'none', 'x', '-1']);
  });

  it('P34: performance_based goes by the rate of success, a newcomer counting as one half', () => {
    const h = new PoolHarness();
    const agent = (completed: number, failed: number): string => {
      const id = h.register({ ...serverless, labels: { n: `${completed}/${failed}` } });
      for (let i = 0; i < completed + failed; i += 1) {
        const lease = h.allocate({ selectors: [{ matchLabels: { n: `${completed}/${failed}` } }] });
        h.do({
          type: 'release',
          allocationId: lease.id,
          fencingToken: lease.fencingToken,
          result: { success: i < completed, durationMs: 10 },
        });
      }
      return id;
    };
    const names = new Map([
      [agent(1, 4), 'bad'],
      [agent(0, 0), 'new'],
      [agent(9, 1), 'good'],
    ]);
    expect(grants(h, names, 3, { strategy: 'performance_based' })).toEqual(['good', 'new', 'bad']);
  });

  it.each(['priority_based', 'round_robin', 'least_loaded', 'capability_match', 'performance_based'] as const)(
    'P35: %s chooses a silent agent never, and passes it over for a living one',
    (strategy) => {
      const h = new PoolHarness();
      const silent = h.connected();
      const living = h.connected();
      h.jump(8_000);
      h.pong(living);
      expect(h.allocate({ strategy }).agentId).toBe(living);
      expect(h.tryAllocate({ strategy }).ok).toBe(false);
      expect(h.status(silent)).toBe('unhealthy');
    },
  );
});

describe('refusals', () => {
  it('P36: a refusal changes nothing and says why', () => {
    const h = new PoolHarness();
    h.register({ ...serverless, capabilities: ['a'] });
    h.register({ ...serverless, capabilities: ['a', 'b'], labels: { zone: 'north' } });
    h.connected({ capabilities: ['a', 'b'], labels: { zone: 'south' } });
    h.do({ type: 'quarantineAgent', agentId: h.register({ capabilities: ['a', 'b'] }) });
    const { version } = h.engine.summary();
    const refused = h.tryAllocate({ capabilities: ['b'], count: 3 });
    expect(refused).toMatchObject({
      ok: false,
      error: {
        kind: 'no_capacity',
        why: { agents: 4, eligible: 2, failed: expect.arrayContaining([{ predicate: 'capabilities', agents: 1 }]) as unknown },
      },
    });
    expect(h.engine.summary().version).toBe(version);
  });
});
