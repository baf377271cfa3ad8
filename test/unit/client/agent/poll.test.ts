import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type AgentEvent,
  type AgentTask,
  LeaseLostError,
  TaskCancelledError,
  type RunAgentOptions,
  type RunningAgent,
  runAgent,
} from '../../../../client/src/index.ts';
import { FakeFleet, type Reply, type Seen, agentBody, problem } from '../lib/fake-fleet.ts';
import { assignment } from '../lib/fake-sessions.ts';
import { eventually } from '../lib/eventually.ts';

vi.setConfig({ testTimeout: 30_000 });

let fake: FakeFleet;
let agent: RunningAgent | null = null;
let events: AgentEvent[] = [];
/** Work to hand out with the next polls. */
let queue: Record<string, unknown>[] = [];
let beat: Record<string, unknown> = {};
/** Answers to single routes that differ from the plain case. */
let scripted: Record<string, (request: Seen) => Reply> = {};

beforeEach(async () => {
  [queue, events, beat, scripted] = [[], [], {}, {}];
  // A poll of the test before may still be waiting; it must not take this one's work.
  const work: typeof queue = [];
  queue = work;
  fake = await FakeFleet.start(async (request) => {
    const { method, path, body } = request;
    const special = scripted[`${method} ${path}`];
    if (special !== undefined) return special(request);
    if (path === '/v1/agents')
      return {
        status: 201,
        body: agentBody('agt.1', { slots: (body as { slots: number }).slots, heartbeatIntervalMs: 30, token: 'token-1' }),
      };
    if (path.endsWith('/heartbeat')) return { body: { leases: [], cancel: [], drain: false, ...beat } };
    if (path.endsWith('/poll')) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const assignments = work.splice(0, (body as { max: number }).max);
      return assignments.length === 0 ? { status: 204 } : { body: { assignments } };
    }
    return { body: {} };
  });
});
afterEach(async () => {
  await agent?.stop({ now: true }).catch(() => undefined);
  agent = null;
  await fake.stop();
});

function run(handler: RunAgentOptions['handler'], more: Partial<RunAgentOptions> = {}): RunningAgent {
  agent = runAgent({
    endpoint: fake.url,
    token: 'operator',
    pool: 'coder',
    mode: 'poll',
    handleSignals: false,
    handler,
    shutdownGraceMs: 200,
    onEvent: (event) => void events.push(event),
    ...more,
  });
  return agent;
}
const asked = (route: string) => eventually(() => fake.to(route)[0] ?? Promise.reject(new Error(`no ${route} yet`)));
const untilAborted = (task: AgentTask) =>
  new Promise((_, reject) => task.signal.addEventListener('abort', () => reject(task.signal.reason as Error), { once: true }));

