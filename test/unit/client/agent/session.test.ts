import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type AgentEvent,
  type AgentTask,
  LeaseLostError,
  NonRetryableError,
  type RunAgentOptions,
  type RunningAgent,
  TaskCancelledError,
  TaskTimeoutError,
  runAgent,
} from '../../../../client/src/index.ts';
import { FakeSessions, assignment } from '../lib/fake-sessions.ts';
import { eventually } from '../lib/eventually.ts';

vi.setConfig({ testTimeout: 30_000 });

let fake: FakeSessions;
let agent: RunningAgent | null = null;
let events: AgentEvent[] = [];

beforeEach(async () => {
  fake = await FakeSessions.start();
  events = [];
});
afterEach(async () => {
  await agent?.stop({ now: true }).catch(() => undefined);
  agent = null;
  await fake.stop();
});

function run(options: Partial<RunAgentOptions> & Pick<RunAgentOptions, 'handler'>): RunningAgent {
  agent = runAgent({
    endpoint: fake.fleet.url,
    token: 'operator',
    pool: 'coder',
    handleSignals: false,
    shutdownGraceMs: 500,
    onEvent: (event) => void events.push(event),
    ...options,
  });
  return agent;
}
const types = () => events.map(({ type }) => type);

/** A handler the test holds by the hand: tasks it was given, and a way to end each. */
function held() {
  const tasks: AgentTask[] = [];
  const ends = new Map<AgentTask, (result: unknown) => void>();
  const handler = (task: AgentTask): Promise<unknown> =>
    new Promise((resolve, reject) => {
      tasks.push(task);
      ends.set(task, resolve);
      task.signal.addEventListener('abort', () => reject(task.signal.reason as Error), { once: true });
    });
  const task = (index: number) =>
    eventually(() => {
      const found = tasks[index];
      if (found === undefined) throw new Error(`no task ${index} yet`);
      return found;
    });
  const end = (of: AgentTask, result: unknown) => ends.get(of)?.(result);
  return { handler, tasks, task, end };
}

describe('a session', () => {
  test('registers, connects with its own token, and does a task', async () => {
    const { ready } = run({
      capabilities: ['typescript'],
      labels: { gpu: 'no' },
      concurrency: 3,
      handler: (task) => ({ echo: task.payload, attempt: task.attempt }),
    });
    await expect(ready).resolves.toEqual({ id: 'agt.1', region: 'eu-west-1' });
    expect(fake.fleet.to('POST /v1/agents')[0]).toMatchObject({
      headers: { authorization: 'Bearer operator', 'idempotency-key': expect.any(String) },
      body: { pool: 'coder', capabilities: ['typescript'], labels: { gpu: 'no' }, slots: 3, liveness: 'session' },
    });
    const session = await fake.session(0);
    expect(session.protocols).toEqual(['fleet.v1', 'bearer.token-1']);
    session.send('assign', assignment('tsk.1', { fencingToken: 9 }));
    await expect(session.first('complete')).resolves.toMatchObject({
      taskId: 'tsk.1',
      fencingToken: 9,
      result: { echo: 'hello', attempt: 1 },
    });
    expect(session.frames.map(({ type }) => type)).toEqual(['accept', 'complete']);
    await eventually(() => expect(types()).toContain('taskEnded'));
  });

  test('work waits for the fleet to confirm that it is still ours', async () => {
    fake.options = { ack: false };
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    session.send('assign', assignment('tsk.2'));
    const accept = await session.first('accept');
    expect(work.tasks).toHaveLength(0);
    session.refuse(accept, 'lease_superseded');
    await eventually(() => expect(session.of('accept')).toHaveLength(2));
    session.acknowledge(session.of('accept')[1]!);
    expect((await work.task(0)).id).toBe('tsk.2');
    expect(types()).toContain('taskDropped');
  });

  test('a repeated assignment is one task', async () => {
    const work = held();
    run({ ...work, concurrency: 2 });
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    session.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    work.end(task, 'done');
    await session.first('complete');
    expect(session.of('accept')).toHaveLength(1);
    expect(work.tasks).toHaveLength(1);
  });

  test('the same task under a new lease replaces the old attempt', async () => {
    const work = held();
    run({ ...work, concurrency: 2 });
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1', { fencingToken: 1 }));
    const old = await work.task(0);
    session.send('assign', assignment('tsk.1', { fencingToken: 2, attempt: 2 }));
    const next = await work.task(1);
    expect(old.signal.reason).toBeInstanceOf(LeaseLostError);
    work.end(next, 'done');
    await expect(session.first('complete')).resolves.toMatchObject({ fencingToken: 2 });
    expect(session.of('fail')).toEqual([]);
  });

  test('never more handlers at a time than slots, whatever comes', async () => {
    const work = held();
    run({ ...work, concurrency: 2 });
    const session = await fake.session(0);
    for (const id of ['a', 'b', 'c']) session.send('assign', assignment(id));
    await eventually(() => expect(work.tasks).toHaveLength(2));
    expect(session.of('accept')).toHaveLength(2);
    work.end(await work.task(0), 1);
    expect((await work.task(2)).id).toBe('c');
  });

  test('progress carries checkpoints; of several that wait only the newest is sent', async () => {
    fake.options = { ack: false };
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1', { checkpoint: { line: 7 }, attempt: 2 }));
    session.acknowledge(await session.first('accept'));
    const task = await work.task(0);
    expect(task.checkpoint).toEqual({ line: 7 });
    const first = task.progress(1);
    await session.first('progress');
    const second = task.progress(2, { line: 8 });
    const third = task.progress(3);
    session.acknowledge(await session.first('progress'));
    await first;
    await eventually(() => expect(session.of('progress')).toHaveLength(2));
    session.acknowledge(session.of('progress')[1]!);
    await Promise.all([second, third]);
    expect(session.of('progress')).toMatchObject([{ progress: 1 }, { progress: 3, checkpoint: { line: 8 } }]);
  });

  test('progress that nobody waits for may fail without harm, and tells the handler that the lease is lost', async () => {
    fake.options = { ack: false };
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    session.acknowledge(await session.first('accept'));
    const task = await work.task(0);
    void task.progress(1);
    session.refuse(await session.first('progress'), 'lease_superseded');
    await eventually(() => expect(task.signal.reason).toBeInstanceOf(LeaseLostError));
    await eventually(() => expect(session.of('fail')).toEqual([]));
  });
});

