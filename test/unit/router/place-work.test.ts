import { beforeEach, describe, expect, it, vi } from 'vitest';
import { err, ok } from '../../../shared/result.ts';
import type { PoolReply, PoolRequest } from '../../../shared/rpc.ts';
import { allocationIn, bodyOf, type Harness, harness, noCapacity, poolMissing, taskIn } from './fixtures.ts';

/** Requests of every `execute`, by region, in the order of the calls. */
const asked = (h: Harness): (readonly [string, PoolRequest])[] =>
  Object.entries(h.regions)
    .flatMap(([region, fake]) =>
      fake.execute.mock.calls.map((call, i) => ({
        order: fake.execute.mock.invocationCallOrder[i] ?? 0,
        region,
        requests: call[3],
      })),
    )
    .toSorted((a, b) => a.order - b.order)
    .flatMap(({ region, requests }) => requests.map((request) => [region, request] as const));
const regionsOf = (h: Harness): string[] => asked(h).map(([region]) => region);
const answers = (h: Harness, replies: Record<string, PoolReply | Error>): void => {
  for (const [region, reply] of Object.entries(replies)) {
    h.regions[region as keyof Harness['regions']].execute.mockImplementation(async (_c, _p, _s, requests) => {
      if (reply instanceof Error) throw reply;
      return requests.map(() => reply);
    });
  }
};
const DUBLIN = { 'x-fleet-geo': '53,-6' };
// Regions that fail on purpose are logged, which is not what is looked at here.
beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => undefined));
const LOST = new Error('Network connection lost.');

