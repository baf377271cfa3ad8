import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  ConfigurationError,
  FleetManager,
  type FleetManagerConfig,
  LeaseSupersededError,
  TaskFailedError,
  TimeoutError,
} from '../../../client/src/index.ts';
import { FakeFleet, type Handler, agentBody, allocationBody, inTurn, problem, taskBody } from './lib/fake-fleet.ts';
import { eventually } from './lib/eventually.ts';

vi.setConfig({ testTimeout: 30_000 });

let fake: FakeFleet | null = null;
afterEach(async () => {
  await fake?.stop();
  fake = null;
});

async function fleetOf(handler: Handler, config: FleetManagerConfig = {}): Promise<FleetManager> {
  fake = await FakeFleet.start(handler);
  return new FleetManager({ endpoint: fake.url, token: 'secret', ...config });
}
const bodies = (route: string) => fake?.to(route).map((seen) => seen.body);

describe('agents', () => {
  test('registers an agent as the specification writes it, and answers its id', async () => {
    const fleet = await fleetOf(() => ({ status: 201, body: agentBody('agt.1', { token: 't', heartbeatIntervalMs: 5_000 }) }));
    const id = await fleet.registerAgent({
      type: 'coder',
      priority: 8,
      capabilities: ['typescript'],
      resources: { memory: 512, cpu: 0.5 },
    });
    expect(id).toBe('agt.1');
    expect(bodies('POST /v1/agents')).toEqual([
      { pool: 'coder', capabilities: ['typescript'], resources: { memoryMb: 512, cpu: 0.5 }, metadata: { priority: 8 } },
    ]);
  });

  test('a region of the manager goes with calls that name none', async () => {
    const fleet = await fleetOf(() => ({ status: 201, body: agentBody('agt.1') }), {
      region: 'eu-west-1',
      residency: { allowed: ['eu'] },
    });
    await fleet.registerAgent({ pool: 'coder' });
    await fleet.registerAgent({ pool: 'coder', region: 'us-east-1' });
    await fleet.submitTask({ pool: 'coder', payload: 1 });
    expect(bodies('POST /v1/agents')).toEqual([
      { pool: 'coder', region: 'eu-west-1' },
      { pool: 'coder', region: 'us-east-1' },
    ]);
    expect(bodies('POST /v1/tasks')).toEqual([
      { pool: 'coder', payload: 1, region: 'eu-west-1', residency: { allowed: ['eu'] } },
    ]);
  });

  test('lists follow cursors, as far as they are read', async () => {
    const pages = { first: { data: [agentBody('a'), agentBody('b')], nextCursor: 'second' }, second: { data: [agentBody('c')] } };
    const fleet = await fleetOf(({ query }) => ({ body: query.get('cursor') === 'second' ? pages.second : pages.first }));
    expect((await fleet.listAgents({ type: 'coder', status: 'idle' })).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(fake?.seen.map(({ query }) => [query.get('pool'), query.get('status'), query.get('cursor')])).toEqual([
      ['coder', 'idle', null],
      ['coder', 'idle', 'second'],
    ]);
    for await (const { id } of fleet.agents()) if (id === 'b') break;
    expect(fake?.seen).toHaveLength(3);
  });

  test('unregistering twice because an answer was lost is success; an unknown agent is not', async () => {
    const fleet = await fleetOf(inTurn('drop', problem(404, 'not_found')));
    await fleet.unregisterAgent('agt.1', { force: true });
    expect(fake?.seen[1]?.query.get('force')).toBe('true');
    await expect(fleet.unregisterAgent('agt.1')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a batch carries a key for each item, and each answer is its own', async () => {
    const fleet = await fleetOf(() => ({
      body: {
        results: [
          { status: 201, body: agentBody('agt.1') },
          { status: 409, problem: problem(409, 'quota_exceeded').body },
        ],
      },
    }));
    const [first, second] = await fleet.registerAgents([{ pool: 'coder' }, { type: 'coder' }]);
    expect(first).toMatchObject({ ok: true, value: { id: 'agt.1' } });
    expect(second).toMatchObject({ ok: false, error: { name: 'QuotaExceededError' } });
    const [batch] = bodies('POST /v1/agents/batch') ?? [];
    const { agents } = batch as { agents: { pool: string; idempotencyKey: string }[] };
    expect(agents.map(({ pool }) => pool)).toEqual(['coder', 'coder']);
    expect(new Set(agents.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(2);
  });

  test('concurrent registrations share requests without their callers knowing', async () => {
    const fleet = await fleetOf(({ path, body }) => {
      const items =
        path === '/v1/agents/batch'
          ? (body as { agents: { labels: { n: string } }[] }).agents
          : [body as { labels: { n: string } }];
      const registered = items.map(({ labels }) => agentBody(`agt.${labels.n}`));
      return path === '/v1/agents/batch'
        ? { body: { results: registered.map((agent) => ({ status: 201, body: agent })) } }
        : { status: 201, body: registered[0] };
    });
    const ids = await Promise.all(
      Array.from({ length: 50 }, (_, n) => fleet.registerAgent({ pool: 'coder', labels: { n: String(n) } })),
    );
    expect(ids).toEqual(Array.from({ length: 50 }, (_, n) => `agt.${n}`));
    expect(fake?.seen.length).toBeLessThanOrEqual(4);
  });

  test('calls with a key of their own never share: keys belong to a route', async () => {
    const fleet = await fleetOf(() => ({ status: 202, body: taskBody('tsk.1') }));
    await Promise.all(
      Array.from({ length: 5 }, (_, n) => fleet.submitTask({ pool: 'coder', payload: n }, { idempotencyKey: `k${n}` })),
    );
    expect(
      fake
        ?.to('POST /v1/tasks')
        .map(({ headers }) => headers['idempotency-key'])
        .sort(),
    ).toEqual(['k0', 'k1', 'k2', 'k3', 'k4']);
  });
});

describe('allocations', () => {
  test('takes poolType, remembers the fencing token, and releases with it', async () => {
    const fleet = await fleetOf(() => ({ status: 201, body: allocationBody('alc.1') }));
    const allocation = await fleet.allocateAgent({ taskId: 'task-123', poolType: 'coder', capabilities: ['typescript'] });
    expect(allocation).toMatchObject({ id: 'alc.1', agentId: 'agt.1', fencingToken: 7, status: 'active' });
    expect(bodies('POST /v1/allocations')).toEqual([{ pool: 'coder', taskId: 'task-123', capabilities: ['typescript'] }]);
    await fleet.releaseAgent('alc.1', { success: true, durationMs: 5 });
    expect(bodies('POST /v1/allocations/alc.1/release')).toEqual([{ fencingToken: 7, result: { success: true, durationMs: 5 } }]);
  });

  test('a grant of another process needs its token', async () => {
    const fleet = await fleetOf(() => ({ body: allocationBody('alc.9', { status: 'released' }) }));
    await expect(fleet.releaseAgent('alc.9')).rejects.toBeInstanceOf(ConfigurationError);
    await fleet.releaseAgent('alc.9', undefined, { fencingToken: 3 });
    expect(bodies('POST /v1/allocations/alc.9/release')).toEqual([{ fencingToken: 3 }]);
  });

  test('await using releases once, and a hold already lost is no error there', async () => {
    const fleet = await fleetOf(({ path }) =>
      path.endsWith('/release')
        ? { body: allocationBody('alc.1', { status: 'released' }) }
        : { status: 201, body: allocationBody('alc.1') },
    );
    const released = await fleet.allocateAgent({ pool: 'coder' });
    await released.release();
    await released[Symbol.asyncDispose]();
    expect(fake?.to('POST /v1/allocations/alc.1/release')).toHaveLength(1);

    const lost = await fleet.allocateAgent({ pool: 'coder' });
    if (fake !== null) fake.handler = () => problem(409, 'lease_superseded');
    await lost[Symbol.asyncDispose]();
    await expect(lost.release()).rejects.toBeInstanceOf(LeaseSupersededError);
  });

  test('keepAlive renews, and its signal tells when the hold is lost', async () => {
    let renewals = 0;
    const fleet = await fleetOf(({ path }) => {
      if (!path.endsWith('/renew')) return { status: 201, body: allocationBody('alc.1') };
      return ++renewals < 3 ? { body: allocationBody('alc.1') } : problem(409, 'lease_superseded');
    });
    const allocation = await fleet.allocateAgent({ pool: 'coder', leaseMs: 1_000 }, { keepAlive: true });
    await eventually(() => expect(allocation.signal.aborted).toBe(true));
    expect(allocation.signal.reason).toBeInstanceOf(LeaseSupersededError);
    expect(renewals).toBe(3);
    expect(bodies('POST /v1/allocations/alc.1/renew')?.[0]).toEqual({ fencingToken: 7, leaseMs: 1_000 });
  });

  test('keepAlive gives up before the lease ends when the fleet is silent', async () => {
    const fleet = await fleetOf(({ path }) =>
      path.endsWith('/renew') ? 'drop' : { status: 201, body: allocationBody('alc.1') },
    );
    const startedAt = performance.now();
    const allocation = await fleet.allocateAgent({ pool: 'coder', leaseMs: 1_500 }, { keepAlive: true });
    await eventually(() => expect(allocation.signal.aborted).toBe(true));
    expect(performance.now() - startedAt).toBeLessThan(1_500);
  });

  test('several at once are all or none', async () => {
    const fleet = await fleetOf(() => ({
      status: 201,
      body: { allocations: [allocationBody('alc.1'), allocationBody('alc.2')] },
    }));
    const held = await fleet.allocateAgents({ pool: 'coder', count: 2 });
    expect(held.map(({ id }) => id)).toEqual(['alc.1', 'alc.2']);
  });

  test('a refusal says why', async () => {
    const why = { agents: 3, eligible: 0, failed: [{ predicate: 'capabilities', agents: 3 }], detail: 'No agent has rust.' };
    const fleet = await fleetOf(() => problem(409, 'no_capacity', { why }));
    await expect(fleet.allocateAgent({ pool: 'coder' })).rejects.toMatchObject({ name: 'NoCapacityError', why });
  });
});

describe('tasks', () => {
  test('waits by long polls until the task ends', async () => {
    const fleet = await fleetOf(
      inTurn(
        { body: taskBody('tsk.1') },
        { body: taskBody('tsk.1', 'running') },
        { body: taskBody('tsk.1', 'succeeded', { result: 42 }) },
      ),
    );
    await expect(fleet.waitForTask('tsk.1')).resolves.toMatchObject({ status: 'succeeded', result: 42 });
    expect(fake?.seen.map(({ query }) => query.get('waitMs'))).toEqual(['30000', '30000', '30000']);
  });

  test.each(['failed', 'cancelled', 'dead'])('a task that is %s has ended, too', async (status) => {
    const fleet = await fleetOf(() => ({ body: taskBody('tsk.1', status) }));
    await expect(fleet.waitForTask('tsk.1')).resolves.toMatchObject({ status });
  });

  test('a restart of the fleet is sat out, a wrong id is not', async () => {
    const fleet = await fleetOf(
      inTurn('drop', problem(503, 'overloaded', { retryAfterMs: 1 }), 'drop', { body: taskBody('tsk.1', 'succeeded') }),
    );
    await expect(fleet.waitForTask('tsk.1')).resolves.toMatchObject({ status: 'succeeded' });
    if (fake !== null) fake.handler = () => problem(404, 'not_found');
    await expect(fleet.waitForTask('tsk.2')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a wait ends by its limit or its signal', async () => {
    const fleet = await fleetOf(async ({ query }) => {
      await new Promise((resolve) => setTimeout(resolve, Math.min(50, Number(query.get('waitMs')))));
      return { body: taskBody('tsk.1', 'running') };
    });
    await expect(fleet.waitForTask('tsk.1', { timeoutMs: 120 })).rejects.toBeInstanceOf(TimeoutError);
    expect(Number(fake?.seen.at(-1)?.query.get('waitMs'))).toBeLessThanOrEqual(120);
    const stop = new AbortController();
    const waiting = fleet.waitForTask('tsk.1', { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  test('runTask answers the result, or throws with the ended task', async () => {
    const fleet = await fleetOf(({ method }) =>
      method === 'POST'
        ? { status: 202, body: taskBody('tsk.1') }
        : { body: taskBody('tsk.1', 'succeeded', { result: { a: 1 } }) },
    );
    await expect(fleet.runTask({ pool: 'coder', payload: null })).resolves.toEqual({ a: 1 });
    if (fake !== null) {
      fake.handler = ({ method }) =>
        method === 'POST'
          ? { status: 202, body: taskBody('tsk.1') }
          : { body: taskBody('tsk.1', 'dead', { error: { code: 'agent_error', message: 'no luck' } }) };
    }
    const error = await fleet.runTask({ pool: 'coder', payload: null }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({ message: 'Task tsk.1 ended as dead: no luck', task: { status: 'dead' } });
  });

  test('cancelling twice because an answer was lost is success', async () => {
    const fleet = await fleetOf(inTurn('drop', problem(409, 'invalid_state'), { body: taskBody('tsk.1', 'cancelled') }));
    await expect(fleet.cancelTask('tsk.1')).resolves.toMatchObject({ status: 'cancelled' });
    if (fake !== null) fake.handler = () => problem(409, 'invalid_state', { state: 'succeeded' });
    await expect(fleet.cancelTask('tsk.1')).rejects.toMatchObject({ name: 'InvalidStateError', state: 'succeeded' });
  });

  test('batches of tasks keep to the limits of a request', async () => {
    const fleet = await fleetOf(({ body }) => ({
      body: { results: (body as { tasks: unknown[] }).tasks.map(() => ({ status: 202, body: taskBody('tsk.1') })) },
    }));
    const results = await fleet.submitTasks(Array.from({ length: 300 }, () => ({ pool: 'coder', payload: 'x'.repeat(10_000) })));
    expect(results).toHaveLength(300);
    const sizes =
      fake?.seen.map(({ body, headers }) => [(body as { tasks: unknown[] }).tasks.length, Number(headers['content-length'])]) ??
      [];
    expect(sizes.length).toBeGreaterThan(2);
    for (const [tasks, bytes] of sizes) {
      expect(tasks).toBeLessThanOrEqual(256);
      expect(bytes).toBeLessThanOrEqual(1_048_576);
    }
    // A graph is not cut: the second request would not know the names of the first.
    const graph = Array.from({ length: 257 }, (_, i) => ({ ref: `t${i}`, pool: 'coder', payload: i }));
    await expect(fleet.submitTasks(graph)).rejects.toThrow(ConfigurationError);
  });
});

describe('lifecycle', () => {
  const status = { fleet: 'local', agents: {}, tasks: {}, pools: [], regions: {} };
  const pool = (more: Record<string, unknown> = {}) => ({
    pool: 'coder',
    region: 'eu-west-1',
    minAgents: 5,
    maxAgents: 100,
    priority: 8,
    shards: 1,
    desired: 5,
    isDefault: true,
    ...more,
  });
  const scripted =
    (pools: unknown[], put: () => ReturnType<Handler> = () => ({ body: pool() })): Handler =>
    ({ method, path }) => {
      if (path === '/readyz') return { body: { ok: true } };
      if (path === '/v1/fleet/status') return { body: status };
      if (method === 'PUT') return put();
      return path === '/v1/pools' ? { body: { data: pools } } : { body: {} };
    };

  test('initialize checks the fleet and the token', async () => {
    const fleet = await fleetOf(({ path }) => (path === '/readyz' ? { body: {} } : problem(401, 'unauthorized')));
    await expect(fleet.initialize()).rejects.toMatchObject({ name: 'UnauthorizedError' });
  });

  test('a token of another fleet is noticed', async () => {
    const fleet = await fleetOf(scripted([]), { fleet: 'acme' });
    await expect(fleet.initialize()).rejects.toThrow(/belongs to fleet "local", not to "acme"/);
  });

  test('pools that differ are put, those that do not are left alone', async () => {
    const config: FleetManagerConfig = {
      fleet: {
        maxAgents: 1_000,
        defaultPools: { coder: { min: 5, max: 100, priority: 8 }, tester: { min: 1, max: 2, priority: 3 } },
      },
    };
    const fleet = await fleetOf(scripted([pool(), pool({ pool: 'tester' })]), config);
    await fleet.initialize();
    expect(fake?.seen.filter(({ method }) => method === 'PUT').map(({ path, body }) => [path, body])).toEqual([
      ['/v1/pools/tester', { minAgents: 1, maxAgents: 2, priority: 3 }],
      ['/v1/fleet', { maxAgents: 1_000 }],
    ]);
  });

  test('without the right, a difference is a warning', async () => {
    const warnings: string[] = [];
    const config = {
      fleet: { defaultPools: { coder: { min: 1, max: 1, priority: 1 } } },
      onWarning: (message: string) => void warnings.push(message),
    };
    const fleet = await fleetOf(
      scripted([pool()], () => problem(403, 'forbidden')),
      config,
    );
    await fleet.initialize();
    expect(warnings).toEqual([expect.stringContaining('only an admin token')]);
  });

  test('shutdown ends waits', async () => {
    const fleet = await fleetOf(() => 'hang');
    const waiting = expect(fleet.waitForTask('tsk.1')).rejects.toThrow(/shut down/);
    await eventually(() => expect(fake?.seen).toHaveLength(1));
    await fleet.shutdown();
    await waiting;
  });

  test('where calls go can be asked, the token cannot', async () => {
    const fleet = await fleetOf(() => ({}));
    expect(fleet.target).toEqual({ endpoint: fake?.url, source: 'options' });
    expect(JSON.stringify(fleet)).not.toContain('secret');
  });
});