describe('failures', () => {
  const failing = async (handler: RunAgentOptions['handler'], more: Record<string, unknown> = {}) => {
    run({ handler });
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1', more));
    return session.first('fail');
  };

  test('an error is a failure worth another try', async () => {
    await expect(failing(() => Promise.reject(new Error('no luck')))).resolves.toMatchObject({
      retryable: true,
      error: { code: 'agent_error', message: 'no luck' },
    });
  });

  test('a NonRetryableError is not', async () => {
    const handler = () => Promise.reject(new NonRetryableError('bad input', { code: 'bad_input' }));
    await expect(failing(handler)).resolves.toMatchObject({
      retryable: false,
      error: { code: 'bad_input', message: 'bad input' },
    });
  });

  test('a result that is no JSON, or too much of it, is a failure that says so', async () => {
    await expect(failing(() => 1n)).resolves.toMatchObject({ retryable: false, error: { code: 'result_not_json' } });
    await agent?.stop({ now: true });
    run({ handler: () => 'x'.repeat(1_048_576) });
    const session = await fake.session(1);
    session.send('assign', assignment('tsk.2'));
    await expect(session.first('fail')).resolves.toMatchObject({ retryable: false, error: { code: 'result_too_large' } });
  });

  test('a result the fleet refuses becomes a failure', async () => {
    fake.options = { ack: false };
    run({ handler: () => 'deep' });
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    session.acknowledge(await session.first('accept'));
    session.refuse(await session.first('complete'), 'validation_failed', 422);
    await expect(session.first('fail')).resolves.toMatchObject({ retryable: false, error: { code: 'result_refused' } });
  });

  test('an endless message is cut to what the fleet keeps', async () => {
    const frame = await failing(() => Promise.reject(new Error('x'.repeat(20_000))));
    expect(frame).toMatchObject({ error: { message: 'x'.repeat(8_192) } });
  });

  test('an attempt that takes too long is aborted and may be tried again', async () => {
    const work = held();
    const frame = await failing(work.handler, { timeoutMs: 50 });
    expect(frame).toMatchObject({ retryable: true, error: { code: 'timeout' } });
    expect(work.tasks[0]?.signal.reason).toBeInstanceOf(TaskTimeoutError);
  });

  test('a busy fleet gets the report again, after its pause', async () => {
    fake.options = { ack: false };
    run({ handler: () => 'done' });
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    session.acknowledge(await session.first('accept'));
    const complete = await session.first('complete');
    session.send('error', {
      id: complete.id,
      problem: {
        type: '',
        title: '',
        status: 503,
        detail: '',
        instance: '',
        code: 'overloaded',
        requestId: '',
        retryAfterMs: 20,
      },
    });
    await eventually(() => expect(session.of('complete')).toHaveLength(2));
    expect(session.of('complete')[1]).toEqual(complete);
  });
});

