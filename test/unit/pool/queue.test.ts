import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { allocateSpec, PoolHarness } from '../../lib/pool-harness.ts';

const noBackoff = { baseMs: 0, factor: 1, maxMs: 0, jitter: 0 };

describe('the queue', () => {
  it('P40: nothing waits that could be served: whoever comes is given what fits at once', () => {
    const h = new PoolHarness();
    const [plain, special] = [h.submit(), h.submit({ capabilities: ['x'] })];
    const waiter = h.wait({ capabilities: ['y'] });
    const agent = h.connected({ capabilities: ['x', 'y'], slots: 3 });
    expect([h.work(plain).agentId, h.work(special).agentId]).toEqual([agent, agent]);
    expect(h.waited(waiter)).toMatchObject({ ok: true, value: [{ agentId: agent }] });
  });

  it('P41: higher priority goes first, then order of arrival', () => {
    const h = new PoolHarness();
    const tasks = [h.submit({ priority: 5 }), h.submit({ priority: 9 }), h.submit({ priority: 5 }), h.submit({ priority: 1 })];
    const agent = h.connected();
    const order: number[] = [];
    for (let i = 0; i < tasks.length; i += 1) {
      const at = tasks.findIndex((id) => h.task(id).agentId === agent && h.task(id).completedAtMs === null);
      order.push(at);
      h.complete(h.work(tasks[at] as string));
    }
    expect(order).toEqual([1, 0, 2, 3]);
  });

  it('P41: a delayed task arrives when its delay ends', () => {
    const h = new PoolHarness();
    const delayed = h.submit({ delayMs: 10_000 });
    const fresh = h.submit();
    h.advance(10_000);
    h.connected();
    expect([h.task(fresh).status, h.task(delayed).status]).toEqual(['assigned', 'queued']);
  });

  it('P41: the order of becoming ready is kept over a restart', () => {
    const h = new PoolHarness();
    const delayed = h.submit({ delayMs: 1_000 });
    h.advance(1_000);
    const fresh = h.submit();
    h.restart({ socketsSurvive: false });
    h.connected();
    expect([h.task(delayed).status, h.task(fresh).status]).toEqual(['assigned', 'queued']);
  });

  it('P41: what comes back goes by when it was first ready, too', () => {
    const h = new PoolHarness();
    const late = h.submit({ delayMs: 120_000, retry: noBackoff });
    const early = h.submit({ retry: noBackoff });
    h.advance(120_000);
    const agents = [h.connected(), h.connected()];
    const works = [h.work(late), h.work(early)];
    for (const agentId of agents) h.do({ type: 'drainAgent', agentId, deadlineMs: 600_000 });
    for (const work of works) h.fail(work);
    h.connected();
    expect([h.task(late).status, h.task(early).status]).toEqual(['queued', 'assigned']);
  });

  it('P42: a minute of waiting lifts by one priority, so that nothing starves', () => {
    const h = new PoolHarness();
    const old = h.submit({ priority: 1 });
    h.advance(8 * LIMITS.ageingStepMs);
    const young = h.submit({ priority: 9 });
    h.connected();
    // 1 + 8 = 9: equal, and it came first.
    expect([h.task(old).status, h.task(young).status]).toEqual(['assigned', 'queued']);
  });

  it('P42: among equals, work that was begun is finished first', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const begun = h.submit({ retry: { ...noBackoff, baseMs: 1_000, maxMs: 1_000 } });
    const work = h.work(begun);
    const other = h.connected();
    const block = h.submit();
    expect(h.work(block).agentId).toBe(other);
    h.fail(work);
    const first = h.submit();
    expect(h.work(first).agentId).toBe(agent);
    const newer = h.submit();
    h.advance(1_000);
    h.complete(h.work(first));
    expect([h.task(begun).status, h.task(newer).status]).toEqual(['assigned', 'queued']);
  });

  it('P43: of several agents freed at one moment none is taken from something better that fits no other', () => {
    const h = new PoolHarness();
    const north = h.connected({ slots: 2, labels: { zone: 'north' } });
    const south = h.connected({ labels: { zone: 'south' } });
    const lease = (zone: string, leaseMs: number): void => void h.allocate({ leaseMs, selectors: [{ matchLabels: { zone } }] });
    lease('north', 600_000);
    lease('north', 5_000);
    lease('south', 5_000);
    const anywhere = h.submit({ priority: 5 });
    const southOnly = h.submit({ priority: 9, selectors: [{ matchLabels: { zone: 'south' } }] });
    h.jump(5_000);
    h.pong();
    h.alarm();
    // The south is less loaded, so the first would like to go there as well.
    expect([h.task(anywhere).agentId, h.task(southOnly).agentId]).toEqual([north, south]);
  });

  it('P44: keys share a priority by weight, whatever each of them piles up', () => {
    const h = new PoolHarness();
    const submitted = new Map<string, string>();
    for (let i = 0; i < 40; i += 1) submitted.set(h.submit({ fairnessKey: 'greedy' }), 'greedy');
    for (let i = 0; i < 10; i += 1) submitted.set(h.submit({ fairnessKey: 'modest' }), 'modest');
    for (let i = 0; i < 20; i += 1) submitted.set(h.submit({ fairnessKey: 'heavy', fairnessWeight: 2 }), 'heavy');
    h.connected();
    const served: Record<string, number> = { greedy: 0, modest: 0, heavy: 0 };
    for (let i = 0; i < 20; i += 1) {
      const id = [...submitted.keys()].find((task) => h.task(task).status === 'assigned') as string;
      served[submitted.get(id) as string]! += 1;
      h.complete(h.work(id));
    }
    expect(served).toEqual({ greedy: 5, modest: 5, heavy: 10 });
  });

  it('P44: keys that come once each are not remembered for ever', () => {
    const h = new PoolHarness();
    h.connected();
    for (let i = 0; i < 3_000; i += 1) h.complete(h.work(h.submit({ fairnessKey: `caller-${i}`, fairnessWeight: 0.001 })));
    expect(h.state.queue.keysRemembered).toBeLessThanOrEqual(1_000);
  });

  it('P45: a gang takes nothing until all its agents are free at one moment; it holds none back', () => {
    const h = new PoolHarness();
    h.register({ liveness: 'none', endpoint: 'https://a.example/' });
    const first = h.allocate({ leaseMs: 600_000 });
    h.register({ liveness: 'none', endpoint: 'https://b.example/' });
    const second = h.allocate({ leaseMs: 600_000 });
    const gang = h.wait({ count: 2, priority: 9 });
    const single = h.wait({ priority: 1 });
    h.do({ type: 'release', allocationId: first.id, fencingToken: first.fencingToken });
    expect([h.waited(gang), h.waited(single)?.ok]).toEqual([undefined, true]);
    h.register({ liveness: 'none', endpoint: 'https://c.example/' });
    expect(h.waited(gang)).toBeUndefined();
    h.do({ type: 'release', allocationId: second.id, fencingToken: second.fencingToken });
    const reply = h.waited(gang);
    expect(reply?.ok === true && Array.isArray(reply.value) ? reply.value : []).toHaveLength(2);
  });

  it('P46: a wait ends with a grant or, at its end, with the reason', () => {
    const h = new PoolHarness();
    const waiter = h.wait({ waitMs: 5_000 });
    h.advance(4_999);
    expect(h.waited(waiter)).toBeUndefined();
    h.advance(1);
    expect(h.waited(waiter)).toMatchObject({ ok: false, error: { kind: 'no_capacity', why: { agents: 0 } } });
    h.register();
    expect(h.state.leases.size).toBe(0);
  });

  it('P46: one name waits once', () => {
    const h = new PoolHarness();
    const command = { type: 'allocate', spec: allocateSpec({ waitMs: 5_000 }), waiterId: 'same' } as const;
    expect(h.ask(command)).toBe('parked');
    expect(h.verdict(command)).toBe('invalid_state');
    expect(h.state.queue.size).toBe(1);
  });

  it('P43: a freed agent takes the best that waits, not what has just come back', () => {
    const h = new PoolHarness();
    h.connected({ capabilities: ['x'] });
    const low = h.submit({ priority: 1, retry: noBackoff });
    const high = h.submit({ priority: 9, capabilities: ['x'] });
    h.fail(h.work(low));
    expect([h.task(low).status, h.task(high).status]).toEqual(['queued', 'assigned']);
  });

  it('P43: of several that arrive at one moment the best is served first', () => {
    const h = new PoolHarness();
    h.connected({ capabilities: ['x'] });
    const low = h.submit({ priority: 1, delayMs: 1_000 });
    const high = h.submit({ priority: 9, capabilities: ['x'], delayMs: 1_000 });
    h.advance(1_000);
    expect([h.task(low).status, h.task(high).status]).toEqual(['queued', 'assigned']);
  });

  it('P47: a concurrency limit holds over a restart: tasks under way are counted before those that wait', () => {
    const h = new PoolHarness();
    const concurrency = { key: 'k', limit: 1, strategy: 'queue' } as const;
    const waiting = h.submit({ concurrency, priority: 1, delayMs: 1_000 });
    const running = h.submit({ concurrency, priority: 9 });
    const agents = [h.connected(), h.connected()];
    h.accept(h.work(running));
    h.advance(1_000);
    expect([h.task(running).status, h.task(waiting).status]).toEqual(['running', 'queued']);
    h.restart({ socketsSurvive: true });
    expect([h.task(running).status, h.task(waiting).status]).toEqual(['running', 'queued']);
    expect(agents.map((id) => h.status(id)).toSorted()).toEqual(['busy', 'idle']);
    h.complete(h.work(running));
    expect(h.task(waiting).status).toBe('assigned');
  });

  it('P47: the newest task says what the limit is, for those who wait already, too', () => {
    const h = new PoolHarness();
    h.connected({ slots: 9 });
    const submit = (limit: number): string => h.submit({ concurrency: { key: 'k', limit, strategy: 'queue' } });
    const first = [submit(1), submit(1)];
    expect(first.map((id) => h.task(id).status)).toEqual(['assigned', 'queued']);
    const later = submit(3);
    expect([...first, later].map((id) => h.task(id).status)).toEqual(['assigned', 'assigned', 'assigned']);
    const last = submit(1);
    h.complete(h.work(later));
    expect(h.task(last).status).toBe('queued');
    for (const id of first) h.complete(h.work(id));
    expect(h.task(last).status).toBe('assigned');
  });

  it('P48: a task that replaces the one it depends on fails with it', () => {
    const h = new PoolHarness();
    const concurrency = { key: 'k', limit: 1, strategy: 'cancel_oldest' } as const;
    const oldest = h.submit({ concurrency });
    const task = h.submit({ concurrency, dependsOn: [oldest] });
    expect([h.task(oldest).status, h.task(task).status]).toEqual(['cancelled', 'failed']);
  });
});
