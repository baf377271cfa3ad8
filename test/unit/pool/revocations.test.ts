import { describe, expect, it } from 'vitest';
import { acknowledgedBy, stillAwaited } from '../../../durable-objects/pool/acknowledgements.ts';
import { MemoryPoolStorage } from '../../../durable-objects/pool/memory-storage.ts';
import { revokeInSteps } from '../../../durable-objects/pool/revoke-in-steps.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { LeaseSelector, PoolReply, RevokeStep } from '../../../shared/rpc.ts';
import type { Result } from '../../../shared/result.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { asAgent, OPERATOR, PoolHarness } from '../../lib/pool-harness.ts';

const TERMS = { selector: {}, reason: 'stop', tasks: 'requeue', quarantine: false } as const;
const step = (epoch: number | null, limit = 1) => ({ type: 'revokeLeases', ...TERMS, epoch, limit }) as const;

/** Two agents, a direct lease on each, and a running task on the first. */
function busy(): { h: PoolHarness; a: string; b: string; direct: ReturnType<PoolHarness['allocate']>; task: string } {
  const h = new PoolHarness();
  const a = h.connected({ slots: 2, capabilities: ['gpu'], labels: { zone: 'north' } });
  const direct = h.allocate({ capabilities: ['gpu'], leaseMs: 600_000, taskId: 'mine' });
  const task = h.submit();
  h.accept(h.work(task));
  const b = h.register({ labels: { zone: 'south' } });
  h.allocate({ selectors: [{ matchLabels: { zone: 'south' } }], leaseMs: 600_000 });
  return { h, a, b, direct, task };
}

describe('which leases', () => {
  const cases: readonly [string, (at: ReturnType<typeof busy>) => LeaseSelector, number][] = [
    ['all', () => ({}), 3],
    ['an agent', ({ a }) => ({ agentIds: [a] }), 2],
    ['two agents', ({ a, b }) => ({ agentIds: [a, b] }), 3],
    ['an allocation', ({ direct }) => ({ allocationIds: [direct.id] }), 1],
    ['a task of the fleet', ({ task }) => ({ taskIds: [task] }), 1],
    ['a name that a caller gave', () => ({ taskIds: ['mine'] }), 1],
    ['who allocated: dispatched tasks are nobody’s', () => ({ holder: OPERATOR.subject }), 2],
    ['a capability', () => ({ capabilities: ['gpu'] }), 2],
    ['a label', () => ({ selectors: [{ matchLabels: { zone: 'south' } }] }), 1],
    ['one of several labels', () => ({ selectors: [{ matchLabels: { zone: 'east' } }, { matchLabels: { zone: 'north' } }] }), 2],
    ['members together', ({ a, task }) => ({ agentIds: [a], taskIds: [task] }), 1],
    ['members that exclude each other', ({ b }) => ({ agentIds: [b], capabilities: ['gpu'] }), 0],
    ['nobody', () => ({ agentIds: ['agt.eu-west-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV'] }), 0],
  ];
  it.each(cases)('P120: %s', (_, selectorOf, revoked) => {
    const at = busy();
    expect(at.h.revoke(selectorOf(at)).revoked).toBe(revoked);
    expect(at.h.state.leases.size).toBe(3 - revoked + (at.h.task(at.task).agentId !== null && revoked > 0 ? redelivered(at) : 0));
  });
  /** A task that was queued again may have gone to its agent at once, under a new lease. */
  const redelivered = ({ h, task }: ReturnType<typeof busy>): number => (h.work(task).fencingToken > 3 ? 1 : 0);

  it('P120: what matches nothing changes nothing, and is no revocation', () => {
    const { h } = busy();
    const rows = (h.storage as MemoryPoolStorage).auditRows.length;
    expect(h.revoke({ holder: 'nobody' })).toMatchObject({ epoch: 0, revoked: 0, agents: [] });
    expect([h.state.epoch, (h.storage as MemoryPoolStorage).auditRows.length]).toEqual([0, rows]);
  });

  it('P120: what waits is not touched', () => {
    const h = new PoolHarness();
    const waiter = h.wait();
    const task = h.submit();
    h.revoke({});
    expect([h.waited(waiter), h.task(task).status]).toEqual([undefined, 'queued']);
  });
});

