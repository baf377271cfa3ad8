import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../durable-objects/pool/core/task-attempts.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { asAgent, PoolHarness, taskSpec } from '../../lib/pool-harness.ts';

const serverless = { liveness: 'none', endpoint: 'https://agent.example/' } as const;

describe('the life of a task', () => {
  it('P51: it is assigned to a connected agent, and running from the first sign of work', () => {
    const h = new PoolHarness();
    h.register();
    const task = h.submit();
    expect(h.task(task).status).toBe('queued');
    const agent = h.connected();
    expect(h.seen('assign')).toEqual([{ type: 'assign', agentId: agent, leaseId: h.work(task).leaseId }]);
    expect(h.task(task)).toMatchObject({ status: 'assigned', attempts: 1, startedAtMs: null });
    h.advance(3_000);
    h.accept(h.work(task));
    expect(h.task(task)).toMatchObject({ status: 'running', startedAtMs: h.nowMs });
  });

  it('P52: it completes once; again with the same token it is the same answer', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const work = h.work(h.submit());
    const first = h.complete(work, '{"n":1}');
    expect(first).toMatchObject({ status: 'succeeded', result: '{"n":1}' });
    h.advance(60_000);
    expect(h.complete(work, '{"n":2}')).toEqual(first);
    expect(h.agent(agent).record.completed).toBe(1);
    expect(h.seen('taskEnded')).toHaveLength(1);
  });

  it('P53: a failure is tried again after a backoff that doubles, up to its limit', () => {
    const h = new PoolHarness();
    h.connected();
    const task = h.submit({ maxAttempts: 4, retry: { baseMs: 1_000, factor: 2, maxMs: 3_000, jitter: 0 } });
    for (const delayMs of [1_000, 2_000, 3_000]) {
      h.fail(h.work(task));
      h.advance(delayMs - 1);
      expect(h.task(task).status).toBe('queued');
      h.advance(1);
      expect(h.task(task).status).toBe('assigned');
      h.pong();
    }
    expect(h.fail(h.work(task))).toMatchObject({ status: 'dead', attempts: 4, error: { code: 'boom' } });
  });

  it('P53: jitter takes off up to its share', () => {
    const delays = [0, 0.5, 0.999_999].map((at) =>
      backoffMs({ baseMs: 1_000, factor: 10, maxMs: 60_000, jitter: 0.2 }, 2, () => at),
    );
    expect(delays).toEqual([10_000, 9_000, 8_000]);
    expect(backoffMs({ baseMs: 1_000, factor: 100, maxMs: 60_000, jitter: 0 }, 100, () => 0)).toBe(60_000);
  });

  it('P53: what cannot be helped by trying again ends at once', () => {
    const h = new PoolHarness();
    h.connected();
    expect(h.fail(h.work(h.submit()), false)).toMatchObject({ status: 'failed', attempts: 1 });
  });

  it('P54: attempts count grants; one lost to an operator is given back', () => {
    const h = new PoolHarness();
    const lost = h.connected();
    const task = h.submit({ maxAttempts: 2 });
    h.close(lost);
    h.advance(LIMITS.sessionGraceMs);
    expect(h.task(task)).toMatchObject({ status: 'queued', attempts: 1 });
    for (let i = 0; i < 3; i += 1) {
      const agent = h.connected();
      expect(h.task(task)).toMatchObject({ status: 'assigned', attempts: 2 });
      h.do({ type: 'deregisterAgent', agentId: agent, force: true });
      expect(h.task(task)).toMatchObject({ status: 'queued', attempts: 1 });
    }
    const last = h.connected();
    h.close(last);
    h.advance(LIMITS.sessionGraceMs);
    expect(h.task(task)).toMatchObject({ status: 'dead', attempts: 2, error: { code: 'agent_lost' } });
  });

  it('P55: an attempt ends at its timeout, to the millisecond; what comes then is too late', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit({ timeoutMs: 10_000, maxAttempts: 2 });
    const work = h.work(task);
    h.accept(work);
    h.advanceAlive(9_999);
    expect(h.task(task).status).toBe('running');
    h.jump(1);
    expect(h.verdict({ type: 'completeTask', taskId: task, fencingToken: work.fencingToken }, asAgent(agent))).toBe(
      'lease_superseded',
    );
    expect(h.task(task)).toMatchObject({ status: 'queued', error: { code: 'timeout' } });
    expect(h.seen('cancel')).toMatchObject([{ agentId: agent, taskId: task, reason: 'timeout' }]);
  });

  it.each(['waiting', 'delayed', 'backing off', 'held'] as const)('P57: a deadline ends a task that is %s', (how) => {
    const h = new PoolHarness();
    if (how !== 'waiting') h.connected();
    const task = h.submit({
      deadlineMs: 8_000,
      ...(how === 'delayed' ? { delayMs: 60_000 } : {}),
      retry: { baseMs: 60_000, factor: 1, maxMs: 60_000, jitter: 0 },
    });
    if (how === 'backing off') h.fail(h.work(task));
    const work = how === 'held' ? h.work(task) : null;
    h.advanceAlive(7_999);
    expect(h.task(task).completedAtMs).toBeNull();
    h.advance(1);
    expect(h.task(task)).toMatchObject({ status: 'failed', completedAtMs: h.nowMs, error: { code: 'deadline_exceeded' } });
    if (work !== null) expect(h.lease(work.leaseId).status).toBe('revoked');
    h.advance(120_000);
    expect(h.task(task).status).toBe('failed');
  });

  it('P58: cancelling a held task asks its agent to stop, and takes it away when it does not', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit();
    h.accept(h.work(task));
    expect(h.do({ type: 'cancelTask', taskId: task })).toMatchObject({ status: 'running', cancelRequested: true });
    expect(h.seen('cancel')).toMatchObject([{ agentId: agent, taskId: task, graceMs: LIMITS.cancelGraceMs }]);
    expect(h.beat(agent).cancel).toEqual([task]);
    expect(h.accept(h.work(task)).cancelRequested).toBe(true);
    // Asking again neither repeats nor prolongs it.
    h.advanceAlive(5_000);
    h.do({ type: 'cancelTask', taskId: task });
    h.advanceAlive(LIMITS.cancelGraceMs - 5_000);
    expect(h.task(task).status).toBe('cancelled');
    expect(h.status(agent)).toBe('idle');
  });

  it.each([
    ['completes', 'succeeded'],
    ['fails', 'cancelled'],
    ['is lost', 'cancelled'],
  ] as const)('P58: when the agent %s within the grace, the task is %s', (how, status) => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit();
    const work = h.work(task);
    h.do({ type: 'cancelTask', taskId: task });
    if (how === 'completes') h.complete(work);
    if (how === 'fails') h.fail(work);
    if (how === 'is lost') h.close(agent);
    h.advance(LIMITS.sessionGraceMs);
    expect(h.task(task).status).toBe(status);
  });

  it('P59: progress and checkpoint are kept over attempts', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit({ retry: { baseMs: 0, factor: 1, maxMs: 0, jitter: 0 } });
    const { fencingToken } = h.work(task);
    h.do({ type: 'progressTask', taskId: task, fencingToken, progress: '0.5', checkpoint: '{"line":7}' }, asAgent(agent));
    h.do({ type: 'progressTask', taskId: task, fencingToken, progress: '0.6' }, asAgent(agent));
    h.fail(h.work(task));
    expect(h.task(task)).toMatchObject({ status: 'assigned', attempts: 2 });
    expect([h.storage.blob(task, 'progress'), h.storage.blob(task, 'checkpoint')]).toEqual(['0.6', '{"line":7}']);
  });

  it('P63: a replay is a new task with the old one’s terms, without its deadline', () => {
    const h = new PoolHarness();
    h.connected();
    const task = h.submit({ payload: '{"x":1}', priority: 7, deadlineMs: 60_000, maxAttempts: 1, fairnessKey: 'k' });
    h.fail(h.work(task));
    const replay = h.do({ type: 'replayTask', taskId: task });
    expect(replay).toMatchObject({ replayOf: task, priority: 7, status: 'queued', attempts: 0 });
    expect(h.storage.blob(replay.id, 'payload')).toBe('{"x":1}');
    expect(h.task(replay.id)).toMatchObject({ deadlineAtMs: null, fairnessKey: 'k', maxAttempts: 1 });
    expect(h.task(task).status).toBe('dead');
  });
});

