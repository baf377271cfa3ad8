import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { asAgent, PoolHarness, taskSpec } from '../../lib/pool-harness.ts';

const serverless = { liveness: 'none', endpoint: 'https://agent.example/' } as const;

describe('what an agent says about a task', () => {
  it('P56: who lost a task is told so, whoever holds it now', () => {
    const h = new PoolHarness();
    const first = h.connected();
    const task = h.submit();
    const old = h.work(task);
    h.close(first);
    h.advance(LIMITS.sessionGraceMs);
    h.open(first);
    // Held again, by the same agent under another lease: the old token is still refused.
    expect(h.work(task).agentId).toBe(first);
    for (const type of ['completeTask', 'progressTask'] as const)
      expect(h.verdict({ type, taskId: task, fencingToken: old.fencingToken }, asAgent(first))).toBe('lease_superseded');
    h.do({ type: 'deregisterAgent', agentId: first, force: true });
    const second = h.connected();
    expect(h.work(task).agentId).toBe(second);
    expect(h.verdict({ type: 'completeTask', taskId: task, fencingToken: old.fencingToken }, asAgent(first))).toBe(
      'lease_superseded',
    );
  });

  it('P56: a token says nothing in the hands of another agent', () => {
    const h = new PoolHarness();
    h.connected();
    const work = h.work(h.submit());
    const other = h.connected();
    expect(h.verdict({ type: 'completeTask', taskId: work.taskId, fencingToken: work.fencingToken }, asAgent(other))).toBe(
      'not_found',
    );
  });

  it('P56: the token of a task that we ended is revoked with its lease', () => {
    const h = new PoolHarness();
    h.connected({ slots: 2 });
    const [late, lost] = [h.submit({ deadlineMs: 10_000 }), h.submit({ maxAttempts: 1, timeoutMs: 10_000 })];
    const works = [h.work(late), h.work(lost)];
    for (const work of works) h.accept(work);
    h.advanceAlive(10_000);
    expect([h.task(late).status, h.task(lost).status]).toEqual(['failed', 'dead']);
    for (const { taskId, fencingToken, agentId } of works) {
      expect(h.verdict({ type: 'completeTask', taskId, fencingToken }, asAgent(agentId))).toBe('lease_superseded');
      expect(
        h.verdict(
          { type: 'failTask', taskId, fencingToken, error: { code: 'x', message: '' }, retryable: true },
          asAgent(agentId),
        ),
      ).toBe('lease_superseded');
    }
  });
});

describe('what fell due just before', () => {
  it.each([
    ['renew', 'lease_superseded'],
    ['release', 'lease_superseded'],
    ['completeTask', 'lease_superseded'],
  ] as const)('P28: a %s sees what its own step has ended by the clock, not the row that is still stored', (type, verdict) => {
    const h = new PoolHarness();
    h.connected();
    const { leaseId: allocationId, taskId, fencingToken } = h.work(h.submit({ timeoutMs: 5_000 }));
    // The command is the first to notice that the time is over.
    h.jump(5_000);
    const commands = {
      renew: { type: 'renew', allocationId, fencingToken, leaseMs: 5_000 },
      release: { type: 'release', allocationId, fencingToken },
      completeTask: { type: 'completeTask', taskId, fencingToken },
    } as const;
    expect(h.verdict(commands[type])).toBe(verdict);
  });

  it('P28: so it is with a cancel, and with a task that others are to wait for', () => {
    const h = new PoolHarness();
    const first = h.submit({ deadlineMs: 5_000 });
    h.jump(5_000);
    expect(h.verdict({ type: 'cancelTask', taskId: first })).toBe('invalid_state');
    const second = h.submit({ deadlineMs: 5_000 });
    h.jump(5_000);
    const dependent = h.submit({ dependsOn: [second] });
    expect(h.task(dependent)).toMatchObject({ status: 'failed', error: { code: 'dependency_failed' } });
  });
});

describe('bounds', () => {
  it('P60: everything that waits is bounded, also behind a delay or a limit', () => {
    const limits = LIMITS as { queuePerShard: number };
    const before = limits.queuePerShard;
    limits.queuePerShard = 4;
    try {
      const h = new PoolHarness();
      const concurrency = { key: 'k', limit: 1, strategy: 'queue' } as const;
      h.submit({ delayMs: 60_000 });
      h.submit({ concurrency });
      const last = h.submit({ concurrency });
      h.wait();
      const submit = { type: 'submitTask', spec: taskSpec({ delayMs: 60_000 }), needsAgent: false } as const;
      expect(h.verdict(submit)).toBe('queue_full');
      expect(h.tryAllocate({ waitMs: 1_000 })).toMatchObject({ error: { kind: 'queue_full', limit: 4 } });
      h.do({ type: 'cancelTask', taskId: last });
      expect(h.verdict(submit)).toBe('ok');
    } finally {
      limits.queuePerShard = before;
    }
  });

  it('P61: needsAgent refuses where no agent in service could ever take the task', () => {
    const h = new PoolHarness();
    const submit = { type: 'submitTask', spec: taskSpec({ capabilities: ['x'] }), needsAgent: true } as const;
    expect(h.verdict(submit)).toBe('no_capacity');
    h.connected();
    expect(h.verdict(submit)).toBe('no_capacity');
    h.register({ ...serverless, capabilities: ['x'] });
    expect(h.verdict(submit)).toBe('no_capacity');
    const lost = h.connected({ capabilities: ['x'] });
    expect(h.verdict(submit)).toBe('ok');
    h.close(lost);
    // It may come back within its grace.
    expect(h.verdict(submit)).toBe('ok');
    h.advance(LIMITS.sessionGraceMs);
    expect(h.verdict(submit)).toBe('no_capacity');
    h.register({ liveness: 'session', capabilities: ['x'] });
    expect(h.verdict(submit)).toBe('ok');
  });

  it('P62: an agent without liveness takes no tasks, unless it opens a session', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const task = h.submit();
    expect(() => h.poll(agent)).toThrow('invalid_state');
    expect(h.task(task).status).toBe('queued');
    h.open(agent);
    expect(h.work(task).agentId).toBe(agent);
  });
});
