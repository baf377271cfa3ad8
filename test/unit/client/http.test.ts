import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  ConnectionError,
  FleetError,
  RateLimitedError,
  TimeoutError,
  UnavailableError,
  ValidationError,
} from '../../../client/src/errors.ts';
import { HttpClient } from '../../../client/src/http.ts';
import { FakeFleet, type Handler, inTurn, problem } from './lib/fake-fleet.ts';
import { eventually } from './lib/eventually.ts';

vi.setConfig({ testTimeout: 30_000 });

let fake: FakeFleet | null = null;
afterEach(async () => {
  vi.useRealTimers();
  await fake?.stop();
  fake = null;
});

async function clientOf(
  handler: Handler,
  more: { timeoutMs?: number; retries?: number; endpoint?: string } = {},
): Promise<HttpClient> {
  fake = await FakeFleet.start(handler);
  return new HttpClient({
    endpoint: more.endpoint ?? fake.url,
    token: 'secret',
    timeoutMs: more.timeoutMs ?? 5_000,
    retries: more.retries ?? 2,
    headers: {},
    fetch: (input, init) => fetch(input, init),
  });
}
const CREATE = { method: 'POST', path: '/v1/tasks', body: { a: 1 }, creates: true } as const;
const READ = { method: 'GET', path: '/v1/tasks' } as const;

