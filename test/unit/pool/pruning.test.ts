import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { PoolHarness } from '../../lib/pool-harness.ts';

describe('pruning', () => {
  it('P88: an ended task and its texts go when its time is over, and leave the counters', () => {
    const h = new PoolHarness();
    h.connected();
    const task = h.submit({ resultTtlMs: 60_000 });
    h.complete(h.work(task), '"done"');
    expect(h.engine.summary().tasks.succeeded).toBe(1);
    const { version } = h.engine.summary();
    h.advanceAlive(LIMITS.sweepIntervalMs + 60_000);
    expect(h.storage.task(task)).toBeNull();
    expect(h.storage.blob(task, 'result')).toBeNull();
    expect(h.engine.summary().tasks.succeeded).toBe(0);
    // Whoever keeps the highest version must see the new counts.
    expect(h.engine.summary().version).toBeGreaterThan(version);
    expect(h.storage.load()?.meta.summaryVersion).toBe(h.engine.summary().version);
  });

  it('P88: an ended allocation is kept for a day', () => {
    const h = new PoolHarness();
    h.register({ liveness: 'none', endpoint: 'https://a.example/' });
    const lease = h.allocate();
    h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
    h.advance(LIMITS.allocationRetentionMs - 1);
    expect(h.storage.lease(lease.id)).not.toBeNull();
    h.advance(LIMITS.sweepIntervalMs + 1);
    expect(h.storage.lease(lease.id)).toBeNull();
  });

  it('P88: what is over the number kept goes soon, not when the oldest is a day old', () => {
    const limits = LIMITS as { endedAllocationsPerShard: number; pruneStep: number };
    const before = { ...limits };
    Object.assign(limits, { endedAllocationsPerShard: 3, pruneStep: 2 });
    try {
      const h = new PoolHarness();
      h.register({ liveness: 'none', endpoint: 'https://a.example/' });
      const ids = Array.from({ length: 10 }, () => {
        const lease = h.allocate();
        h.advance(1);
        h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
        return lease.id;
      });
      h.advance(LIMITS.sweepIntervalMs + 10 * LIMITS.pruneRestMs);
      expect(ids.map((id) => h.storage.lease(id) !== null)).toEqual(ids.map((_, i) => i >= 7));
    } finally {
      Object.assign(limits, before);
    }
  });

  it('P88: wakes that follow one another closely do not put pruning off', () => {
    const h = new PoolHarness();
    h.register({ liveness: 'none', endpoint: 'https://a.example/' });
    const lease = h.allocate();
    h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
    // A trickle of work: the object wakes every minute and sleeps in between.
    for (let minute = 0; minute < 1_450; minute += 1) {
      h.advance(60_000);
      h.restart({ socketsSurvive: true });
    }
    expect(h.storage.lease(lease.id)).toBeNull();
  });

  it('P18: a beat is stored with a commit that happens anyway, at most every half minute', () => {
    const h = new PoolHarness();
    const agent = h.register();
    const stored = (): number | undefined => h.storage.load()?.agents.find((a) => a.id === agent)?.lastSeenAtMs;
    const registeredAtMs = h.nowMs;
    for (let i = 0; i < 6; i += 1) {
      h.advance(5_000);
      h.beat(agent);
    }
    expect(stored()).toBe(registeredAtMs);
    h.submit();
    expect(stored()).toBe(h.nowMs);
    h.advance(5_000);
    h.beat(agent);
    h.submit();
    expect(stored()).toBe(h.nowMs - 5_000);
  });
});
