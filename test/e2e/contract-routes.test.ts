import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type Call, type ContractFleet, startContractFleet } from './lib/contract-fleet.ts';

/* What the contract promises of placement, keys, quotas, batches, lists and pools, through the real fleet. Each test has a pool of its own. */

let fleet: ContractFleet;
const NEAR = {
  dublin: { 'x-fleet-geo': '53.3,-6.2' },
  virginia: { 'x-fleet-geo': '39,-77.5' },
  singapore: { 'x-fleet-geo': '1.3,103.8' },
};
const post = (route: string, body: unknown, options: Call = {}): Promise<Answer> =>
  fleet.call('POST', route, { body, ...options });
const code = (answer: Answer): unknown => answer.json['code'] ?? answer.status;
const results = (answer: Answer): { status: number; body?: Record<string, unknown>; problem?: Record<string, unknown> }[] =>
  answer.json['results'] as ReturnType<typeof results>;

let pools = 0;
async function newPool(maxAgents = 100): Promise<string> {
  const pool = `p${pools++}`;
  const answer = await fleet.call('PUT', `/v1/pools/${pool}`, { body: { minAgents: 0, maxAgents, priority: 5 } });
  expect(answer.status).toBe(201);
  return pool;
}
async function newAgent(pool: string, rest: object = {}): Promise<{ id: string; token: string }> {
  const answer = await post('/v1/agents', { pool, region: 'eu-west-1', ...rest });
  expect(answer.status, answer.text).toBe(201);
  return { id: String(answer.json['id']), token: String(answer.json['token']) };
}

beforeAll(async () => {
  fleet = await startContractFleet(['us-east-1', 'eu-west-1', 'ap-southeast-1']);
});
afterAll(async () => {
  expect([...fleet.seen.keys()].filter((status) => status >= 500)).toEqual([]);
  await fleet.stop();
});

describe('placement', () => {
  it('an agent goes to the region it names, else to the nearest, else to the first', async () => {
    const pool = await newPool();
    for (const [options, region] of [
      [{ headers: NEAR.dublin }, 'eu-west-1'],
      [{ headers: NEAR.singapore }, 'ap-southeast-1'],
      [{}, 'us-east-1'],
    ] as const) {
      const answer = await post('/v1/agents', { pool }, options);
      expect([answer.json['region'], answer.headers.get('x-fleet-region')]).toEqual([region, region]);
      expect(answer.json['heartbeatIntervalMs']).toBe(5_000);
    }
    const named = await post('/v1/agents', { pool, region: 'ap-southeast-1' }, { headers: NEAR.dublin });
    expect(named.json['region']).toBe('ap-southeast-1');
  });

  it('an allocation goes where an agent is, and stays where residency says', async () => {
    const pool = await newPool();
    await newAgent(pool, { region: 'ap-southeast-1' });
    const strict = { residency: { allowed: ['eu', 'us'] } };
    expect(code(await post('/v1/allocations', { pool, ...strict }))).toBe('no_capacity');
    const granted = await post('/v1/allocations', { pool, region: 'eu-west-1' });
    expect([granted.status, granted.json['region']]).toEqual([201, 'ap-southeast-1']);
    expect(code(await post('/v1/allocations', { pool }))).toBe('no_capacity');
  });

  it('a pool that only one region has is found there, and nowhere else', async () => {
    const pool = `only${pools++}`;
    const put = await fleet.call('PUT', `/v1/pools/${pool}?region=eu-west-1`, {
      body: { minAgents: 0, maxAgents: 2, priority: 5 },
    });
    expect([put.status, put.json['region'], put.headers.get('x-fleet-region')]).toEqual([201, 'eu-west-1', 'eu-west-1']);
    expect((await post('/v1/agents', { pool }, { headers: NEAR.singapore })).json['region']).toBe('eu-west-1');
    expect(code(await post('/v1/agents', { pool, region: 'us-east-1' }))).toBe('pool_not_found');
    expect((await post('/v1/allocations', { pool })).json['region']).toBe('eu-west-1');
    expect((await post('/v1/tasks', { pool, payload: 1 })).json['region']).toBe('eu-west-1');
    expect(code(await fleet.call('GET', `/v1/pools/${pool}?region=us-east-1`))).toBe('pool_not_found');
  });

  it('a task goes where a live agent fits, and queues nearby where none does', async () => {
    const pool = await newPool();
    const lonely = await post('/v1/tasks', { pool, payload: 1 }, { headers: NEAR.singapore });
    expect([lonely.status, lonely.json['region'], lonely.json['status']]).toEqual([202, 'ap-southeast-1', 'queued']);
    await newAgent(pool, { capabilities: ['go'] });
    const placed = await post('/v1/tasks', { pool, payload: 1, capabilities: ['go'] }, { headers: NEAR.singapore });
    expect(placed.json['region']).toBe('eu-west-1');
    const named = await post('/v1/tasks', { pool, payload: 1, region: 'us-east-1' }, { headers: NEAR.singapore });
    expect(named.json['region']).toBe('us-east-1');
  });

  it('the fleet’s own rule binds everything, and a request can only narrow it', async () => {
    const token = String((await post('/v1/tokens', { role: 'admin', fleet: 'bound' })).json['token']);
    const set = await fleet.call('PUT', '/v1/fleet', {
      token,
      body: { residency: { allowed: ['eu'] }, homeRegion: 'eu-west-1' },
    });
    expect(set.json).toEqual({ residency: { allowed: ['eu'], enforcement: 'strict' }, homeRegion: 'eu-west-1' });
    expect((await fleet.call('GET', '/v1/fleet', { token })).json).toEqual(set.json);
    const options = { token, headers: NEAR.virginia };
    expect((await post('/v1/agents', { pool: 'coder' }, options)).json['region']).toBe('eu-west-1');
    for (const route of ['/v1/agents', '/v1/tasks', '/v1/allocations']) {
      const body = { pool: 'coder', region: 'us-east-1', ...(route === '/v1/tasks' ? { payload: 1 } : {}) };
      expect(code(await post(route, body, options))).toBe('residency_violation');
    }
    expect(code(await post('/v1/allocations', { pool: 'coder', residency: { allowed: ['us'] } }, options))).toBe(
      'residency_violation',
    );
    const wider = await post('/v1/allocations', { pool: 'coder', residency: { allowed: ['us', 'eu'] } }, options);
    expect([wider.status, wider.json['region']]).toEqual([201, 'eu-west-1']);
    expect(
      code(await fleet.call('PUT', '/v1/fleet', { token, body: { residency: { allowed: ['eu'] }, homeRegion: 'us-east-1' } })),
    ).toBe('residency_violation');
  });
});

