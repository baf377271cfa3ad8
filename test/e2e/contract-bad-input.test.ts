import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LIMITS } from '../../shared/limits.ts';
import { methodsOf, ROUTES, type RouteEntry } from '../../workers/router/route-table.ts';
import { type Answer, type Call, type ContractFleet, startContractFleet } from './lib/contract-fleet.ts';

/*
 * Bad input of every kind, through the real router, regions and objects: CONTRACT's answer, never a 500, and nothing
 * changed. Each test asks routes of the table, so a new route is asked, too.
 */

let fleet: ContractFleet;
/** A registered agent, a live allocation and a queued task: their ids are good, so it is the body that is bad. */
let ids: { agent: string; allocation: string; task: string };
let agentToken: string;
let before: string;

const counts = async (): Promise<string> => {
  const { json } = await fleet.call('GET', '/v1/fleet/status');
  return JSON.stringify([json['agents'], json['tasks']]);
};

beforeAll(async () => {
  fleet = await startContractFleet();
  const agent = await fleet.call('POST', '/v1/agents', {
    // Without beats it is never lost, so that counts stay still.
    body: { pool: 'coder', region: 'eu-west-1', slots: 4, liveness: 'none', endpoint: 'https://agents.example/run' },
  });
  const allocation = await fleet.call('POST', '/v1/allocations', { body: { pool: 'coder', leaseMs: 3_600_000 } });
  const task = await fleet.call('POST', '/v1/tasks', { body: { pool: 'tester', payload: 1, region: 'eu-west-1' } });
  ids = { agent: String(agent.json['id']), allocation: String(allocation.json['id']), task: String(task.json['id']) };
  agentToken = String(agent.json['token']);
  expect([agent.status, allocation.status, task.status]).toEqual([201, 201, 202]);
  await vi.waitFor(async () => expect(await counts()).toMatch(/"busy":1.*"queued":1/), { timeout: 3_000 });
  before = await counts();
});

afterAll(async () => {
  expect(await counts()).toBe(before);
  expect([...fleet.seen.keys()].filter((status) => status >= 500)).toEqual([]);
  await fleet.stop();
});

const entries = Object.entries(ROUTES) as readonly [string, RouteEntry][];
const protectedRoutes = entries.filter(([, route]) => route.access !== 'public');
/** They speak another API's language, unknown fields and errors included; test/unit/router/booster-drop-in.test.ts asks them. */
const DROP_INS: readonly string[] = ['chatCompletions', 'applyEdit'];
/** Their bodies may be sixteen times as large. */
const LARGE_BODIES: readonly string[] = ['runBooster'];
/** Routes that read a JSON body; an import's is a file. */
const withBody = protectedRoutes.filter(
  ([name, { method }]) => (method === 'POST' || method === 'PUT') && name !== 'importMemory' && !DROP_INS.includes(name),
);

/** The path with ids that exist; `poll` and others need the agent's. */
const real = ({ path }: RouteEntry): string =>
  path
    .replace('/v1/agents/{id}', `/v1/agents/${ids.agent}`)
    .replace('/v1/allocations/{id}', `/v1/allocations/${ids.allocation}`)
    .replace('/v1/tasks/{id}', `/v1/tasks/${ids.task}`)
    .replace('{id}', 'tok.01ARZ3NDEKTSV4RRFFQ69G5FAV')
    .replace('{pool}', 'coder')
    .replace('{swarm}', 'hive')
    .replace('{key}', 'k')
    .replace('{task}', ids.task)
    .replace('{claim}', 'clm.x')
    .replace('{artifact}', 'art.x')
    .replace('{number}', '0')
    .replace('{file}', 'x.js');

function expectProblem(answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, code: answer.json['code'] }, answer.text.slice(0, 300)).toEqual({ status, code });
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.headers.get('x-request-id')).toBe(answer.json['requestId']);
  expect(Object.keys(answer.json)).toEqual(
    expect.arrayContaining(['type', 'title', 'status', 'detail', 'instance', 'code', 'requestId']),
  );
}

/** The same bad request to every route that takes a body. */
async function everywhere(call: Call, status: number, code: string, except: readonly string[] = []): Promise<void> {
  for (const [name, route] of withBody) {
    if (except.includes(name)) continue;
    const answer = await fleet.call(route.method, real(route), call);
    expect({ name, status: answer.status, code: answer.json['code'] }, answer.text.slice(0, 300)).toEqual({ name, status, code });
  }
}

