import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { loadSigningKeys } from '../../../workers/lib/signing-keys.ts';
import { hasExpired, signToken, type TokenSubject, verifyToken } from '../../../workers/lib/tokens.ts';
import { TokenCache } from '../../../workers/router/auth/token-cache.ts';
import { bearerToken, sessionToken } from '../../../workers/router/auth/bearer.ts';
import { loadedKeys, newKeySet, ULID } from './fixtures.ts';

const viewer: TokenSubject = { sub: 's', jti: 'j', fleet: 'default', gen: 0, role: 'viewer' };
const NOW = 1_800_000_000_000;

describe('signing keys', () => {
  it('there is no default', async () => {
    for (const text of [undefined, '', '  ', '{}', '{"keys":[]}', 'null', '[', '"secret"'])
      expect((await loadSigningKeys(text)).ok).toBe(false);
  });

  it('refuses weak, public, foreign and doubled keys, and names no secret', async () => {
    const { keys } = await newKeySet();
    const good = keys[0] as { d: string; x: string };
    const other = (await newKeySet()).keys[0] as { x: string };
    const bad: object[] = [
      { ...good, d: undefined },
      { ...good, d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
      { ...good, d: 'A'.repeat(43) },
      { ...good, d: Buffer.from('passwordpasswordpasswordpassword').toString('base64url') },
      { ...good, d: good.d.slice(1) },
      { ...good, x: other.x },
      { ...good, kid: '' },
      { ...good, kid: undefined },
      { ...good, kty: 'oct', k: 'x' },
      { ...good, crv: 'X25519' },
      { ...good, alg: 'HS256' },
      { ...good, use: 'enc' },
    ];
    for (const key of bad) {
      const loaded = await loadSigningKeys(JSON.stringify({ keys: [key] }));
      expect(loaded.ok, JSON.stringify(key)).toBe(false);
      if (!loaded.ok) expect(loaded.error).not.toContain(good.d);
    }
    expect((await loadSigningKeys(JSON.stringify({ keys: [good, good] }))).ok).toBe(false);
    expect((await loadSigningKeys(JSON.stringify({ keys: [good] }))).ok).toBe(true);
  });

  it('the first signs and all verify, so that keys can be rotated', async () => {
    const [old, fresh] = [await newKeySet('old'), await newKeySet('new')];
    const before = await signToken(await loadedKeys(old), viewer, { nowMs: NOW, expiresAtMs: NOW + 60_000 });
    const rotated = await loadedKeys({ keys: [...fresh.keys, ...old.keys] });
    const after = await signToken(rotated, viewer, { nowMs: NOW, expiresAtMs: NOW + 60_000 });
    expect(JSON.parse(Buffer.from(after.split('.')[0] ?? '', 'base64url').toString())).toMatchObject({
      kid: 'new',
      alg: 'EdDSA',
    });
    for (const token of [before, after]) expect((await verifyToken(rotated, token, NOW)).ok).toBe(true);
    expect((await verifyToken(await loadedKeys(fresh), before, NOW)).ok).toBe(false);
  });
});

describe('tokens', () => {
  it('say what was signed, and end on the second', async () => {
    const keys = await loadedKeys(await newKeySet());
    const agentId = `agt.eu-west-1.coder.0.${ULID}`;
    const subject: TokenSubject = {
      ...viewer,
      role: 'agent',
      gen: 3,
      agentId,
      swarms: ['s1'],
      region: 'eu-west-1',
      pool: 'coder',
    };
    const token = await signToken(keys, subject, { nowMs: NOW, expiresAtMs: NOW + 10_000 });
    const verified = await verifyToken(keys, token, NOW + 9_999);
    expect(verified).toMatchObject({ ok: true, value: { ...subject, iat: NOW / 1_000, exp: NOW / 1_000 + 10 } });
    expect(await verifyToken(keys, token, NOW + 10_000)).toMatchObject({ ok: false });
    if (verified.ok)
      expect([hasExpired(verified.value, NOW + 9_999), hasExpired(verified.value, NOW + 10_000)]).toEqual([false, true]);
    expect(token).not.toContain('=');
  });

  it('a life beyond the longest is refused, except for the local root', async () => {
    const keys = await loadedKeys(await newKeySet());
    const times = { nowMs: NOW, expiresAtMs: NOW + LIMITS.tokenTtlMsMax + 60_000 };
    expect((await verifyToken(keys, await signToken(keys, viewer, times), NOW)).ok).toBe(false);
    expect((await verifyToken(keys, await signToken(keys, { ...viewer, role: 'admin', root: true }, times), NOW)).ok).toBe(true);
  });
});

describe('the cache of verified tokens', () => {
  it('knows a token until it ends, by its hash, and forgets the one used longest ago', async () => {
    const keys = await loadedKeys(await newKeySet());
    const cache = new TokenCache(2);
    const tokens = await Promise.all(
      [1, 2, 3].map((n) => signToken(keys, { ...viewer, jti: `j${n}` }, { nowMs: NOW, expiresAtMs: NOW + 60_000 })),
    );
    const [a, b, c] = tokens as [string, string, string];
    const refused: string[] = [];
    const verify = (token: string) =>
      cache.verify({ keys, rateLimitPerSecond: 1 }, token, NOW, (reason) => void refused.push(reason));
    await verify(a);
    await verify(b);
    expect(cache.known(a, NOW)?.claims.jti).toBe('j1');
    await verify(c);
    expect([a, b, c].map((token) => cache.known(token, NOW) !== null)).toEqual([true, false, true]);
    expect(cache.size).toBe(2);
    expect(cache.known(a, NOW + 60_000)).toBeNull();
    expect(cache.known(a, NOW)).toBeNull();
    expect(await verify('a.b.c')).toBeNull();
    expect(refused).toHaveLength(1);
    expect(JSON.stringify(cache)).not.toContain(a);
  });

  it('does not know a busy caller’s token past its end, nor another like it', async () => {
    const keys = await loadedKeys(await newKeySet());
    const cache = new TokenCache();
    const token = await signToken(keys, { ...viewer, jti: 'busy' }, { nowMs: NOW, expiresAtMs: NOW + 1_000 });
    await cache.verify({ keys, rateLimitPerSecond: 1 }, token, NOW, () => undefined);
    for (const atMs of [0, 1, 500, 999]) expect(cache.known(token, NOW + atMs)?.claims.jti).toBe('busy');
    expect(cache.known(`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`, NOW + 999)).toBeNull();
    expect(cache.known(token, NOW + 1_000)).toBeNull();
    expect(cache.known(token, NOW + 1_001)).toBeNull();
  });
});

describe('where a token is read from', () => {
  const headers = (authorization: string): Headers => new Headers({ authorization });
  it('the Authorization header, as one bearer token', () => {
    expect(bearerToken(headers('Bearer a.b.c'))).toBe('a.b.c');
    expect(bearerToken(headers('bearer  a.b.c'))).toBe('a.b.c');
    for (const bad of [
      'a.b.c',
      'Bearer a.b',
      'Bearer a.b.c.d',
      'Bearer a.b.c, Bearer a.b.c',
      'Basic a.b.c',
      'Bearer a b',
      'Bearer a.b.c=',
    ]) {
      expect(bearerToken(headers(bad)), bad).toBeNull();
    }
  });
  it('for a session also a subprotocol, beside fleet.v1 and once', () => {
    const protocols = (text: string): Headers => new Headers({ 'sec-websocket-protocol': text });
    expect(sessionToken(protocols('fleet.v1, bearer.a.b.c'))).toBe('a.b.c');
    expect(sessionToken(protocols('bearer.a.b.c,fleet.v1'))).toBe('a.b.c');
    for (const bad of [
      'bearer.a.b.c',
      'fleet.v1',
      'fleet.v1, bearer.a.b.c, bearer.d.e.f',
      'fleet.v1, bearer.x',
      'fleet.v2, bearer.a.b.c',
    ]) {
      expect(sessionToken(protocols(bad)), bad).toBeNull();
    }
    // A header that is there counts, also when it is bad.
    expect(
      sessionToken(new Headers({ authorization: 'Basic x', 'sec-websocket-protocol': 'fleet.v1, bearer.a.b.c' })),
    ).toBeNull();
  });
});