describe('idempotency keys', () => {
  it('the same grant from anywhere on the globe', async () => {
    const pool = await newPool();
    for (const region of ['us-east-1', 'eu-west-1', 'ap-southeast-1']) await newAgent(pool, { region, slots: 4 });
    for (let i = 0; i < 6; i += 1) {
      const key = { 'idempotency-key': `globe-${i}` };
      const first = await post('/v1/allocations', { pool }, { headers: { ...NEAR.dublin, ...key } });
      const again = await post('/v1/allocations', { pool }, { headers: { ...NEAR.singapore, ...key } });
      const third = await post('/v1/allocations', { pool }, { headers: { ...NEAR.virginia, ...key } });
      expect([first.json['region'], first.headers.get('idempotency-replayed')]).toEqual([
        i < 4 ? 'eu-west-1' : 'us-east-1',
        null,
      ]);
      for (const repeat of [again, third]) {
        expect([repeat.status, repeat.headers.get('idempotency-replayed'), repeat.json]).toEqual([201, 'true', first.json]);
      }
      const other = await post('/v1/allocations', { pool, leaseMs: 5_000 }, { headers: { ...NEAR.dublin, ...key } });
      expect([other.status, code(other)]).toEqual([422, 'idempotency_mismatch']);
      expect(other.headers.get('x-fleet-region')).toMatch(/^(eu-west|us-east)-1$/);
    }
  });

  it('a refusal is not kept', async () => {
    const pool = await newPool();
    const headers = { 'idempotency-key': 'refused' };
    expect(code(await post('/v1/allocations', { pool }, { headers }))).toBe('no_capacity');
    await newAgent(pool, { region: 'ap-southeast-1' });
    const granted = await post('/v1/allocations', { pool }, { headers });
    expect([granted.status, granted.headers.get('idempotency-replayed')]).toEqual([201, null]);
    expect((await post('/v1/allocations', { pool }, { headers })).json).toEqual(granted.json);
  });

  it('each caller, route and item has keys of its own; a registration’s token is minted anew', async () => {
    const pool = await newPool();
    const operator = String((await post('/v1/tokens', { role: 'operator' })).json['token']);
    const headers = { 'idempotency-key': 'same' };
    const ids = new Set<unknown>();
    for (const token of [fleet.admin, operator]) {
      const [one, two] = [
        await post('/v1/agents', { pool }, { headers, token }),
        await post('/v1/agents', { pool }, { headers, token }),
      ];
      expect([two.headers.get('idempotency-replayed'), two.json['id']]).toEqual(['true', one.json['id']]);
      expect(two.json['token']).not.toBe(one.json['token']);
      ids.add(one.json['id']);
      const batch = {
        agents: [
          { pool, idempotencyKey: 'same' },
          { pool, idempotencyKey: 'other' },
        ],
      };
      const [a, b] = [await post('/v1/agents/batch', batch, { token }), await post('/v1/agents/batch', batch, { token })];
      expect(results(a).map((r) => r.body?.['id'])).toEqual(results(b).map((r) => r.body?.['id']));
      for (const item of results(a)) ids.add(item.body?.['id']);
    }
    expect(ids.size).toBe(6);
    const scale = { body: { targetSize: 3 }, headers };
    const [once, twice] = [
      await fleet.call('POST', `/v1/pools/${pool}/scale`, scale),
      await fleet.call('POST', `/v1/pools/${pool}/scale`, scale),
    ];
    expect([once.json['desired'], twice.headers.get('idempotency-replayed'), twice.json]).toEqual([3, 'true', once.json]);
    expect(code(await fleet.call('POST', `/v1/pools/${pool}/scale`, { body: { targetSize: 4 }, headers }))).toBe(
      'idempotency_mismatch',
    );
  });
});

