import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import type { PoolCommandOf } from '../../../shared/rpc.ts';
import { asAgent, PoolHarness } from '../../lib/pool-harness.ts';

const serverless = { liveness: 'none', endpoint: 'https://agent.example/' } as const;
const renew = (allocationId: string, fencingToken: number, leaseMs = 30_000): PoolCommandOf<'renew'> => ({
  type: 'renew',
  allocationId,
  fencingToken,
  leaseMs,
});
const release = (allocationId: string, fencingToken: number): PoolCommandOf<'release'> => ({
  type: 'release',
  allocationId,
  fencingToken,
});

describe('grants and tokens', () => {
  it('P20: each grant carries a token one above the shard’s last, over agents and restarts', () => {
    const h = new PoolHarness();
    h.register({ ...serverless, slots: 2 });
    h.register(serverless);
    const tokens = [h.allocate(), h.allocate()].map((l) => l.fencingToken);
    h.restart({ socketsSurvive: false });
    tokens.push(h.allocate().fencingToken);
    expect(tokens).toEqual([1, 2, 3]);
  });

  it('P21: an agent never holds more than its slots, and each lease holds its own', () => {
    const h = new PoolHarness();
    const agent = h.register({ ...serverless, slots: 5 });
    const big = h.allocate({ slots: 3 });
    expect(h.tryAllocate({ slots: 3 })).toMatchObject({ ok: false, error: { kind: 'no_capacity' } });
    h.allocate({ slots: 2 });
    expect(h.agent(agent).slotsUsed).toBe(5);
    h.do(release(big.id, big.fencingToken));
    expect(h.agent(agent).slotsUsed).toBe(2);
    expect(h.state.slotsFree).toBe(3);
  });
});

describe('operations under a lease', () => {
  it('P22: renewal counts from now and keeps the token', () => {
    const h = new PoolHarness();
    h.register(serverless);
    const lease = h.allocate({ leaseMs: 10_000 });
    h.advance(4_000);
    expect(h.do(renew(lease.id, lease.fencingToken, 10_000))).toMatchObject({
      fencingToken: lease.fencingToken,
      leaseExpiresAtMs: h.nowMs + 10_000,
      status: 'active',
    });
  });

  it('P23: refusals come in a fixed order: unknown, another token or revoked, past its end, released', () => {
    const h = new PoolHarness();
    const agent = h.register({ ...serverless, slots: 4 });
    const [active, expired, released] = [h.allocate(), h.allocate({ leaseMs: 5_000 }), h.allocate()] as const;
    h.do(release(released.id, released.fencingToken));
    h.jump(5_000);
    for (const op of [renew, release]) {
      expect(h.verdict(op('alc.nonsense', 1))).toBe('not_found');
      for (const lease of [active, expired, released])
        expect(h.verdict(op(lease.id, lease.fencingToken + 7))).toBe('lease_superseded');
      expect(h.verdict(op(expired.id, expired.fencingToken))).toBe('lease_expired');
    }
    expect(h.verdict(renew(released.id, released.fencingToken))).toBe('lease_released');
    h.do({ type: 'quarantineAgent', agentId: agent });
    for (const op of [renew, release]) expect(h.verdict(op(active.id, active.fencingToken))).toBe('lease_superseded');
  });

  it('P23: the end of a lease is the first moment at which it no longer holds', () => {
    const h = new PoolHarness();
    h.register({ ...serverless, slots: 2 });
    const [a, b] = [h.allocate({ leaseMs: 5_000 }), h.allocate({ leaseMs: 5_000 })];
    h.jump(4_999);
    expect(h.verdict(release(a.id, a.fencingToken))).toBe('ok');
    h.jump(1);
    expect(h.verdict(release(b.id, b.fencingToken))).toBe('lease_expired');
  });

  it('P23: a lease past its end counts as ended before the alarm has swept it', () => {
    const h = new PoolHarness({ maxAgents: 3_000 });
    for (let i = 0; i < 1_500; i += 1) h.register(serverless);
    const leases = Array.from({ length: 1_500 }, () => h.allocate({ leaseMs: 5_000 }));
    h.jump(5_000);
    const last = leases.at(-1) as (typeof leases)[number];
    expect(h.verdict(release(last.id, last.fencingToken))).toBe('lease_expired');
    // It was refused by the clock alone: more was due than one command sweeps.
    expect(h.state.leases.size).toBeGreaterThan(0);
  });

  it('P25: release frees exactly its own lease, once; again with its token it is the same success', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const first = h.allocate();
    const answer = h.do(release(first.id, first.fencingToken));
    const second = h.allocate();
    expect(h.do(release(first.id, first.fencingToken))).toEqual(answer);
    expect(h.verdict(release(second.id, first.fencingToken))).toBe('lease_superseded');
    expect(h.lease(second.id).status).toBe('active');
    expect(h.agent(agent).slotsUsed).toBe(1);
  });

  it('P25: a result at release counts for the agent once', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const lease = h.allocate();
    const command = { ...release(lease.id, lease.fencingToken), result: { success: true, durationMs: 40 } };
    h.do(command);
    h.do(command);
    expect(h.agent(agent).record).toMatchObject({ completed: 1, failed: 0, totalDurationMs: 40 });
  });

  it('P25: a clock that was set back makes no work of less than nothing', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const lease = h.allocate({ leaseMs: 3_600_000 });
    h.jump(-600_000);
    h.do({ ...release(lease.id, lease.fencingToken), result: { success: true } });
    expect(h.agent(agent).record.totalDurationMs).toBe(0);
  });

  it('P24: an expired direct lease frees its slots and fences its holder', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const lease = h.allocate({ leaseMs: 5_000 });
    h.advance(5_000);
    expect(h.lease(lease.id)).toMatchObject({ status: 'expired', endedAtMs: h.nowMs });
    expect(h.status(agent)).toBe('idle');
    expect(h.allocate().fencingToken).toBe(lease.fencingToken + 1);
  });

  it('P8: a beat renews the leases it names, each by itself and only the agent’s own', () => {
    const h = new PoolHarness();
    const mine = h.register({ slots: 2 });
    const other = h.register({ capabilities: ['other'] });
    const [a, b] = h.allocateAll({ count: 2 });
    const [own, foreign] = a?.agentId === mine ? [a, b] : [b, a];
    if (own === undefined || foreign === undefined) throw new Error('two agents were expected');
    expect(foreign.agentId).toBe(other);
    h.advance(3_000);
    const { leases } = h.beat(mine, [
      { allocationId: own.id, fencingToken: own.fencingToken, leaseMs: 60_000 },
      { allocationId: own.id, fencingToken: own.fencingToken + 9 },
      { allocationId: foreign.id, fencingToken: foreign.fencingToken },
    ]);
    expect(leases).toEqual([
      { allocationId: own.id, ok: true, leaseExpiresAtMs: h.nowMs + 60_000 },
      { allocationId: own.id, ok: false, code: 'lease_superseded' },
      { allocationId: foreign.id, ok: false, code: 'not_found' },
    ]);
  });
});