describe('polling', () => {
  test('takes work with its own token, accepts by its first progress, completes', async () => {
    queue.push(assignment('tsk.1', { fencingToken: 9 }));
    await run((task) => `${String(task.payload)}!`).ready;
    expect((await asked('POST /v1/agents/agt.1/poll')).headers.authorization).toBe('Bearer token-1');
    expect((await asked('POST /v1/tasks/tsk.1/progress')).body).toEqual({ fencingToken: 9 });
    const complete = await asked('POST /v1/tasks/tsk.1/complete');
    expect(complete.body).toEqual({ fencingToken: 9, result: 'hello!' });
    expect(complete.headers.authorization).toBe('Bearer token-1');
    expect(fake.to('POST /v1/agents')[0]?.body).toMatchObject({ liveness: 'heartbeat' });
  });

  test('asks for as much as it has room for, and not at all without room', async () => {
    queue.push(...['a', 'b', 'c'].map((id) => assignment(id)));
    const ends: (() => void)[] = [];
    run((task) => Promise.race([new Promise<void>((resolve) => ends.push(resolve)), untilAborted(task)]), { concurrency: 2 });
    await eventually(() => expect(ends).toHaveLength(2));
    expect((await asked('POST /v1/agents/agt.1/poll')).body).toMatchObject({ max: 2 });
    const polls = fake.to('POST /v1/agents/agt.1/poll').length;
    await eventually(() => expect(fake.to('POST /v1/agents/agt.1/heartbeat').length).toBeGreaterThanOrEqual(2));
    expect(fake.to('POST /v1/agents/agt.1/poll')).toHaveLength(polls);
    ends[0]?.();
    await eventually(() => expect(ends).toHaveLength(3));
  });

  test('a revoked lease stops its handler, told by a beat or by a poll', async () => {
    queue.push(assignment('tsk.1', { fencingToken: 4 }), assignment('tsk.2', { fencingToken: 5 }));
    const tasks: AgentTask[] = [];
    run((task) => (tasks.push(task), untilAborted(task)), { concurrency: 3 });
    await eventually(() => expect(tasks).toHaveLength(2));
    const lease = (id: string, fencingToken: number) => ({
      allocationId: `alc.${id}`,
      taskId: id,
      fencingToken,
      epoch: 1,
      reason: 'leaked key',
    });
    // Under another token it is another lease's affair.
    beat = { revoked: [lease('tsk.1', 4), lease('tsk.2', 1)] };
    const [first, second] = [0, 1].map((i) => tasks.find(({ id }) => id === `tsk.${i + 1}`));
    await eventually(() => expect(first?.signal.reason).toBeInstanceOf(LeaseLostError));
    expect(String(first?.signal.reason)).toContain('leaked key');
    expect(second?.signal.aborted).toBe(false);
    scripted['POST /v1/agents/agt.1/poll'] = () => ({ body: { assignments: [], revoked: [lease('tsk.2', 5)] } });
    await eventually(() => expect(second?.signal.reason).toBeInstanceOf(LeaseLostError));
    expect(fake.to('POST /v1/tasks/tsk.1/fail')).toEqual([]);
  });

  test('beats carry the leases; one the fleet ended is given up', async () => {
    queue.push(assignment('tsk.1'));
    const tasks: AgentTask[] = [];
    run((task) => (tasks.push(task), untilAborted(task)));
    await eventually(() => expect(tasks).toHaveLength(1));
    beat = { leases: [{ allocationId: 'alc.tsk.1', ok: false, code: 'lease_superseded' }] };
    await eventually(() => expect(tasks[0]?.signal.reason).toBeInstanceOf(LeaseLostError));
    expect(fake.to('POST /v1/agents/agt.1/heartbeat').map(({ body }) => body)).toContainEqual({
      leases: [{ allocationId: 'alc.tsk.1', fencingToken: 1 }],
    });
    expect(fake.to('POST /v1/tasks/tsk.1/fail')).toEqual([]);
  });

  test('a cancellation comes with a beat', async () => {
    queue.push(assignment('tsk.1'));
    const tasks: AgentTask[] = [];
    run((task) => (tasks.push(task), untilAborted(task)));
    await eventually(() => expect(tasks).toHaveLength(1));
    beat = { cancel: ['tsk.1'] };
    expect((await asked('POST /v1/tasks/tsk.1/fail')).body).toMatchObject({ retryable: false, error: { code: 'cancelled' } });
    expect(tasks[0]?.signal.reason).toBeInstanceOf(TaskCancelledError);
  });

  test('a report is repeated until stored', async () => {
    queue.push(assignment('tsk.1'));
    let tries = 0;
    scripted['POST /v1/tasks/tsk.1/complete'] = () =>
      ++tries < 3 ? problem(503, 'overloaded', { retryAfterMs: 1 }) : { body: {} };
    run(() => 'done');
    await eventually(() => expect(events.map(({ type }) => type)).toContain('taskEnded'));
    expect(tries).toBe(3);
  });

  test('a report refused is dropped', async () => {
    queue.push(assignment('tsk.1'));
    scripted['POST /v1/tasks/tsk.1/complete'] = () => problem(409, 'lease_expired');
    run(() => 'done');
    await eventually(() => expect(events.map(({ type }) => type)).toContain('taskDropped'));
  });

  test('a renewed token is used from then on', async () => {
    beat = { token: 'renewed' };
    run(() => null);
    await eventually(() => expect(fake.seen.at(-1)?.headers.authorization).toBe('Bearer renewed'));
  });

  test('an unknown agent registers again', async () => {
    // For as long as it takes: an answer that comes later than the next beat is due is not waited for.
    scripted['POST /v1/agents/agt.1/heartbeat'] = () =>
      fake.to('POST /v1/agents').length > 1 ? { body: { leases: [], cancel: [], drain: false } } : problem(404, 'not_found');
    run(() => null);
    await eventually(() => expect(fake.to('POST /v1/agents')).toHaveLength(2));
  });

  test('a drain ends it; a failing fleet does not', async () => {
    scripted['POST /v1/agents/agt.1/poll'] = () => 'drop';
    const { done } = run(() => null);
    await eventually(() => expect(events.map(({ type }) => type)).toContain('disconnected'));
    beat = { drain: true };
    await expect(done).resolves.toBe('drained');
    expect(fake.to('DELETE /v1/agents/agt.1')).toHaveLength(1);
  });
});
