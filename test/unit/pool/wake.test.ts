import { describe, expect, it } from 'vitest';
import { PoolHarness } from '../../lib/pool-harness.ts';

describe('wake', () => {
  it('P70: a connected agent keeps its work over a wake, however long it was silent by the stored instant', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const work = h.work(h.submit());
    h.accept(work);
    // The object sleeps; only automatic pongs come. Its alarm wakes it at the end of the lease.
    for (let i = 0; i < 30; i += 1) {
      h.jump(5_000);
      h.pong();
    }
    h.restart({ socketsSurvive: true });
    expect(h.status(agent)).toBe('busy');
    expect(h.complete(work).status).toBe('succeeded');
  });

  it('P70: what fell due during the sleep is given to agents whose sockets survived, in the wake itself', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit({ delayMs: 60_000 });
    h.jump(60_000);
    h.pong();
    h.restart({ socketsSurvive: true });
    expect(h.work(task).agentId).toBe(agent);
  });

  it('P70: a suspect whose socket survived and answers recovers', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    h.jump(8_000);
    expect(h.tryAllocate().ok).toBe(false);
    expect(h.status(agent)).toBe('unhealthy');
    h.jump(8_000);
    h.pong();
    h.restart({ socketsSurvive: true });
    expect(h.status(agent)).toBe('idle');
  });

  it('P70: an open socket that has not answered for the lost time is not taken as alive', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    h.jump(60_000);
    h.restart({ socketsSurvive: true });
    expect(h.status(agent)).toBe('offline');
    expect(h.seen('closeSession')).toHaveLength(1);
  });

  it('P71: an agent whose socket the crash took has the grace to come back and keeps its lease', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const work = h.work(h.submit());
    h.accept(work);
    h.advanceAlive(70_000);
    h.jump(20_000);
    h.restart({ socketsSurvive: false });
    expect(h.status(agent)).toBe('unhealthy');
    h.advance(4_999);
    h.open(agent);
    expect(h.status(agent)).toBe('busy');
    expect(h.complete(work).status).toBe('succeeded');
  });

  it('P71: it is lost when the grace ends without it', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit();
    h.restart({ socketsSurvive: false });
    h.advance(5_000);
    expect(h.status(agent)).toBe('offline');
    expect(h.task(task).status).toBe('queued');
  });

  it('P72: an agent that beats is suspect after a wake when its stored instant is old, and lost only if it stays silent', () => {
    const h = new PoolHarness();
    const beating = h.register();
    const silent = h.register();
    const lease = h.allocate({ leaseMs: 600_000 });
    // Beats alone write nothing: the stored instant stays that of the registration.
    h.advanceAlive(120_000, beating, silent);
    h.restart({ socketsSurvive: false });
    expect([h.status(beating), h.status(silent)]).toEqual(['unhealthy', 'unhealthy']);
    expect(h.lease(lease.id).status).toBe('active');
    h.jump(5_000);
    h.beat(beating);
    expect(h.status(beating)).not.toBe('unhealthy');
    h.advance(2_501);
    expect(h.status(silent)).toBe('offline');
    expect(h.status(beating)).not.toBe('offline');
  });

  it('P72: an agent seen lately by the stored instant is taken as alive', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.jump(14_000);
    h.restart({ socketsSurvive: false });
    expect(h.status(agent)).toBe('idle');
    expect(h.allocate().agentId).toBe(agent);
  });
});