describe('a revoked lease', () => {
  const revoke = (fencingToken: number, more: object = {}) => ({
    epoch: 3,
    reason: 'leaked key',
    leases: [
      { allocationId: 'alc.tsk.1', taskId: 'tsk.1', fencingToken, epoch: 3, reason: 'leaked key' },
      { allocationId: 'alc.direct', fencingToken: 77, epoch: 3, reason: 'leaked key' },
    ],
    ...more,
  });

  test('stops the handler at once, is acknowledged, and nothing else is reported', async () => {
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1', { fencingToken: 4 }));
    const task = await work.task(0);
    session.send('revoke', revoke(4));
    // What an older agent would heed instead: to this one it is no news.
    session.send('cancel', { taskId: 'tsk.1', reason: 'revoked', graceMs: 0 });
    await expect(session.first('revoked')).resolves.toMatchObject({ epoch: 3 });
    expect(task.signal.reason).toBeInstanceOf(LeaseLostError);
    expect((task.signal.reason as Error).message).toContain('leaked key');
    session.send('assign', assignment('tsk.2', { fencingToken: 5 }));
    work.end(await work.task(1), 'done');
    await session.first('complete');
    expect(session.frames.map(({ type }) => type)).toEqual(['accept', 'revoked', 'accept', 'complete']);
  });

  test('the same task under a newer lease goes on', async () => {
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1', { fencingToken: 9 }));
    const task = await work.task(0);
    session.send('revoke', revoke(4));
    await session.first('revoked');
    expect(task.signal.aborted).toBe(false);
    work.end(task, 1);
    await expect(session.first('complete')).resolves.toMatchObject({ fencingToken: 9 });
  });

  test('the acknowledgement outlives its socket', async () => {
    fake.options = { ack: false };
    run(held());
    const first = await fake.session(0);
    first.send('revoke', revoke(4));
    await first.first('revoked');
    fake.options = { ack: true };
    first.drop();
    const second = await fake.session(1);
    await expect(second.first('revoked')).resolves.toMatchObject({ epoch: 3 });
  });
});

describe('cancellation', () => {
  test('with a grace the handler ends and reports', async () => {
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    session.send('cancel', { taskId: 'tsk.1', reason: 'cancelled', graceMs: 5_000 });
    await expect(session.first('fail')).resolves.toMatchObject({ retryable: false, error: { code: 'cancelled' } });
    expect(task.signal.reason).toBeInstanceOf(TaskCancelledError);
    expect(task.signal.reason).toMatchObject({ reason: 'cancelled', graceMs: 5_000 });
  });

  test('without one the lease is revoked already, and nothing is reported', async () => {
    const work = held();
    run({ ...work, concurrency: 2 });
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    await work.task(0);
    session.send('cancel', { taskId: 'tsk.1', reason: 'timeout', graceMs: 0 });
    session.send('assign', assignment('tsk.2'));
    work.end(await work.task(1), 'done');
    await session.first('complete');
    expect(session.of('fail')).toEqual([]);
  });

  test('an acknowledgement may carry it, too', async () => {
    fake.options = { ack: false };
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    session.acknowledge(await session.first('accept'));
    const task = await work.task(0);
    void task.progress(1);
    session.acknowledge(await session.first('progress'), { cancelRequested: true });
    await eventually(() => expect(task.signal.reason).toBeInstanceOf(TaskCancelledError));
  });
});

