import type { Fetch, FetchInit } from './http.ts';

/** A way to send requests that holds connections of its own. */
export interface Transport {
  readonly fetch: Fetch;
  /** Ends every connection. */
  close(): void;
}

type Builtins = NonNullable<ReturnType<typeof builtins>>;
type Agent = InstanceType<Builtins['http']['Agent']>;
type Start = Builtins['http']['request'];
type ClientRequest = ReturnType<Start>;
type IncomingMessage = InstanceType<Builtins['http']['IncomingMessage']>;

/** What fetch keeps an idle connection for, and below the 5 s after which workerd and Node's own server close one. */
const IDLE_MS = 4_000;
/** As in fetch: a host that does not answer is tried again sooner than the limit of a try would have it. */
const CONNECT_TIMEOUT_MS = 10_000;
/** After a pause this long, the event loop is asked first whether the server has closed its idle connections meanwhile. */
const QUIET_MS = 100;
/** Turns of the event loop, some 10 µs each, after which a closed connection has left the pool: it ends in one, is gone in the next. */
const SETTLE_TURNS = 3;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const BODILESS = new Set([204, 205, 304]);

const GLOBAL_FETCH = globalThis.fetch;

/**
 * Node's own HTTP in the shape of fetch, `null` outside Node. Node's fetch puts a timer's tick, over 1 ms, before each reuse of
 * an idle connection (seen in undici 7.29), which is most of what a lone call would take.
 */
export function nodeTransport(connectTimeoutMs = CONNECT_TIMEOUT_MS): Transport | null {
  const node = builtins();
  return node === null ? null : new NodeTransport(node, connectTimeoutMs);
}

/** Bun, Deno and workerd have these modules, too, but a fetch that suits them better; they all give their name. */
function builtins() {
  const { process: host, navigator } = globalThis as { process?: NodeJS.Process; navigator?: { userAgent?: string } };
  if (typeof host?.getBuiltinModule !== 'function') return null;
  if (navigator?.userAgent !== undefined && !navigator.userAgent.startsWith('Node.js/')) return null;
  const http = host.getBuiltinModule('node:http');
  const https = host.getBuiltinModule('node:https');
  const timers = host.getBuiltinModule('node:timers');
  const zlib = host.getBuiltinModule('node:zlib');
  if (http === undefined || https === undefined || timers === undefined || zlib === undefined) return null;
  // Taken now: a test that fakes timers later must not hold up calls.
  return { http, https, zlib, setImmediate: timers.setImmediate };
}

interface Scheme {
  readonly start: Start;
  readonly agent: Agent;
}

/** Takes no connection that was used before. */
interface Fresh {
  readonly start: Start;
  readonly agent: false;
}

class NodeTransport implements Transport {
  readonly #node: Builtins;
  readonly #connectTimeoutMs: number;
  readonly #schemes: Readonly<Record<string, Scheme>>;
  #lastAnswerAt = -Infinity;