describe('bodies', () => {
  it.each([
    ['half of an object', '{"pool":'],
    ['nothing but a word', 'coder'],
    ['NaN', '{"slots":NaN}'],
    ['Infinity', '{"slots":Infinity}'],
    ['a trailing comma', '{"pool":"coder",}'],
    ['single quotes', "{'pool':'coder'}"],
    ['a comment', '{/* */}'],
    ['two values', '{}{}'],
    ['a NUL behind', '{}\0'],
    ['blanks only', '   '],
  ])('400 for what is not JSON: %s', async (_, raw) => {
    await everywhere({ raw }, 400, 'malformed_request');
  });

  it('400 for a byte order mark, invalid UTF-8 and UTF-16', async () => {
    for (const raw of [
      Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]),
      Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
      Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]),
      Buffer.from('{}', 'utf16le'),
    ]) {
      await everywhere({ raw }, 400, 'malformed_request');
    }
  });

  it.each([
    ['an array', []],
    ['a string', 'x'],
    ['a number', 1],
    ['null', null],
    ['true', true],
  ])('422 for %s where an object belongs', async (_, body) => {
    await everywhere({ raw: JSON.stringify(body) }, 422, 'validation_failed');
  });

  it('422 with its path for an unknown field', async () => {
    for (const [name, route] of withBody) {
      const answer = await fleet.call(route.method, real(route), { body: { fenceId: 1 } });
      expect({ name, status: answer.status }).toEqual({ name, status: 422 });
      expect(answer.json['errors']).toContainEqual({ path: 'fenceId', message: 'is not a known field' });
    }
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    '422 for the field %s, which is inert',
    async (key) => {
      await everywhere({ raw: `{"${key}":{"polluted":true,"isAdmin":true}}` }, 422, 'validation_failed');
    },
  );

  it('422 for deep nesting, whether the schema would look there or not', async () => {
    for (const depth of [LIMITS.jsonDepth, 1_000, 100_000]) {
      const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`;
      await everywhere({ raw: `{"metadata":{"a":${nested}}}` }, 422, 'validation_failed');
      await everywhere({ raw: `{"metadata":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}` }, 422, 'validation_failed');
    }
  });

  it('400 for deep nesting that never ends', async () => {
    await everywhere({ raw: '['.repeat(100_000) }, 400, 'malformed_request');
  });

  it('422 for a number beyond a double, wherever it stands', async () => {
    for (const raw of [
      '{"payload":{"a":[1,{"b":1e400}]}}',
      '{"metadata":{"x":-1e999}}',
      '{"slots":1e400}',
      `{"slots":${'9'.repeat(400)}}`,
    ]) {
      await everywhere({ raw }, 422, 'validation_failed');
    }
  });

  it('422 for a million keys, without echoing them', async () => {
    const raw = `{${Array.from({ length: 90_000 }, (_, i) => `"k${i}":1`).join(',')}}`;
    for (const [, route] of withBody) {
      const answer = await fleet.call(route.method, real(route), { raw });
      expect(answer.status).toBe(422);
      expect(answer.text.length).toBeLessThan(8_192);
    }
  });

  it('413 for one byte too many, by its declared length', async () => {
    const raw = `{"metadata":{"a":"${'x'.repeat(LIMITS.bodyBytes)}"}}`;
    await everywhere({ raw }, 413, 'payload_too_large', LARGE_BODIES);
  });

  it('413 for one byte more than 16 MiB where code is sent, drop-in or not', async () => {
    const raw = `{"original":"${'x'.repeat(LIMITS.boosterBodyBytes)}"}`;
    const statuses = ['/v1/booster/tasks', '/v1/chat/completions', '/v1/apply'].map(
      async (route) => (await fleet.call('POST', route, { raw })).status,
    );
    expect(await Promise.all(statuses)).toEqual([413, 413, 413]);
  });

  it('413 as soon as a body without a length has too much, however long it would go on', async () => {
    for (const [name, route] of withBody) {
      if (LARGE_BODIES.includes(name)) continue;
      const head = `${route.method} ${real(route)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${fleet.admin}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const chunk = `${(65_536).toString(16)}\r\n${' '.repeat(65_536)}\r\n`;
      expect(await fleet.bytes(head, ...Array.from({ length: 40 }, () => chunk))).toBe(413);
    }
  });

  it('the largest body that is allowed is read', async () => {
    const room = LIMITS.bodyBytes - '{"payload":""}'.length;
    const answer = await fleet.call('POST', '/v1/tasks', { raw: `{"payload":"${'x'.repeat(room)}"}` });
    expectProblem(answer, 422, 'validation_failed');
    expect(answer.json['errors']).toContainEqual(expect.objectContaining({ path: 'pool' }));
  });

  it('415 for another type, no type, another charset, and any content-encoding', async () => {
    for (const type of [
      'text/plain',
      'application/xml',
      'application/jsonp',
      'multipart/form-data',
      'application/json; charset=utf-16',
    ]) {
      await everywhere({ raw: '{}', headers: { 'content-type': type } }, 415, 'unsupported_media_type');
    }
    await everywhere({ raw: gzipSync('{}'), headers: { 'content-encoding': 'gzip' } }, 415, 'unsupported_media_type');
    const bomb = gzipSync(Buffer.alloc(4_000_000));
    await everywhere({ raw: bomb, headers: { 'content-encoding': 'gzip' } }, 415, 'unsupported_media_type');
    for (const [, route] of withBody) {
      expect(
        await fleet.bytes(
          `${route.method} ${real(route)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${fleet.admin}\r\nContent-Length: 2\r\n\r\n{}`,
        ),
      ).toBe(415);
    }
  });

  it('an empty body counts as {} where nothing is required', async () => {
    const beat = await fleet.call('POST', `/v1/agents/${ids.agent}/heartbeat`, { token: agentToken });
    expect(beat.status).toBe(200);
    const typed = await fleet.call('POST', `/v1/agents/${ids.agent}/heartbeat`, {
      raw: '',
      headers: { 'content-type': 'text/plain' },
    });
    expect(typed.status).toBe(200);
    expectProblem(await fleet.call('POST', '/v1/agents'), 422, 'validation_failed');
  });

  it('of two equal keys the last wins', async () => {
    const answer = await fleet.call('POST', '/v1/allocations/explain', { raw: '{"pool":"NOT A POOL","pool":"coder"}' });
    expect(answer.status).toBe(200);
  });
});

