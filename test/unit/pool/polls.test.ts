import { describe, expect, it } from 'vitest';
import { PoolHarness } from '../../lib/pool-harness.ts';

describe('polls', () => {
  it('P90: a poll is answered with what waits, up to its room', () => {
    const h = new PoolHarness();
    const agent = h.register({ slots: 4 });
    const tasks = [h.submit(), h.submit(), h.submit()];
    expect(tasks.map((id) => h.task(id).status)).toEqual(['queued', 'queued', 'queued']);
    const leases = h.poll(agent, { max: 2 });
    expect(leases).toHaveLength(2);
    expect(tasks.map((id) => h.task(id).status)).toEqual(['assigned', 'assigned', 'queued']);
    // Not parked: without a poll there is no room.
    expect(h.agent(agent).pollRoom).toBe(0);
  });

  it('P91: assignments are given again until the first sign of work', () => {
    const h = new PoolHarness();
    const agent = h.register();
    const task = h.submit();
    const first = h.poll(agent);
    expect(h.poll(agent)).toEqual(first);
    h.accept(h.work(task));
    expect(h.poll(agent)).toEqual([]);
  });

  it('P92: a parked poll takes a task when one comes, and its room is gone with the answer', () => {
    const h = new PoolHarness();
    const agent = h.register({ slots: 4 });
    expect(h.poll(agent, { park: true, max: 3 })).toEqual([]);
    const task = h.submit();
    expect(h.seen('pollDone')).toEqual([{ type: 'pollDone', agentId: agent, leaseIds: [h.work(task).leaseId], revoked: [] }]);
    expect(h.agent(agent).pollRoom).toBe(0);
    expect(h.task(h.submit()).status).toBe('queued');
  });

  it('P92: an ended poll takes nothing', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.poll(agent, { park: true });
    h.engine.endPoll(agent);
    expect(h.task(h.submit()).status).toBe('queued');
  });

  it('P93: a parked poll is a sign of life as long as it is parked', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.poll(agent, { park: true });
    h.advance(29_000);
    expect(h.status(agent)).toBe('idle');
    expect(h.work(h.submit()).agentId).toBe(agent);
  });

  it('P93: nor is the agent silent when the poll ends with an assignment', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.poll(agent, { park: true });
    h.advance(29_000);
    const work = h.work(h.submit());
    h.advance(5_000);
    h.submit();
    expect([h.status(agent), h.lease(work.leaseId).status]).toEqual(['busy', 'active']);
  });

  it('P93: after it ended the agent is silent from that moment', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.poll(agent, { park: true });
    h.advance(30_000);
    h.engine.endPoll(agent);
    h.advance(14_999);
    expect(h.tryAllocate({ capabilities: ['none'] }).ok).toBe(false);
    expect(h.status(agent)).toBe('idle');
    h.jump(1);
    expect(h.tryAllocate().ok).toBe(false);
    expect(h.status(agent)).toBe('offline');
  });

  it('P94: ending a poll or a wait does nothing else, so nothing that needs an answer is lost', () => {
    const h = new PoolHarness();
    const agent = h.register();
    const polling = h.register({ capabilities: ['poll'] });
    h.allocate({ capabilities: ['poll'], leaseMs: 60_000 });
    const lease = h.allocate({ leaseMs: 6_000 });
    expect(lease.agentId).toBe(agent);
    h.poll(polling, { park: true });
    const staying = h.wait();
    const leaving = h.wait();
    // The lease has ended by the clock: whoever notices it first must hand the agent to the one who waits.
    h.jump(6_000);
    h.engine.withdraw(leaving);
    h.engine.endPoll(polling);
    expect(h.waited(staying)).toBeUndefined();
    h.alarm();
    expect(h.waited(staying)).toMatchObject({ ok: true });
    expect(h.waited(leaving)).toBeUndefined();
    expect(h.state.waiters.size).toBe(0);
  });

  it('P94: nothing is granted to a caller who left', () => {
    const h = new PoolHarness();
    h.register();
    const lease = h.allocate();
    const waiter = h.wait();
    h.engine.withdraw(waiter);
    h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
    expect(h.waited(waiter)).toBeUndefined();
    expect(h.state.slotsFree).toBe(1);
  });
});