describe('dependencies', () => {
  it('P64: a task waits until all it depends on have succeeded', () => {
    const h = new PoolHarness();
    h.connected({ slots: 3 });
    const [a, b] = [h.submit(), h.submit()];
    const task = h.submit({ dependsOn: [a, b, a] });
    h.complete(h.work(a));
    expect(h.task(task).status).toBe('queued');
    h.restart({ socketsSurvive: true });
    h.complete(h.work(b));
    expect(h.task(task).status).toBe('assigned');
  });

  it('P64: waiting for another task is not waiting for an agent: it lifts no priority', () => {
    const h = new PoolHarness();
    const first = h.submit({ capabilities: ['x'] });
    const second = h.submit({ dependsOn: [first], priority: 1 });
    h.advance(20 * LIMITS.ageingStepMs);
    const other = h.submit({ priority: 3 });
    h.connected({ capabilities: ['x'] });
    h.complete(h.work(first));
    expect([h.task(other).status, h.task(second).status]).toEqual(['assigned', 'queued']);
  });

  it('P64: a delay that is over by then delays no more', () => {
    const h = new PoolHarness();
    h.connected({ slots: 2 });
    const first = h.submit();
    const second = h.submit({ dependsOn: [first], delayMs: 5_000 });
    h.advanceAlive(10_000);
    h.complete(h.work(first));
    expect(h.task(second).status).toBe('assigned');
  });

  it('P64: it fails when one of them does, and so do those that wait for it', () => {
    const h = new PoolHarness();
    const first = h.submit({ capabilities: ['nobody'] });
    const second = h.submit({ dependsOn: [first] });
    const third = h.submit({ dependsOn: [second] });
    h.do({ type: 'cancelTask', taskId: first });
    for (const id of [second, third])
      expect(h.task(id)).toMatchObject({ status: 'failed', error: { code: 'dependency_failed' } });
    expect(h.task(h.submit({ dependsOn: [third] })).status).toBe('failed');
  });

  it('P64: one that succeeded before is no wait; one that is unknown is refused', () => {
    const h = new PoolHarness();
    h.connected();
    const done = h.submit();
    h.complete(h.work(done));
    expect(h.task(h.submit({ dependsOn: [done] })).status).toBe('assigned');
    const unknown = `${done.slice(0, -1)}${done.endsWith('0') ? '1' : '0'}`;
    for (const dependsOn of [[unknown], ['nonsense'], [done.replace('eu-west-1', 'us-east-1')]])
      expect(h.verdict({ type: 'submitTask', spec: taskSpec({ dependsOn }), needsAgent: false })).toBe('validation_failed');
  });

  it('P65: a task of another shard is watched; its end arrives from there', () => {
    const h = new PoolHarness();
    h.connected({ slots: 3 });
    const remote = (n: number): string => `tsk.eu-west-1.coder.7.${String(n).padStart(26, '0')}`;
    const [good, bad, gone] = [1, 2, 3].map((n) => h.submit({ dependsOn: [remote(n)] })) as [string, string, string];
    expect(h.seen('watch').map((o) => o.dependencyId)).toEqual([1, 2, 3].map(remote));
    h.restart({ socketsSurvive: true });
    // Watched again after every wake: the watch itself is memory.
    expect(
      h
        .seen('watch')
        .slice(3)
        .map((o) => o.dependencyId)
        .toSorted(),
    ).toEqual([1, 2, 3].map(remote));
    h.outcomes.push(...h.engine.dependencyEnded(remote(1), 'succeeded'));
    h.outcomes.push(...h.engine.dependencyEnded(remote(1), 'succeeded'));
    h.outcomes.push(...h.engine.dependencyEnded(remote(2), 'dead'));
    h.outcomes.push(...h.engine.dependencyEnded(remote(3), 'missing'));
    expect([good, bad, gone].map((id) => h.task(id).status)).toEqual(['assigned', 'failed', 'failed']);
  });
});

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