describe('leases of dispatched tasks', () => {
  it('P26: the object extends them while the agent lives, up to the attempt’s timeout', () => {
    const h = new PoolHarness();
    h.connected();
    const task = h.submit({ timeoutMs: 60_000 });
    const work = h.work(task);
    h.accept(work);
    h.advanceAlive(59_999);
    expect(h.lease(work.leaseId)).toMatchObject({ status: 'active', expiresAtMs: h.nowMs + 1 });
    h.advance(1);
    expect(h.lease(work.leaseId).status).toBe('revoked');
    expect(h.task(task)).toMatchObject({ status: 'queued', error: { code: 'timeout' } });
  });

  it('P26: nobody else makes them longer, so that silence is noticed', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const work = h.work(h.submit());
    h.accept(work);
    expect(h.do(renew(work.leaseId, work.fencingToken, 3_600_000)).leaseExpiresAtMs).toBe(h.nowMs + LIMITS.dispatchLeaseMs);
    // Nor shorter.
    expect(h.do(renew(work.leaseId, work.fencingToken, 1_000)).leaseExpiresAtMs).toBe(h.nowMs + LIMITS.dispatchLeaseMs);
    // The socket stays open, but nothing comes through it any more.
    h.advance(2 * LIMITS.dispatchLeaseMs);
    expect(h.status(agent)).toBe('offline');
  });

  it('P26: they end with the task only', () => {
    const h = new PoolHarness();
    h.connected();
    const work = h.work(h.submit());
    expect(h.verdict(release(work.leaseId, work.fencingToken))).toBe('invalid_state');
    expect(h.lease(work.leaseId).status).toBe('active');
  });

  it('P26: a living agent’s call is in time although its lease has not been extended yet', () => {
    const h = new PoolHarness({ maxAgents: 3_000 });
    for (let i = 0; i < 1_500; i += 1) h.connected();
    const works = Array.from({ length: 1_500 }, () => {
      h.jump(1);
      return h.work(h.submit());
    });
    h.jump(16_000);
    h.pong();
    // More leases are due before this one than the step of this call can look at.
    const last = works.at(-1) as (typeof works)[number];
    expect(h.complete(last).status).toBe('succeeded');
  });

  it('P27: an assignment that lies unaccepted is taken back, and its agent is unhealthy until it shows that it works', () => {
    const h = new PoolHarness();
    const zombie = h.connected();
    const task = h.submit();
    const lost = h.work(task);
    h.advanceAlive(LIMITS.acceptTimeoutMs);
    expect(h.task(task)).toMatchObject({ status: 'queued', attempts: 1, error: { code: 'not_accepted' } });
    expect(h.status(zombie)).toBe('unhealthy');
    expect(h.verdict({ type: 'completeTask', taskId: task, fencingToken: lost.fencingToken }, asAgent(zombie))).toBe(
      'lease_superseded',
    );
    const healthy = h.connected();
    expect(h.work(task).agentId).toBe(healthy);
    h.close(zombie);
    h.open(zombie);
    expect(h.status(zombie)).toBe('idle');
  });
});
