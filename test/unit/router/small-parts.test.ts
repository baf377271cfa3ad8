import { describe, expect, it } from 'vitest';
import type { FleetSnapshot } from '../../../durable-objects/fleet/fleet-rpc.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { PROBLEMS } from '../../../shared/problem.ts';
import { jsonWith } from '../../../workers/lib/json-text.ts';
import { problemResponse } from '../../../workers/lib/problem.ts';
import { requestIdOf } from '../../../workers/lib/request-id.ts';
import { FleetViews, honours } from '../../../workers/router/auth/fleet-view.ts';
import { TokenBucket } from '../../../workers/router/auth/rate-limit.ts';
import { filterHash, readCursor, writeCursor } from '../../../workers/router/cursor.ts';
import { jsonField } from '../../../workers/router/json-fields.ts';
import { finish } from '../../../workers/router/finish.ts';
import { ok } from '../../../shared/result.ts';

describe('problems', () => {
  it.each(Object.entries(PROBLEMS))(
    '%s has its status, and Retry-After only where waiting helps',
    async (kind, { status, title }) => {
      const error = { kind, detail: 'd', errors: [], retryAfterMs: 1_001 } as unknown as FleetError;
      const response = problemResponse(error, { instance: '/v1/x', requestId: 'r' });
      expect(response.status).toBe(status);
      expect(response.headers.get('retry-after')).toBe(status === 429 || status === 503 ? '2' : null);
      expect(response.headers.has('www-authenticate')).toBe(status === 401);
      expect(await response.json()).toMatchObject({ code: kind, status, title, instance: '/v1/x', requestId: 'r', detail: 'd' });
    },
  );
});

describe('the rate limit', () => {
  it('lets a burst through, then the rate, and says when there is room again', () => {
    const bucket = new TokenBucket(0, 50);
    for (let i = 0; i < 50 * LIMITS.rateLimitBurstSeconds; i += 1) expect(bucket.take(0)).toBe(0);
    expect(bucket.take(0)).toBe(20);
    let taken = 0;
    for (let ms = 1; ms <= 1_000; ms += 1) for (let i = 0; i < 3; i += 1) if (bucket.take(ms) === 0) taken += 1;
    expect(taken).toBe(50);
  });

  it('a clock that goes back drains nothing and gives nothing', () => {
    const bucket = new TokenBucket(10_000, 10);
    expect(bucket.take(0)).toBe(0);
    for (let i = 1; i < 10 * LIMITS.rateLimitBurstSeconds; i += 1) expect(bucket.take(0)).toBe(0);
    expect(bucket.take(0)).toBeGreaterThan(0);
  });
});

describe('cursors', () => {
  const hash = filterHash('agent', { pool: 'coder', status: undefined });
  it('come back as they went, for the same list and filters in any order', () => {
    const cursor = writeCursor(hash, 'agt.x');
    expect(readCursor(hash, cursor)).toEqual({ ok: true, value: 'agt.x' });
    expect(readCursor(hash, undefined)).toEqual({ ok: true, value: null });
    expect(filterHash('agent', { b: '2', a: '1' })).toBe(filterHash('agent', { a: '1', b: '2' }));
    expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
  });
  it('are refused for anything else', () => {
    const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const cursor of [
      '',
      'x',
      '%',
      json(null),
      json([]),
      json([hash]),
      json([hash, 1]),
      json([hash, 'a', 'b']),
      json({ 0: hash, 1: 'a', length: 2 }),
      `${writeCursor(hash, 'a')}=`,
      writeCursor(filterHash('task', {}), 'a'),
      'A'.repeat(600),
    ]) {
      expect(readCursor(hash, cursor), cursor).toMatchObject({ ok: false, error: { kind: 'invalid_cursor' } });
    }
  });
});

