import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { type IncomingMessage, type RequestListener, type Server, createServer } from 'node:http';
import { type AddressInfo, type Socket, connect } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { FleetManager } from '../../../client/src/fleet-manager.ts';
import { type FetchInit, HttpClient } from '../../../client/src/http.ts';
import { type Transport, nodeTransport } from '../../../client/src/node-fetch.ts';
import { eventually } from './lib/eventually.ts';

const MODULE = new URL('../../../client/src/node-fetch.ts', import.meta.url).href;
/** Well below what an idle connection is kept for, so that what ends sooner was ended. */
const SOON_MS = 2_000;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  vi.unstubAllGlobals();
  for (const end of ends.splice(0).reverse()) await end();
});

interface Host {
  readonly url: string;
  readonly server: Server;
  readonly requests: IncomingMessage[];
  /** Every connection there was. */
  readonly connections: Socket[];
  open(): number;
}

async function serve(listener: RequestListener): Promise<Host> {
  const requests: IncomingMessage[] = [];
  const connections: Socket[] = [];
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    requests.push(request);
    listener(request, response);
  });
  server.on('connection', (socket) => connections.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const open = (): number => connections.filter((socket) => !socket.destroyed).length;
  return { url: `http://127.0.0.1:${port}`, server, requests, connections, open };
}

function transport(connectTimeoutMs?: number): Transport {
  const made = nodeTransport(connectTimeoutMs);
  if (made === null) throw new Error('This is not Node.');
  ends.push(() => made.close());
  return made;
}

const init = (more: Partial<FetchInit> = {}): FetchInit => ({
  method: 'GET',
  headers: {},
  signal: new AbortController().signal,
  ...more,
});

const get = async (own: Transport, url: string): Promise<string> => (await own.fetch(url, init())).text();

const clientOf = (endpoint: string, own = transport()): HttpClient =>
  new HttpClient({
    endpoint,
    token: undefined,
    timeoutMs: 5_000,
    retries: 0,
    headers: {},
    fetch: own.fetch,
    disconnect: own.close.bind(own),
  });

const failureOf = async (answer: Promise<unknown>): Promise<Error> => {
  const outcome = await answer.then(
    () => null,
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(Error);
  return outcome as Error;
};

const codeOf = (error: Error): string | undefined => (error.cause as NodeJS.ErrnoException | undefined)?.code;

/** Keeps the event loop from reading what came in. */
const block = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Runs `code` in a Node of its own, with `fetch` of a transport, `init` and `url` at hand; answers what it prints. */
async function inNode(url: string, code: string, env: Record<string, string> = {}): Promise<unknown> {
  const script = `
    import { nodeTransport } from ${JSON.stringify(MODULE)};
    const { fetch } = nodeTransport();
    const init = { method: 'GET', headers: {}, signal: new AbortController().signal };
    const url = ${JSON.stringify(url)};
    ${code}`;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env: { ...process.env, ...env } });
  return JSON.parse((await run).stdout);
}

/** A host that never accepts, and whose queue is full: what connects to it stays on its way. */
async function unreachable(): Promise<string> {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      setImmediate(() => Atomics.wait(new Int32Array(workerData), 0, 0));
    });`;
  const gate = new SharedArrayBuffer(4);
  const worker = new Worker(code, { eval: true, workerData: gate });
  const port = await new Promise<number>((resolve) => worker.once('message', resolve));
  const fillers = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  ends.push(async () => {
    for (const filler of fillers) filler.destroy();
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    await worker.terminate();
  });
  await eventually(() => expect(fillers.filter((filler) => !filler.connecting).length).toBeGreaterThan(1));
  return `http://127.0.0.1:${port}`;
}

