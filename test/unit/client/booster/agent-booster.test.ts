import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AgentBooster } from '../../../../client/src/booster/agent-booster.ts';
import { hashOf, ResultCache } from '../../../../client/src/booster/cache.ts';
import type { BoosterConfig } from '../../../../client/src/booster/types.ts';
import { ConfigurationError, NotFoundError } from '../../../../client/src/errors.ts';
import { FakeFleet, type Handler, problem, taskBody } from '../lib/fake-fleet.ts';

let fake: FakeFleet;
const onWarning = vi.fn();
beforeEach(async () => {
  fake = await FakeFleet.start(() => problem(404, 'not_found'));
});
afterEach(async () => {
  await fake.stop();
  vi.clearAllMocks();
});
const booster = (config: BoosterConfig = {}) =>
  new AgentBooster({ endpoint: fake.url, token: 't', retries: 0, onWarning, ...config });
const answer = (handler: Handler) => {
  fake.handler = handler;
};
const EDIT = { operation: 'apply', path: 'a.ts', original: 'let a = 1;', edit: 'let a = 2;' } as const;
const DONE = { ok: true, output: 'let a = 2;', engine: 'tree', proofs: ['parses'], style: 'full' };
const REFUSED = { ok: false, reason: 'ambiguous', detail: 'two places', candidates: [{ line: 1 }] };
const HANDED = { taskId: 'tsk.x', pool: 'coder', region: 'eu-west-1', reason: 'ambiguous', detail: 'two places' };
const TASKS = 'POST /v1/booster/tasks';

/** The booster hands over, and the task ends as given. */
const handsOver = (task: object): void =>
  answer(({ path }) =>
    path === '/v1/booster/tasks' ? { status: 202, body: HANDED } : { body: { ...taskBody('tsk.x'), ...task } },
  );

describe('executeTask', () => {
  test('a result says who made it', async () => {
    answer(() => ({ body: DONE }));
    await expect(booster().executeTask(EDIT)).resolves.toEqual({
      ...DONE,
      madeBy: { kind: 'booster', engine: 'tree', cached: false },
    });
    expect(fake.to(TASKS)[0]?.body).toEqual(EDIT);
    expect(fake.to(TASKS)[0]?.headers['idempotency-key']).toBeUndefined();
  });

  test('a refusal is a value, not an error', async () => {
    answer(() => ({ body: REFUSED }));
    await expect(booster().executeTask(EDIT)).resolves.toMatchObject(REFUSED);
  });

  test('an agent takes over without the caller doing anything, and is named', async () => {
    handsOver({ status: 'succeeded', agentId: 'agt.1', result: { output: 'let a = 3;' } });
    await expect(booster({ fallbackPool: 'coder' }).executeTask(EDIT)).resolves.toEqual({
      ok: true,
      output: 'let a = 3;',
      proofs: [],
      madeBy: { kind: 'agent', agentId: 'agt.1', taskId: 'tsk.x', pool: 'coder' },
    });
    const [request] = fake.to(TASKS);
    expect(request?.body).toEqual({ ...EDIT, fallback: { pool: 'coder' } });
    expect(request?.headers['idempotency-key']).toBeDefined();
  });

  test('an agent’s result may be the output itself; its failure is a refusal', async () => {
    handsOver({ status: 'succeeded', result: 'text' });
    await expect(booster({ fallbackEnabled: true }).executeTask(EDIT)).resolves.toMatchObject({ ok: true, output: 'text' });
    handsOver({ status: 'dead', error: { code: 'agent_error', message: 'cannot' } });
    await expect(booster({ fallbackEnabled: true }).executeTask(EDIT)).resolves.toMatchObject({
      ok: false,
      reason: 'agent_failed',
      detail: 'cannot',
    });
  });

  test('without waiting, the caller gets a task to wait for', async () => {
    handsOver({ status: 'succeeded', result: 'later' });
    const result = await booster({ fallbackPool: 'coder' }).executeTask(EDIT, { wait: false });
    expect(result).toMatchObject({ ok: false, taskId: 'tsk.x', reason: 'ambiguous' });
    if (result.ok || result.taskId === undefined) throw new Error('not pending');
    await expect(result.wait()).resolves.toMatchObject({ ok: true, output: 'later' });
  });

  test('a wait that is too long ends with the task, not with an error', async () => {
    handsOver({ status: 'queued' });
    await expect(booster({ fallbackPool: 'coder', agentTimeoutMs: 30 }).executeTask(EDIT)).resolves.toMatchObject({
      taskId: 'tsk.x',
    });
  });

  test.each([
    [{}, EDIT, undefined],
    [{ fallbackEnabled: true }, EDIT, { pool: 'coder' }],
    [{ fallbackEnabled: true }, { operation: 'review', original: 'x' } as const, { pool: 'reviewer' }],
    [{ fallbackEnabled: true, fallbackPool: 'ui' }, EDIT, { pool: 'ui' }],
    [{ fallbackEnabled: false, fallbackPool: 'ui' }, EDIT, undefined],
    [{ fallbackPool: 'ui' }, { ...EDIT, fallback: false } as const, undefined],
    [{}, { ...EDIT, fallback: { pool: 'devops' } }, { pool: 'devops' }],
  ])('the fallback of %j with %j', async (config, request, expected) => {
    answer(() => ({ body: DONE }));
    await booster(config).executeTask(request);
    const sent = fake.to(TASKS)[0]?.body as { readonly fallback?: unknown } | undefined;
    expect(sent).toBeDefined();
    expect(sent?.fallback).toEqual(expected);
  });

  test('region and residency of the configuration go along', async () => {
    answer(() => ({ body: DONE }));
    await booster({ region: 'eu-west-1', residency: { allowed: ['eu'] } }).executeTask(EDIT);
    expect(fake.to(TASKS)[0]?.body).toEqual({ ...EDIT, region: 'eu-west-1', residency: { allowed: ['eu'] } });
  });

  test('switched off, nothing is sent', async () => {
    await expect(booster({ enabled: false }).executeTask(EDIT)).resolves.toMatchObject({ ok: false, reason: 'unsupported' });
    expect(fake.seen).toEqual([]);
  });

  test('an error of the fleet is thrown', async () => {
    await expect(booster().executeTask(EDIT)).rejects.toBeInstanceOf(NotFoundError);
  });
});