describe('what an isolate knows of a fleet', () => {
  const snapshot = (revoked: string[] = [], rest: Partial<FleetSnapshot> = {}): FleetSnapshot => ({
    fleet: 'f',
    exists: true,
    generation: 2,
    settings: {},
    revoked,
    ...rest,
  });
  const claims = { sub: 's', jti: 'j', fleet: 'f', gen: 2, role: 'admin', iat: 0, exp: 1 } as const;

  it('is fresh for two seconds, refreshed beside use until four, and never used beyond', () => {
    const views = new FleetViews();
    expect(views.known('f', 0)).toBeNull();
    views.put(snapshot(), 1_000);
    expect(views.known('f', 2_999)?.refresh).toBe(false);
    expect(views.known('f', 3_000)?.refresh).toBe(true);
    expect(views.known('f', 4_999)?.refresh).toBe(true);
    expect(views.known('f', 5_000)).toBeNull();
    expect(views.known('f', 999)).toBeNull();
    expect(views.known('other', 1_000)).toBeNull();
  });

  it('one fetch at a time is on its way, and its age counts from the question', async () => {
    const views = new FleetViews();
    const now = Date.now();
    views.put(snapshot(), now - 2_500);
    expect(views.known('f', now)?.refresh).toBe(true);
    const { promise, resolve: answer } = Promise.withResolvers<FleetSnapshot>();
    const fetching = views.fetch('f', { snapshot: () => promise } as never);
    expect(views.known('f', Date.now())?.refresh).toBe(false);
    views.put(snapshot(['j']), Date.now() + 1);
    answer(snapshot());
    // A revocation that this isolate has written meanwhile is not undone by an older answer.
    expect((await fetching).revoked.has('j')).toBe(true);
  });

  it('refuses revoked tokens, deleted fleets and other generations; the local root outlives a generation', () => {
    const view = (s: FleetSnapshot) => new FleetViews().put(s, 0);
    expect(honours(view(snapshot()), claims, false)).toBe(true);
    expect(honours(view(snapshot(['j'])), claims, true)).toBe(false);
    expect(honours(view(snapshot([], { exists: false })), claims, true)).toBe(false);
    expect(honours(view(snapshot()), { ...claims, gen: 1 }, true)).toBe(false);
    expect(honours(view(snapshot()), { ...claims, gen: 0, root: true }, true)).toBe(true);
    expect(honours(view(snapshot()), { ...claims, gen: 0, root: true }, false)).toBe(false);
    expect(honours(view(snapshot(['j'])), { ...claims, root: true }, true)).toBe(false);
    expect(view(snapshot()).storageName).toBe('f~2');
    expect(view(snapshot([], { generation: 0 })).storageName).toBe('f');
  });
});

describe('texts', () => {
  it('JSON members are spliced in as they are', () => {
    expect(jsonWith({ a: 1 }, { b: '{"__proto__":1e2}', c: undefined })).toBe('{"a":1,"b":{"__proto__":1e2}}');
    expect(jsonWith({}, { b: 'null' })).toBe('{"b":null}');
  });
  it('free-form values have their bounds in bytes, written out', () => {
    expect(jsonField('metadata', undefined)).toEqual({ ok: true, value: undefined });
    expect(jsonField('metadata', { a: 'ä'.repeat(LIMITS.metadataBytes / 2 - 4) }).ok).toBe(true);
    expect(jsonField('metadata', { a: 'ä'.repeat(LIMITS.metadataBytes / 2) })).toMatchObject({
      ok: false,
      error: { kind: 'validation_failed' },
    });
    // Four characters of the body that become twenty-one.
    expect(
      jsonField(
        'payload',
        Array.from({ length: 100_000 }, () => 1e20),
      ),
    ).toMatchObject({ ok: false, error: { kind: 'payload_too_large' } });
  });
  it('only a sane request id is kept', () => {
    expect(requestIdOf('req-1:a/b')).toBe('req-1:a/b');
    for (const bad of [null, '', ' ', '-x', 'a b', 'a"b', 'é', 'x'.repeat(129), 'a\nb'])
      expect(requestIdOf(bad)).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('headers of every reply', () => {
  const headersOf = (url: string): Headers => {
    const facts = { request: new Request(url), pathname: '/v1/fleet', requestId: 'r1', config: null };
    return finish(ok({ status: 200, body: '{}' }), facts).headers;
  };

  it('forbid pages, frames and guesses at the type, and keep nothing', () => {
    const headers = headersOf('http://127.0.0.1/v1/fleet');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });

  it('ask for TLS over TLS only (RFC 6797, section 7.2)', () => {
    expect(headersOf('http://127.0.0.1/v1/fleet').has('strict-transport-security')).toBe(false);
    expect(headersOf('https://fleet.example/v1/fleet').get('strict-transport-security')).toContain('max-age=');
  });
});