describe('connections', () => {
  test('one after another, calls share one connection', async () => {
    const host = await serve((_, response) => response.end('yes'));
    const own = transport();
    for (let call = 0; call < 5; call++) await expect(get(own, host.url)).resolves.toBe('yes');
    expect(host.connections).toHaveLength(1);
  });

  test('a lone call waits for no timer', async () => {
    const host = await serve((_, response) => response.end('yes'));
    const fired = await inNode(
      host.url,
      `
      import { createHook } from 'node:async_hooks';
      const call = async () => (await fetch(url, init)).text();
      for (let warm = 0; warm < 3; warm++) await call();
      const timers = new Set();
      let fired = 0;
      createHook({
        init: (id, type) => { if (type === 'Timeout') timers.add(id); },
        before: (id) => { if (timers.has(id)) fired++; },
      }).enable();
      for (let turn = 0; turn < 5; turn++) await call();
      console.log(fired);`,
    );
    expect(fired).toBe(0);
    expect(host.connections).toHaveLength(1);
  });

  test('any number of long polls leaves the next call free', async () => {
    const host = await serve((request, response) => {
      if (request.url !== '/poll') response.end('yes');
    });
    const own = transport();
    const stop = new AbortController();
    const polls = Array.from({ length: 300 }, () => own.fetch(`${host.url}/poll`, init({ signal: stop.signal })));
    const ended = Promise.allSettled(polls);
    await expect(get(own, host.url)).resolves.toBe('yes');
    await eventually(() => expect(host.requests).toHaveLength(301));
    stop.abort(new Error('enough'));
    for (const outcome of await ended) expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'enough' } });
  });

  test('idle ones keep no process alive', async () => {
    const host = await serve((_, response) => response.end('yes'));
    const held = await inNode(
      host.url,
      `
      await (await fetch(url, init)).text();
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      console.log(JSON.stringify(process.getActiveResourcesInfo()));`,
    );
    expect(held).not.toContain('TCPSocketWrap');
    expect(held).not.toContain('Timeout');
  });

  test('shutdown of a manager ends them', async () => {
    const host = await serve((_, response) => response.writeHead(200).end('{"data":[]}'));
    const fleet = new FleetManager({ endpoint: host.url, token: 'secret' });
    await fleet.listPools();
    expect(host.open()).toBe(1);
    await fleet.shutdown();
    await eventually(() => expect(host.open()).toBe(0), SOON_MS);
  });
});

describe('a connection that the server closes', () => {
  const closedUnderway = async (): Promise<{ host: Host; own: Transport }> => {
    const host = await serve((request, response) => {
      // The second request on a connection finds it gone, as when the server closes it at that moment.
      if (host.connections.length === 1 && host.requests.length > 1) request.socket.destroy();
      else response.end('yes');
    });
    const own = transport();
    await get(own, host.url);
    return { host, own };
  };

  test('while idle: the next call takes a fresh one', async () => {
    const host = await serve((_, response) => response.end('yes'));
    const own = transport();
    await get(own, host.url);
    host.server.closeAllConnections();
    await expect(get(own, host.url)).resolves.toBe('yes');
    expect(host.requests).toHaveLength(2);
  });

  test('while the program was busy: nothing is sent into it', async () => {
    const host = await serve((_, response) => response.end('yes'));
    const own = transport();
    for (let call = 0; call < 3; call++) {
      await (await own.fetch(host.url, init({ method: 'POST', body: '{}' }))).text();
      host.server.closeAllConnections();
      block(150);
    }
    expect(host.requests).toHaveLength(3);
  });

  test.each([
    ['a read', init()],
    ['a call with a key', init({ method: 'POST', headers: { 'idempotency-key': 'k' }, body: '{"a":1}' })],
  ])('as it is used: %s is sent again, once', async (_, call) => {
    const { host, own } = await closedUnderway();
    await expect((await own.fetch(host.url, call)).text()).resolves.toBe('yes');
    expect(host.requests).toHaveLength(3);
    expect(host.connections).toHaveLength(2);
  });

  test('as it is used: what might act twice is not', async () => {
    const { host, own } = await closedUnderway();
    const error = await failureOf(own.fetch(host.url, init({ method: 'POST', body: '{}' })));
    expect(codeOf(error)).toBe('ECONNRESET');
    expect(host.requests).toHaveLength(2);
  });

  test('in the middle of its answer is an error', async () => {
    const host = await serve((_, response) => {
      if (host.requests.length === 1) return void response.end('yes');
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => response.destroy());
    });
    const own = transport();
    await get(own, host.url);
    expect(codeOf(await failureOf(own.fetch(host.url, init())))).toBe('ECONNRESET');
    expect(host.requests).toHaveLength(2);
  });
});

