import { describe, expect, it } from 'vitest';
import { PoolHarness } from '../../lib/pool-harness.ts';

/** Far above what one thing may keep, far below what a leak makes of the loops below. */
const FEW = 1_100;

describe('timers and the alarm', () => {
  it('P102: a lease that is renewed over and over keeps one timer', () => {
    const h = new PoolHarness();
    const agent = h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    const lease = h.allocate();
    for (let i = 0; i < 3_000; i += 1) {
      h.advance(5_000);
      h.do({ type: 'renew', allocationId: lease.id, fencingToken: lease.fencingToken, leaseMs: 30_000 });
    }
    expect(h.status(agent)).toBe('busy');
    expect(h.state.timers.size).toBeLessThan(10);
  });

  it('P24: a lease renewed to a shorter length ends when it says', () => {
    const h = new PoolHarness();
    h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    const lease = h.allocate({ leaseMs: 600_000 });
    h.do({ type: 'renew', allocationId: lease.id, fencingToken: lease.fencingToken, leaseMs: 2_000 });
    h.advance(1_999);
    expect(h.lease(lease.id).status).toBe('active');
    h.advance(1);
    expect(h.lease(lease.id)).toMatchObject({ status: 'expired', endedAtMs: h.nowMs });
  });

  it('P24: a lease renewed shorter, then longer, lives as long as the last renewal says', () => {
    const h = new PoolHarness();
    h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    const lease = h.allocate({ leaseMs: 60_000 });
    const renew = (leaseMs: number): void =>
      void h.do({ type: 'renew', allocationId: lease.id, fencingToken: lease.fencingToken, leaseMs });
    for (let i = 0; i < 2_000; i += 1) {
      renew(1_000);
      renew(3_600_000);
      h.advance(500);
    }
    expect(h.state.timers.size).toBeLessThan(FEW);
    renew(5_000);
    h.advance(4_999);
    expect(h.lease(lease.id).status).toBe('active');
    h.advance(1);
    expect(h.lease(lease.id).status).toBe('expired');
  });

  it('P102: long leases released at once leave no heap of timers behind', () => {
    const h = new PoolHarness();
    h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    for (let i = 0; i < 5_000; i += 1) {
      const lease = h.allocate({ leaseMs: 3_600_000 });
      h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
    }
    expect(h.state.timers.size).toBeLessThan(FEW);
  });

  it('P102: tasks done long before their deadline leave no heap of timers behind', () => {
    const h = new PoolHarness();
    h.connected();
    for (let i = 0; i < 3_000; i += 1) h.complete(h.work(h.submit({ deadlineMs: 2_592_000_000 })));
    expect(h.state.timers.size).toBeLessThan(FEW);
  });

  it('P102: an agent that comes and goes keeps one timer of each kind', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    for (let i = 0; i < 2_000; i += 1) {
      h.close(agent);
      h.advance(i % 2 === 0 ? 100 : 5_000);
      h.open(agent);
    }
    expect(h.state.timers.size).toBeLessThan(FEW);
    h.close(agent);
    h.advance(4_999);
    expect(h.status(agent)).toBe('unhealthy');
    h.advance(1);
    expect(h.status(agent)).toBe('offline');
  });

  it('P101: the alarm makes progress: after it ran at its time, the next time is later', () => {
    const h = new PoolHarness({ maxAgents: 3_000 });
    for (let i = 0; i < 1_200; i += 1) h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    for (let i = 0; i < 1_200; i += 1) h.allocate({ leaseMs: 5_000 });
    h.jump(5_000);
    // More is due than one step does: the alarm stays due until all of it is done, and no longer.
    let fired = 0;
    for (; (h.engine.nextAlarmMs() ?? Infinity) <= h.nowMs; fired += 1) h.alarm();
    expect(fired).toBe(3);
    expect(h.state.leases.size).toBe(0);
    expect(h.engine.nextAlarmMs()).toBeGreaterThan(h.nowMs);
  });

  it('P100: an agent that is lost again is forgotten an hour after the last time', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    h.close(agent);
    h.advance(5_000);
    expect(h.status(agent)).toBe('offline');
    h.advance(1_800_000);
    h.open(agent);
    h.close(agent);
    h.advance(5_000);
    h.advance(3_599_999);
    expect(h.status(agent)).toBe('offline');
    h.advance(1);
    expect(h.status(agent)).toBe('gone');
  });
});
