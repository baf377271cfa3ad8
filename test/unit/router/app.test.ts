import { afterEach, describe, expect, it, vi } from 'vitest';
import { ok } from '../../../shared/result.ts';
import { ROLES } from '../../../shared/roles.ts';
import type { TokenSubject } from '../../../workers/lib/tokens.ts';
import { createApp } from '../../../workers/router/app.ts';
import { forgetStatus } from '../../../workers/router/fleet-status.ts';
import { openApiText } from '../../../workers/router/openapi.ts';
import { mayCall, methodsOf, ROUTES, type RouteEntry } from '../../../workers/router/route-table.ts';
import { bodyOf, harness, taskIn, ULID } from './fixtures.ts';

const entries = Object.values(ROUTES) as readonly RouteEntry[];
afterEach(() => vi.restoreAllMocks());

describe('the route table', () => {
  it('is the OpenAPI document: no route more, none less', () => {
    const document = JSON.parse(openApiText(createApp())) as {
      openapi: string;
      paths: Record<string, Record<string, { security: unknown[]; operationId: string }>>;
    };
    expect(document.openapi).toBe('3.1.0');
    const described = Object.entries(document.paths).flatMap(([path, verbs]) =>
      Object.keys(verbs).map((verb) => `${verb.toUpperCase()} ${path}`),
    );
    expect(described.sort()).toEqual(entries.map(({ method, path }) => `${method} ${path}`).sort());
    for (const { method, path, access } of entries) {
      expect(document.paths[path]?.[method.toLowerCase()]?.security).toEqual(access === 'public' ? [] : [{ bearer: [] }]);
    }
    const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([A-Za-z]+)"/g)].map((match) => match[1]);
    const components = (document as unknown as { components: { schemas: object } }).components.schemas;
    for (const name of references) expect(components).toHaveProperty(name ?? '');
  });

  it('gives every role what the contract gives it', () => {
    const who = (method: string, path: string): string =>
      ROLES.filter((role) => mayCall(entries.find((e) => e.method === method && e.path === path)?.access ?? 'public', role)).join(
        ' ',
      );
    expect(who('GET', '/v1/agents')).toBe('viewer operator admin');
    expect(who('POST', '/v1/allocations')).toBe('operator admin');
    expect(who('POST', '/v1/pools/{pool}/scale')).toBe('operator admin');
    expect(who('PUT', '/v1/pools/{pool}')).toBe('admin');
    expect(who('POST', '/v1/tokens')).toBe('admin');
    expect(who('DELETE', '/v1/fleet')).toBe('admin');
    expect(who('POST', '/v1/agents/{id}/heartbeat')).toBe('operator admin agent');
    expect(who('DELETE', '/v1/agents/{id}')).toBe('operator admin');
    for (const { method, path, access } of entries) {
      if (access === 'public') continue;
      if (method === 'GET' && !path.endsWith('/session')) expect(access.role, path).toBe('viewer');
      else expect(['operator', 'admin'], path).toContain(access.role);
    }
  });

  it('knows the verbs of a path', () => {
    expect([...methodsOf('/v1/agents')].sort()).toEqual(['GET', 'HEAD', 'POST']);
    expect([...methodsOf('/v1/agents/x')].sort()).toEqual(['DELETE', 'GET', 'HEAD']);
    expect(methodsOf('/v1/agents/batch')).toContain('POST');
    expect(methodsOf('/openapiXjson')).toEqual([]);
    expect(methodsOf('/v1/agents/')).toEqual([]);
  });
});

describe('a deployment that is not configured', () => {
  const broken: Record<string, Record<string, string | undefined>> = {
    'no keys': { FLEET_SIGNING_KEYS: undefined },
    'a weak key': { FLEET_SIGNING_KEYS: '{"keys":[{"kty":"OKP"}]}' },
    'a region without a binding': { REGIONS: 'us-east-1,eu-central-1' },
    'an unknown region': { REGIONS: 'mars' },
    'no regions': { REGIONS: '' },
    'a rate that is none': { RATE_LIMIT_PER_SECOND: 'fast' },
  };
  it.each(Object.entries(broken))('%s: 503 for everything but /healthz, and a line in the log', async (_, vars) => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness(vars as Record<string, string>);
    expect((await h.call('GET', '/healthz', { token: null })).status).toBe(200);
    for (const { method, path } of [...entries, { method: 'GET', path: '/nowhere' }]) {
      if (path === '/healthz') continue;
      const response = await h.call(method, path);
      expect([path, response.status]).toEqual([path, 503]);
      // The drop-in routes say it in the shape of the API they stand for.
      const body = (await bodyOf(response)) as { code?: string; error?: { code: string } };
      expect(body.code ?? body.error?.code).toBe('not_configured');
    }
    expect(logged.mock.calls.flat().join()).toContain('not configured');
  });
});