describe('http', () => {
  test('sends token, JSON and query, and reads JSON', async () => {
    const http = await clientOf(() => ({ body: { ok: true } }));
    await expect(
      http.send({ method: 'POST', path: '/v1/x', body: { a: 1 }, query: { q: 'ä &', none: undefined } }),
    ).resolves.toEqual({ ok: true });
    expect(fake?.seen[0]).toMatchObject({
      method: 'POST',
      path: '/v1/x',
      body: { a: 1 },
      headers: { authorization: 'Bearer secret', 'content-type': 'application/json' },
    });
    expect([...(fake?.seen[0]?.query ?? [])]).toEqual([['q', 'ä &']]);
  });

  test('an empty answer is undefined', async () => {
    const http = await clientOf(() => ({ status: 204 }));
    await expect(http.send({ method: 'DELETE', path: '/v1/tokens/t' })).resolves.toBeUndefined();
  });

  test('one idempotency key over all tries, another for the next call', async () => {
    const http = await clientOf(inTurn('drop', problem(503, 'overloaded', { retryAfterMs: 1 }), { status: 201, body: {} }));
    await expect(http.request(CREATE)).resolves.toMatchObject({ attempts: 3 });
    await http.request(CREATE);
    const keys = fake?.seen.map((seen) => seen.headers['idempotency-key']) ?? [];
    expect(keys).toHaveLength(4);
    expect(new Set(keys.slice(0, 3)).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys[3]).not.toBe(keys[0]);
  });

  test('a key of the caller’s own is used', async () => {
    const http = await clientOf(() => ({ body: {} }));
    await http.send(CREATE, { idempotencyKey: 'mine' });
    expect(fake?.seen[0]?.headers['idempotency-key']).toBe('mine');
  });

  test('a key still in progress is waited for', async () => {
    const http = await clientOf(inTurn(problem(409, 'idempotency_in_progress', { retryAfterMs: 1 }), { body: { done: true } }));
    await expect(http.send(CREATE)).resolves.toEqual({ done: true });
  });

  test('waits as long as Retry-After says', async () => {
    vi.useFakeTimers();
    const answers = [new Response('', { status: 429, headers: { 'retry-after': '2' } }), Response.json({ ok: true })];
    const fetched = vi.fn(async () => answers.shift() ?? Response.error());
    const http = new HttpClient({
      endpoint: 'http://fleet',
      token: undefined,
      timeoutMs: 5_000,
      retries: 1,
      headers: {},
      fetch: fetched,
    });
    const answer = http.send(READ);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(fetched).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1_000);
    await expect(answer).resolves.toEqual({ ok: true });
    expect(fetched).toHaveBeenCalledTimes(2);
  });

  test('gives up after its retries, with the last error and what the fleet asked for', async () => {
    const http = await clientOf(() => problem(429, 'rate_limited', { retryAfterMs: 1 }), { retries: 1 });
    const error = await http.send(READ).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error).toMatchObject({ attempts: 2, retryAfterMs: 1, requestId: 'req-1' });
  });

  test('what the fleet decided is not asked again', async () => {
    const http = await clientOf(() => problem(422, 'validation_failed', { errors: [{ path: 'pool', message: 'is required' }] }));
    await expect(http.send(CREATE)).rejects.toBeInstanceOf(ValidationError);
    expect(fake?.seen).toHaveLength(1);
  });

  test('retries can be switched off for a call', async () => {
    const http = await clientOf(() => problem(503, 'overloaded', { retryAfterMs: 1 }));
    await expect(http.send(READ, { retries: 0 })).rejects.toBeInstanceOf(UnavailableError);
    expect(fake?.seen).toHaveLength(1);
  });

  test('a proxy’s page becomes a typed error, too', async () => {
    const http = await clientOf(
      () => ({ status: 502, body: '<html>bad gateway</html>', headers: { 'content-type': 'text/html' } }),
      { retries: 0 },
    );
    await expect(http.send(READ)).rejects.toMatchObject({
      name: 'UnavailableError',
      code: 'http_502',
      status: 502,
      requestId: 'req-1',
    });
  });

  test('something that is no fleet is recognised', async () => {
    const http = await clientOf(() => ({ body: '<html>hello</html>' }));
    await expect(http.send(READ)).rejects.toThrow(/does not speak the fleet's JSON/);
  });

  test('nobody there is a connection error that says where and why', async () => {
    const http = await clientOf(() => 'drop', { retries: 0, endpoint: 'http://127.0.0.1:9' });
    const error = await http.send(READ).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toContain('http://127.0.0.1:9');
  });

  test('a try that takes too long is a timeout', async () => {
    const http = await clientOf(() => 'hang', { timeoutMs: 30, retries: 0 });
    await expect(http.send(READ)).rejects.toBeInstanceOf(TimeoutError);
  });

  test('a long poll may take its wait on top', async () => {
    vi.useFakeTimers();
    const http = new HttpClient({
      endpoint: 'http://fleet',
      token: undefined,
      timeoutMs: 1_000,
      retries: 0,
      headers: {},
      fetch: (_, init) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(() => resolve(Response.json({})), 20_500);
          init?.signal?.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(new Error('aborted'));
          });
        }),
    });
    const answer = http.send({ ...READ, waitMs: 20_000 });
    await vi.advanceTimersByTimeAsync(20_600);
    await expect(answer).resolves.toEqual({});
  });

  test('the caller’s signal ends a running try and a pause, with its own reason', async () => {
    for (const handler of [inTurn('hang'), inTurn(problem(503, 'overloaded', { retryAfterMs: 30_000 }))]) {
      const http = await clientOf(handler);
      const stop = new AbortController();
      const answer = http.send(READ, { signal: stop.signal });
      const failed = expect(answer).rejects.toThrow('enough');
      await eventually(() => expect(fake?.seen).toHaveLength(1));
      stop.abort(new Error('enough'));
      await failed;
      await expect(http.send(READ, { signal: stop.signal })).rejects.toThrow('enough');
      await fake?.stop();
    }
    fake = null;
  });

  test('close ends what runs and refuses what comes', async () => {
    const http = await clientOf(() => 'hang');
    const answer = http.send(READ);
    const failed = expect(answer).rejects.toThrow(/shut down/);
    await eventually(() => expect(fake?.seen).toHaveLength(1));
    http.close();
    await failed;
    await expect(http.send(READ)).rejects.toBeInstanceOf(FleetError);
  });
});