describe('what a revocation does', () => {
  it('P121: the epoch rises with each, over restarts, and every earlier token that it covers is refused', () => {
    const { h, a, direct, task } = busy();
    const work = h.work(task);
    expect(h.revoke({})).toMatchObject({ epoch: 1, fence: h.state.lastFence - 1, revoked: 3, requeued: 1 });
    h.restart({ socketsSurvive: true });
    expect(h.state.epoch).toBe(1);
    const { id: allocationId, fencingToken } = direct;
    for (const command of [
      { type: 'renew', allocationId, fencingToken, leaseMs: 30_000 },
      { type: 'release', allocationId, fencingToken },
      { type: 'completeTask', taskId: task, fencingToken: work.fencingToken },
      { type: 'failTask', taskId: task, fencingToken: work.fencingToken, error: { code: 'x', message: '' }, retryable: true },
      { type: 'progressTask', taskId: task, fencingToken: work.fencingToken },
    ] as const)
      expect([command.type, h.verdict(command)]).toEqual([command.type, 'lease_superseded']);
    const beat = h.beat(a, [{ allocationId: work.leaseId, fencingToken: work.fencingToken }]);
    expect(beat.leases).toEqual([{ allocationId: work.leaseId, ok: false, code: 'lease_superseded' }]);
    expect(h.revoke({}).epoch).toBe(2);
  });

  it('P121: the audit says who, why and what', () => {
    const { h, direct } = busy();
    h.revoke({ allocationIds: [direct.id] }, { reason: 'leaked key' });
    const row = (h.storage as MemoryPoolStorage).auditRows.at(-1);
    expect(row).toMatchObject({ actor: OPERATOR.subject, action: 'revokeLeases' });
    expect(row?.entries[0]?.[2]).toContain('leaked key');
    expect(row?.entries).toContainEqual(['leaseEnded', direct.id]);
  });

  it('P122: a dispatched task is queued again with its attempt given back', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit({ maxAttempts: 1 });
    h.accept(h.work(task));
    h.do({ type: 'drainAgent', agentId: agent, deadlineMs: 60_000 });
    expect(h.revoke({})).toMatchObject({ revoked: 1, requeued: 1, cancelled: 0 });
    expect(h.task(task)).toMatchObject({ status: 'queued', attempts: 0, error: { code: 'lease_revoked', message: 'stop' } });
  });

  it('P122: or is cancelled, if that is asked; so is one that was asked to stop', () => {
    const { h, task } = busy();
    expect(h.revoke({}, { tasks: 'cancel' })).toMatchObject({ requeued: 0, cancelled: 1 });
    expect(h.task(task)).toMatchObject({ status: 'cancelled', error: { code: 'lease_revoked', message: 'stop' } });
    const stopping = h.submit();
    h.do({ type: 'cancelTask', taskId: stopping });
    expect(h.revoke({})).toMatchObject({ requeued: 0, cancelled: 1 });
    expect(h.task(stopping).status).toBe('cancelled');
  });

  it('P122: without quarantine the agent may get the task again, under a new lease that is not touched', () => {
    const h = new PoolHarness();
    h.connected();
    const task = h.submit();
    const before = h.work(task);
    const { fence } = h.revoke({});
    const after = h.work(task);
    expect([after.fencingToken > fence, after.leaseId === before.leaseId]).toEqual([true, false]);
    // The agent hears of the end before it hears of the new beginning.
    const heard = h.outcomes.map(({ type }) => type).filter((type) => type === 'revoke' || type === 'assign');
    expect(heard).toEqual(['assign', 'revoke', 'assign']);
  });

  it('P123: quarantine takes out every agent that the selector means, also one that holds nothing', () => {
    const { h, a, b, task } = busy();
    const idle = h.register();
    expect(h.revoke({}, { quarantine: true })).toMatchObject({ revoked: 3, quarantined: 3 });
    for (const id of [a, b, idle]) expect(h.agent(id).record.lifecycle).toBe('quarantined');
    expect(h.task(task).status).toBe('queued');
    expect(h.state.leases.size).toBe(0);
  });

  it('P123: where leases are named, only their agents, with all that these hold', () => {
    const { h, a, b, direct } = busy();
    expect(h.revoke({ allocationIds: [direct.id] }, { quarantine: true })).toMatchObject({ revoked: 2, quarantined: 1 });
    expect([h.agent(a).record.lifecycle, h.agent(b).record.lifecycle]).toEqual(['quarantined', 'ready']);
  });
});