describe('faults', () => {
  it('an exception of our own is logged with its request id, and the caller learns nothing', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness();
    h.fleet.snapshot.mockResolvedValueOnce(h.snapshot.value).mockRejectedValue(new TypeError('secret detail'));
    const response = await h.call('GET', '/v1/fleet', { headers: { 'x-request-id': 'req-7' } });
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
    const line = JSON.parse(String(logged.mock.calls[0]?.[0])) as Record<string, unknown>;
    expect(line).toMatchObject({ level: 'error', requestId: 'req-7', route: 'GET /v1/fleet' });
    expect(line['error']).toContain('secret detail');
  });

  it('an object that fails or has too much is told apart from our own mistakes', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    for (const mark of ['remote', 'retryable', 'overloaded', 'durableObjectReset']) {
      const h = await harness();
      h.fleet.putSettings.mockRejectedValue(Object.assign(new Error('x'), { [mark]: true }));
      const response = await h.call('PUT', '/v1/fleet', { body: {} });
      expect([mark, response.status, response.headers.get('retry-after')]).toEqual([mark, 503, '1']);
    }
  });

  it('nobody is let in while the fleet’s record does not answer', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness();
    h.fleet.snapshot.mockRejectedValue(new Error('gone'));
    const response = await h.call('GET', '/v1/agents');
    expect([response.status, (await bodyOf(response))['code']]).toEqual([503, 'overloaded']);
  });

  it('a region that does not answer fails its ids, and a list as a whole', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness();
    h.regions['eu-west-1'].getAgent.mockRejectedValue(new Error('Network connection lost.'));
    h.regions['eu-west-1'].listAgents.mockRejectedValue(Object.assign(new Error('too much'), { overloaded: true }));
    const read = await h.call('GET', `/v1/agents/agt.eu-west-1.coder.0.${ULID}`);
    expect([read.status, (await bodyOf(read))['code']]).toEqual([503, 'region_unavailable']);
    const list = await h.call('GET', '/v1/agents');
    expect([list.status, (await bodyOf(list))['code']]).toEqual([503, 'overloaded']);
    expect((await h.call('GET', '/v1/agents?region=us-east-1')).status).toBe(200);
  });

  it('status shows a region that does not answer as last seen, and says so', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness();
    const counts = { total: 3, starting: 0, idle: 3, busy: 0, draining: 0, unhealthy: 0, quarantined: 0, offline: 0 };
    const tasks = { queued: 1, assigned: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, dead: 0 };
    for (const [region, fake] of Object.entries(h.regions)) {
      fake.status.mockResolvedValue({ region, status: { agents: counts, tasks, asOfMs: 5, fresh: true }, pools: '[]' });
    }
    const first = await bodyOf(await h.call('GET', '/v1/fleet/status'));
    expect(first).toMatchObject({ agents: { total: 9 }, tasks: { queued: 3 } });
    // Asked again at once the same answer is given, and the regions are left alone.
    expect(await bodyOf(await h.call('GET', '/v1/fleet/status'))).toEqual(first);
    expect(h.regions['eu-west-1'].status).toHaveBeenCalledOnce();
    forgetStatus((first as { fleet: string }).fleet);
    h.regions['eu-west-1'].status.mockImplementation(() => new Promise(() => undefined));
    const before = performance.now();
    const status = await bodyOf(await h.call('GET', '/v1/fleet/status'));
    expect(performance.now() - before).toBeLessThan(1_500);
    expect(status).toMatchObject({
      agents: { total: 9 },
      regions: { 'eu-west-1': { fresh: false, asOfMs: 5 }, 'us-east-1': { fresh: true } },
    });
    const never = await harness();
    expect(await bodyOf(await never.call('GET', '/v1/fleet/status'))).toMatchObject({
      agents: { total: 0 },
      regions: { 'eu-west-1': { fresh: false, asOfMs: 0 } },
    });
  });
});