describe('the cache', () => {
  test('the same question is asked once; what changes no answer changes no key', async () => {
    answer(() => ({ body: DONE }));
    const own = booster();
    await own.executeTask(EDIT);
    const again = await own.executeTask({
      edit: EDIT.edit,
      original: EDIT.original,
      path: EDIT.path,
      operation: 'apply',
      priority: 9,
      region: 'us-east-1',
    });
    expect(again).toEqual({ ...DONE, madeBy: { kind: 'booster', engine: 'tree', cached: true } });
    expect(fake.to(TASKS)).toHaveLength(1);
    await own.executeTask({ ...EDIT, edit: 'let a = 4;' });
    expect(fake.to(TASKS)).toHaveLength(2);
    await own.clearCache();
    await own.executeTask(EDIT);
    expect(fake.to(TASKS)).toHaveLength(3);
  });

  test('refusals and the work of agents are not kept', async () => {
    answer(() => ({ body: REFUSED }));
    const own = booster();
    await own.executeTask(EDIT);
    await own.executeTask(EDIT);
    expect(fake.to(TASKS)).toHaveLength(2);
  });

  test('what a caller does to an answer shows to nobody else', async () => {
    answer(() => ({ body: { ...DONE, output: { list: [1] } } }));
    const own = booster();
    const first = await own.executeTask(EDIT);
    if (first.ok) (first.output as { list: number[] }).list.push(2);
    const second = await own.executeTask(EDIT);
    expect(second.ok && second.output).toEqual({ list: [1] });
  });

  test('it is bounded by number and by size, and the least used goes first', () => {
    const cache = new ResultCache({ entries: 2, chars: 30 });
    cache.set('a', { v: 1 });
    cache.set('b', { v: 2 });
    cache.get('a');
    cache.set('c', { v: 3 });
    expect(['a', 'b', 'c'].map((key) => cache.get(key))).toEqual([{ v: 1 }, undefined, { v: 3 }]);
    cache.set('d', { v: 'x'.repeat(20) });
    expect([cache.get('d'), cache.size]).toEqual([{ v: 'x'.repeat(20) }, 1]);
    cache.set('e', { v: 'x'.repeat(40) });
    expect([cache.get('e'), cache.size]).toEqual([undefined, 1]);
  });

  test('the hash is of the content, whatever the order of its fields', async () => {
    expect(await hashOf({ a: 1, b: { c: 2, d: undefined } })).toBe(await hashOf({ b: { c: 2 }, a: 1 }));
    expect(await hashOf({ a: 1 })).not.toBe(await hashOf({ a: '1' }));
  });
});

describe('the rest', () => {
  test('many go in one request; what is known is not asked', async () => {
    answer(({ body }) => {
      const { tasks } = body as { tasks?: { edit: string; idempotencyKey?: string }[] };
      if (tasks === undefined) return { body: DONE };
      return {
        body: {
          results: tasks.map(({ edit }) =>
            edit === 'no' ? { status: 200, body: REFUSED } : { status: 200, body: { ...DONE, output: edit } },
          ),
        },
      };
    });
    const own = booster();
    await own.executeTask(EDIT);
    const results = await own.executeTasks([{ ...EDIT, edit: 'one' }, EDIT, { ...EDIT, edit: 'no' }]);
    expect(results.map((result) => result.ok && (result.value.ok ? result.value.output : result.value.reason))).toEqual([
      'one',
      'let a = 2;',
      'ambiguous',
    ]);
    const sent = fake.to(TASKS)[1]?.body as { readonly tasks: readonly unknown[] } | undefined;
    expect(sent?.tasks).toHaveLength(2);
  });

  test('initialize warns of what the deployment does not have', async () => {
    const status = { slots: { max: 4, started: 0, busy: 0 }, unreachable: 1 };
    answer(({ path }) => (path === '/v1/booster/status' ? { body: status } : { body: { fleet: 'default' } }));
    await booster({ poolSize: 10 }).initialize();
    expect(onWarning.mock.calls.flat().join()).toMatch(/1 of the region's booster Workers.*4 slots here, not 10/);
  });

  test('the report holds what this client saw', async () => {
    answer(({ path }) => (path === '/v1/booster/report' ? { body: { region: 'eu-west-1', operations: {} } } : { body: DONE }));
    const own = booster();
    await own.executeTask(EDIT);
    await own.executeTask(EDIT);
    const { client, region } = await own.getPerformanceReport();
    expect(region).toBe('eu-west-1');
    expect(client).toMatchObject({ tasks: 2, cacheHits: 1, cacheHitRate: 0.5, handedOver: 0 });
  });

  test('after shutdown nothing is sent', async () => {
    const own = booster();
    await own.shutdown();
    await expect(own.executeTask(EDIT)).rejects.toThrow('shut down');
  });

  test.each([{ memoryLimit: 8 }, { poolSize: 0 }, { cacheEntries: -1 }, { agentTimeoutMs: 1.5 }])(
    '%j cannot be used',
    (config) => {
      expect(() => booster(config)).toThrow(ConfigurationError);
      expect(() => booster({ memoryLimit: 512, poolSize: 10 })).not.toThrow();
    },
  );
});
