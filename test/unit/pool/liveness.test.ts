import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { asAgent, OPERATOR, PoolHarness } from '../../lib/pool-harness.ts';

const serverless = { liveness: 'none', endpoint: 'https://agent.example/' } as const;

describe('agents that beat', () => {
  it('P10: 7.5 s of silence make it suspect when it is looked at, 15 s lose it', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.jump(LIMITS.suspectAfterMs);
    const lease = h.allocate();
    h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
    h.jump(1);
    expect(h.tryAllocate()).toMatchObject({ ok: false });
    expect(h.status(agent)).toBe('unhealthy');
    h.advance(LIMITS.lostAfterMs - LIMITS.suspectAfterMs - 2);
    expect(h.status(agent)).toBe('unhealthy');
    h.advance(1);
    expect(h.status(agent)).toBe('offline');
  });

  it('P10: a look at the agents judges the silent ones, and only them', () => {
    const h = new PoolHarness();
    const [silent, alive] = [h.register(), h.register()];
    h.jump(LIMITS.suspectAfterMs);
    h.beat(alive);
    expect(h.engine.isAnyoneSilent).toBe(false);
    h.jump(1);
    expect(h.engine.isAnyoneSilent).toBe(true);
    h.engine.judgeSilent();
    expect([h.status(silent), h.status(alive)]).toEqual(['unhealthy', 'idle']);
    h.jump(LIMITS.lostAfterMs - LIMITS.suspectAfterMs - 1);
    h.engine.judgeSilent();
    expect([h.status(silent), h.status(alive)]).toEqual(['offline', 'idle']);
    expect(h.engine.isAnyoneSilent).toBe(false);
  });

  it('P73: a clock that went back hides nobody behind a beat that lies ahead of it', () => {
    const h = new PoolHarness();
    const [ahead, other] = [h.register(), h.register()];
    h.jump(-3_600_000);
    h.submit();
    h.jump(500);
    h.beat(other);
    h.jump(LIMITS.lostAfterMs - 501);
    h.submit();
    expect([h.status(ahead), h.status(other)]).not.toContain('offline');
    h.jump(1);
    h.submit();
    expect([h.status(ahead) === 'offline', h.status(other) === 'offline']).toEqual([true, false]);
    h.jump(500);
    h.submit();
    expect(h.status(other)).toBe('offline');
  });

  it('P9: any call with its own token is a beat, and comes before any judgement of its silence', () => {
    const h = new PoolHarness();
    const agent = h.connected({ liveness: 'heartbeat' });
    const work = h.work(h.submit());
    h.accept(work);
    h.close(agent);
    h.beat(agent);
    h.jump(LIMITS.lostAfterMs + 60_000);
    expect(h.complete(work).status).toBe('succeeded');
    expect(h.status(agent)).toBe('idle');
  });

  it('P9: so is a repeat that is answered from its idempotency key', () => {
    const h = new PoolHarness();
    const agent = h.register();
    const beat = { type: 'heartbeat', agentId: agent, leases: [] } as const;
    for (let i = 0; i < 4; i += 1) {
      h.ask(beat, asAgent(agent), { key: 'k', bodyHash: 'a' });
      h.jump(7_000);
    }
    expect(h.allocate().agentId).toBe(agent);
  });

  it('P9: a call about it by somebody else is none', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.jump(LIMITS.lostAfterMs);
    h.do({ type: 'drainAgent', agentId: h.register(), deadlineMs: 1 }, OPERATOR);
    expect(h.status(agent)).toBe('offline');
  });

  it('P14: a lost agent that shows life is back; its old leases stay revoked', () => {
    const h = new PoolHarness();
    const agent = h.register();
    const lease = h.allocate({ leaseMs: 600_000 });
    h.advance(LIMITS.sweepIntervalMs);
    expect([h.status(agent), h.lease(lease.id).status]).toEqual(['offline', 'revoked']);
    h.beat(agent);
    expect(h.status(agent)).toBe('idle');
    expect(h.verdict({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken })).toBe('lease_superseded');
  });

  it('P15: the sweep finds who is silent, without anyone asking', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.advance(LIMITS.sweepIntervalMs - 1);
    expect(h.status(agent)).toBe('idle');
    h.advance(1);
    expect(h.status(agent)).toBe('offline');
  });

  it('P15: beside a long silent one the others are judged by their own beats', () => {
    const h = new PoolHarness();
    const [a, b, c] = [h.register(), h.register(), h.register()];
    h.jump(5_000);
    h.beat(a);
    h.jump(5_000);
    h.beat(c);
    h.jump(6_000);
    h.submit();
    expect([h.status(a), h.status(b), h.status(c)]).toEqual(['idle', 'offline', 'idle']);
  });
});

