import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Admission, TICKET_MS } from '../../../durable-objects/registry/core/admission.ts';
import { Counters } from '../../../durable-objects/registry/core/counters.ts';
import type { ShardSummary } from '../../../shared/rpc.ts';
import { summaryOf } from './fixtures.ts';

const n = fc.nat(50);
const report: fc.Arbitrary<ShardSummary> = fc.record({
  pool: fc.constantFrom('coder', 'tester'),
  shard: fc.nat(3),
  version: fc.nat(20),
  asOfMs: fc.nat(),
  agents: fc.record({ total: n, starting: n, idle: n, busy: n, draining: n, unhealthy: n, quarantined: n, offline: n }),
  tasks: fc.record({ queued: n, assigned: n, running: n, succeeded: n, failed: n, cancelled: n, dead: n }),
  slotsFree: n,
});

describe('counters', () => {
  it('I8: equal a recount of the newest reports, whatever their order', () => {
    fc.assert(
      fc.property(fc.array(report, { maxLength: 60 }), (reports) => {
        const counters = new Counters();
        const newest = new Map<string, ShardSummary>();
        for (const summary of reports) {
          const key = `${summary.pool}/${summary.shard}`;
          const known = newest.get(key);
          expect(counters.isNews(summary)).toBe(known === undefined || summary.version > known.version);
          if (!counters.isNews(summary)) continue;
          counters.apply(summary);
          newest.set(key, summary);
        }
        const recount = (of: readonly ShardSummary[]) => ({
          total: of.reduce((sum, summary) => sum + summary.agents.total, 0),
          busy: of.reduce((sum, summary) => sum + summary.agents.busy, 0),
          queued: of.reduce((sum, summary) => sum + summary.tasks.queued, 0),
          dead: of.reduce((sum, summary) => sum + summary.tasks.dead, 0),
        });
        const read = ({ agents, tasks }: typeof counters.region) => ({
          total: agents.total,
          busy: agents.busy,
          queued: tasks.queued,
          dead: tasks.dead,
        });
        expect(read(counters.region)).toEqual(recount([...newest.values()]));
        for (const pool of ['coder', 'tester', 'none'])
          expect(read(counters.ofPool(pool))).toEqual(recount([...newest.values()].filter((summary) => summary.pool === pool)));
        expect(counters.all()).toHaveLength(newest.size);
      }),
    );
  });

  it('know which shards are in use', () => {
    const counters = new Counters();
    expect(counters.usedShards('coder')).toBe(0);
    counters.apply(summaryOf({ shard: 2 }));
    expect(counters.usedShards('coder')).toBe(3);
    expect([counters.isInUse('coder', 2), counters.isInUse('coder', 0), counters.isInUse('tester', 2)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('admission under a maximum of the region', () => {
  it('counts what is known and what is on its way', () => {
    const admission = new Admission();
    expect(admission.admit(6, 10, 3, 0)).toMatchObject({ ok: true, value: { admitted: 6 } });
    expect(admission.admit(6, 10, 3, 0)).toMatchObject({ ok: true, value: { admitted: 1 } });
    expect(admission.admit(1, 10, 3, 0)).toMatchObject({
      ok: false,
      error: { kind: 'quota_exceeded', scope: 'region', limit: 10 },
    });
  });

  it('frees a reservation when it is settled, or when its caller never came back', () => {
    const admission = new Admission();
    const first = admission.admit(10, 10, 0, 0);
    if (!first.ok) throw new Error('not admitted');
    expect(admission.admit(1, 10, 0, TICKET_MS - 1).ok).toBe(false);
    expect(admission.admit(1, 10, 0, TICKET_MS)).toMatchObject({ ok: true, value: { admitted: 1 } });
    const second = admission.admit(9, 10, 0, TICKET_MS);
    if (!second.ok) throw new Error('not admitted');
    admission.settle(second.value.ticket);
    // The nine are in the counters now.
    expect(admission.admit(1, 10, 9, TICKET_MS).ok).toBe(false);
    expect(admission.admit(1, 10, 8, TICKET_MS).ok).toBe(true);
  });
});
