import type { Problem } from '../../shared/schemas/problem.ts';
import { type ApiError, ConnectionError, FleetError, TimeoutError, apiErrorOf } from './errors.ts';
import { newKey } from './new-key.ts';
import { isRetryable, retryDelayMs, sleep } from './retry.ts';

/** What every method takes as its last argument. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Limit of one try, long polls excepted, which add their wait. */
  readonly timeoutMs?: number | undefined;
  /** Name of this request, so that a repeat from another process gets the same answer. Made up when absent. */
  readonly idempotencyKey?: string | undefined;
  /** How often a failed try is repeated. */
  readonly retries?: number | undefined;
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Query | undefined;
  readonly body?: unknown;
  /** The body as JSON text already, in the place of `body`. */
  readonly bodyText?: string | undefined;
  /** A POST that creates something: carries an `Idempotency-Key`, the same one over all its tries. */
  readonly creates?: boolean;
  /** How long the fleet may hold the answer. */
  readonly waitMs?: number | undefined;
  /** A file in place of a JSON body. */
  readonly file?: { readonly bytes: Uint8Array<ArrayBuffer>; readonly type: string } | undefined;
  /** The answer is a file: its bytes are the body. */
  readonly wantsFile?: boolean | undefined;
  /** Another token than the client's own, such as an agent's. */
  readonly token?: string | undefined;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
  readonly attempts: number;
  readonly headers: Headers;
}

/** As much of fetch's options as is used here. */
export interface FetchInit {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

export type Fetch = (url: string, init: FetchInit) => Promise<Response>;

export interface HttpConfig {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: Fetch;
  /** Ends the connections that `fetch` holds. */
  readonly disconnect?: (() => void) | undefined;
}

/** Long polls answer a little after their wait ends; this is how much later is still on time. */
const LONG_POLL_SLACK_MS = 10_000;

/** Sends requests and turns refusals into typed errors. Knows nothing of agents or tasks. */
export class HttpClient {
  readonly #config: HttpConfig;
  readonly #running = new Set<AbortController>();
  #closed: FleetError | null = null;

  constructor(config: HttpConfig) {
    this.#config = config;
  }

  get endpoint(): string {
    return this.#config.endpoint;
  }

  /** Ends what is running, and refuses what comes. */
  close(): void {
    this.#closed = new FleetError('The client was shut down.');
    for (const scope of this.#running) scope.abort(this.#closed);
    this.#config.disconnect?.();
  }

  /** Sends `call`, again if need be, and answers its body. */
  async send<T>(call: Call, options: CallOptions = {}): Promise<T> {
    return (await this.request<T>(call, options)).body;
  }

  /** Sends `call`, again if need be: backoff with full jitter, never sooner than `Retry-After`. */
  async request<T>(call: Call, options: CallOptions = {}): Promise<Answer<T>> {
    if (this.#closed !== null) throw this.#closed;
    const scope = new AbortController();
    const onAbort = (): void => scope.abort(options.signal?.reason);
    if (options.signal?.aborted) throw options.signal.reason;
    options.signal?.addEventListener('abort', onAbort, { once: true });
    this.#running.add(scope);
    const key = call.creates ? (options.idempotencyKey ?? newKey()) : undefined;
    const retries = options.retries ?? this.#config.retries;
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#try<T>(call, key, attempt, options.timeoutMs ?? this.#config.timeoutMs, scope.signal);
        } catch (error) {
          const delayMs = attempt <= retries && isRetryable(error) ? retryDelayMs(error, attempt, Math.random()) : null;
          if (delayMs === null) throw error;
          await sleep(delayMs, scope.signal);
        }
      }
    } finally {
      this.#running.delete(scope);
      options.signal?.removeEventListener('abort', onAbort);
    }
  }