describe('agents on a session', () => {
  it('P11: a closed socket makes it suspect at once and lost after the grace', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit();
    h.accept(h.work(task));
    h.close(agent);
    expect(h.status(agent)).toBe('unhealthy');
    h.advance(LIMITS.sessionGraceMs - 1);
    expect(h.task(task).status).toBe('running');
    h.advance(1);
    expect(h.status(agent)).toBe('offline');
    expect(h.task(task)).toMatchObject({ status: 'queued', attempts: 1, error: { code: 'agent_lost' } });
  });

  it('P11: back within the grace it keeps what it held', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const work = h.work(h.submit());
    h.accept(work);
    h.close(agent);
    h.advance(LIMITS.sessionGraceMs - 1);
    h.open(agent);
    h.advanceAlive(60_000);
    expect(h.complete(work).status).toBe('succeeded');
  });

  it('P11: the grace counts from the close, also for one that was suspect before', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    h.jump(8_000);
    expect(h.tryAllocate().ok).toBe(false);
    h.jump(4_000);
    h.pong();
    h.close(agent);
    h.advance(LIMITS.sessionGraceMs - 1);
    expect(h.status(agent)).toBe('unhealthy');
    h.advance(1);
    expect(h.status(agent)).toBe('offline');
  });

  it('P12: while its socket is open the last automatic pong is its sign of life', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    for (let i = 0; i < 100; i += 1) {
      h.jump(5_000);
      h.pong();
    }
    expect(h.allocate().agentId).toBe(agent);
  });

  it('P12: a suspect that answers again recovers', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    h.jump(10_000);
    expect(h.tryAllocate().ok).toBe(false);
    h.pong();
    h.advance(LIMITS.lostAfterMs);
    expect(h.status(agent)).toBe('idle');
  });

  it('P11: a heartbeat agent whose socket closed goes on by beats', () => {
    const h = new PoolHarness();
    const agent = h.connected({ liveness: 'heartbeat' });
    h.close(agent);
    expect(h.status(agent)).toBe('unhealthy');
    h.beat(agent);
    expect(h.status(agent)).toBe('idle');
    h.jump(LIMITS.sessionGraceMs);
    h.alarm();
    expect(h.status(agent)).toBe('idle');
  });
});

describe('loss and sessions', () => {
  it('P16: a loss revokes direct leases and requeues tasks at once, the attempt counted', () => {
    const h = new PoolHarness();
    const agent = h.connected({ slots: 3 });
    const lease = h.allocate({ leaseMs: 600_000 });
    const [again, last] = [h.submit(), h.submit({ maxAttempts: 1 })];
    h.close(agent);
    h.advance(LIMITS.sessionGraceMs);
    expect(h.lease(lease.id)).toMatchObject({ status: 'revoked', endedAtMs: h.nowMs });
    expect([h.task(again), h.task(last)]).toMatchObject([
      { status: 'queued', attempts: 1, notBeforeMs: 0 },
      { status: 'dead', attempts: 1 },
    ]);
    expect(h.agent(agent).leases.size).toBe(0);
  });

  it('P17: also one without liveness: it is not chosen while its socket is silent', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    h.open(agent);
    h.jump(8_000);
    expect(h.tryAllocate().ok).toBe(false);
    expect(h.status(agent)).toBe('unhealthy');
    h.advance(LIMITS.sweepIntervalMs);
    expect(h.status(agent)).toBe('offline');
  });

  it('P17: a session puts any agent under its rules while it is open', () => {
    const h = new PoolHarness();
    const agents = [h.register(), h.register(serverless)];
    for (const agent of agents) h.open(agent);
    h.advanceAlive(10 * LIMITS.lostAfterMs);
    expect(agents.map((id) => h.status(id))).toEqual(['idle', 'idle']);
    for (const agent of agents) h.close(agent);
    expect(agents.map((id) => h.status(id))).toEqual(['unhealthy', 'unhealthy']);
    h.advance(LIMITS.sessionGraceMs);
    expect(agents.map((id) => h.status(id))).toEqual(['offline', 'offline']);
    h.beat(agents[0] as string);
    expect(h.status(agents[0] as string)).toBe('idle');
  });
});

describe('agents without liveness', () => {
  it('P13: they are always taken as alive', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    h.advance(10 * LIMITS.sweepIntervalMs);
    h.restart({ socketsSurvive: false });
    expect(h.allocate().agentId).toBe(agent);
  });
});