describe('values', () => {
  const bad: readonly [string, string, unknown, string][] = [
    ['/v1/agents', 'a pool that is no name', { pool: "coder'; DROP TABLE agents; --" }, 'pool'],
    ['/v1/agents', 'half a slot', { pool: 'coder', slots: 0.5 }, 'slots'],
    ['/v1/agents', 'a slot as text', { pool: 'coder', slots: '1' }, 'slots'],
    [
      '/v1/agents',
      'too many capabilities',
      { pool: 'coder', capabilities: Array.from({ length: 65 }, (_, i) => `c${i}`) },
      'capabilities',
    ],
    ['/v1/agents', 'a capability with a line break', { pool: 'coder', capabilities: ['a\nb'] }, 'capabilities.0'],
    ['/v1/agents', 'an http endpoint', { pool: 'coder', liveness: 'none', endpoint: 'http://a.example/' }, 'endpoint'],
    ['/v1/agents', 'a javascript endpoint', { pool: 'coder', endpoint: 'javascript:alert(1)' }, 'endpoint'],
    ['/v1/agents', 'metadata that is a list', { pool: 'coder', metadata: [] }, 'metadata'],
    ['/v1/agents', 'metadata beyond its bound', { pool: 'coder', metadata: { a: 'x'.repeat(LIMITS.metadataBytes) } }, 'metadata'],
    ['/v1/agents', 'a status of its own', { pool: 'coder', status: 'idle' }, 'status'],
    ['/v1/agents', 'a token of its own', { pool: 'coder', token: 'x' }, 'token'],
    ['/v1/allocations', 'a lease below its bound', { pool: 'coder', leaseMs: 999 }, 'leaseMs'],
    ['/v1/allocations', 'a lease above its bound', { pool: 'coder', leaseMs: 3_600_001 }, 'leaseMs'],
    ['/v1/allocations', 'a wait above its bound', { pool: 'coder', waitMs: 30_001 }, 'waitMs'],
    ['/v1/allocations', 'an unknown strategy', { pool: 'coder', strategy: 'best' }, 'strategy'],
    ['/v1/allocations', 'a priority of 11', { pool: 'coder', priority: 11 }, 'priority'],
    [
      '/v1/allocations',
      'an operator that does not exist',
      { pool: 'coder', selectors: [{ matchExpressions: [{ key: 'a', operator: 'Like', values: ['%'] }] }] },
      'selectors.0.matchExpressions.0.operator',
    ],
    ['/v1/tasks', 'no payload', { pool: 'coder' }, 'payload'],
    ['/v1/tasks', 'no attempts', { pool: 'coder', payload: 1, maxAttempts: 0 }, 'maxAttempts'],
    ['/v1/tokens', 'an unknown role', { role: 'root' }, 'role'],
    ['/v1/tokens', 'ninety-one days', { role: 'viewer', expiresInMs: 91 * 86_400_000 }, 'expiresInMs'],
    [
      '/v1/agents',
      'sixty-five labels',
      { pool: 'coder', labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, ''])) },
      'labels',
    ],
    ['/v1/tokens', 'two days for an agent', { role: 'agent', agentId: 'x', expiresInMs: 2 * 86_400_000 }, 'expiresInMs'],
    ['/v1/tokens', 'an agent’s token for nobody', { role: 'agent' }, 'agentId'],
    ['/v1/tokens', 'a viewer’s token for an agent', { role: 'viewer', agentId: 'x' }, 'agentId'],
  ];
  it.each(bad)('%s: 422 for %s', async (route, _, body, path) => {
    const answer = await fleet.call('POST', route, { body });
    expectProblem(answer, 422, 'validation_failed');
    expect(answer.json['errors']).toContainEqual(expect.objectContaining({ path }));
  });

  it('a fencing token must be there and be one', async () => {
    for (const route of [
      `/v1/allocations/${ids.allocation}/renew`,
      `/v1/allocations/${ids.allocation}/release`,
      `/v1/tasks/${ids.task}/complete`,
    ]) {
      for (const fencingToken of [undefined, null, 0, -1, 1.5, '1', 2 ** 53, true, [1]]) {
        expectProblem(await fleet.call('POST', route, { body: { fencingToken } }), 422, 'validation_failed');
      }
    }
    expectProblem(
      await fleet.call('POST', `/v1/allocations/${ids.allocation}/release`, { body: { fencingToken: 987_654 } }),
      409,
      'lease_superseded',
    );
  });

  it('unknown regions are refused, in `region`, in rules and in filters', async () => {
    for (const region of ['mars-1', 'eu', '', '__proto__', 'constructor', 'EU-WEST-1', 'eu-west-1 ', 'eu-central-1']) {
      expectProblem(await fleet.call('POST', '/v1/agents', { body: { pool: 'coder', region } }), 422, 'unknown_region');
      expectProblem(
        await fleet.call('POST', '/v1/tasks', { body: { pool: 'coder', payload: 1, region } }),
        422,
        'unknown_region',
      );
      expectProblem(await fleet.call('GET', `/v1/agents?region=${encodeURIComponent(region)}`), 422, 'unknown_region');
    }
    for (const name of ['mars', '__proto__', 'eu-west-9']) {
      const residency = { allowed: ['eu', name] };
      expectProblem(await fleet.call('POST', '/v1/allocations', { body: { pool: 'coder', residency } }), 422, 'unknown_region');
      expectProblem(await fleet.call('PUT', '/v1/fleet', { body: { residency } }), 422, 'unknown_region');
    }
    const nowhere = { allowed: ['apac'] };
    expectProblem(
      await fleet.call('POST', '/v1/allocations', { body: { pool: 'coder', residency: nowhere } }),
      403,
      'residency_violation',
    );
    expectProblem(
      await fleet.call('POST', '/v1/allocations', {
        body: { pool: 'coder', region: 'us-east-1', residency: { allowed: ['eu'] } },
      }),
      403,
      'residency_violation',
    );
  });

  it('a place that is none is refused', async () => {
    for (const place of ['x', '91,0', '0,181', '1;2', '1e1,2', 'NaN,NaN', '']) {
      const answer = await fleet.call('POST', '/v1/allocations/explain', {
        body: { pool: 'coder' },
        headers: { 'x-fleet-geo': place },
      });
      expectProblem(answer, 422, 'validation_failed');
    }
  });

  it('an idempotency key is visible ASCII, at most 255', async () => {
    for (const key of ['x'.repeat(256), 'a b', 'ä']) {
      const answer = await fleet.call('POST', '/v1/allocations', {
        body: { pool: 'coder' },
        headers: { 'idempotency-key': Buffer.from(key).toString('latin1') },
      });
      expectProblem(answer, 422, 'validation_failed');
    }
  });

  it('bad items of a batch fail alone', async () => {
    const answer = await fleet.call('POST', '/v1/allocations/batch', {
      raw: JSON.stringify({
        operations: [
          null,
          7,
          { op: 'steal' },
          { op: 'allocate', pool: 'nope' },
          { op: 'release', id: 'x', fencingToken: 1 },
          { op: 'renew', id: ids.allocation, fencingToken: 424_242 },
          { op: 'allocate', pool: 'coder', idempotencyKey: 'ü' },
        ],
      }),
    });
    expect(answer.status).toBe(200);
    expect((answer.json['results'] as { status: number }[]).map((r) => r.status)).toEqual([422, 422, 422, 404, 404, 409, 422]);
    const key = { idempotencyKey: 'k' };
    const tasks = await fleet.call('POST', '/v1/tasks/batch', {
      raw: `{"tasks":[{"pool":"coder","payload":1,"idempotencyKey":"k","__proto__":{}},${JSON.stringify({ ...key, pool: 'coder' })}]}`,
    });
    expect((tasks.json['results'] as { status: number }[]).map((r) => r.status)).toEqual([422, 422]);
    const agents = await fleet.call('POST', '/v1/agents/batch', {
      raw: '{"agents":[1,{"__proto__":{"pool":"coder"}},{"pool":"coder","slots":-1}]}',
    });
    expect((agents.json['results'] as { status: number }[]).map((r) => r.status)).toEqual([422, 422, 422]);
  });

  it.each([
    ['/v1/agents/batch', 'agents', 1_001],
    ['/v1/agents/heartbeats', 'agents', 1_001],
    ['/v1/allocations/batch', 'operations', 257],
    ['/v1/tasks/batch', 'tasks', 257],
    ['/v1/tasks/results', 'results', 257],
  ])('%s: neither none nor too many', async (route, field, count) => {
    expectProblem(await fleet.call('POST', route, { body: { [field]: [] } }), 422, 'validation_failed');
    expectProblem(
      await fleet.call('POST', route, { body: { [field]: Array.from({ length: count }, () => 0) } }),
      422,
      'validation_failed',
    );
  });
});

