import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { agentSpec, PoolHarness } from '../../lib/pool-harness.ts';

const serverless = { liveness: 'none', endpoint: 'https://agent.example/' } as const;

describe('registration and removal', () => {
  it('P1: an agent is idle from its registration, one with a session from its socket', () => {
    const h = new PoolHarness();
    const beating = h.register();
    const session = h.register({ liveness: 'session' });
    expect([h.status(beating), h.status(session)]).toEqual(['idle', 'starting']);
    h.open(session);
    expect(h.status(session)).toBe('idle');
  });

  it('P1: a session agent whose socket never opens is lost by the sweep', () => {
    const h = new PoolHarness();
    const agent = h.register({ liveness: 'session' });
    h.advance(LIMITS.sweepIntervalMs);
    expect(h.status(agent)).toBe('offline');
  });

  it('P2: the maximum is never exceeded; only an agent that is lost makes room', () => {
    const h = new PoolHarness({ maxAgents: 2 });
    const first = h.register();
    const second = h.connected();
    const register = { type: 'registerAgent', spec: agentSpec() } as const;
    expect(h.try(register)).toMatchObject({ ok: false, error: { kind: 'quota_exceeded', limit: 2, scope: 'pool' } });
    h.close(second);
    expect(h.verdict(register)).toBe('quota_exceeded');
    h.advance(5_000);
    h.beat(first);
    expect(h.status(second)).toBe('offline');
    expect(h.verdict(register)).toBe('ok');
    expect([h.status(second), h.state.agentCounts.total]).toEqual(['gone', 2]);
  });

  it('P2: a lost agent counts until it is forgotten, so its return cannot exceed the maximum', () => {
    const h = new PoolHarness({ maxAgents: 2 });
    const first = h.connected();
    const second = h.connected();
    h.close(first);
    h.advance(1_000);
    h.close(second);
    h.advance(5_000);
    // The longest lost one goes.
    const third = h.register();
    expect([h.status(first), h.status(second), h.status(third)]).toEqual(['gone', 'offline', 'idle']);
    h.open(second);
    expect([h.status(second), h.state.agentCounts.total]).toEqual(['idle', 2]);
  });

  it('P2: a lower maximum removes nobody and admits nobody', () => {
    const h = new PoolHarness({ maxAgents: 3 });
    const agents = [h.register(), h.register()];
    h.configure({ maxAgents: 1 });
    expect(h.verdict({ type: 'registerAgent', spec: agentSpec() })).toBe('quota_exceeded');
    for (const agentId of agents) h.do({ type: 'deregisterAgent', agentId, force: false });
    expect(h.verdict({ type: 'registerAgent', spec: agentSpec() })).toBe('ok');
  });

  it('P3: what an operator decided outranks health, and health outranks work', () => {
    const h = new PoolHarness();
    const agent = h.connected({ slots: 2 });
    const seen = [h.status(agent)];
    const note = (): void => void seen.push(h.status(agent));
    h.allocate({ leaseMs: 600_000 });
    note();
    h.close(agent);
    note();
    h.do({ type: 'drainAgent', agentId: agent, deadlineMs: 60_000 });
    note();
    h.advance(LIMITS.sessionGraceMs);
    note();
    h.do({ type: 'quarantineAgent', agentId: agent });
    note();
    expect(seen).toEqual(['idle', 'busy', 'unhealthy', 'draining', 'offline', 'quarantined']);
  });

  it('P5: without leases it is gone at once', () => {
    const h = new PoolHarness();
    const agent = h.register();
    expect(h.do({ type: 'deregisterAgent', agentId: agent, force: false }).status).toBe('offline');
    expect(h.verdict({ type: 'deregisterAgent', agentId: agent, force: false })).toBe('not_found');
  });

  it('P5: with leases it takes no new work and goes with its last lease', () => {
    const h = new PoolHarness();
    const agent = h.register({ ...serverless, slots: 3 });
    const [a, b] = [h.allocate(), h.allocate()];
    expect(h.do({ type: 'deregisterAgent', agentId: agent, force: false }).status).toBe('draining');
    expect(h.tryAllocate().ok).toBe(false);
    h.do({ type: 'release', allocationId: a.id, fencingToken: a.fencingToken });
    expect(h.status(agent)).toBe('draining');
    h.do({ type: 'release', allocationId: b.id, fencingToken: b.fencingToken });
    expect(h.status(agent)).toBe('gone');
  });

  it('P5: after five minutes what is left is revoked; asking again gives no more time', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const lease = h.allocate({ leaseMs: LIMITS.leaseMsMax });
    h.do({ type: 'deregisterAgent', agentId: agent, force: false });
    h.advance(LIMITS.drainDeadlineMs - 1_000);
    h.do({ type: 'deregisterAgent', agentId: agent, force: false });
    h.advance(1_000);
    expect([h.status(agent), h.lease(lease.id).status]).toEqual(['gone', 'revoked']);
  });

  it('P5: force revokes at once; what it held goes to others, not back to it', () => {
    const h = new PoolHarness();
    const agent = h.connected({ slots: 2 });
    const tasks = [h.submit(), h.submit(), h.submit()];
    h.do({ type: 'deregisterAgent', agentId: agent, force: true });
    expect(h.status(agent)).toBe('gone');
    expect(tasks.map((id) => h.task(id))).toMatchObject(tasks.map(() => ({ status: 'queued', attempts: 0 })));
    const next = h.connected({ slots: 3 });
    expect(tasks.map((id) => h.work(id).agentId)).toEqual([next, next, next]);
  });
});