describe('waiting', () => {
  it('is answered when an agent is given back', async () => {
    const pool = await newPool();
    await newAgent(pool);
    const held = await post('/v1/allocations', { pool });
    const waiting = post('/v1/allocations', { pool, region: 'eu-west-1', waitMs: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const release = await post(`/v1/allocations/${String(held.json['id'])}/release`, { fencingToken: held.json['fencingToken'] });
    expect(release.status).toBe(200);
    expect((await waiting).status).toBe(201);
    const startedAt = performance.now();
    expect(code(await post('/v1/allocations', { pool, waitMs: 300 }))).toBe('no_capacity');
    expect(performance.now() - startedAt).toBeGreaterThan(290);
  });

  it('a caller whose connection breaks is withdrawn, and nothing is granted to it', async () => {
    const pool = await newPool();
    await newAgent(pool);
    const held = await post('/v1/allocations', { pool });
    const body = JSON.stringify({ pool, region: 'eu-west-1', waitMs: 20_000 });
    const socket = net.connect(fleet.port, '127.0.0.1');
    socket.write(
      `POST /v1/allocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${fleet.admin}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    socket.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await post(`/v1/allocations/${String(held.json['id'])}/release`, { fencingToken: held.json['fencingToken'] });
    expect((await post('/v1/allocations', { pool })).status).toBe(201);
  });
});

describe('the fleet’s maximum', () => {
  it('holds under many registrations at once, over all regions, and finds room that was made', async () => {
    const token = String((await post('/v1/tokens', { role: 'admin', fleet: 'small' })).json['token']);
    await fleet.call('PUT', '/v1/fleet', { token, body: { maxAgents: 20 } });
    const regions = ['us-east-1', 'eu-west-1', 'ap-southeast-1'];
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => post('/v1/agents', { pool: 'coder', region: regions[i % 3] }, { token })),
    );
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(20);
    for (const refused of answers.filter((answer) => answer.status !== 201)) {
      expect(refused.json).toMatchObject({ status: 409, code: 'quota_exceeded', scope: 'fleet', limit: 20 });
    }
    const batch = await post('/v1/agents/batch', { agents: Array.from({ length: 3 }, () => ({ pool: 'coder' })) }, { token });
    expect(results(batch).map((r) => r.status)).toEqual([409, 409, 409]);

    const gone = answers.find((answer) => answer.status === 201)?.json['id'];
    expect((await fleet.call('DELETE', `/v1/agents/${String(gone)}`, { token })).status).toBe(200);
    const headers = { 'idempotency-key': 'last-one' };
    const last = await post('/v1/agents', { pool: 'coder' }, { token, headers });
    expect(last.status).toBe(201);
    expect((await post('/v1/agents', { pool: 'coder' }, { token, headers })).json['id']).toBe(last.json['id']);
    expect(code(await post('/v1/agents', { pool: 'coder' }, { token }))).toBe('quota_exceeded');
    await expect
      .poll(async () => ((await fleet.call('GET', '/v1/fleet/status', { token })).json['agents'] as { total: number }).total, {
        timeout: 3_000,
      })
      .toBe(20);
    await fleet.call('PUT', '/v1/fleet', { token, body: {} });
    expect((await post('/v1/agents', { pool: 'coder' }, { token })).status).toBe(201);
  });
});

describe('lists, batches and pools', () => {
  it('pages over regions in the order of ids, each item once', async () => {
    const pool = await newPool();
    const made: unknown[] = [];
    for (const region of ['us-east-1', 'eu-west-1', 'ap-southeast-1']) {
      const agents = Array.from({ length: 4 }, () => ({ pool, region, capabilities: region === 'eu-west-1' ? ['x'] : [] }));
      made.push(...results(await post('/v1/agents/batch', { agents })).map((r) => r.body?.['id']));
    }
    for (const limit of [1, 3, 4, 5, 12, 1_000]) {
      const seen: string[] = [];
      let pages = 0;
      for (let cursor = ''; ; pages += 1) {
        const page = await fleet.call('GET', `/v1/agents?pool=${pool}&limit=${limit}${cursor}`);
        const data = page.json['data'] as { id: string }[];
        expect(data.length).toBeLessThanOrEqual(limit);
        seen.push(...data.map(({ id }) => id));
        if (page.json['nextCursor'] === undefined) break;
        expect(data).toHaveLength(limit);
        cursor = `&cursor=${page.json['nextCursor'] as string}`;
      }
      expect(seen).toEqual([...made].map(String).sort());
      expect(pages).toBe(Math.ceil(12 / limit) - 1);
    }
    const filtered = await fleet.call('GET', `/v1/agents?pool=${pool}&capability=x&status=idle`);
    expect((filtered.json['data'] as unknown[]).length).toBe(4);
    const regional = await fleet.call('GET', `/v1/agents?pool=${pool}&region=us-east-1`);
    expect([(regional.json['data'] as unknown[]).length, regional.headers.get('x-fleet-region')]).toEqual([4, 'us-east-1']);
    const cursor = (await fleet.call('GET', `/v1/agents?pool=${pool}&limit=1`)).json['nextCursor'];
    expect(code(await fleet.call('GET', `/v1/agents?pool=${pool}&status=idle&limit=1&cursor=${String(cursor)}`))).toBe(
      'invalid_cursor',
    );
  });

  it('a batch gives back before it grants, and answers in order', async () => {
    const pool = await newPool();
    await newAgent(pool);
    const held = await post('/v1/allocations', { pool });
    const { id, fencingToken } = held.json;
    const batch = await post('/v1/allocations/batch', {
      operations: [
        { op: 'allocate', pool },
        { op: 'renew', id, fencingToken },
        { op: 'allocate', pool },
        { op: 'release', id, fencingToken },
      ],
    });
    expect(
      results(batch)
        .map((r) => r.status)
        .toSorted((a, b) => a - b),
    ).toEqual([200, 200, 201, 409]);
    expect(results(batch).map((r) => r.body?.['status'] ?? r.problem?.['code'])).toEqual(
      expect.arrayContaining(['released', 'no_capacity']),
    );
  });

  it('a batch of tasks may be a graph: it runs in order, in one region, and a cycle is refused by name', async () => {
    const pool = await newPool();
    const tasks = [
      { ref: 'ship', pool, payload: 3, dependsOn: ['test', 'lint'] },
      { ref: 'test', pool, payload: 2, dependsOn: ['build'] },
      { ref: 'build', pool, payload: 1 },
      { ref: 'lint', pool, payload: 1 },
      { ref: 'a', pool, payload: 0, dependsOn: ['b'] },
      { ref: 'b', pool, payload: 0, dependsOn: ['a'] },
      { pool, payload: 0, dependsOn: ['nobody'] },
    ];
    const submitted = results(await post('/v1/tasks/batch', { tasks }));
    expect(submitted.map((r) => r.status)).toEqual([202, 202, 202, 202, 422, 422, 422]);
    expect(JSON.stringify(submitted[4])).toContain('is part of a cycle: a → b → a');
    const ids = submitted.slice(0, 4).map((r) => String(r.body?.['id']));
    expect(new Set(submitted.slice(0, 4).map((r) => r.body?.['region'])).size).toBe(1);

    const agent = await newAgent(pool, { region: String(submitted[0]?.body?.['region']), slots: 4 });
    const order: unknown[] = [];
    while (order.length < 4) {
      const { json } = await post(`/v1/agents/${agent.id}/poll`, { waitMs: 5_000, max: 4 });
      const given = json['assignments'] as { taskId: string; fencingToken: number; payload: unknown }[];
      order.push(...given.map(({ taskId }) => ids.indexOf(taskId)));
      const said = given.map(({ taskId: id, fencingToken, payload }) => ({ op: 'complete', id, fencingToken, result: payload }));
      const reported = results(await post('/v1/tasks/results', { results: said }));
      expect(reported.map((r) => [r.status, r.body?.['status']])).toEqual(given.map(() => [200, 'succeeded']));
    }
    expect(new Set(order.slice(0, 2))).toEqual(new Set([2, 3]));
    expect(order.slice(2)).toEqual([1, 0]);
  });

  it('results of many tasks: each item answers as its own call would', async () => {
    const pool = await newPool();
    const agent = await newAgent(pool, { slots: 4 });
    const tasks = Array.from({ length: 4 }, (_, payload) => ({ pool, payload, maxAttempts: 1 }));
    await post('/v1/tasks/batch', { tasks });
    const { json } = await post(`/v1/agents/${agent.id}/poll`, { waitMs: 5_000, max: 4 });
    const given = json['assignments'] as { taskId: string; fencingToken: number }[];
    const of = (i: number) => ({ id: given[i]?.taskId, fencingToken: given[i]?.fencingToken });
    const said = [
      { op: 'complete', ...of(0), result: 'fine' },
      { op: 'fail', ...of(1), error: 'broken', retryable: false },
      { op: 'progress', ...of(2), progress: 0.5 },
      { op: 'complete', ...of(3), fencingToken: 424_242 },
      { op: 'complete', id: 'tsk.nowhere', fencingToken: 1 },
      { op: 'complete', ...of(0), result: 'again' },
      { op: 'shrug', ...of(3) },
    ];
    const reported = results(await post('/v1/tasks/results', { results: said }));
    expect(reported.map((r) => r.status)).toEqual([200, 200, 200, 409, 404, 200, 422]);
    expect([reported[0]?.body?.['result'], reported[5]?.body?.['result']]).toEqual(['fine', 'fine']);
    expect(reported[1]?.body).toMatchObject({ status: 'failed', error: { message: 'broken' } });
    expect(reported[2]?.body).toMatchObject({ cancelRequested: false });
  });

  it('a pool is put in all regions or one, and its size is set and limited in each', async () => {
    const pool = await newPool(10);
    const changed = await fleet.call('PUT', `/v1/pools/${pool}`, { body: { minAgents: 2, maxAgents: 8, priority: 9 } });
    expect([changed.status, changed.json['maxAgents'], (changed.json['regions'] as unknown[]).length]).toEqual([200, 8, 3]);
    expect((await fleet.call('POST', `/v1/pools/${pool}/scale`, { body: { targetSize: 6 } })).json['desired']).toBe(6);
    expect(
      (await fleet.call('POST', `/v1/pools/${pool}/scale`, { body: { targetSize: 99, region: 'eu-west-1', reason: 'r' } })).json,
    ).toEqual({ desired: 8, limitedBy: 'max' });
    expect((await fleet.call('POST', `/v1/pools/${pool}/scale`, { body: { targetSize: 0, region: 'eu-west-1' } })).json).toEqual({
      desired: 2,
      limitedBy: 'min',
    });
    const read = await fleet.call('GET', `/v1/pools/${pool}`);
    expect(
      (read.json['regions'] as { region: string; desired: number }[]).map(({ region, desired }) => [region, desired]),
    ).toEqual([
      ['us-east-1', 6],
      ['eu-west-1', 2],
      ['ap-southeast-1', 6],
    ]);
    const all: string[] = [];
    for (let cursor = ''; ;) {
      const page = await fleet.call('GET', `/v1/pools?limit=7${cursor}`);
      all.push(...(page.json['data'] as { pool: string; region: string }[]).map((p) => `${p.pool}/${p.region}`));
      if (page.json['nextCursor'] === undefined) break;
      cursor = `&cursor=${page.json['nextCursor'] as string}`;
    }
    expect(new Set(all).size).toBe(all.length);
    expect(all.filter((name) => name.startsWith(`${pool}/`))).toHaveLength(3);
    expect(all.filter((name) => name.startsWith('coder/'))).toHaveLength(3);
  });

  it('metrics show the caller’s fleet', async () => {
    const metrics = await fleet.call('GET', '/metrics');
    expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.text).toMatch(/^fleet_agents\{fleet="default",region="eu-west-1",pool="coder",status="idle"\} \d+$/m);
    expect(metrics.text).toMatch(/^fleet_tasks\{fleet="default",region="us-east-1",status="queued"\} \d+$/m);
    for (const line of metrics.text.trim().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) |[a-z_]+\{([a-z]+="[a-z0-9-]+",?)+\} \d+$)/);
  });
});
