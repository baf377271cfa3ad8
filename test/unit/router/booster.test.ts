import { afterEach, describe, expect, it, vi } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { ok } from '../../../shared/result.ts';
import type { PoolRequest } from '../../../shared/rpc.ts';
import type { BoosterReason } from '../../../shared/booster.ts';
import { bodyOf, harness, poolMissing, taskIn, type Harness } from './fixtures.ts';

const PATH = '/v1/booster/tasks';
const APPLY = { operation: 'apply', path: 'a.ts', original: 'let a = 1;', edit: 'let a = 2;' } as const;
const refused = (reason: BoosterReason) => ({
  reason,
  json: JSON.stringify({ ok: false, reason, detail: 'why', candidates: [] }),
});
const refuseAll = (h: Harness, reason: BoosterReason): void => {
  for (const region of Object.values(h.regions))
    region.runBooster.mockImplementation(async (_, tasks) => tasks.map(() => refused(reason)));
};
const submitted = (h: Harness, region: 'us-east-1' | 'eu-west-1' = 'us-east-1'): readonly PoolRequest[] =>
  h.regions[region].execute.mock.calls.flatMap(([, , , requests]) => requests);
const tasksQueue = (h: Harness): void => {
  for (const [name, region] of Object.entries(h.regions))
    region.execute.mockImplementation(async (_c, _p, _s, requests) => requests.map(() => ok(taskIn(name))));
};
afterEach(() => vi.restoreAllMocks());
// Bodies of 16 MiB take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