describe('limits and logs', () => {
  it('429 with Retry-After, per token, and only where the request was otherwise good', async () => {
    const h = await harness({ RATE_LIMIT_PER_SECOND: '1' });
    const token = await h.token();
    const now = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(now);
    const get = async (path: string): Promise<number> => (await h.call('GET', path, { token })).status;
    expect([await get('/v1/agents'), await get('/v1/agents'), await get('/v1/agents')]).toEqual([200, 200, 429]);
    const limited = await h.call('GET', '/v1/agents', { token });
    expect([limited.headers.get('retry-after'), (await bodyOf(limited))['code']]).toEqual(['1', 'rate_limited']);
    expect([await get('/v1/agents?limit=0'), await get('/v1/agents/x')]).toEqual([422, 404]);
    expect((await h.call('GET', '/v1/agents', { token: await h.token() })).status).toBe(200);
    vi.spyOn(Date, 'now').mockReturnValue(now + 1_000);
    expect(await get('/v1/agents')).toBe(200);
  });

  it('a line per request at debug: what was asked and what came, never a payload or a token', async () => {
    const lines: string[] = [];
    for (const sink of ['log', 'error'] as const)
      vi.spyOn(console, sink).mockImplementation((line: unknown) => void lines.push(String(line)));
    const h = await harness({ LOG_LEVEL: 'debug' });
    h.regions['eu-west-1'].execute.mockResolvedValue([ok(taskIn('eu-west-1'))]);
    const token = await h.token();
    await h.call('POST', '/v1/tasks', {
      token,
      body: { pool: 'coder', payload: 'very private', region: 'eu-west-1' },
      headers: { 'x-request-id': 'r1' },
    });
    await h.call('GET', '/v1/agents', { token: `${token.slice(0, -4)}AAAA` });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      requestId: 'r1',
      route: 'POST /v1/tasks',
      status: 202,
      region: 'eu-west-1',
      ms: expect.any(Number) as number,
    });
    expect(lines.join()).not.toContain('very private');
    expect(lines.join()).not.toContain(token.slice(0, 40));
    expect(lines.join()).toContain('token refused');
    const quiet = await harness();
    lines.length = 0;
    await quiet.call('GET', '/v1/agents');
    expect(lines).toEqual([]);
  });
});

describe('CORS', () => {
  const origin = 'https://console.example';
  it('the allow-list may read and ask beforehand; nobody else', async () => {
    const h = await harness({ CORS_ORIGINS: `${origin}, https://other.example,*` });
    const read = await h.call('GET', '/v1/agents', { headers: { origin } });
    expect(read.headers.get('access-control-allow-origin')).toBe(origin);
    expect(read.headers.get('vary')).toBe('Origin');
    const preflight = await h.call('OPTIONS', '/v1/agents', {
      token: null,
      headers: { origin, 'access-control-request-method': 'POST' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, origin]);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('Idempotency-Key');
    for (const stranger of ['https://evil.example', 'https://console.example.evil', 'null', '*']) {
      const response = await h.call('GET', '/v1/agents', { headers: { origin: stranger } });
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
      const asked = await h.call('OPTIONS', '/v1/agents', {
        token: null,
        headers: { origin: stranger, 'access-control-request-method': 'GET' },
      });
      expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([401, null]);
    }
  });
});

describe('who a request is for', () => {
  it('the regions are told the fleet of the present generation, and the agent behind the token', async () => {
    const h = await harness();
    h.snapshot.value = { ...h.snapshot.value, generation: 4 };
    const agentId = `agt.eu-west-1.coder.0.${ULID}`;
    const token = await h.token({ gen: 4, role: 'agent', agentId, sub: agentId, swarms: [], region: 'eu-west-1', pool: 'coder' });
    await h.call('GET', `/v1/agents/${agentId}`, { token, headers: { 'x-request-id': 'q' } });
    expect(h.regions['eu-west-1'].getAgent.mock.calls).toEqual([
      [{ fleet: `${h.snapshot.value.fleet}~4`, subject: agentId, role: 'agent', agentId, requestId: 'q' }, agentId],
    ]);
  });

  it('an agent’s half-used token is renewed in its beat, under the same id', async () => {
    const h = await harness();
    const agentId = `agt.eu-west-1.coder.0.${ULID}`;
    h.regions['eu-west-1'].execute.mockResolvedValue([ok({ leases: [], cancel: [], drain: false })]);
    const subject: Partial<TokenSubject> = {
      role: 'agent',
      agentId,
      sub: agentId,
      jti: 'same',
      swarms: ['s'],
      region: 'eu-west-1',
      pool: 'coder',
    };
    const beat = async (token: string): Promise<Record<string, unknown>> =>
      bodyOf(await h.call('POST', `/v1/agents/${agentId}/heartbeat`, { token }));
    expect(await beat(await h.token(subject))).not.toHaveProperty('token');
    const real = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(real - 13 * 3_600_000);
    const old = await h.token(subject, 24 * 3_600_000);
    vi.restoreAllMocks();
    h.regions['eu-west-1'].execute.mockResolvedValue([ok({ leases: [], cancel: [], drain: false })]);
    h.fleet.snapshot.mockImplementation(async () => h.snapshot.value);
    const { token } = await beat(old);
    const claims = JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
    expect(claims).toMatchObject(subject);
    expect(Number(claims['iat'])).toBeGreaterThanOrEqual(Math.floor(real / 1_000));
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(86_400);
  });
});