describe('allocations', () => {
  it('go to the nearest region, in one call', async () => {
    const h = await harness();
    const response = await h.call('POST', '/v1/allocations', { body: { pool: 'coder' }, headers: DUBLIN });
    expect([response.status, response.headers.get('x-fleet-region')]).toEqual([201, 'eu-west-1']);
    expect(await bodyOf(response)).toEqual(allocationIn('eu-west-1'));
    expect(regionsOf(h)).toEqual(['eu-west-1']);
    expect(h.regions['eu-west-1'].routesForKeys).not.toHaveBeenCalled();
  });

  it('go to the region asked for first, then on by distance, over refusals, faults and missing pools', async () => {
    const h = await harness();
    answers(h, { 'ap-southeast-1': noCapacity(), 'us-east-1': LOST, 'eu-west-1': ok([allocationIn('eu-west-1')]) });
    const response = await h.call('POST', '/v1/allocations', {
      body: { pool: 'coder', region: 'ap-southeast-1' },
      headers: { 'x-fleet-geo': '39,-77' },
    });
    expect(response.status).toBe(201);
    expect(regionsOf(h)).toEqual(['ap-southeast-1', 'us-east-1', 'eu-west-1']);
    answers(h, { 'ap-southeast-1': poolMissing, 'us-east-1': err({ kind: 'overloaded', retryAfterMs: 5, detail: '' }) });
    expect((await h.call('POST', '/v1/allocations', { body: { pool: 'coder', region: 'ap-southeast-1' } })).status).toBe(201);
  });

  it('refused everywhere: one answer that counts all agents', async () => {
    const h = await harness();
    answers(h, { 'us-east-1': noCapacity(2), 'eu-west-1': noCapacity(3), 'ap-southeast-1': LOST });
    const response = await h.call('POST', '/v1/allocations', { body: { pool: 'coder' } });
    expect(response.status).toBe(409);
    expect(await bodyOf(response)).toMatchObject({
      code: 'no_capacity',
      detail:
        'In 2 regions: 0 of 5 agents could take this now, 1 needed: 5 fail slots. Wait for one to become free, or add agents that fit.',
      why: { agents: 5, failed: [{ predicate: 'slots', agents: 5 }] },
    });
  });

  it('a pool that no region has is 404, and one region’s silence makes that uncertain', async () => {
    const h = await harness();
    answers(h, { 'us-east-1': poolMissing, 'eu-west-1': poolMissing, 'ap-southeast-1': poolMissing });
    expect((await bodyOf(await h.call('POST', '/v1/allocations', { body: { pool: 'coder' } })))['code']).toBe('pool_not_found');
    answers(h, { 'eu-west-1': LOST });
    const uncertain = await h.call('POST', '/v1/allocations', { body: { pool: 'coder' } });
    expect([uncertain.status, uncertain.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await bodyOf(uncertain))['code']).toBe('region_unavailable');
  });

  it('an answer that is no want of room is final', async () => {
    const h = await harness();
    answers(h, { 'us-east-1': err({ kind: 'idempotency_in_progress', retryAfterMs: 500, detail: '' }) });
    const response = await h.call('POST', '/v1/allocations', { body: { pool: 'coder' } });
    expect((await bodyOf(response))['code']).toBe('idempotency_in_progress');
    expect(regionsOf(h)).toEqual(['us-east-1']);
  });

  it('with a wait: all are asked without it, then the first that can be reached waits', async () => {
    const h = await harness();
    answers(h, { 'us-east-1': LOST, 'eu-west-1': noCapacity(), 'ap-southeast-1': noCapacity() });
    const body = { pool: 'coder', waitMs: 1_000 };
    expect((await h.call('POST', '/v1/allocations', { body })).status).toBe(409);
    const waits = asked(h).map(([region, { command }]) => [region, command.type === 'allocate' ? command.spec.waitMs : -1]);
    expect(waits).toEqual([
      ['us-east-1', 0],
      ['eu-west-1', 0],
      ['ap-southeast-1', 0],
      ['eu-west-1', 1_000],
    ]);
    const one = await harness();
    answers(one, { 'eu-west-1': noCapacity() });
    await one.call('POST', '/v1/allocations', { body: { ...body, residency: { allowed: ['eu'] } } });
    expect(asked(one).map(([region]) => region)).toEqual(['eu-west-1']);
  });

  it('with a wait: where agents fit and are taken, before nearer regions that have none', async () => {
    const h = await harness();
    const taken = noCapacity(1, 'freeSlots', 1);
    answers(h, { 'us-east-1': noCapacity(0), 'eu-west-1': noCapacity(2, 'capabilities'), 'ap-southeast-1': taken });
    await h.call('POST', '/v1/allocations', { body: { pool: 'coder', waitMs: 1_000 } });
    expect(regionsOf(h)).toEqual(['us-east-1', 'eu-west-1', 'ap-southeast-1', 'ap-southeast-1']);
  });

  it('a caller that leaves while it waits is withdrawn', async () => {
    const h = await harness();
    const gone = new AbortController();
    let waiter: unknown;
    h.regions['eu-west-1'].execute.mockImplementation(async (_c, _p, _s, requests) => {
      const [{ command }] = requests as [PoolRequest];
      waiter = command.type === 'allocate' ? command.waiterId : null;
      gone.abort();
      return [noCapacity()];
    });
    await h.call('POST', '/v1/allocations', {
      body: { pool: 'coder', waitMs: 1_000, residency: { allowed: ['eu'] } },
      signal: gone.signal,
    });
    expect(h.regions['eu-west-1'].withdraw.mock.calls.map(([, pool, shard, id]) => [pool, shard, id])).toEqual([
      ['coder', null, waiter],
    ]);
  });
});