describe('reconnecting', () => {
  test('what is held goes on, and its result travels over the new socket', async () => {
    const work = held();
    run(work);
    const first = await fake.session(0);
    first.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    fake.options = { held: [assignment('tsk.1')] };
    first.drop();
    const second = await fake.session(1);
    expect(task.signal.aborted).toBe(false);
    work.end(task, 'done');
    await expect(second.first('complete')).resolves.toMatchObject({ taskId: 'tsk.1', result: 'done' });
    expect(work.tasks).toHaveLength(1);
    expect(fake.fleet.to('POST /v1/agents')).toHaveLength(1);
  });

  test('a result without its acknowledgement is sent again', async () => {
    const work = held();
    run(work);
    const first = await fake.session(0);
    first.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    first.ack = false;
    work.end(task, 'done');
    const sent = await first.first('complete');
    // The fleet stored it, so it holds nothing any more; only the acknowledgement was lost.
    first.drop();
    const second = await fake.session(1);
    await expect(second.first('complete')).resolves.toEqual(sent);
    await eventually(() => expect(types()).toContain('taskEnded'));
    expect(types()).not.toContain('taskAborted');
  });

  test('what the fleet holds and we do not know is started', async () => {
    fake.options = { held: [assignment('tsk.1', { attempt: 2 })] };
    run({ handler: (task) => task.attempt });
    const session = await fake.session(0);
    await expect(session.first('complete')).resolves.toMatchObject({ taskId: 'tsk.1', result: 2 });
  });

  test('what the fleet does not hold any more is aborted, and nothing is reported', async () => {
    const work = held();
    run(work);
    const first = await fake.session(0);
    first.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    first.drop();
    const second = await fake.session(1);
    await eventually(() => expect(task.signal.reason).toBeInstanceOf(LeaseLostError));
    second.send('assign', assignment('tsk.2'));
    work.end(await work.task(1), 'done');
    await second.first('complete');
    expect(second.frames.map((frame) => 'taskId' in frame && frame.taskId)).not.toContain('tsk.1');
  });

  test('pings go out, and a line without pongs is given up', async () => {
    fake.options = { pong: false, pingIntervalMs: 100 };
    run({ handler: () => null });
    const first = await fake.session(0);
    await fake.session(1);
    expect(first.pings).toBeGreaterThanOrEqual(2);
  });

  test('pongs keep the line', async () => {
    fake.options = { pingIntervalMs: 300 };
    run({ handler: () => null });
    const session = await fake.session(0);
    await eventually(() => expect(session.pings).toBeGreaterThanOrEqual(5));
    expect(fake.sessions).toHaveLength(1);
  });

  test('a renewed token is used from then on', async () => {
    fake.options = { token: 'renewed' };
    run({ handler: () => null });
    (await fake.session(0)).drop();
    expect((await fake.session(1)).protocols).toContain('bearer.renewed');
  });

  test('a session that outlasts its token gets the next one in time', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const scripted = fake.fleet.handler;
      fake.fleet.handler = (request) =>
        request.path.endsWith('/heartbeat')
          ? { body: { leases: [], cancel: [], drain: false, token: 'next' } }
          : scripted(request);
      fake.options = { pingIntervalMs: 86_400_000 };
      await run({ handler: () => null }).ready;
      vi.advanceTimersByTime(3_600_000);
      await vi.waitFor(() => expect(fake.fleet.to('POST /v1/agents/agt.1/heartbeat')).toHaveLength(1));
      expect(fake.fleet.to('POST /v1/agents/agt.1/heartbeat')[0]?.headers.authorization).toBe('Bearer token-1');
      fake.sessions[0]?.drop();
      expect((await fake.session(1)).protocols).toContain('bearer.next');
    } finally {
      vi.useRealTimers();
    }
  });

  test('frames of a later version, and rubbish, are survived', async () => {
    run({ handler: () => 'done' });
    const session = await fake.session(0);
    session.raw('{"type":"sing","id":"1"}');
    session.raw('{');
    const problem = { type: '', title: '', status: 422, detail: 'what?', instance: '', code: 'validation_failed', requestId: '' };
    session.raw(JSON.stringify({ type: 'error', problem }));
    session.send('assign', assignment('tsk.1'));
    await session.first('complete');
    expect(types().filter((type) => type === 'warning')).toHaveLength(3);
  });

  test('without the fleet, work stops before the fleet gives it away', async () => {
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    const closedAt = performance.now();
    fake.refuseWith = 503;
    session.drop();
    await eventually(() => expect(task.signal.reason).toBeInstanceOf(LeaseLostError));
    const afterMs = performance.now() - closedAt;
    expect(afterMs).toBeGreaterThan(4_000);
    // Half a second before the fleet's grace ends, and as much again for a busy machine.
    expect(afterMs).toBeLessThan(5_500);
    // The same lease again: the fleet had waited after all, and the work starts afresh.
    fake.options = { held: [assignment('tsk.1')] };
    fake.refuseWith = null;
    expect((await eventually(() => work.tasks[1] ?? Promise.reject(new Error('not yet')))).id).toBe('tsk.1');
  }, 20_000);
});

