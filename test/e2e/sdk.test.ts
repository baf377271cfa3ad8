import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  type AgentEvent,
  type AgentTask,
  FleetManager,
  LeaseSupersededError,
  NoCapacityError,
  NonRetryableError,
  NotFoundError,
  type RunAgentOptions,
  type RunningAgent,
  TaskCancelledError,
  UnauthorizedError,
  ValidationError,
  runAgent,
} from '../../client/src/index.ts';
import { startLocalFleet, type LocalFleet } from '../../scripts/local/fleet.ts';
import { eventually } from '../unit/client/lib/eventually.ts';

const REGION = 'eu-west-1';
const stateDir = mkdtempSync(join('/dev/shm', 'fleet-sdk-'));
let local: LocalFleet;
let fleet: FleetManager;
const agents: RunningAgent[] = [];

beforeAll(async () => {
  local = await startLocalFleet({ stateDir, quiet: true, regions: [REGION, 'us-east-1'], boosters: 0 });
  fleet = new FleetManager({ endpoint: local.url, token: local.adminToken, region: REGION });
  await fleet.initialize();
});
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.stop({ now: true }).catch(() => undefined)));
});
afterAll(async () => {
  await fleet.shutdown();
  await local.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

/** Each test has a pool of its own, so that none takes another's work. */
let pools = 0;
async function newPool(): Promise<string> {
  const pool = `pool-${++pools}`;
  await fleet.putPool(pool, { minAgents: 0, maxAgents: 2_000, priority: 5 });
  return pool;
}
async function connect(
  pool: string,
  handler: RunAgentOptions['handler'],
  more: Partial<RunAgentOptions> = {},
): Promise<{ id: string; events: AgentEvent[] }> {
  const events: AgentEvent[] = [];
  const agent = runAgent({
    fleet,
    pool,
    region: REGION,
    handler,
    handleSignals: false,
    shutdownGraceMs: 500,
    onEvent: (event) => void events.push(event),
    ...more,
  });
  agents.push(agent);
  const { id } = await agent.ready;
  return { id, events };
}
const untilAborted = (task: AgentTask) =>
  new Promise((_, reject) => task.signal.addEventListener('abort', () => reject(task.signal.reason as Error), { once: true }));

describe.each(['session', 'poll'] as const)('an agent by %s', (mode) => {
  test('does tasks, in parallel as far as it has slots', async () => {
    const pool = await newPool();
    let running = 0;
    let most = 0;
    const handler = async (task: AgentTask) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      return { doubled: Number(task.payload) * 2 };
    };
    await connect(pool, handler, { mode, concurrency: 3, capabilities: ['math'] });
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, n) => fleet.runTask({ pool, payload: n, capabilities: ['math'] }, { timeoutMs: 30_000 })),
    );
    expect(results).toEqual(Array.from({ length: 12 }, (_, n) => ({ doubled: n * 2 })));
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(1);
  });

  test('a failure is tried again, with the checkpoint of the attempt before', async () => {
    const pool = await newPool();
    const handler = async (task: AgentTask) => {
      if (task.attempt === 1) {
        await task.progress('half', { line: 7 });
        throw new Error('no luck');
      }
      return task.checkpoint;
    };
    await connect(pool, handler, { mode });
    const task = await fleet.submitTask({ pool, payload: null, retry: { baseMs: 10 } });
    await expect(fleet.waitForTask(task.id, { timeoutMs: 30_000 })).resolves.toMatchObject({
      status: 'succeeded',
      attempts: 2,
      result: { line: 7 },
    });
  });

  test('a failure for good is not', async () => {
    const pool = await newPool();
    await connect(pool, () => Promise.reject(new NonRetryableError('bad input', { code: 'bad_input' })), { mode });
    const task = await fleet.submitTask({ pool, payload: null });
    await expect(fleet.waitForTask(task.id, { timeoutMs: 30_000 })).resolves.toMatchObject({
      status: 'failed',
      attempts: 1,
      error: { code: 'bad_input', message: 'bad input' },
    });
  });

  test('a cancellation reaches the handler', async () => {
    const pool = await newPool();
    const tasks: AgentTask[] = [];
    await connect(pool, (task) => (tasks.push(task), untilAborted(task)), { mode });
    const { id } = await fleet.submitTask({ pool, payload: null });
    await eventually(() => expect(tasks).toHaveLength(1));
    await fleet.cancelTask(id);
    await expect(fleet.waitForTask(id, { timeoutMs: 30_000 })).resolves.toMatchObject({ status: 'cancelled' });
    await eventually(() => expect(tasks[0]?.signal.reason).toBeInstanceOf(TaskCancelledError));
  });

  test('work and its result survive a crash of the fleet', async () => {
    const pool = await newPool();
    let finish: (result: string) => void = () => undefined;
    let starts = 0;
    const { id: agentId } = await connect(pool, () => new Promise((resolve) => ((finish = resolve), starts++)), { mode });
    const { id } = await fleet.submitTask({ pool, payload: null });
    const waiting = fleet.waitForTask(id, { timeoutMs: 60_000 });
    await eventually(() => expect(starts).toBe(1));
    await local.killWorkerd();
    finish('done');
    await expect(waiting).resolves.toMatchObject({ status: 'succeeded', result: 'done', attempts: 1 });
    expect(starts).toBe(1);
    // It takes the next task, too.
    await fleet.submitTask({ pool, payload: null });
    await eventually(() => expect(starts).toBe(2));
    expect((await fleet.listAgents({ pool })).map((agent) => agent.id)).toEqual([agentId]);
  });

  test('leaves no trace when it stops', async () => {
    const pool = await newPool();
    await connect(pool, () => null, { mode });
    await Promise.all(agents.splice(0).map((agent) => agent.stop()));
    await expect(fleet.listAgents({ pool })).resolves.toEqual([]);
  });

  test('a stop hands unfinished work to another, and the attempt does not count', async () => {
    const pool = await newPool();
    const tasks: AgentTask[] = [];
    await connect(pool, (task) => (tasks.push(task), untilAborted(task)), { mode });
    const { id } = await fleet.submitTask({ pool, payload: null, maxAttempts: 1 });
    await eventually(() => expect(tasks).toHaveLength(1));
    await Promise.all(agents.splice(0).map((agent) => agent.stop({ now: true })));
    await connect(pool, () => 'by another', { mode });
    await expect(fleet.waitForTask(id, { timeoutMs: 30_000 })).resolves.toMatchObject({
      status: 'succeeded',
      result: 'by another',
    });
  });

  test('a drain by an operator ends it once its work is done', async () => {
    const pool = await newPool();
    let finish: (result: string) => void = () => undefined;
    let started = false;
    const { id: agentId } = await connect(pool, () => new Promise((resolve) => ((finish = resolve), (started = true))), {
      mode,
      shutdownGraceMs: 10_000,
    });
    const { id } = await fleet.submitTask({ pool, payload: null });
    await eventually(() => expect(started).toBe(true));
    await fleet.drainAgent(agentId);
    await eventually(async () => expect((await fleet.getAgent(agentId)).status).toBe('draining'));
    finish('done');
    await expect(agents.splice(0)[0]?.done).resolves.toBe('drained');
    await expect(fleet.getTask(id)).resolves.toMatchObject({ status: 'succeeded' });
  });
});

