import { describe, expect, it } from 'vitest';
import { explainAllocation } from '../../../durable-objects/pool/queries.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { allocateSpec, asAgent, OPERATOR, PoolHarness } from '../../lib/pool-harness.ts';

const alice = (limit: number, share = limit): Caller => ({ ...OPERATOR, subject: 'alice', leaseQuota: { limit, share } });
let waits = 0;
const allocate = (spec: Parameters<typeof allocateSpec>[0] = {}) =>
  ({ type: 'allocate', spec: allocateSpec({ leaseMs: 600_000, ...spec }), waiterId: `q${(waits += 1)}` }) as const;

/** So many free agents that never call. */
function pool(agents: number, spec: Parameters<PoolHarness['register']>[0] = {}): PoolHarness {
  const h = new PoolHarness();
  for (let i = 0; i < agents; i += 1) h.register({ liveness: 'none', endpoint: 'https://agent.example/', ...spec });
  return h;
}

describe('lease quotas', () => {
  it('P130: a caller holds as many leases as its quota says, and no more; each agent of a gang is one', () => {
    const h = pool(9);
    h.do(allocate(), alice(3));
    expect(h.try(allocate({ count: 3 }), alice(3))).toMatchObject({
      ok: false,
      error: {
        kind: 'quota_exceeded',
        scope: 'caller',
        limit: 3,
        why: { limitedBy: { scope: 'caller', limit: 3 }, eligible: 8 },
      },
    });
    h.do(allocate({ count: 2 }), alice(3));
    expect(h.verdict(allocate(), alice(3))).toBe('quota_exceeded');
    expect(h.verdict(allocate(), alice(0))).toBe('quota_exceeded');
    // Others, and those without a quota, are not concerned.
    expect(h.verdict(allocate(), { ...alice(1), subject: 'bob' })).toBe('ok');
    expect(h.verdict(allocate(), OPERATOR)).toBe('ok');
  });

  it('P130: dispatched tasks are held by nobody', () => {
    const h = new PoolHarness();
    h.connected({ slots: 3 });
    for (let i = 0; i < 2; i += 1) h.do({ type: 'submitTask', spec: { ...taskLike }, needsAgent: false }, alice(1));
    expect(h.state.leases.size).toBe(2);
    expect(h.verdict(allocate(), alice(1))).toBe('ok');
  });
  const taskLike = {
    payload: '1',
    capabilities: [],
    selectors: [],
    priority: 5,
    maxAttempts: 1,
    retry: { baseMs: 1, factor: 1, maxMs: 1, jitter: 0 },
    timeoutMs: 60_000,
  };

  it('P131: whatever ends a lease gives its place back: release, expiry, revocation, over restarts too', () => {
    const h = pool(3);
    const [lease] = h.do(allocate(), alice(1));
    h.restart({ socketsSurvive: true });
    expect(h.verdict(allocate(), alice(1))).toBe('quota_exceeded');
    h.do({ type: 'release', allocationId: lease?.id ?? '', fencingToken: lease?.fencingToken ?? 0 });
    h.do(allocate({ leaseMs: 1_000 }), alice(1));
    h.advance(1_000);
    h.do(allocate(), alice(1));
    h.revoke({ holder: 'alice' });
    expect(h.verdict(allocate(), alice(1))).toBe('ok');
    expect([...h.state.holdings.entries()]).toEqual([['alice', 1]]);
  });

  it('P132: a wait of a caller at its quota is granted when it gives something back', () => {
    const h = pool(3);
    const [lease] = h.do(allocate(), alice(1));
    const waiting = allocate({ waitMs: 30_000 });
    expect(h.ask(waiting, alice(1))).toBe('parked');
    h.advance(1_000);
    expect(h.waited(waiting.waiterId)).toBeUndefined();
    h.do({ type: 'release', allocationId: lease?.id ?? '', fencingToken: lease?.fencingToken ?? 0 });
    expect(h.waited(waiting.waiterId)).toMatchObject({ ok: true, value: [{ status: 'active' }] });
    expect(h.state.holdings.of('alice')).toBe(1);
  });

  it('P132: it stands in nobody’s way, whatever its priority', () => {
    const h = pool(1);
    const [held] = h.do(allocate(), alice(1));
    const first = allocate({ waitMs: 30_000, priority: 10 });
    const second = allocate({ waitMs: 30_000, priority: 10 });
    const behind = allocate({ waitMs: 30_000, priority: 1 });
    for (const [command, caller] of [
      [first, alice(1)],
      [second, alice(1)],
      [behind, { ...OPERATOR, subject: 'bob' }],
    ] as const)
      expect(h.ask(command, caller)).toBe('parked');
    h.do({ type: 'release', allocationId: held?.id ?? '', fencingToken: held?.fencingToken ?? 0 });
    expect(h.waited(first.waiterId)?.ok).toBe(true);
    h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    expect([h.waited(second.waiterId), h.waited(behind.waiterId)?.ok]).toEqual([undefined, true]);
    expect([h.state.queue.size, h.state.holdings.isOutside(second.waiterId)]).toEqual([0, true]);
  });

  it('P132: one that came into the queue before its caller was at its quota is taken out of the way', () => {
    const h = pool(0);
    const waiting = [allocate({ waitMs: 30_000 }), allocate({ waitMs: 30_000 })];
    for (const command of waiting) h.ask(command, alice(1));
    for (let i = 0; i < 2; i += 1) h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    expect(waiting.map(({ waiterId }) => h.waited(waiterId)?.ok)).toEqual([true, undefined]);
    expect(h.state.holdings.of('alice')).toBe(1);
  });

  it('P133: a wait that ends at the quota says so; one for more than the quota is refused at once', () => {
    const h = pool(3);
    h.do(allocate(), alice(1));
    const waiting = allocate({ waitMs: 5_000 });
    h.ask(waiting, alice(1));
    h.advance(5_000);
    expect(h.waited(waiting.waiterId)).toMatchObject({ ok: false, error: { kind: 'quota_exceeded', scope: 'caller' } });
    expect(h.verdict(allocate({ count: 2, waitMs: 5_000 }), alice(1))).toBe('quota_exceeded');
    expect(h.state.waiters.size).toBe(0);
  });

  it('P133: a wait outside the queue that its caller leaves is gone', () => {
    const h = pool(2);
    const [lease] = h.do(allocate(), alice(1));
    const waiting = allocate({ waitMs: 30_000 });
    h.ask(waiting, alice(1));
    h.engine.withdraw(waiting.waiterId);
    h.do({ type: 'release', allocationId: lease?.id ?? '', fencingToken: lease?.fencingToken ?? 0 });
    expect([h.waited(waiting.waiterId), h.state.leases.size]).toEqual([undefined, 0]);
  });

  it('P134: an explanation names the quota of who asks, and only of them', () => {
    const h = pool(2);
    h.do(allocate(), alice(1));
    const limitedBy = { scope: 'caller', limit: 1 };
    expect(explainAllocation(h.engine, alice(1), allocateSpec())).toMatchObject({ limitedBy, eligible: 1 });
    expect(explainAllocation(h.engine, OPERATOR, allocateSpec()).limitedBy).toBeUndefined();
    expect(explainAllocation(h.engine, alice(2), allocateSpec()).limitedBy).toBeUndefined();
  });

  it('P134: a shard gives its share, and names the whole', () => {
    const h = pool(3);
    h.do(allocate(), alice(4, 1));
    expect(h.try(allocate(), alice(4, 1))).toMatchObject({ ok: false, error: { kind: 'quota_exceeded', limit: 4 } });
  });

  it('P130: an agent’s own calls are not counted as a caller’s', () => {
    const h = new PoolHarness();
    const agent = h.connected({ slots: 2 });
    h.submit();
    h.submit();
    expect([...h.state.holdings.entries()]).toEqual([]);
    expect(h.beat(agent).leases).toEqual([]);
    expect(asAgent(agent).leaseQuota).toBeUndefined();
  });
});