describe('several steps', () => {
  const many = (): { h: PoolHarness; leases: ReturnType<PoolHarness['allocate']>[] } => {
    const h = new PoolHarness();
    for (let i = 0; i < 4; i += 1) h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    return { h, leases: Array.from({ length: 4 }, () => h.allocate({ leaseMs: 600_000 })) };
  };

  it('P124: from the first step on all are refused; what is granted meanwhile is not touched', () => {
    const { h, leases } = many();
    const first = h.do(step(null, 2));
    expect(first).toMatchObject({ more: true, revoked: 2 });
    const granted = h.allocate({ leaseMs: 600_000 });
    for (const { id, fencingToken } of leases)
      expect(h.verdict({ type: 'renew', allocationId: id, fencingToken, leaseMs: 1_000 })).toBe('lease_superseded');
    expect(h.do(step(first.epoch, 2))).toMatchObject({ more: false, revoked: 4, fence: first.fence });
    expect([...h.state.leases.keys()]).toEqual([granted.id]);
    expect(h.verdict({ type: 'renew', allocationId: granted.id, fencingToken: granted.fencingToken, leaseMs: 1_000 })).toBe('ok');
  });

  it('P124: one that nobody goes on with ends by itself, also after a restart', () => {
    for (const restarts of [false, true]) {
      const { h, leases } = many();
      h.do(step(null));
      if (restarts) h.restart({ socketsSurvive: false });
      const last = leases.at(-1);
      expect(
        h.verdict({ type: 'renew', allocationId: last?.id ?? '', fencingToken: last?.fencingToken ?? 0, leaseMs: 1_000 }),
      ).toBe('lease_superseded');
      h.advance(LIMITS.revokeResumeMs);
      expect([h.state.leases.size, h.state.revocations.size]).toEqual([0, 0]);
      // Whoever comes back to it is told what it came to.
      expect(h.do(step(1))).toMatchObject({ epoch: 1, more: false, revoked: 4, agents: [] });
    }
  });

  it('P124: a step of a revocation that never was is refused', () => {
    expect(many().h.verdict(step(7))).toBe('not_found');
  });

  it('P125: a repeat with the key walks over what is done and goes on with the same fence', async () => {
    const { h } = many();
    let calls = 0;
    const dies = 2;
    const run = (breaks: boolean) => async (request: Parameters<Parameters<typeof revokeInSteps>[2]>[0]) => {
      calls += 1;
      if (breaks && calls > dies) throw new Error('the machine died');
      const command = { ...request.command, limit: 1 } as ReturnType<typeof step>;
      return h.ask(command, OPERATOR, request.idempotency) as PoolReply as Result<RevokeStep, FleetError>;
    };
    const key = { key: 'k', bodyHash: 'h' };
    await expect(revokeInSteps(TERMS, key, run(true))).rejects.toThrow('died');
    const granted = h.allocate({ leaseMs: 600_000 });
    const done = await revokeInSteps(TERMS, key, run(false));
    expect(done).toMatchObject({ ok: true, value: { epoch: 1, revoked: 4 } });
    expect(done.ok && done.value.agents.map(({ leases }) => leases)).toEqual([1, 1, 1, 1]);
    expect([...h.state.leases.keys()]).toEqual([granted.id]);
    expect(await revokeInSteps(TERMS, key, run(false))).toEqual(done);
    expect(h.state.leases.size).toBe(1);
    // The same key with another body is another revocation: the first one may never have been completed.
    expect(await revokeInSteps(TERMS, { ...key, bodyHash: 'other' }, run(false))).toMatchObject({
      value: { epoch: 2, revoked: 1 },
    });
  });
});