describe('POST /v1/booster/tasks', () => {
  it('B270: one operation is answered as the booster answered it, with the region that served', async () => {
    const h = await harness();
    const response = await h.call('POST', PATH, { body: APPLY });
    expect([response.status, response.headers.get('x-fleet-region')]).toEqual([200, 'us-east-1']);
    expect(await bodyOf(response)).toEqual({ ok: true, output: 'new', engine: 'e', proofs: [] });
    expect(h.regions['us-east-1'].runBooster.mock.calls[0]?.[1]).toEqual([APPLY]);
  });

  it('B271: code goes only where the residency rules let it', async () => {
    const h = await harness();
    const residency = { allowed: ['eu'], enforcement: 'strict' };
    const response = await h.call('POST', PATH, { body: { ...APPLY, residency } });
    expect(response.headers.get('x-fleet-region')).toBe('eu-west-1');
    expect(h.regions['us-east-1'].runBooster).not.toHaveBeenCalled();
    const forbidden = await h.call('POST', PATH, { body: { ...APPLY, region: 'us-east-1', residency } });
    expect([forbidden.status, (await bodyOf(forbidden))['code']]).toEqual([403, 'residency_violation']);
    const unknown = await h.call('POST', PATH, { body: { ...APPLY, region: 'mars-1' } });
    expect([unknown.status, (await bodyOf(unknown))['code']]).toEqual([422, 'unknown_region']);
  });

  it('B272: a region that does not answer is followed by the next allowed one, and by no other', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness();
    h.regions['us-east-1'].runBooster.mockRejectedValue(new Error('Network connection lost.'));
    expect((await h.call('POST', PATH, { body: APPLY })).headers.get('x-fleet-region')).toBe('eu-west-1');
    const pinned = await h.call('POST', PATH, { body: { ...APPLY, residency: { allowed: ['us-east-1'] } } });
    expect([pinned.status, (await bodyOf(pinned))['code']]).toEqual([503, 'region_unavailable']);
  });

  it('B273: a refusal is a 200 with its reason', async () => {
    const h = await harness();
    refuseAll(h, 'ambiguous');
    const response = await h.call('POST', PATH, { body: APPLY });
    expect([response.status, await bodyOf(response)]).toEqual([
      200,
      { ok: false, reason: 'ambiguous', detail: 'why', candidates: [] },
    ]);
    expect(submitted(h)).toEqual([]);
  });

  it.each([
    'ambiguous',
    'not_found',
    'stale',
    'does_not_parse',
    'proof_failed',
    'unsupported',
    'budget',
    'not_code',
    'fault',
  ] as const)('B274: with a fallback, %s becomes an agent’s task with the whole instruction as payload', async (reason) => {
    vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const h = await harness();
    refuseAll(h, reason);
    tasksQueue(h);
    const body = { ...APPLY, instruction: 'double it', priority: 7, fallback: { pool: 'coder' } };
    const response = await h.call('POST', PATH, { body });
    expect(response.status).toBe(202);
    expect(await bodyOf(response)).toMatchObject({ taskId: taskIn('us-east-1').id, pool: 'coder', region: 'us-east-1', reason });
    const [request] = submitted(h);
    if (request?.command.type !== 'submitTask') throw new Error('no task');
    expect(request.command.spec.priority).toBe(7);
    expect(JSON.parse(request.command.spec.payload)).toMatchObject({
      ...APPLY,
      instruction: 'double it',
      booster: { ok: false, reason, detail: 'why' },
    });
  });

  it('B275: an empty edit is nobody’s work', async () => {
    const h = await harness();
    refuseAll(h, 'empty');
    const response = await h.call('POST', PATH, { body: { ...APPLY, fallback: { pool: 'coder' } } });
    expect([response.status, (await bodyOf(response))['reason']]).toEqual([200, 'empty']);
  });

  it('B276: an agent’s task stays where the code may be', async () => {
    const h = await harness();
    refuseAll(h, 'stale');
    tasksQueue(h);
    const body = { ...APPLY, fallback: { pool: 'coder' }, residency: { allowed: ['eu'] } };
    expect(await bodyOf(await h.call('POST', PATH, { body }))).toMatchObject({ region: 'eu-west-1' });
    expect(submitted(h)).toEqual([]);
    expect(submitted(h, 'eu-west-1')).not.toEqual([]);
  });

  it('B277: a key names the agent’s task', async () => {
    const h = await harness();
    refuseAll(h, 'stale');
    h.regions['us-east-1'].execute.mockResolvedValue([{ ...ok(taskIn('us-east-1')), replayed: true }]);
    const body = { ...APPLY, fallback: { pool: 'coder' }, region: 'us-east-1' };
    const response = await h.call('POST', PATH, { body, headers: { 'idempotency-key': 'k1' } });
    expect([response.status, response.headers.get('idempotency-replayed')]).toEqual([202, 'true']);
    expect(submitted(h)[0]?.idempotency?.key).toContain('k1');
  });

  it('B278: work for agents goes to them without asking the booster; without a fallback it is unsupported', async () => {
    const h = await harness();
    tasksQueue(h);
    const review = { operation: 'review', original: 'let a = 1;' };
    const handed = await h.call('POST', PATH, { body: { ...review, fallback: { pool: 'reviewer' } } });
    expect([handed.status, (await bodyOf(handed))['reason']]).toEqual([202, 'standard']);
    expect(await bodyOf(await h.call('POST', PATH, { body: review }))).toMatchObject({ ok: false, reason: 'unsupported' });
    expect(h.regions['us-east-1'].runBooster).not.toHaveBeenCalled();
  });

  it('B279: a pool that is not there is the answer, not the booster’s refusal', async () => {
    const h = await harness();
    refuseAll(h, 'stale');
    for (const region of Object.values(h.regions)) region.execute.mockResolvedValue([poolMissing]);
    const response = await h.call('POST', PATH, { body: { ...APPLY, fallback: { pool: 'nowhere' } } });
    expect([response.status, (await bodyOf(response))['code']]).toEqual([404, 'pool_not_found']);
  });

  it('B280: texts beyond the bounds are refused before they travel; what fits no payload is not handed over', async () => {
    const h = await harness();
    const original = 'é'.repeat(LIMITS.boosterFileChars + 1);
    expect(await bodyOf(await h.call('POST', PATH, { body: { ...APPLY, original } }))).toMatchObject({
      ok: false,
      reason: 'too_large',
    });
    const half = 'x'.repeat(LIMITS.boosterTaskChars / 2 + 1);
    expect(await bodyOf(await h.call('POST', PATH, { body: { ...APPLY, original: half, edit: half } }))).toMatchObject({
      reason: 'too_large',
    });
    const huge = { ...APPLY, original: 'é'.repeat(600_000), fallback: { pool: 'coder' } };
    expect((await h.call('POST', PATH, { body: huge })).status).toBe(200);
    expect(h.regions['us-east-1'].runBooster).not.toHaveBeenCalled();
    expect(submitted(h)).toEqual([]);
  });

  it('B281: a body may have 16 MiB, and not more', async () => {
    const h = await harness();
    const tasks = Array.from({ length: 70 }, () => ({ operation: 'check', path: 'a.js', original: 'x'.repeat(220_000) }));
    expect((await h.call('POST', PATH, { body: { tasks } })).status).toBe(200);
    const more = Array.from({ length: 80 }, () => ({ operation: 'check', path: 'a.js', original: 'x'.repeat(220_000) }));
    expect((await h.call('POST', PATH, { body: { tasks: more } })).status).toBe(413);
  });

  it('B282: a batch answers each item for itself, in order', async () => {
    const h = await harness();
    tasksQueue(h);
    h.regions['us-east-1'].runBooster.mockImplementation(async (_, tasks) =>
      tasks.map((task) =>
        task.edit === 'unsure'
          ? refused('ambiguous')
          : { reason: null, json: `{"ok":true,"output":${JSON.stringify(task.edit)}}` },
      ),
    );
    const tasks = [
      { ...APPLY, edit: 'one' },
      { operation: 'nonsense' },
      { ...APPLY, edit: 'unsure' },
      { ...APPLY, edit: 'unsure', fallback: { pool: 'coder' }, idempotencyKey: 'k' },
      { ...APPLY, region: 'mars-1' },
      { operation: 'apply', original: 'x' },
      { ...APPLY, edit: 'two' },
    ];
    const response = await h.call('POST', PATH, { body: { tasks } });
    const { results } = (await response.json()) as { results: { status: number; body?: object; problem?: object }[] };
    expect(results.map(({ status }) => status)).toEqual([200, 422, 200, 202, 422, 422, 200]);
    expect(results[0]?.body).toEqual({ ok: true, output: 'one' });
    expect(results[2]?.body).toMatchObject({ ok: false, reason: 'ambiguous' });
    expect(results[3]?.body).toMatchObject({ taskId: taskIn('us-east-1').id });
    expect(results[5]?.problem).toMatchObject({ errors: [{ path: 'edit' }] });
    expect(results[6]?.body).toEqual({ ok: true, output: 'two' });
    expect(submitted(h)[0]?.idempotency?.key).toContain('k');
  });

  it('B283: region, residency and fallback of a batch hold for items that bring none', async () => {
    const h = await harness();
    refuseAll(h, 'stale');
    tasksQueue(h);
    const body = { tasks: [APPLY, { ...APPLY, region: 'us-east-1' }], region: 'eu-west-1', fallback: { pool: 'coder' } };
    const { results } = (await (await h.call('POST', PATH, { body })).json()) as { results: { body: { region: string } }[] };
    expect(results.map(({ body: { region } }) => region)).toEqual(['eu-west-1', 'us-east-1']);
  });

  it.each([
    ['no operation', {}],
    ['an unknown one', { operation: 'destroy' }],
    ['an unknown field', { ...APPLY, colour: 'red' }],
    ['a missing edit', { operation: 'apply', original: 'x' }],
    ['a missing query', { operation: 'query', original: 'x' }],
    ['a rename without a new name', { operation: 'rename', original: 'x', symbol: 'a' }],
    ['a template without a kind', { operation: 'scaffold', template: { name: 'a' } }],
    ['both one and many', { ...APPLY, tasks: [APPLY] }],
    ['an empty batch', { tasks: [] }],
    ['more than a thousand', { tasks: Array.from({ length: 1_001 }, () => APPLY) }],
    ['a style that is none', { ...APPLY, style: 'guess' }],
    ['a fallback without a pool', { ...APPLY, fallback: {} }],
    ['a text that is none', { ...APPLY, original: 5 }],
  ])('B284: %s is 422', async (_, body) => {
    const h = await harness();
    const response = await h.call('POST', PATH, { body });
    expect([response.status, (await bodyOf(response))['code']]).toEqual([422, 'validation_failed']);
  });

  it('B285: operators run the booster, viewers see its status, agents neither', async () => {
    const h = await harness();
    const as = async (role: 'viewer' | 'operator' | 'agent', method: string, path: string, body?: object): Promise<number> => {
      const agentId = `agt.us-east-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV`;
      const token = await h.token(role === 'agent' ? { role, agentId } : { role });
      return (await h.call(method, path, { token, ...(body === undefined ? {} : { body }) })).status;
    };
    expect(await as('operator', 'POST', PATH, APPLY)).toBe(200);
    expect(await as('viewer', 'POST', PATH, APPLY)).toBe(403);
    expect(await as('agent', 'POST', PATH, APPLY)).toBe(403);
    expect(await as('viewer', 'GET', '/v1/booster/report')).toBe(200);
    expect(await as('agent', 'GET', '/v1/booster/report')).toBe(403);
    expect((await h.call('POST', PATH, { token: null, body: APPLY })).status).toBe(401);
  });

  it('B286: the status is one region’s: the named one, or the first that answers', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness();
    const status = { region: 'eu-west-1', slots: { max: 12, started: 0, busy: 0 } };
    h.regions['us-east-1'].boosterStatus.mockRejectedValue(new Error('away'));
    h.regions['eu-west-1'].boosterStatus.mockResolvedValue(status as never);
    expect(await bodyOf(await h.call('GET', '/v1/booster/status?region=eu-west-1'))).toEqual(status);
    expect((await h.call('GET', '/v1/booster/status')).headers.get('x-fleet-region')).toBe('eu-west-1');
    expect((await h.call('GET', '/v1/booster/status?region=us-east-1')).status).toBe(503);
    expect((await h.call('GET', '/v1/booster/status?region=mars-1')).status).toBe(422);
  });

  it('B287: hostile keys and texts are data', async () => {
    const h = await harness();
    const body = JSON.parse('{"operation":"check","path":"a.js","original":"\\ud800","__proto__":{"a":1}}') as object;
    expect((await h.call('POST', PATH, { body })).status).toBe(422);
    expect((await h.call('POST', PATH, { body: { operation: 'check', path: 'a.js', original: '\ud800\0' } })).status).toBe(200);
  });
});