  async #try<T>(call: Call, key: string | undefined, attempt: number, timeoutMs: number, scope: AbortSignal): Promise<Answer<T>> {
    if (scope.aborted) throw scope.reason;
    const limitMs = Math.max(timeoutMs, call.waitMs ? call.waitMs + LONG_POLL_SLACK_MS : 0);
    const text = bodyOf(call);
    const limit = new AbortController();
    const onScopeAbort = (): void => limit.abort();
    scope.addEventListener('abort', onScopeAbort, { once: true });
    const timer = setTimeout(() => limit.abort(), limitMs);
    try {
      const response = await this.#config.fetch(urlOf(this.#config.endpoint, call), {
        method: call.method,
        headers: this.#headers(call, key),
        ...(call.file !== undefined ? { body: call.file.bytes } : text === undefined ? {} : { body: text }),
        signal: limit.signal,
      });
      if (response.ok && call.wantsFile === true) {
        const body = new Uint8Array(await response.arrayBuffer()) as T;
        return { status: response.status, body, attempts: attempt, headers: response.headers };
      }
      const answer = await response.text();
      if (!response.ok) throw problemOf(response, answer, attempt);
      return {
        status: response.status,
        body: parse(answer, this.#config.endpoint) as T,
        attempts: attempt,
        headers: response.headers,
      };
    } catch (error) {
      if (error instanceof FleetError) throw error;
      if (scope.aborted) throw scope.reason;
      if (limit.signal.aborted)
        throw new TimeoutError(`${call.method} ${call.path}: no answer within ${limitMs} ms`, { cause: error });
      throw new ConnectionError(`Cannot reach the fleet at ${this.#config.endpoint} (${reasonOf(error)})`, { cause: error });
    } finally {
      clearTimeout(timer);
      scope.removeEventListener('abort', onScopeAbort);
    }
  }

  #headers(call: Call, key: string | undefined): Record<string, string> {
    const token = call.token ?? this.#config.token;
    return {
      accept: call.wantsFile === true ? '*/*' : 'application/json, application/problem+json',
      ...(call.file !== undefined
        ? { 'content-type': call.file.type }
        : call.body === undefined && call.bodyText === undefined
          ? {}
          : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...this.#config.headers,
    };
  }
}

const bodyOf = (call: Call): string | undefined =>
  call.bodyText ?? (call.body === undefined ? undefined : JSON.stringify(call.body));

function urlOf(endpoint: string, call: Call): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(call.query ?? {})) if (value !== undefined) query.set(name, String(value));
  const text = query.toString();
  return `${endpoint}${call.path}${text === '' ? '' : `?${text}`}`;
}

function parse(text: string, endpoint: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FleetError(`What answers at ${endpoint} does not speak the fleet's JSON; check the endpoint.`, { cause });
  }
}

/** The problem of a refusal; one is made up when something in between answered in its own way. */
function problemOf(response: Response, text: string, attempts: number): ApiError {
  let given: Partial<Problem> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) given = parsed;
  } catch {
    // Not ours: a proxy's page. Its status still tells.
  }
  const retryAfterMs = given.retryAfterMs ?? retryAfterOf(response.headers.get('retry-after'));
  return apiErrorOf(
    {
      ...given,
      type: given.type ?? 'about:blank',
      title: given.title ?? (response.statusText || `HTTP ${response.status}`),
      status: response.status,
      detail: given.detail ?? `The endpoint answered ${response.status} ${response.statusText}`.trim(),
      instance: given.instance ?? '',
      code: given.code ?? `http_${response.status}`,
      requestId: given.requestId ?? response.headers.get('x-request-id') ?? '',
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
    attempts,
  );
}

/** `Retry-After` comes as seconds or as a date. */
function retryAfterOf(header: string | null): number | undefined {
  if (header === null || header.trim() === '') return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms)) : undefined;
}

/** fetch says only "fetch failed"; what happened is in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  if (cause instanceof Error)
    return ('code' in cause && typeof cause.code === 'string' ? cause.code : cause.message) || error.message;
  return error.message;
}