describe('abort', () => {
  const stopped = async (url: string, ready: () => unknown): Promise<void> => {
    const stop = new AbortController();
    const answer = failureOf(transport().fetch(url, init({ method: 'POST', body: '{}', signal: stop.signal })));
    await eventually(ready);
    stop.abort(new Error('enough'));
    expect((await answer).message).toBe('enough');
  };

  test('before the call', async () => {
    const host = await serve((_, response) => response.end());
    const signal = AbortSignal.abort(new Error('enough'));
    expect((await failureOf(transport().fetch(host.url, init({ signal })))).message).toBe('enough');
    expect(host.connections).toHaveLength(0);
  });

  test('at once, with nobody there', async () => {
    const stop = new AbortController();
    const answer = failureOf(transport().fetch('http://127.0.0.1:9', init({ signal: stop.signal })));
    stop.abort(new Error('enough'));
    expect((await answer).message).toBe('enough');
  });

  test('before there is a connection', async () => {
    await stopped(await unreachable(), () => undefined);
  });

  test('while the answer is waited for', async () => {
    const host = await serve(() => undefined);
    await stopped(host.url, () => expect(host.requests).toHaveLength(1));
    await eventually(() => expect(host.open()).toBe(0), SOON_MS);
  });

  test('in the middle of the answer', async () => {
    const host = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half');
    });
    await stopped(host.url, () => expect(host.connections[0]?.bytesWritten ?? 0).toBeGreaterThan(4));
    await eventually(() => expect(host.open()).toBe(0), SOON_MS);
  });

  test('is listened for no longer than the call takes', async () => {
    const host = await serve((request, response) => {
      if (request.url === '/drop' || (request.url === '/stale' && host.connections.length === 1)) request.socket.destroy();
      else response.end('yes');
    });
    const own = transport();
    const { signal } = new AbortController();
    for (const path of ['/', '/stale', '/drop']) {
      await own.fetch(`${host.url}${path}`, init({ signal })).catch(() => undefined);
      expect(getEventListeners(signal, 'abort'), path).toHaveLength(0);
    }
    expect(host.connections).toHaveLength(3);
  });
});

describe('what arrives', () => {
  test('bytes, up and down, as they are', async () => {
    const host = await serve((request, response) => void buffer(request).then((bytes) => response.end(bytes)));
    const bytes = new Uint8Array(randomBytes(300_000));
    const file = { bytes, type: 'application/octet-stream' };
    const answer = await clientOf(host.url).send<Uint8Array>({ method: 'PUT', path: '/file', file, wantsFile: true });
    expect(Buffer.compare(answer, bytes)).toBe(0);
    expect(host.requests[0]?.headers).toMatchObject({ 'content-length': '300000', 'content-type': file.type });
  });

  test.each(['GET', 'PUT', 'DELETE'])('a body of %s is announced in bytes', async (method) => {
    const host = await serve((request, response) => void text(request).then((body) => response.end(body)));
    const answer = await transport().fetch(host.url, init({ method, body: '"äö"' }));
    await expect(answer.text()).resolves.toBe('"äö"');
    expect(host.requests[0]?.headers['content-length']).toBe('6');
  });

  test.each([204, 205, 304])('%i has no body', async (status) => {
    const host = await serve((_, response) => response.writeHead(status).end());
    const own = transport();
    const answer = await own.fetch(host.url, init());
    expect([answer.status, answer.body]).toEqual([status, null]);
  });

  test('status and headers', async () => {
    const host = await serve((_, response) =>
      response
        .writeHead(429, 'Slow Down', [
          ['retry-after', '1'],
          ['set-cookie', 'a'],
          ['set-cookie', 'b'],
        ])
        .end('no'),
    );
    const answer = await transport().fetch(host.url, init());
    expect(answer).toMatchObject({ ok: false, status: 429, statusText: 'Slow Down' });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(answer.headers.getSetCookie()).toEqual(['a', 'b']);
  });

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['gzip, br', (bytes: Buffer) => brotliCompressSync(gzipSync(bytes))],
  ])('%s is decoded', async (encoding, encode) => {
    const host = await serve((request, response) => {
      expect(request.headers['accept-encoding']).toBeUndefined();
      response.writeHead(200, { 'content-encoding': encoding }).end(encode(Buffer.from('{"a":"ä"}')));
    });
    await expect(get(transport(), host.url)).resolves.toBe('{"a":"ä"}');
  });

  test('a redirect is followed, with method and body', async () => {
    const to = await serve((request, response) => void text(request).then((body) => response.end(`${request.method} ${body}`)));
    const from = await serve((_, response) => response.writeHead(307, { location: `${to.url}/there` }).end());
    const answer = await transport().fetch(from.url, init({ method: 'POST', body: 'hello' }));
    await expect(answer.text()).resolves.toBe('POST hello');
    expect(to.requests[0]?.url).toBe('/there');
  });
});