describe('the end', () => {
  test('an unknown agent registers again', async () => {
    run({ handler: () => 'done' });
    const first = await fake.session(0);
    first.close(4004, 'gone');
    const second = await fake.session(1);
    expect(second.agentId).toBe('agt.2');
    expect(second.protocols).toContain('bearer.token-2');
    second.send('assign', assignment('tsk.1'));
    await second.first('complete');
    expect(types()).toContain('gone');
  });

  test('a refused upgrade is asked about over HTTP, and 404 means: register again', async () => {
    run({ handler: () => 'done' });
    const first = await fake.session(0);
    const scripted = fake.fleet.handler;
    fake.fleet.handler = (request) => {
      if (!request.path.endsWith('/heartbeat')) return scripted(request);
      fake.refuseWith = null;
      fake.fleet.handler = scripted;
      return {
        status: 404,
        body: { type: '', title: '', status: 404, detail: 'No such agent.', instance: '', code: 'not_found', requestId: '' },
      };
    };
    fake.refuseWith = 404;
    first.drop();
    expect((await fake.session(1)).agentId).toBe('agt.2');
  });

  test('another session of the same agent is a mistake that shows', async () => {
    const { done } = run({ handler: () => null });
    (await fake.session(0)).close(4001);
    await expect(done).rejects.toThrow(/took over/);
    agent = null;
  });

  test('a registration refused shows at once', async () => {
    fake.fleet.handler = () => ({
      status: 409,
      body: { type: '', title: '', status: 409, detail: 'Full.', instance: '', code: 'quota_exceeded', requestId: '' },
    });
    const { ready, done } = run({ handler: () => null });
    await expect(done).rejects.toMatchObject({ code: 'quota_exceeded' });
    await expect(ready).rejects.toMatchObject({ code: 'quota_exceeded' });
    agent = null;
  });

  test('stop finishes what is held, then unregisters', async () => {
    const work = held();
    const running = run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    const stopped = running.stop();
    await eventually(() => expect(fake.fleet.to('POST /v1/agents/agt.1/drain')).toHaveLength(1));
    expect(task.signal.aborted).toBe(false);
    work.end(task, 'done');
    await expect(stopped).resolves.toBe('stopped');
    expect(session.of('complete')).toHaveLength(1);
    const [removal] = fake.fleet.to('DELETE /v1/agents/agt.1');
    expect(removal?.query.get('force')).toBeNull();
  });

  test('what does not end within the grace goes back to the queue', async () => {
    const work = held();
    const running = run({ ...work, shutdownGraceMs: 50 });
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    await running.stop();
    expect(task.signal.reason).toMatchObject({ name: 'AgentStoppedError' });
    expect(fake.fleet.to('DELETE /v1/agents/agt.1')[0]?.query.get('force')).toBe('true');
    expect(session.of('fail')).toEqual([]);
  });

  test('an abort signal stops the agent', async () => {
    const stop = new AbortController();
    const { ready, done } = run({ handler: () => null, signal: stop.signal });
    await ready;
    stop.abort();
    await expect(done).resolves.toBe('stopped');
    expect(fake.fleet.to('DELETE /v1/agents/agt.1')).toHaveLength(1);
  });

  test('a drain by the fleet ends the agent when its work is done', async () => {
    const work = held();
    const { done } = run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    const task = await work.task(0);
    session.send('drain', { deadlineMs: 5_000 });
    await eventually(() => expect(types()).toContain('draining'));
    work.end(task, 'done');
    await expect(done).resolves.toBe('drained');
    expect(fake.fleet.to('POST /v1/agents/agt.1/drain')).toEqual([]);
  });

  test('an operator’s removal is heeded, not undone', async () => {
    const scripted = fake.fleet.handler;
    fake.fleet.handler = (request) =>
      request.path.endsWith('/heartbeat')
        ? { status: 404, body: { type: '', title: '', status: 404, detail: '', instance: '', code: 'not_found', requestId: '' } }
        : scripted(request);
    const { done } = run({ handler: () => null });
    (await fake.session(0)).close(1000, 'deregistered');
    await expect(done).resolves.toBe('unregistered');
    expect(fake.fleet.to('POST /v1/agents')).toHaveLength(1);
  });
});

describe('coming back', () => {
  const retry = () => events.flatMap((event) => (event.type === 'disconnected' ? [event.retryInMs] : []));

  test('an idle agent is back at a random moment of the time that the fleet names', async () => {
    fake.options = { reconnectWithinMs: 8_000 };
    run({ handler: () => null });
    const session = await fake.session(0);
    await eventually(() => expect(types()).toContain('connected'));
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.75);
    session.drop();
    await eventually(() => expect(retry()).toEqual([6_000]));
    random.mockRestore();
  });

  test('an agent that holds work is back before the fleet gives it away', async () => {
    fake.options = { reconnectWithinMs: 8_000 };
    const work = held();
    run(work);
    const session = await fake.session(0);
    session.send('assign', assignment('tsk.1'));
    await work.task(0);
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5);
    session.drop();
    await eventually(() => expect(retry()).toEqual([1_000]));
    random.mockRestore();
  });
});