describe('an operator’s removal', () => {
  test('takes the work away and ends the agent', async () => {
    const pool = await newPool();
    const tasks: AgentTask[] = [];
    const { id: agentId } = await connect(pool, (task) => (tasks.push(task), untilAborted(task)));
    await fleet.submitTask({ pool, payload: null });
    await eventually(() => expect(tasks).toHaveLength(1));
    await fleet.unregisterAgent(agentId, { force: true });
    await expect(agents.splice(0)[0]?.done).resolves.toBe('unregistered');
    expect(tasks[0]?.signal.aborted).toBe(true);
  });
});

describe('allocations', () => {
  test('hold, renew, release; a second release is harmless, a later renew is refused', async () => {
    const pool = await newPool();
    const agentId = await fleet.registerAgent({ pool, capabilities: ['typescript'] });
    const held = await fleet.allocateAgent({ taskId: 'task-123', poolType: pool, capabilities: ['typescript'] });
    expect(held).toMatchObject({ agentId, taskId: 'task-123', status: 'active' });
    const before = held.leaseExpiresAtMs;
    await held.renew(60_000);
    expect(held.leaseExpiresAtMs).toBeGreaterThan(before);
    await fleet.releaseAgent(held.id, { success: true, durationMs: 5 });
    await expect(held.renew()).rejects.toMatchObject({ name: 'LeaseReleasedError' });
    await expect(fleet.releaseAgent(held.id, undefined, { fencingToken: held.fencingToken + 1 })).rejects.toBeInstanceOf(
      LeaseSupersededError,
    );
    await expect(fleet.getAgent(agentId)).resolves.toMatchObject({ status: 'idle', stats: { completed: 1 } });
  });

  test('keepAlive outlives the lease, and disposing gives the agent back', async () => {
    const pool = await newPool();
    const agentId = await fleet.registerAgent({ pool }, { keepAlive: true });
    const held = await fleet.allocateAgent({ pool, leaseMs: 1_000 }, { keepAlive: true });
    await new Promise((resolve) => setTimeout(resolve, 1_800));
    expect(held.signal.aborted).toBe(false);
    await expect(fleet.getAllocation(held.id)).resolves.toMatchObject({ status: 'active' });
    await held[Symbol.asyncDispose]();
    await expect(fleet.getAgent(agentId)).resolves.toMatchObject({ status: 'idle' });
  });

  test('a refusal, its dry run and a waiting task name who comes nearest, and when', async () => {
    const pool = await newPool();
    const only = { allowed: [REGION] };
    const agent = await fleet.registerAgent({
      pool,
      region: REGION,
      capabilities: ['rust'],
      liveness: 'none',
      endpoint: 'https://agent.example/',
    });
    const lacking = { pool, capabilities: ['rust', 'python'], residency: only };
    const refused = (await fleet.allocateAgent(lacking).catch((error: unknown) => error)) as NoCapacityError;
    const nearest = {
      agentId: agent,
      failed: [{ predicate: 'capabilities', detail: 'has 1 of 2 capabilities: lacks python' }],
    };
    expect(refused.why).toMatchObject({ agents: 1, eligible: 0, needed: 1, matching: 0, nearMisses: [nearest] });
    expect(await fleet.explainAllocation(lacking)).toEqual(refused.why);
    const held = await fleet.allocateAgent({ pool, residency: only, leaseMs: 60_000 });
    expect(await fleet.explainAllocation({ pool, residency: only })).toMatchObject({
      eligible: 0,
      fitting: 1,
      estimatedStartAtMs: held.leaseExpiresAtMs,
      nearMisses: [{ agentId: agent, failed: [{ predicate: 'freeSlots', untilMs: held.leaseExpiresAtMs }] }],
    });
    const task = await fleet.submitTask({ pool, payload: 1, residency: only });
    expect(await fleet.whyTask(task.id)).toMatchObject({
      position: 0,
      waitsFor: { for: 'agent' },
      failed: expect.arrayContaining([{ predicate: 'connected', agents: 1 }]) as unknown,
    });
    await held.release();
  });

  test('no capacity says why; a wait is served by the next release', async () => {
    const pool = await newPool();
    await fleet.registerAgent({ pool });
    const held = await fleet.allocateAgent({ pool });
    const refused = await fleet.allocateAgent({ pool }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(NoCapacityError);
    expect((refused as NoCapacityError).why).toMatchObject({ agents: 1, eligible: 0 });
    const waiting = fleet.allocateAgent({ pool, waitMs: 10_000 });
    await held.release();
    await expect(waiting).resolves.toMatchObject({ agentId: held.agentId });
  });
});

describe('many at once', () => {
  test('300 concurrent registrations, tasks and allocations are 300 different ones', async () => {
    const pool = await newPool();
    const numbers = Array.from({ length: 300 }, (_, n) => n);
    const ids = await Promise.all(numbers.map(() => fleet.registerAgent({ pool })));
    expect(new Set(ids).size).toBe(300);
    const held = await Promise.all(numbers.map(() => fleet.allocateAgent({ pool })));
    expect(new Set(held.map(({ agentId }) => agentId)).size).toBe(300);
    await Promise.all(held.map((allocation) => allocation.release()));
    const tasks = await Promise.all(numbers.map((n) => fleet.submitTask({ pool, payload: n, delayMs: 3_600_000 })));
    expect(new Set(tasks.map(({ id }) => id)).size).toBe(300);
    const listed = new Set<string>();
    for await (const task of fleet.tasks({ pool })) listed.add(task.id);
    expect(listed).toEqual(new Set(tasks.map(({ id }) => id)));
    const status = await eventually(async () => {
      const now = await fleet.getFleetStatus();
      expect(now.pools.find((entry) => entry.pool === pool && entry.region === REGION)).toMatchObject({
        total: 300,
        idle: 300,
        queued: 300,
      });
      return now;
    });
    expect(status.fleet).toBe('default');
  });

  test('one key is one task, whatever happens in between', async () => {
    const pool = await newPool();
    const submit = (payload: string) => fleet.submitTask({ pool, payload }, { idempotencyKey: `key-${pool}` });
    const first = await submit('a');
    await local.killWorkerd();
    expect((await submit('a')).id).toBe(first.id);
    await expect(submit('b')).rejects.toMatchObject({ name: 'IdempotencyError', code: 'idempotency_mismatch' });
  });
});

describe('refusals', () => {
  test('are typed', async () => {
    await expect(fleet.getTask('tsk.eu-west-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV')).rejects.toBeInstanceOf(NotFoundError);
    await expect(fleet.submitTask({ pool: 'coder', payload: 1, priority: 99 })).rejects.toBeInstanceOf(ValidationError);
    await expect(fleet.submitTask({ pool: 'coder', payload: 1, residency: { allowed: ['mars'] } })).rejects.toMatchObject({
      code: 'unknown_region',
    });
    const stranger = new FleetManager({ endpoint: local.url, token: 'x.y.z' });
    await expect(stranger.initialize()).rejects.toBeInstanceOf(UnauthorizedError);
  });

  test('a token reaches as far as its role, until it is revoked', async () => {
    const minted = await fleet.mintToken({ role: 'viewer', expiresInMs: 60_000 });
    const viewer = new FleetManager({ endpoint: local.url, token: minted.token });
    await viewer.initialize();
    await expect(viewer.submitTask({ pool: 'coder', payload: 1 })).rejects.toMatchObject({ name: 'ForbiddenError' });
    await fleet.revokeToken(minted.id);
    await eventually(() => expect(viewer.getFleetStatus()).rejects.toBeInstanceOf(UnauthorizedError));
  });
});

describe('configuration of the specification', () => {
  test('pools and settings are applied, once', async () => {
    const config = {
      endpoint: local.url,
      token: local.adminToken,
      fleet: {
        maxAgents: 5_000,
        defaultPools: [{ type: 'spec', min: 5, max: 100, priority: 8, resources: { memory: 512, cpu: 0.5 } }],
      },
    };
    const configured = new FleetManager(config);
    await configured.initialize();
    expect((await fleet.listPools()).filter(({ pool }) => pool === 'spec')).toHaveLength(2);
    await expect(fleet.getFleetSettings()).resolves.toMatchObject({ maxAgents: 5_000 });
    const agentId = await configured.registerAgent({
      type: 'spec',
      priority: 8,
      capabilities: ['typescript'],
      resources: { memory: 512, cpu: 0.5 },
    });
    await expect(configured.getAgent(agentId)).resolves.toMatchObject({ pool: 'spec', resources: { memoryMb: 512, cpu: 0.5 } });
    await expect(configured.scalePool('spec', 1_000)).resolves.toMatchObject({ desired: 100, limitedBy: 'max' });
  });
});
