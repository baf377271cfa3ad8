import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import { readJsonBody } from '../../../workers/lib/body.ts';

const post = (body: BodyInit | null, headers: Record<string, string> = { 'content-type': 'application/json' }): Request =>
  new Request('http://x/', {
    method: 'POST',
    headers,
    body,
    ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
  });
const kind = async (request: Request, limit?: number): Promise<string> => {
  const read = await readJsonBody(request, limit);
  return read.ok ? 'ok' : read.error.kind;
};

/** A stream of `count` chunks that says how far it was read. */
function chunks(
  count: number,
  bytes: number,
): { stream: ReadableStream<Uint8Array>; pulled: () => number; cancelled: () => boolean } {
  let pulled = 0;
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (pulled++ >= count) controller.close();
        else controller.enqueue(new Uint8Array(bytes).fill(0x20));
      },
      cancel() {
        cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, pulled: () => pulled, cancelled: () => cancelled };
}

describe('size', () => {
  it('an endless body is read no further than the limit', async () => {
    const endless = chunks(Number.POSITIVE_INFINITY, 1_000);
    expect(await kind(post(endless.stream), 10_000)).toBe('payload_too_large');
    expect(endless.pulled()).toBeLessThanOrEqual(12);
    expect(endless.cancelled()).toBe(true);
  });

  it('a declared length far above the limit is believed without reading; a little above it the sender is let finish', async () => {
    const body = chunks(1, 10);
    const request = post(body.stream, { 'content-type': 'application/json', 'content-length': String(2 * LIMITS.bodyBytes + 1) });
    expect(await kind(request)).toBe('payload_too_large');
    expect(body.pulled()).toBe(0);
    const little = chunks(3, 10);
    const near = post(little.stream, { 'content-type': 'application/json', 'content-length': String(LIMITS.bodyBytes + 1) });
    expect(await kind(near)).toBe('payload_too_large');
    expect(little.pulled()).toBeGreaterThanOrEqual(3);
  });

  it('where bodies may be large, the sender of one that is too large is let finish, and nothing is kept', async () => {
    const body = chunks(10, 10);
    const headers = { 'content-type': 'application/json', 'content-length': String(LIMITS.boosterBodyBytes + 1) };
    expect(await kind(post(body.stream, headers), LIMITS.boosterBodyBytes)).toBe('payload_too_large');
    expect(body.pulled()).toBeGreaterThanOrEqual(10);
    const more = chunks(10, 10);
    const huge = { ...headers, 'content-length': String(3 * LIMITS.boosterBodyBytes) };
    expect(await kind(post(more.stream, huge), LIMITS.boosterBodyBytes)).toBe('payload_too_large');
    expect(more.pulled()).toBe(0);
  });

  it('the limit itself is allowed', async () => {
    expect(await kind(post(JSON.stringify('x'.repeat(98))), 100)).toBe('ok');
    expect(await kind(post(JSON.stringify('x'.repeat(99))), 100)).toBe('payload_too_large');
  });

  it('413 comes before 415, and 415 before 400', async () => {
    expect(await kind(post('{{{{', { 'content-type': 'text/plain', 'content-length': '2000000' }))).toBe('payload_too_large');
    expect(await kind(post('{{{{', { 'content-type': 'text/plain' }))).toBe('unsupported_media_type');
  });
});

describe('type', () => {
  it.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
    'application/json; v=1',
  ])('%s', async (type) => {
    expect(await kind(post('{}', { 'content-type': type }))).toBe('ok');
  });
  it.each([
    'text/json',
    'application/json-patch',
    'application/jsonx',
    'application/json; charset=latin1',
    'application/x-www-form-urlencoded',
    '',
  ])('not %s', async (type) => {
    expect(await kind(post('{}', { 'content-type': type }))).toBe('unsupported_media_type');
  });
  it('an empty body needs no type', async () => {
    for (const request of [
      post(null, {}),
      post('', {}),
      post('', { 'content-type': 'text/plain' }),
      post(chunks(0, 0).stream, {}),
    ]) {
      expect(await readJsonBody(request)).toEqual({ ok: true, value: { text: '', value: {} } });
    }
  });
  it('no content-encoding', async () => {
    for (const encoding of ['gzip', 'br', 'deflate', 'gzip, identity']) {
      expect(await kind(post('{}', { 'content-type': 'application/json', 'content-encoding': encoding }))).toBe(
        'unsupported_media_type',
      );
    }
    expect(await kind(post('{}', { 'content-type': 'application/json', 'content-encoding': 'identity' }))).toBe('ok');
  });
});

describe('content', () => {
  it('is UTF-8 without a mark, and JSON', async () => {
    for (const bytes of [[0xef, 0xbb, 0xbf, 0x7b, 0x7d], [0x22, 0xff, 0x22], [0x22, 0xc3], [0x7b], []] as const) {
      expect(await kind(post(new Uint8Array(bytes)))).toBe(bytes.length === 0 ? 'ok' : 'malformed_request');
    }
  });

  it('nests to the limit and no deeper, brackets in strings not counted', async () => {
    const deep = (n: number): string => `${'['.repeat(n)}"]]]]{{{{\\"[["${']'.repeat(n)}`;
    expect(await kind(post(deep(LIMITS.jsonDepth)))).toBe('ok');
    expect(await kind(post(deep(LIMITS.jsonDepth + 1)))).toBe('validation_failed');
    expect(await kind(post(deep(200_000)))).toBe('validation_failed');
  });

  it('has only numbers that a double can hold, and says where not', async () => {
    const read = await readJsonBody(post('{"a":[1,{"b":-1e400}],"c":"1e400"}'));
    expect(read).toMatchObject({
      ok: false,
      error: { kind: 'validation_failed', errors: [{ path: 'a.1.b', message: 'is not a finite number' }] },
    });
    expect(await kind(post('{"a":"1e400","b":1e-400,"c":1e308,"d":-0}'))).toBe('ok');
    expect(await kind(post(`[${'9'.repeat(400)}]`))).toBe('validation_failed');
  });

  it('keeps hostile keys as data', async () => {
    const read = await readJsonBody(post('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'));
    if (!read.ok) throw new Error('refused');
    expect(Object.keys(read.value.value as object)).toEqual(['__proto__', 'constructor']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('a body that breaks off is malformed', async () => {
    const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('gone')) });
    expect(await kind(post(broken))).toBe('malformed_request');
  });
});