describe('paths, verbs and queries', () => {
  const hostile = [
    'x',
    '..',
    '%00',
    '%ff',
    "'%20OR%201=1--",
    '%2e%2e%2f',
    '__proto__',
    'constructor',
    '%F0%9F%92%A9',
    'a'.repeat(300),
    'agt.eu-west-1.coder.0.x',
    'agt.mars-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV',
    'agt.eu-west-1.coder.00.01ARZ3NDEKTSV4RRFFQ69G5FAV',
    'agt.eu-west-1.coder.63.01ARZ3NDEKTSV4RRFFQ69G5FAV',
    'tsk.eu-central-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV',
  ];
  it.each(hostile)('404 for an id that is none: %s', async (id) => {
    for (const [name, route] of protectedRoutes.filter(([, { path }]) => path.includes('{id}'))) {
      const path = route.path.replace('{id}', id);
      // Dot segments are resolved by every client: another path is asked then.
      if (new URL(path, 'http://x').pathname !== path) continue;
      const answer = await fleet.call(route.method, path, route.method === 'POST' ? { raw: '{' } : {});
      expect({ name, status: answer.status, code: answer.json['code'] }).toEqual({ name, status: 404, code: 'not_found' });
    }
  });

  it('404 before any error of the body, for ids that are well-formed and nobody’s', async () => {
    const nobody = {
      agent: 'agt.eu-west-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV',
      allocation: 'alc.eu-west-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV',
      task: 'tsk.eu-west-1.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV',
    };
    for (const [name, route] of withBody.filter(([, { path }]) => path.includes('{id}'))) {
      const path = real(route)
        .replace(ids.agent, nobody.agent)
        .replace(ids.allocation, nobody.allocation)
        .replace(ids.task, nobody.task);
      for (const call of [
        { raw: '{' },
        { raw: '{}', headers: { 'content-type': 'text/plain' } },
        { raw: `"${'x'.repeat(LIMITS.bodyBytes)}"` },
        { body: { nope: 1 } },
        { body: { fencingToken: 1 } },
      ]) {
        const answer = await fleet.call(route.method, path, call);
        if (name === 'failTask' && answer.status === 422) continue;
        expect({ name, status: answer.status }, answer.text.slice(0, 200)).toEqual({ name, status: 404 });
      }
    }
    expectProblem(await fleet.call('POST', '/v1/pools/nope/scale', { raw: '{' }), 404, 'pool_not_found');
    expectProblem(await fleet.call('GET', '/v1/pools/nope'), 404, 'pool_not_found');
    expectProblem(await fleet.call('POST', '/v1/allocations', { body: { pool: 'nope' } }), 404, 'pool_not_found');
  });

  it('405 with Allow for another verb, on every path', async () => {
    for (const [, route] of entries) {
      const path = real(route);
      const allowed = methodsOf(path);
      for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        if (allowed.includes(method)) continue;
        const answer = await fleet.call(method, path);
        expect({ path, method, status: answer.status }).toEqual({ path, method, status: 405 });
        expect(answer.headers.get('allow')?.split(', ').sort()).toEqual([...allowed].sort());
      }
    }
  });

  it('404 for paths that are nobody’s', async () => {
    for (const path of [
      '/',
      '/v1',
      '/v1/',
      '/v1/agents/',
      '/v2/agents',
      '/v1/Agents',
      '/v1/agents/a/b/c',
      '/admin',
      '/.env',
      '/v1/agents%2f',
      '/debug',
      '/v1/tokens',
    ]) {
      const answer = await fleet.call('GET', path);
      expect({ path, status: answer.status }).toEqual({ path, status: path === '/v1/tokens' ? 405 : 404 });
    }
  });

  it('422 for a bad page, and `invalid_cursor` for a cursor of another list', async () => {
    for (const list of ['/v1/agents', '/v1/tasks', '/v1/pools']) {
      for (const limit of ['0', '-1', '1001', 'abc', '1.5', '1e2', '', ' 5', '9'.repeat(30), '0x10']) {
        expectProblem(await fleet.call('GET', `${list}?limit=${encodeURIComponent(limit)}`), 422, 'validation_failed');
      }
      for (const cursor of [
        '',
        'x',
        '!!!',
        'null',
        Buffer.from('[]').toString('base64url'),
        Buffer.from('["a","b"]').toString('base64url'),
        'A'.repeat(5_000),
        "' OR 1=1",
        '%00',
      ]) {
        expectProblem(await fleet.call('GET', `${list}?cursor=${encodeURIComponent(cursor)}`), 422, 'invalid_cursor');
      }
    }
    const page = await fleet.call('GET', '/v1/pools?limit=1');
    expect(page.status).toBe(200);
    const cursor = String(page.json['nextCursor']);
    expectProblem(await fleet.call('GET', `/v1/agents?cursor=${cursor}`), 422, 'invalid_cursor');
    expectProblem(await fleet.call('GET', `/v1/agents?status=asleep`), 422, 'validation_failed');
    expectProblem(await fleet.call('GET', `/v1/agents?pool=${encodeURIComponent("x' OR '1'='1")}`), 422, 'validation_failed');
    expectProblem(await fleet.call('GET', `/v1/tasks/${ids.task}?waitMs=30001`), 422, 'validation_failed');
    expectProblem(await fleet.call('DELETE', `/v1/agents/${ids.agent}?force=maybe`), 422, 'validation_failed');
    expectProblem(await fleet.call('DELETE', '/v1/fleet'), 422, 'validation_failed');
    expectProblem(await fleet.call('DELETE', '/v1/fleet?confirm=other'), 422, 'validation_failed');
  });
});

describe('free text', () => {
  const value = {
    __proto__x: 1,
    constructor: { prototype: { polluted: true } },
    é: 'é',
    'e\u0301': 'e\u0301',
    rtl: '\u202Eabc',
    zero: 'a\u200Bb',
    nul: 'a\u0000b',
    four: '💩',
    lone: '\uD800',
    sql: "'; DROP TABLE tasks; --",
  };

  it('comes back as it was sent, hostile keys included', async () => {
    const raw = `{"pool":"reviewer","region":"eu-west-1","metadata":{"__proto__":{"polluted":true},"v":${JSON.stringify(value)}}}`;
    const made = await fleet.call('POST', '/v1/agents', { raw });
    expect(made.status).toBe(201);
    const read = await fleet.call('GET', `/v1/agents/${String(made.json['id'])}`);
    const metadata = read.json['metadata'] as Record<string, unknown>;
    expect(Object.keys(metadata)).toEqual(['__proto__', 'v']);
    expect(JSON.stringify(metadata['v'])).toBe(JSON.stringify(value));
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect((await fleet.call('DELETE', `/v1/agents/${String(made.json['id'])}`)).status).toBe(200);
    await expect.poll(counts, { timeout: 3_000 }).toBe(before);
  });
});
