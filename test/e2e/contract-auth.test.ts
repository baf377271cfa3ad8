import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { importJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { ROLES, type Role } from '../../shared/roles.ts';
import { mayCall, ROUTES, type RouteEntry } from '../../workers/router/route-table.ts';
import { type ContractFleet, startContractFleet } from './lib/contract-fleet.ts';

/* Who may call what, through the real fleet: forged tokens, every role on every route, other fleets' ids, revocation. */

let fleet: ContractFleet;
let agent: { id: string; token: string };
let other: { id: string; token: string };
const tokens = {} as Record<Role, string>;
const entries = Object.entries(ROUTES) as readonly [string, RouteEntry][];
const protectedRoutes = entries.filter(([, { access }]) => access !== 'public');

const register = async (pool: string, token?: string): Promise<{ id: string; token: string }> => {
  const { json, status } = await fleet.call('POST', '/v1/agents', {
    body: { pool, region: 'eu-west-1' },
    ...(token === undefined ? {} : { token }),
  });
  expect(status).toBe(201);
  return { id: String(json['id']), token: String(json['token']) };
};
const mint = async (body: object, token?: string): Promise<{ id: string; token: string }> => {
  const { json, status } = await fleet.call('POST', '/v1/tokens', { body, ...(token === undefined ? {} : { token }) });
  expect(status).toBe(201);
  return { id: String(json['id']), token: String(json['token']) };
};

beforeAll(async () => {
  fleet = await startContractFleet();
  agent = await register('coder');
  other = await register('coder');
  tokens.agent = agent.token;
  for (const role of ['viewer', 'operator', 'admin'] as const) tokens[role] = (await mint({ role })).token;
});
afterAll(async () => {
  expect([...fleet.seen.keys()].filter((status) => status >= 500)).toEqual([]);
  await fleet.stop();
});

const NOBODY = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
/** Paths whose ids are well-formed and nobody's: whoever may call is told 404 or 422, and nothing happens. */
const pathOf = ({ path }: RouteEntry): string =>
  path
    .replace('/v1/agents/{id}', `/v1/agents/agt.eu-west-1.coder.0.${NOBODY}`)
    .replace('/v1/allocations/{id}', `/v1/allocations/alc.eu-west-1.coder.0.${NOBODY}`)
    .replace('/v1/tasks/{id}', `/v1/tasks/tsk.eu-west-1.coder.0.${NOBODY}`)
    .replace('{id}', `tok.${NOBODY}`)
    .replace('{pool}', 'nope')
    .replace('{swarm}', 'hive')
    .replace('{key}', 'k')
    .replace('{task}', `tsk.eu-west-1.coder.0.${NOBODY}`)
    .replace('{claim}', 'clm.x')
    .replace('{artifact}', 'art.x')
    .replace('{number}', '0')
    .replace('{file}', 'x.js');

describe('forged tokens', () => {
  const now = Math.floor(Date.now() / 1_000);
  const base = {
    sub: 'local-admin',
    jti: 'j',
    fleet: 'default',
    role: 'admin',
    root: true,
    iss: 'fleet-manager',
    aud: 'fleet-manager',
    iat: now,
    exp: now + 600,
  };
  const b64 = (value: unknown): string =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
  const signed = async (claims: object, header: object = {}, kid = fleet.keys[0]?.kid): Promise<string> => {
    const key = await importJWK({ ...fleet.keys[0] }, 'EdDSA');
    return new SignJWT({ ...claims }).setProtectedHeader({ alg: 'EdDSA', kid: kid ?? '', ...header }).sign(key);
  };
  const unsigned = (header: object, claims: object = base): string => `${b64(header)}.${b64(claims)}`;

  it('a well-signed token is accepted, so that the cases below mean something', async () => {
    const { status } = await fleet.call('GET', '/v1/fleet', { token: await signed(base) });
    expect(status).toBe(200);
  });

  const cases: Record<string, () => string | Promise<string>> = {
    'nothing at all': () => '',
    'no token': () => 'x',
    'alg none': () => `${unsigned({ alg: 'none', kid: fleet.keys[0]?.kid })}.`,
    'alg none with a signature': async () => `${unsigned({ alg: 'none' })}.${(await signed(base)).split('.')[2]}`,
    'HS256 with the public key': () => {
      const input = unsigned({ alg: 'HS256', kid: fleet.keys[0]?.kid });
      return `${input}.${createHmac('sha256', String(fleet.keys[0]?.x)).update(input).digest('base64url')}`;
    },
    'HS256 with the public key’s bytes': () => {
      const input = unsigned({ alg: 'HS256', kid: fleet.keys[0]?.kid });
      return `${input}.${createHmac('sha256', Buffer.from(String(fleet.keys[0]?.x), 'base64url'))
        .update(input)
        .digest('base64url')}`;
    },
    'a key of one’s own under our id': () => {
      const { privateKey } = generateKeyPairSync('ed25519');
      const input = unsigned({ alg: 'EdDSA', kid: fleet.keys[0]?.kid });
      return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`;
    },
    'a key of one’s own in the header': () => {
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      const input = unsigned({ alg: 'EdDSA', jwk: publicKey.export({ format: 'jwk' }) });
      return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`;
    },
    'an unknown key id': () => signed(base, {}, 'somebody'),
    'a key id that is a path': () => signed(base, {}, '../../etc/passwd'),
    'a key id that is SQL': () => signed(base, {}, "x' UNION SELECT 1 --"),
    'a key id that is a member of every object': () => signed(base, {}, 'constructor'),
    'a critical header nobody knows': async () => {
      const [, payload, signature] = (await signed(base)).split('.');
      return `${b64({ alg: 'EdDSA', kid: fleet.keys[0]?.kid, crit: ['x'], x: 1 })}.${payload}.${signature}`;
    },
    'another payload under the signature': async () => {
      const [header, , signature] = (await signed(base)).split('.');
      return `${header}.${b64({ ...base, fleet: 'other' })}.${signature}`;
    },
    'two signatures': async () => `${await signed(base)}.${(await signed(base)).split('.')[2]}`,
    expired: () => signed({ ...base, exp: now - 1 }),
    'no exp': () => signed({ ...base, exp: undefined }),
    'exp as text': () => signed({ ...base, exp: String(now + 600) }),
    'exp in a hundred years': () => signed({ ...base, root: undefined, exp: now + 100 * 31_536_000 }),
    'not yet valid': () => signed({ ...base, nbf: now + 120 }),
    'issued in the future': () => signed({ ...base, iat: now + 3_600, exp: now + 7_200 }),
    'another issuer': () => signed({ ...base, iss: 'elsewhere' }),
    'another audience': () => signed({ ...base, aud: 'elsewhere' }),
    'no issuer': () => signed({ ...base, iss: undefined }),
    'no subject': () => signed({ ...base, sub: undefined }),
    'no token id': () => signed({ ...base, jti: undefined }),
    'an unknown role': () => signed({ ...base, root: undefined, role: 'superuser' }),
    'an agent without an agent': () => signed({ ...base, root: undefined, role: 'agent' }),
    'a viewer that says it is root': () => signed({ ...base, role: 'viewer' }),
    'a fleet that does not exist': () => signed({ ...base, fleet: 'nowhere' }),
    'another generation of the fleet': () => signed({ ...base, root: undefined, gen: 7 }),
    'a name that is no fleet': () => signed({ ...base, fleet: '../default' }),
    'five thousand characters': () => signed({ ...base, padding: 'x'.repeat(5_000) }),
  };
  it.each(Object.entries(cases))('401, and no word why: %s', async (_, make) => {
    const token = await make();
    for (const path of ['/v1/fleet', '/v1/nowhere', `/v1/agents/agt.eu-west-1.coder.0.${NOBODY}`]) {
      const answer = await fleet.call('GET', path, {
        token: null,
        headers: token === '' ? {} : { authorization: `Bearer ${token}` },
      });
      expect(answer.status).toBe(401);
      expect(answer.json['code']).toBe('unauthorized');
      expect(answer.json['detail']).toBe('A valid bearer token is required.');
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
  });

  it('a token counts in the header alone', async () => {
    for (const path of [`/v1/fleet?token=${fleet.admin}`, `/v1/fleet?access_token=${fleet.admin}`]) {
      expect((await fleet.call('GET', path, { token: null })).status).toBe(401);
    }
    for (const authorization of [
      fleet.admin,
      `Basic ${fleet.admin}`,
      `Bearer${fleet.admin}`,
      `Bearer ${fleet.admin}, Bearer ${fleet.admin}`,
    ]) {
      expect((await fleet.call('GET', '/v1/fleet', { token: null, headers: { authorization } })).status).toBe(401);
    }
    expect((await fleet.call('GET', '/v1/fleet', { token: null, headers: { cookie: `token=${fleet.admin}` } })).status).toBe(401);
    expect(
      (await fleet.call('GET', '/v1/fleet', { token: null, headers: { authorization: `bearer  ${fleet.admin}` } })).status,
    ).toBe(200);
  });

  it('401 comes before everything else, on every route', async () => {
    for (const [name, route] of protectedRoutes) {
      const answer = await fleet.call(route.method, pathOf(route), {
        token: 'a.b.c',
        ...(route.method === 'GET' ? {} : { raw: '{' }),
      });
      expect({ name, status: answer.status }).toEqual({ name, status: 401 });
    }
  });
});

describe('roles', () => {
  const matrix = ROLES.flatMap((role) => protectedRoutes.map(([name, route]) => ({ role, name, route })));
  it.each(matrix)('$role on $name', async ({ role, name, route }) => {
    // Bodies are bad on purpose: a role that may not call is told 403 first, one that may changes nothing.
    const answer = await fleet.call(route.method, pathOf(route), {
      token: tokens[role],
      ...(['POST', 'PUT'].includes(route.method) ? { raw: '{"nope":1}' } : {}),
    });
    // An import takes a file, so JSON is the wrong type there.
    const accepted = name === 'importMemory' ? [415] : [200, 404, 422];
    if (mayCall(route.access, role)) expect(accepted, `${name}: ${answer.text.slice(0, 200)}`).toContain(answer.status);
    else {
      // The drop-in routes say it in the shape of the API they stand for.
      const { code, error } = answer.json as { readonly code?: string; readonly error?: { readonly code: string } };
      expect({ name, status: answer.status, code: code ?? error?.code }).toEqual({ name, status: 403, code: 'forbidden' });
    }
  });

  it('an agent reaches itself and nobody else', async () => {
    const self = await fleet.call('GET', `/v1/agents/${agent.id}`, { token: agent.token });
    expect(self.status).toBe(200);
    for (const [method, rest] of [
      ['GET', ''],
      ['POST', '/heartbeat'],
      ['POST', '/poll'],
      ['GET', '/session'],
    ] as const) {
      const answer = await fleet.call(method, `/v1/agents/${other.id}${rest}`, { token: agent.token });
      expect({ rest, status: answer.status }).toEqual({ rest, status: 404 });
    }
    const beats = await fleet.call('POST', '/v1/agents/heartbeats', {
      token: agent.token,
      body: { agents: [{ id: agent.id }, { id: other.id }] },
    });
    expect((beats.json['results'] as { status: number }[]).map((r) => r.status)).toEqual([200, 404]);
  });

  it('an agent sees and ends only its own tasks and allocations', async () => {
    const allocation = await fleet.call('POST', '/v1/allocations', { body: { pool: 'coder', region: 'eu-west-1' } });
    expect(allocation.status).toBe(201);
    const holder = allocation.json['agentId'] === agent.id ? agent : other;
    const stranger = holder === agent ? other : agent;
    const path = `/v1/allocations/${String(allocation.json['id'])}`;
    expect((await fleet.call('GET', path, { token: holder.token })).status).toBe(200);
    expect((await fleet.call('GET', path, { token: stranger.token })).status).toBe(404);

    const task = await fleet.call('POST', '/v1/tasks', { body: { pool: 'coder', payload: 'p', region: 'eu-west-1' } });
    const polled = await fleet.call('POST', `/v1/agents/${stranger.id}/poll`, { token: stranger.token, body: { waitMs: 5_000 } });
    expect(polled.status).toBe(200);
    const [assignment] = polled.json['assignments'] as { taskId: string; fencingToken: number }[];
    const taskPath = `/v1/tasks/${String(task.json['id'])}`;
    expect(assignment?.taskId).toBe(task.json['id']);
    const body = { fencingToken: assignment?.fencingToken };
    for (const rest of ['/complete', '/progress']) {
      expect((await fleet.call('POST', `${taskPath}${rest}`, { token: holder.token, body })).status).toBe(404);
    }
    expect((await fleet.call('GET', `${taskPath}?waitMs=1000`, { token: holder.token })).status).toBe(404);
    expect(
      (await fleet.call('POST', `${taskPath}/complete`, { token: stranger.token, body: { ...body, result: 1 } })).status,
    ).toBe(200);
    expect((await fleet.call('GET', taskPath, { token: stranger.token })).json['status']).toBe('succeeded');
  });

  it('only the root token names another fleet', async () => {
    expect((await fleet.call('POST', '/v1/tokens', { token: tokens.admin, body: { role: 'admin', fleet: 'acme' } })).status).toBe(
      403,
    );
    expect(
      (await fleet.call('POST', '/v1/tokens', { token: tokens.admin, body: { role: 'admin', fleet: 'default' } })).status,
    ).toBe(403);
    expect(
      (await fleet.call('POST', '/v1/tokens', { body: { role: 'agent', agentId: `agt.eu-west-1.coder.0.${NOBODY}` } })).status,
    ).toBe(404);
    expect((await fleet.call('POST', '/v1/tokens', { body: { role: 'agent', agentId: agent.id, fleet: 'acme' } })).status).toBe(
      404,
    );
  });
});

describe('other fleets', () => {
  it('another fleet’s ids answer as ids that never were, for every route', async () => {
    const acme = await mint({ role: 'admin', fleet: 'acme' });
    const mine = await register('tester');
    const allocation = await fleet.call('POST', '/v1/allocations', { body: { pool: 'tester', region: 'eu-west-1' } });
    const task = await fleet.call('POST', '/v1/tasks', { body: { pool: 'tester', region: 'eu-west-1', payload: 1 } });
    const ids: Record<string, string> = {
      agents: mine.id,
      allocations: String(allocation.json['id']),
      tasks: String(task.json['id']),
      tokens: (await mint({ role: 'viewer' })).id,
    };
    for (const [name, route] of protectedRoutes.filter(([, { path }]) => path.includes('{id}'))) {
      const kind = route.path.split('/')[2] ?? '';
      const id = ids[kind] ?? '';
      const none = id.replace(/[^.]+$/, NOBODY);
      const body = ['POST', 'PUT'].includes(route.method) ? { body: { fencingToken: 1 } } : {};
      const [foreign, absent] = await Promise.all(
        [id, none].map((text) => fleet.call(route.method, route.path.replace('{id}', text), { token: acme.token, ...body })),
      );
      expect({ name, status: foreign?.status }, foreign?.text.slice(0, 200)).toEqual({ name, status: absent?.status });
      expect({ name, status: foreign?.status }).toEqual({ name, status: 404 });
      expect(foreign?.json['detail']).toBe(absent?.json['detail']);
    }
    const lists = await Promise.all(['/v1/agents', '/v1/tasks'].map((path) => fleet.call('GET', path, { token: acme.token })));
    expect(lists.map((list) => list.json['data'])).toEqual([[], []]);
    expect((await fleet.call('GET', `/v1/agents/${mine.id}`)).status).toBe(200);
  });

  it('a deleted fleet’s tokens are refused, and its name starts afresh', async () => {
    const first = await mint({ role: 'admin', fleet: 'brief' });
    const member = await register('coder', first.token);
    const pool = await fleet.call('PUT', '/v1/pools/own', {
      token: first.token,
      body: { minAgents: 0, maxAgents: 1, priority: 1 },
    });
    expect(pool.status).toBe(201);
    expect((await fleet.call('DELETE', '/v1/fleet?confirm=brief', { token: first.token })).status).toBe(204);
    for (const token of [first.token, member.token])
      expect((await fleet.call('GET', `/v1/agents/${member.id}`, { token })).status).toBe(401);

    const second = await mint({ role: 'admin', fleet: 'brief' });
    expect((await fleet.call('GET', '/v1/agents', { token: second.token })).json['data']).toEqual([]);
    expect((await fleet.call('GET', '/v1/pools/own', { token: second.token })).status).toBe(404);
    expect((await fleet.call('GET', `/v1/agents/${member.id}`, { token: second.token })).status).toBe(404);
    for (const token of [first.token, member.token]) expect((await fleet.call('GET', '/v1/fleet', { token })).status).toBe(401);
    expect((await fleet.call('POST', '/v1/tokens', { body: { role: 'viewer' } })).status).toBe(201);
  });
});

describe('tokens', () => {
  it('a revoked token is refused, whoever made it', async () => {
    const viewer = await mint({ role: 'viewer' });
    expect((await fleet.call('GET', '/v1/fleet', { token: viewer.token })).status).toBe(200);
    expect((await fleet.call('DELETE', `/v1/tokens/${viewer.id}`)).status).toBe(204);
    expect((await fleet.call('GET', '/v1/fleet', { token: viewer.token })).status).toBe(401);
    expect((await fleet.call('DELETE', `/v1/tokens/${viewer.id}`)).status).toBe(204);
    expect((await fleet.call('DELETE', `/v1/tokens/tok.${NOBODY}`)).status).toBe(404);

    const member = await register('coder');
    const { jti } = JSON.parse(Buffer.from(member.token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
    expect((await fleet.call('DELETE', `/v1/tokens/${jti}`)).status).toBe(204);
    expect((await fleet.call('POST', `/v1/agents/${member.id}/heartbeat`, { token: member.token })).status).toBe(401);
    expect((await fleet.call('DELETE', `/v1/tokens/${jti.replace(member.id, `agt.eu-west-1.coder.0.${NOBODY}`)}`)).status).toBe(
      404,
    );
  });

  it('a token ends when it said it would', async () => {
    const brief = await fleet.call('POST', '/v1/tokens', { body: { role: 'viewer', expiresInMs: 1_000 } });
    const token = String(brief.json['token']);
    expect((await fleet.call('GET', '/v1/fleet', { token })).status).toBe(200);
    await expect.poll(async () => (await fleet.call('GET', '/v1/fleet', { token })).status, { timeout: 4_000 }).toBe(401);
    expect(Date.now()).toBeGreaterThanOrEqual(Number(brief.json['expiresAtMs']));
  });

  it('the same key mints the same token anew, another body is refused', async () => {
    const headers = { 'idempotency-key': 'mint-once' };
    const first = await fleet.call('POST', '/v1/tokens', { body: { role: 'viewer' }, headers });
    const again = await fleet.call('POST', '/v1/tokens', { body: { role: 'viewer' }, headers });
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true']);
    expect([again.json['id'], again.json['expiresAtMs']]).toEqual([first.json['id'], first.json['expiresAtMs']]);
    expect((await fleet.call('GET', '/v1/fleet', { token: String(again.json['token']) })).status).toBe(200);
    const mismatch = await fleet.call('POST', '/v1/tokens', { body: { role: 'admin' }, headers });
    expect([mismatch.status, mismatch.json['code']]).toEqual([422, 'idempotency_mismatch']);
  });
});

describe('sessions', () => {
  const open = (
    id: string,
    protocols: string[],
    headers: Record<string, string> = {},
  ): Promise<{ protocol?: string; frame?: unknown; status?: number }> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${fleet.url.replace('http', 'ws')}/v1/agents/${id}/session`, protocols, { headers });
      socket.on('unexpected-response', (_, response) => resolve({ status: response.statusCode ?? 0 }));
      socket.on('error', () => undefined);
      socket.on('message', (data) => {
        resolve({ protocol: socket.protocol, frame: JSON.parse((data as Buffer).toString()) as unknown });
        socket.close();
      });
    });

  it('opens with the header or with a subprotocol, and never without its own token', async () => {
    const welcome = { protocol: 'fleet.v1', frame: expect.objectContaining({ type: 'welcome', held: [] }) as unknown };
    expect(await open(agent.id, ['fleet.v1'], { authorization: `Bearer ${agent.token}` })).toEqual(welcome);
    // Without an offer there is none to accept: a client takes one for a broken handshake.
    expect(await open(agent.id, [], { authorization: `Bearer ${agent.token}` })).toEqual({ ...welcome, protocol: '' });
    expect(await open(agent.id, ['fleet.v1', `bearer.${agent.token}`])).toEqual(welcome);
    expect(await open(agent.id, ['fleet.v1'])).toEqual({ status: 401 });
    expect(await open(agent.id, [`bearer.${agent.token}`])).toEqual({ status: 401 });
    expect(await open(agent.id, ['fleet.v1', 'bearer.a.b.c'])).toEqual({ status: 401 });
    expect(await open(other.id, ['fleet.v1', `bearer.${agent.token}`])).toEqual({ status: 404 });
    expect(await open(agent.id, ['fleet.v1', `bearer.${tokens.viewer}`])).toEqual({ status: 403 });
    expect(await open(agent.id, ['fleet.v1', `bearer.${agent.token}`], { origin: 'https://elsewhere.example' })).toEqual({
      status: 403,
    });
    expect((await fleet.call('GET', `/v1/agents/${agent.id}/session`, { token: agent.token })).status).toBe(400);
  });
});

describe('a task that waited for its agent', () => {
  it('is assigned after the welcome, which names only what was held before', async () => {
    const pool = `wait-${Date.now()}`;
    await fleet.call('PUT', `/v1/pools/${pool}`, { body: { minAgents: 0, maxAgents: 5, priority: 5 } });
    const answer = await fleet.call('POST', '/v1/agents', { body: { pool, liveness: 'session', region: 'eu-west-1' } });
    const [id, token] = [String(answer.json['id']), String(answer.json['token'])];
    const task = await fleet.call('POST', '/v1/tasks', { body: { pool, payload: 1, region: 'eu-west-1' } });
    const frames: unknown[] = [];
    const socket = new WebSocket(`${fleet.url.replace('http', 'ws')}/v1/agents/${id}/session`, [], {
      headers: { authorization: `Bearer ${token}` },
    });
    socket.on('message', (data) => frames.push(JSON.parse((data as Buffer).toString())));
    await expect.poll(() => frames.length, { timeout: 5_000 }).toBe(2);
    socket.terminate();
    expect(frames[0]).toMatchObject({ type: 'welcome', held: [] });
    expect(frames[1]).toMatchObject({ type: 'assign', taskId: task.json['id'], attempt: 1, payload: 1 });
  });
});

describe('a session whose token is revoked', () => {
  it('is closed, whoever made the token', async () => {
    const member = await register('coder');
    const second = await mint({ role: 'agent', agentId: member.id });
    const { jti } = JSON.parse(Buffer.from(member.token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
    const connect = (token: string): Promise<WebSocket> =>
      new Promise((resolve, reject) => {
        const protocols = ['fleet.v1', `bearer.${token}`];
        const socket = new WebSocket(`${fleet.url.replace('http', 'ws')}/v1/agents/${member.id}/session`, protocols);
        socket.on('message', () => resolve(socket));
        socket.on('error', reject);
      });
    /** The code of the close frame; the connection under it may stay a while, and is not waited for. */
    const closeCode = async (socket: WebSocket): Promise<number> => {
      await expect.poll(() => socket.readyState, { timeout: 5_000 }).toBe(WebSocket.CLOSING);
      const closed = new Promise<number>((resolve) => socket.on('close', resolve));
      socket.terminate();
      return closed;
    };
    const first = await connect(member.token);
    expect((await fleet.call('DELETE', `/v1/tokens/${jti}`)).status).toBe(204);
    expect(await closeCode(first)).toBe(4004);
    const other = await connect(second.token);
    expect((await fleet.call('DELETE', `/v1/tokens/${second.id}`)).status).toBe(204);
    expect(await closeCode(other)).toBe(4004);
  });
});

describe('headers', () => {
  it('every reply has a request id, security headers, and no CORS', async () => {
    for (const [path, token] of [
      ['/healthz', null],
      ['/v1/fleet', undefined],
      ['/v1/fleet', null],
      ['/nowhere', undefined],
      ['/docs', null],
    ] as const) {
      const { headers } = await fleet.call('GET', path, {
        ...(token === undefined ? {} : { token }),
        headers: { origin: 'https://elsewhere.example' },
      });
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('access-control-allow-origin')).toBeNull();
    }
    const preflight = await fleet.call('OPTIONS', '/v1/fleet', {
      token: null,
      headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'GET' },
    });
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('a sane request id is kept, another is replaced', async () => {
    const kept = await fleet.call('GET', '/v1/nope', { headers: { 'x-request-id': 'my-id-1' } });
    expect([kept.headers.get('x-request-id'), kept.json['requestId']]).toEqual(['my-id-1', 'my-id-1']);
    for (const id of ['a b', '"x"', 'x'.repeat(200), '<script>', '']) {
      const { headers } = await fleet.call('GET', '/v1/nope', { headers: { 'x-request-id': id } });
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});