describe('idempotency keys', () => {
  const headers = { ...DUBLIN, 'idempotency-key': 'k' };

  it('are scoped to subject and route, and cover the body', async () => {
    const h = await harness();
    const refs: unknown[] = [];
    for (const [token, body] of [
      [await h.token({ sub: 'a' }), { pool: 'coder' }],
      [await h.token({ sub: 'b' }), { pool: 'coder' }],
      [await h.token({ sub: 'a' }), { pool: 'coder', slots: 2 }],
    ] as const) {
      await h.call('POST', '/v1/allocations', { token, body: { ...body, region: 'eu-west-1' }, headers });
    }
    for (const [, { idempotency }] of asked(h)) refs.push(idempotency);
    const [a, b, c] = refs as { key: string; bodyHash: string }[];
    expect(a?.key).toBe('a\nPOST /v1/allocations\nk');
    expect(b?.key).toBe('b\nPOST /v1/allocations\nk');
    expect(a?.bodyHash).toBe(b?.bodyHash);
    expect(a?.bodyHash).not.toBe(c?.bodyHash);
  });

  it('the first order is remembered by a region that follows from the key, and the next one if that is down', async () => {
    const h = await harness();
    for (const fake of Object.values(h.regions))
      fake.routesForKeys.mockImplementation(async (_c, keys) => keys.map(() => ['ap-southeast-1', 'eu-west-1', 'us-east-1']));
    await h.call('POST', '/v1/allocations', { body: { pool: 'coder' }, headers });
    expect(regionsOf(h)).toEqual(['ap-southeast-1']);
    const coordinators = Object.entries(h.regions).filter(([, fake]) => fake.routesForKeys.mock.calls.length > 0);
    expect(coordinators).toHaveLength(1);
    expect(coordinators[0]?.[1].routesForKeys.mock.calls[0]?.slice(1)).toEqual([
      ['s\nPOST /v1/allocations\nk'],
      ['eu-west-1', 'us-east-1', 'ap-southeast-1'],
    ]);
    coordinators[0]?.[1].routesForKeys.mockRejectedValue(LOST);
    await h.call('POST', '/v1/allocations', { body: { pool: 'coder' }, headers });
    expect(Object.values(h.regions).filter((fake) => fake.routesForKeys.mock.calls.length > 0)).toHaveLength(2);
    for (const fake of Object.values(h.regions)) fake.routesForKeys.mockRejectedValue(LOST);
    expect((await h.call('POST', '/v1/allocations', { body: { pool: 'coder' }, headers })).status).toBe(503);
  });

  it('a remembered region that residency no longer allows is left out', async () => {
    const h = await harness();
    for (const fake of Object.values(h.regions))
      fake.routesForKeys.mockImplementation(async (_c, keys) => keys.map(() => ['us-east-1', 'eu-west-1', 'mars']));
    answers(h, { 'eu-west-1': noCapacity(), 'ap-southeast-1': noCapacity() });
    await h.call('POST', '/v1/allocations', { body: { pool: 'coder', residency: { allowed: ['eu', 'apac'] } }, headers });
    expect(regionsOf(h)).toEqual(['eu-west-1', 'ap-southeast-1']);
  });

  it('refusals are marked while others follow, and cleared when nobody took it', async () => {
    const h = await harness();
    answers(h, { 'eu-west-1': noCapacity(), 'us-east-1': noCapacity(), 'ap-southeast-1': noCapacity() });
    await h.call('POST', '/v1/allocations', { body: { pool: 'coder' }, headers });
    expect(asked(h).map(([region, { idempotency }]) => [region, idempotency?.passOnRefusal === true])).toEqual([
      ['eu-west-1', true],
      ['us-east-1', true],
      ['ap-southeast-1', false],
    ]);
    for (const region of ['eu-west-1', 'us-east-1'] as const) {
      expect(h.regions[region].forgetKeys.mock.calls.map(([, pool, keys]) => [pool, keys])).toEqual([
        ['coder', ['s\nPOST /v1/allocations\nk']],
      ]);
    }
    const granted = await harness();
    answers(granted, { 'eu-west-1': noCapacity() });
    await granted.call('POST', '/v1/allocations', { body: { pool: 'coder' }, headers });
    for (const fake of Object.values(granted.regions)) expect(fake.forgetKeys).not.toHaveBeenCalled();
  });

  it('a kept answer says so', async () => {
    const h = await harness();
    answers(h, { 'eu-west-1': { ...ok([allocationIn('eu-west-1')]), replayed: true } });
    const response = await h.call('POST', '/v1/allocations', { body: { pool: 'coder', region: 'eu-west-1' }, headers });
    expect(response.headers.get('idempotency-replayed')).toBe('true');
  });

  it('a batch asks each coordinator once', async () => {
    const h = await harness();
    const tasks = Array.from({ length: 50 }, (_, i) => ({ pool: 'coder', payload: i, idempotencyKey: `k${i}` }));
    answers(h, { 'eu-west-1': ok(taskIn('eu-west-1')) });
    const response = await h.call('POST', '/v1/tasks/batch', { body: { tasks }, headers: DUBLIN });
    expect(response.status).toBe(200);
    const calls = Object.values(h.regions).map((fake) => fake.routesForKeys.mock.calls.length);
    expect(calls.every((n) => n <= 1) && calls.some((n) => n === 1)).toBe(true);
    expect(Object.values(h.regions).flatMap((fake) => fake.routesForKeys.mock.calls.flatMap(([, keys]) => keys))).toHaveLength(
      50,
    );
    expect(h.regions['eu-west-1'].execute).toHaveBeenCalledTimes(1);
  });
});