describe('acknowledgements', () => {
  const told = (h: PoolHarness): unknown[] =>
    h.seen('revoke').map(({ agentId, epoch, leases }) => [agentId, epoch, leases.length]);

  it('P126: a connected agent is told at once, and acknowledges by its own word', () => {
    const { h, a, b } = busy();
    const { epoch } = h.revoke({});
    expect(told(h)).toEqual([[a, epoch, 2]]);
    expect([acknowledgedBy(h.agent(a), epoch), acknowledgedBy(h.agent(b), epoch)]).toEqual([null, null]);
    expect(stillAwaited(h.state.agents, epoch, [a, b, 'gone'])).toEqual(new Set([a, b]));
    expect(h.do({ type: 'acknowledgeRevocation', agentId: a, epoch }, asAgent(a))).toEqual({ epoch });
    expect(h.seen('acknowledged')).toEqual([{ type: 'acknowledged', agentId: a }]);
    expect(acknowledgedBy(h.agent(a), epoch)).toBe('session');
    expect(stillAwaited(h.state.agents, epoch, [a, b])).toEqual(new Set([b]));
  });

  it('P126: nobody acknowledges what has not happened', () => {
    const { h, a } = busy();
    expect(h.do({ type: 'acknowledgeRevocation', agentId: a, epoch: 9 }, asAgent(a))).toEqual({ epoch: 0 });
    const { epoch } = h.revoke({});
    expect(acknowledgedBy(h.agent(a), epoch)).toBeNull();
  });

  it('P126: what an agent loses in a later step it has not acknowledged by its word on an earlier one', () => {
    const h = new PoolHarness();
    const agent = h.connected({ slots: 2 });
    h.allocateAll({});
    h.allocateAll({});
    const { epoch } = h.do(step(null));
    h.do({ type: 'acknowledgeRevocation', agentId: agent, epoch }, asAgent(agent));
    h.do(step(epoch));
    expect(acknowledgedBy(h.agent(agent), epoch)).toBeNull();
    expect(told(h)).toEqual([
      [agent, epoch, 1],
      [agent, epoch, 1],
    ]);
  });

  it('P127: a beating agent acknowledges by the beat that tells it, once', () => {
    const { h, b } = busy();
    const { epoch } = h.revoke({}, { reason: 'leaked' });
    const [lease] = h.beat(b).revoked ?? [];
    expect(lease).toMatchObject({ epoch, reason: 'leaked' });
    expect(acknowledgedBy(h.agent(b), epoch)).toBe('call');
    expect(h.beat(b).revoked).toBeUndefined();
  });

  it('P127: so does a poll; a parked one is answered at once, and the next call acknowledges', () => {
    const h = new PoolHarness();
    const agent = h.register();
    h.allocate();
    const { epoch } = h.revoke({});
    const { result } = h.engine.poll(asAgent(agent), agent, 1, true);
    expect(result).toMatchObject({ ok: true, value: { leaseIds: [], revoked: [{ epoch }] } });
    expect([acknowledgedBy(h.agent(agent), epoch), h.agent(agent).pollRoom]).toEqual(['call', 0]);

    const parked = new PoolHarness();
    const other = parked.register({ slots: 2 });
    parked.allocate();
    parked.poll(other, { park: true });
    const second = parked.revoke({});
    expect(parked.seen('pollDone')).toMatchObject([{ agentId: other, leaseIds: [], revoked: [{ epoch: second.epoch }] }]);
    expect(acknowledgedBy(parked.agent(other), second.epoch)).toBeNull();
    parked.beat(other);
    expect(acknowledgedBy(parked.agent(other), second.epoch)).toBe('call');
  });

  it('P128: an agent that comes back holds nothing that was revoked, and has acknowledged by coming', () => {
    const { h, a, task } = busy();
    h.close(a);
    const { epoch } = h.revoke({}, { tasks: 'cancel' });
    expect(h.seen('revoke')).toEqual([]);
    h.open(a);
    expect([h.agent(a).leases.size, h.task(task).status]).toEqual([0, 'cancelled']);
    expect(acknowledgedBy(h.agent(a), epoch)).toBe('call');
  });

  it('P128: a restart forgets who has acknowledged, until they are heard again', () => {
    const { h, b } = busy();
    const { epoch } = h.revoke({});
    h.beat(b);
    h.restart({ socketsSurvive: true });
    expect(acknowledgedBy(h.agent(b), epoch)).toBeNull();
    h.beat(b);
    expect(acknowledgedBy(h.agent(b), epoch)).toBe('call');
  });

  it('P129: a serverless agent, one that is lost and one that has left are not waited for', () => {
    const h = new PoolHarness();
    const serverless = h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    const lost = h.register();
    h.allocateAll({ count: 2, leaseMs: 600_000 });
    const { epoch } = h.revoke({});
    h.jump(LIMITS.lostAfterMs);
    h.alarm();
    expect(h.agent(lost).record.lifecycle).toBe('offline');
    expect(stillAwaited(h.state.agents, epoch, [serverless, lost, 'gone']).size).toBe(0);
  });
});

describe('what is kept', () => {
  it('P121: a lease of before holders were kept is held by nobody', () => {
    const storage = new MemoryPoolStorage();
    const h = new PoolHarness({ storage });
    h.register();
    h.allocate();
    const [text] = [...storage.rows.leases.values()];
    const { holder: _, ...old } = JSON.parse(text ?? '{}') as { id: string; holder: string };
    (storage.rows.leases as Map<string, string>).set(old.id, JSON.stringify(old));
    h.restart({ socketsSurvive: true });
    expect(h.revoke({ holder: OPERATOR.subject }).revoked).toBe(0);
    expect(h.revoke({}).revoked).toBe(1);
  });

  it('P125: the last revocations only', () => {
    const storage = new MemoryPoolStorage();
    const h = new PoolHarness({ storage });
    h.register({ liveness: 'none', endpoint: 'https://agent.example/' });
    for (let i = 0; i < LIMITS.revocationsPerShard + 3; i += 1) {
      h.allocate();
      h.revoke({});
    }
    expect(storage.rows.revocations.size).toBe(LIMITS.revocationsPerShard);
    expect([storage.revocation(3), storage.revocation(4)?.epoch]).toEqual([null, 4]);
  });
});