describe('errors', () => {
  test('nobody there', async () => {
    const host = await serve((_, response) => response.end());
    await new Promise((resolve) => host.server.close(resolve));
    await expect(clientOf(host.url).send({ method: 'GET', path: '/' })).rejects.toThrow(
      `Cannot reach the fleet at ${host.url} (ECONNREFUSED)`,
    );
  });

  test('broken off', async () => {
    const host = await serve((request) => request.socket.destroy());
    await expect(clientOf(host.url).send({ method: 'GET', path: '/' })).rejects.toThrow('(ECONNRESET)');
    expect(host.requests).toHaveLength(1);
  });

  test('no connection in time', async () => {
    const own = transport(100);
    await expect(clientOf(await unreachable(), own).send({ method: 'GET', path: '/' })).rejects.toThrow('(ETIMEDOUT)');
  });

  test('a header that cannot be sent', async () => {
    const host = await serve((_, response) => response.end());
    await expect(transport().fetch(host.url, init({ headers: { a: 'b\nc' } }))).rejects.toBeInstanceOf(TypeError);
  });
});

describe('another way to send', () => {
  const list = async (url: string, config: ConstructorParameters<typeof FleetManager>[0] = {}): Promise<void> => {
    const fleet = new FleetManager({ endpoint: url, token: 'secret', ...config });
    ends.push(() => fleet.shutdown());
    await fleet.listPools();
  };
  const answering = () => vi.fn(async () => Response.json({ data: [] }));

  test('a fetch of the caller’s own', async () => {
    const host = await serve((_, response) => response.end());
    const fetch = answering();
    await list(host.url, { fetch });
    expect(fetch).toHaveBeenCalledOnce();
    expect(host.requests).toHaveLength(0);
  });

  test('a global fetch that was replaced', async () => {
    const host = await serve((_, response) => response.end());
    const fetch = answering();
    vi.stubGlobal('fetch', fetch);
    await list(host.url);
    expect(fetch).toHaveBeenCalledOnce();
    expect(host.requests).toHaveLength(0);
  });

  test('a proxy of the environment', async () => {
    const target = await serve((_, response) => response.end());
    const proxy = await serve((_, response) => response.end());
    proxy.server.on('connect', (_, socket) => socket.end('HTTP/1.1 418 No\r\n\r\n'));
    const env = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.url, http_proxy: proxy.url, NO_PROXY: '', no_proxy: '' };
    await inNode(target.url, `console.log(await fetch(url, init).then(() => 1, () => 0));`, env);
    expect(proxy.connections.length).toBeGreaterThan(0);
    expect(target.connections).toHaveLength(0);
  });

  test.each(['Cloudflare-Workers', 'Bun/1.3.0', 'Deno/2.5.0', 'Mozilla/5.0'])('%s has its own fetch', (userAgent) => {
    vi.stubGlobal('navigator', { userAgent });
    expect(nodeTransport()).toBeNull();
  });

  test('a host without Node’s modules has its own fetch', () => {
    vi.stubGlobal('process', undefined);
    expect(nodeTransport()).toBeNull();
  });
});