describe('a batch that gives back and takes', () => {
  const release = (region: string, pool = 'coder') => ({
    op: 'release',
    id: allocationIn(region).id.replace('.coder.', `.${pool}.`),
    fencingToken: 1,
  });
  const take = { op: 'allocate', pool: 'coder', region: 'eu-west-1' };
  const calls = (h: Harness, region: keyof Harness['regions']) =>
    h.regions[region].execute.mock.calls.map(([, pool, , requests]) => [pool, requests.map(({ command }) => command.type)]);
  const both = (h: Harness): void => {
    for (const [region, fake] of Object.entries(h.regions)) {
      fake.execute.mockImplementation(async (_c, _p, _s, requests) =>
        requests.map(({ command }) => (command.type === 'allocate' ? ok([allocationIn(region)]) : ok(allocationIn(region)))),
      );
    }
  };
  const results = async (h: Harness, operations: readonly object[]): Promise<readonly number[]> => {
    const response = await h.call('POST', '/v1/allocations/batch', { body: { operations } });
    return ((await bodyOf(response))['results'] as readonly { readonly status: number }[]).map(({ status }) => status);
  };

  it('is one call where both go to one pool, what is given back first', async () => {
    const h = await harness();
    both(h);
    expect(await results(h, [take, release('eu-west-1'), take, release('eu-west-1')])).toEqual([201, 200, 201, 200]);
    expect(calls(h, 'eu-west-1')).toEqual([['coder', ['release', 'release', 'allocate', 'allocate']]]);
  });

  it('goes first where nothing is taken, and alone where what is taken waits', async () => {
    const h = await harness();
    both(h);
    expect(await results(h, [take, release('us-east-1'), release('eu-west-1', 'tester')])).toEqual([201, 200, 200]);
    expect(calls(h, 'us-east-1')).toEqual([['coder', ['release']]]);
    expect(calls(h, 'eu-west-1')).toEqual([
      ['tester', ['release']],
      ['coder', ['allocate']],
    ]);
    const waits = await harness();
    both(waits);
    const fleet = { residency: { allowed: ['eu-west-1'], enforcement: 'strict' } };
    expect(await results(waits, [{ ...take, waitMs: 1_000, ...fleet }, release('eu-west-1')])).toEqual([201, 200]);
    expect(calls(waits, 'eu-west-1')).toEqual([
      ['coder', ['release']],
      ['coder', ['allocate']],
    ]);
  });

  it('a region that fails fails what only it could do; what is taken goes on', async () => {
    const h = await harness();
    both(h);
    h.regions['eu-west-1'].execute.mockRejectedValue(LOST);
    expect(await results(h, [take, release('eu-west-1')])).toEqual([201, 503]);
    expect(calls(h, 'us-east-1')).toEqual([['coder', ['allocate']]]);
  });
});