describe('drain and quarantine', () => {
  it('P6: a draining agent takes nothing new and finishes what it holds, until the deadline', () => {
    const h = new PoolHarness();
    const agent = h.connected({ slots: 3 });
    const [done, late] = [h.submit(), h.submit()];
    const works = [h.work(done), h.work(late)];
    for (const work of works) h.accept(work);
    h.do({ type: 'drainAgent', agentId: agent, deadlineMs: 20_000 });
    expect(h.seen('drain')).toEqual([{ type: 'drain', agentId: agent, deadlineMs: 20_000 }]);
    expect(h.task(h.submit()).status).toBe('queued');
    expect(h.complete(works[0]!).status).toBe('succeeded');
    h.advanceAlive(20_000);
    // Lost to a drain: the attempt does not count.
    expect(h.task(late)).toMatchObject({ status: 'queued', attempts: 0, error: { code: 'agent_drained' } });
    expect(h.status(agent)).toBe('draining');
  });

  it('P6: a second call moves the deadline, either way', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const lease = h.allocate({ leaseMs: LIMITS.leaseMsMax });
    h.do({ type: 'drainAgent', agentId: agent, deadlineMs: 10_000 });
    h.do({ type: 'drainAgent', agentId: agent, deadlineMs: 60_000 });
    h.advance(59_999);
    expect(h.lease(lease.id).status).toBe('active');
    h.do({ type: 'drainAgent', agentId: agent, deadlineMs: 0 });
    h.advance(0);
    expect(h.lease(lease.id).status).toBe('revoked');
  });

  it('P6: an agent that was lost while it drained comes back draining', () => {
    const h = new PoolHarness();
    const session = h.connected();
    const beating = h.register();
    for (const agentId of [session, beating]) h.do({ type: 'drainAgent', agentId, deadlineMs: 60_000 });
    h.close(session);
    h.advance(300_000);
    expect([h.status(session), h.status(beating)]).toEqual(['offline', 'offline']);
    h.open(session);
    h.beat(beating);
    expect([h.status(session), h.status(beating)]).toEqual(['draining', 'draining']);
    expect(h.tryAllocate().ok).toBe(false);
  });

  it('P6: an agent that never opened its socket may drain, too; it owes no beats', () => {
    const h = new PoolHarness();
    const agent = h.register({ liveness: 'session' });
    h.advance(60_000);
    h.do({ type: 'drainAgent', agentId: agent, deadlineMs: 60_000 });
    h.submit();
    expect(h.status(agent)).toBe('draining');
  });

  it('P6: what is lost or quarantined cannot be drained', () => {
    const h = new PoolHarness();
    const lost = h.connected();
    h.close(lost);
    h.advance(5_000);
    const bad = h.register();
    h.do({ type: 'quarantineAgent', agentId: bad });
    for (const agentId of [lost, bad]) expect(h.verdict({ type: 'drainAgent', agentId, deadlineMs: 1 })).toBe('invalid_state');
  });

  it('P7: quarantine fences at once, and nothing the agent does brings it back', () => {
    const h = new PoolHarness();
    const agent = h.connected({ slots: 2 });
    const task = h.submit();
    const work = h.work(task);
    const lease = h.allocate();
    h.do({ type: 'quarantineAgent', agentId: agent, reason: 'odd' });
    expect(h.verdict({ type: 'completeTask', taskId: task, fencingToken: work.fencingToken })).toBe('lease_superseded');
    expect(h.verdict({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken })).toBe('lease_superseded');
    expect(h.task(task)).toMatchObject({ status: 'queued', attempts: 0 });
    h.beat(agent);
    h.close(agent);
    h.advance(60_000);
    h.open(agent);
    h.poll(agent);
    h.restart({ socketsSurvive: true });
    expect(h.status(agent)).toBe('quarantined');
    expect(h.task(task).status).toBe('queued');
    h.do({ type: 'deregisterAgent', agentId: agent, force: false });
    expect(h.status(agent)).toBe('gone');
  });
});