  constructor(node: Builtins, connectTimeoutMs: number) {
    const options = { keepAlive: true, timeout: IDLE_MS };
    this.#node = node;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#schemes = {
      'http:': { start: node.http.request, agent: new node.http.Agent(options) },
      'https:': { start: node.https.request, agent: new node.https.Agent(options) },
    };
  }

  readonly fetch: Fetch = async (url, init) => {
    const scheme = this.#schemes[new URL(url).protocol];
    if (scheme === undefined || isFetchReplaced()) return fetch(url, init);
    if (performance.now() - this.#lastAnswerAt > QUIET_MS) await this.#settle(scheme.agent);
    const answer = await this.#send(url, init, scheme);
    this.#lastAnswerAt = performance.now();
    const status = answer.message.statusCode ?? 0;
    if (REDIRECTS.has(status) && answer.message.headers.location !== undefined) return fetch(url, init);
    return this.#responseOf(status, answer);
  };

  close(): void {
    for (const { agent } of Object.values(this.#schemes)) agent.destroy();
  }

  /** A program that was busy has not yet read that the server closed a connection, and must not send into it. */
  async #settle(agent: Agent): Promise<void> {
    if (Object.keys(agent.freeSockets).length === 0) return;
    for (let turn = 0; turn < SETTLE_TURNS; turn++) await new Promise((resolve) => this.#node.setImmediate(resolve));
  }

  #send(url: string, init: FetchInit, { start, agent }: Scheme | Fresh): Promise<Received> {
    const { method, body, signal } = init;
    // Without it, Node sends the body of a DELETE with no length at all.
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    return new Promise((resolve, reject) => {
      if (signal.aborted) throw signal.reason;
      const request = start(url, { method, headers: { ...init.headers, ...length }, agent });
      const fail = (cause: Error): void => {
        signal.removeEventListener('abort', onAbort);
        reject(new TypeError('fetch failed', { cause }));
      };
      const onAbort = (): void => {
        reject(signal.reason as Error);
        request.destroy();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const wasClosed = watchSocket(request, this.#connectTimeoutMs);
      request.on('error', (error) => {
        if (signal.aborted || !wasClosed(error) || !isRepeatable(init)) return fail(error);
        signal.removeEventListener('abort', onAbort);
        resolve(this.#send(url, init, { start, agent: false }));
      });
      request.on('response', (message) => {
        const chunks: Uint8Array[] = [];
        message.on('data', (chunk: Uint8Array) => chunks.push(chunk));
        message.on('error', fail);
        message.on('end', () => {
          signal.removeEventListener('abort', onAbort);
          resolve({ message, bytes: Buffer.concat(chunks) });
        });
      });
      request.end(body);
    });
  }

  async #responseOf(status: number, { message, bytes }: Received): Promise<Response> {
    const { rawHeaders } = message;
    const headers = new Headers();
    for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '');
    const body = BODILESS.has(status) ? null : await this.#decoded(bytes, headers.get('content-encoding'));
    return new Response(body, { status, statusText: message.statusMessage ?? '', headers });
  }

  /** Nothing here asks for a coded answer, but something in between may send one. */
  async #decoded(bytes: Uint8Array, encoding: string | null): Promise<Uint8Array> {
    if (encoding === null || bytes.length === 0) return bytes;
    const { unzip, brotliDecompress } = this.#node.zlib;
    const codings = encoding.split(',').map((coding) => coding.trim().toLowerCase());
    let decoded = bytes;
    for (const coding of codings.reverse()) {
      const decode = coding === 'br' ? brotliDecompress : /^(?:(?:x-)?gzip|deflate)$/.test(coding) ? unzip : null;
      if (decode === null) return decoded;
      const coded = decoded;
      decoded = await new Promise((resolve, reject) =>
        decode(coded, (error, plain) => (error === null ? resolve(plain) : reject(error))),
      );
    }
    return decoded;
  }
}

interface Received {
  readonly message: IncomingMessage;
  readonly bytes: Uint8Array;
}

/**
 * Ends the request when its connection is not there in time. Answers how to tell an error of a connection that the server had
 * closed while it was idle: an earlier request used it, and nothing of an answer came.
 */
function watchSocket(request: ClientRequest, connectTimeoutMs: number): (error: Error) => boolean {
  let readBefore = 0;
  request.once('socket', (socket) => {
    readBefore = socket.bytesRead;
    if (!socket.connecting) return;
    const timer = setTimeout(() => request.destroy(lateAfter(connectTimeoutMs)), connectTimeoutMs);
    // Over TLS a connection is one when the handshake is done.
    for (const event of ['encrypted' in socket ? 'secureConnect' : 'connect', 'close'])
      socket.once(event, () => clearTimeout(timer));
  });
  return (error) =>
    request.reusedSocket &&
    request.socket?.bytesRead === readBefore &&
    'code' in error &&
    (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

const lateAfter = (ms: number): Error => Object.assign(new Error(`No connection within ${ms} ms`), { code: 'ETIMEDOUT' });

/** Whether a second sending gets the answer of the first: the server may have died after it acted, which looks the same. */
const isRepeatable = ({ method, headers }: FetchInit): boolean => method === 'GET' || headers['idempotency-key'] !== undefined;

/** Whether the program sends its requests another way: through a proxy (`NODE_USE_ENV_PROXY` also sets one), or a patched fetch. */
function isFetchReplaced(): boolean {
  if (globalThis.fetch !== GLOBAL_FETCH) return true;
  const dispatchers = globalThis as unknown as Readonly<Record<symbol, object | undefined>>;
  return DISPATCHERS.some((key) => (dispatchers[key]?.constructor.name ?? 'Agent') !== 'Agent');
}

/** Where undici keeps what fetch sends with: absent or an `Agent`, unless someone chose. */
const DISPATCHERS = [Symbol.for('undici.globalDispatcher.1'), Symbol.for('undici.globalDispatcher.2')];