describe('agents', () => {
  it('a named region is exact, whatever it answers', async () => {
    const h = await harness();
    answers(h, { 'ap-southeast-1': LOST });
    const response = await h.call('POST', '/v1/agents', { body: { pool: 'coder', region: 'ap-southeast-1' } });
    expect(response.status).toBe(503);
    expect(regionsOf(h)).toEqual(['ap-southeast-1']);
  });

  it('a full pool is the answer: nobody registers farther away without being asked to', async () => {
    const h = await harness();
    answers(h, { 'us-east-1': err({ kind: 'quota_exceeded', scope: 'pool', limit: 5, detail: '' }) });
    const response = await h.call('POST', '/v1/agents', { body: { pool: 'coder' }, headers: { 'idempotency-key': 'k' } });
    expect(await bodyOf(response)).toMatchObject({ status: 409, code: 'quota_exceeded', scope: 'pool', limit: 5 });
    expect(asked(h).map(([region, { idempotency }]) => [region, idempotency?.passOnRefusal])).toEqual([['us-east-1', undefined]]);
  });

  it('the fleet’s maximum is asked only where there is one, and settled with what came of it', async () => {
    const h = await harness();
    const agent = {
      id: 'agt.us-east-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV',
      pool: 'coder',
      region: 'us-east-1',
      swarms: [],
      metadata: '{}',
    };
    answers(h, { 'us-east-1': ok(agent as never) });
    expect((await h.call('POST', '/v1/agents', { body: { pool: 'coder' } })).status).toBe(201);
    expect(h.fleet.admit).not.toHaveBeenCalled();

    const limited = await harness();
    limited.snapshot.value = { ...limited.snapshot.value, settings: { maxAgents: 2 } };
    answers(limited, { 'us-east-1': ok(agent as never) });
    limited.fleet.admit.mockResolvedValue(ok({ ticket: 9, admitted: 1, known: ['s\nPOST /v1/agents/batch\nb'] }));
    const agents = [
      { pool: 'coder', idempotencyKey: 'a' },
      { pool: 'coder', idempotencyKey: 'b' },
      { pool: 'coder', idempotencyKey: 'c' },
      { bad: 1 },
    ];
    const response = await limited.call('POST', '/v1/agents/batch', { body: { agents } });
    const { results } = (await response.json()) as { results: { status: number }[] };
    expect(results.map(({ status }) => status)).toEqual([201, 201, 409, 422]);
    expect(limited.fleet.settle.mock.calls.map((call) => call.slice(1))).toEqual([
      [9, { registered: 1, keys: ['s\nPOST /v1/agents/batch\na'] }],
    ]);
  });
});

describe('tasks', () => {
  it('without a region go where an agent lives, and queue nearby where none does', async () => {
    const h = await harness();
    answers(h, { 'eu-west-1': noCapacity(), 'us-east-1': ok(taskIn('us-east-1')) });
    expect((await h.call('POST', '/v1/tasks', { body: { pool: 'coder', payload: 1 }, headers: DUBLIN })).status).toBe(202);
    expect(regionsOf(h)).toEqual(['eu-west-1', 'us-east-1']);

    const empty = await harness();
    for (const [region, fake] of Object.entries(empty.regions)) {
      fake.execute.mockImplementation(async (_c, _p, _s, requests) =>
        requests.map(({ command }) => (command.type === 'submitTask' && command.needsAgent ? noCapacity() : ok(taskIn(region)))),
      );
    }
    const response = await empty.call('POST', '/v1/tasks', { body: { pool: 'coder', payload: 1 }, headers: DUBLIN });
    expect([response.status, response.headers.get('x-fleet-region')]).toEqual([202, 'eu-west-1']);
    expect(regionsOf(empty)).toEqual(['eu-west-1', 'us-east-1', 'ap-southeast-1', 'eu-west-1']);
  });

  it('with a region queue there', async () => {
    const h = await harness();
    answers(h, { 'ap-southeast-1': ok(taskIn('ap-southeast-1')) });
    await h.call('POST', '/v1/tasks', { body: { pool: 'coder', payload: 1, region: 'ap-southeast-1' }, headers: DUBLIN });
    expect(asked(h).map(([region, { command }]) => [region, command.type === 'submitTask' && command.needsAgent])).toEqual([
      ['ap-southeast-1', false],
    ]);
  });

  it('are refused where residency forbids, before any region is asked', async () => {
    const h = await harness();
    h.snapshot.value = { ...h.snapshot.value, settings: { residency: { allowed: ['eu'], enforcement: 'strict' } } };
    const body = { pool: 'coder', payload: 1, region: 'us-east-1' };
    expect((await bodyOf(await h.call('POST', '/v1/tasks', { body })))['code']).toBe('residency_violation');
    expect(regionsOf(h)).toEqual([]);
  });
});
