import { Agent, request } from 'undici';
import type { Answer } from '../../test/lib/history.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** What came back of one call, before anybody reads meaning into it. */
export type Reply =
  | { readonly kind: 'answered'; readonly status: number; readonly body: unknown; readonly isReplay: boolean }
  | { readonly kind: 'open'; readonly why: string }
  | { readonly kind: 'unsent' };

export interface CallOptions {
  readonly body?: unknown;
  readonly key?: string | null;
  readonly token?: string;
}

/** A call is longer than any wait it asks for; this only ends what would hang for ever. */
const TIMEOUT_MS = 20_000;

/** HTTP to a fleet on loopback that may die at any moment. It never repeats a call by itself. */
export class Http {
  readonly url: string;
  readonly #token: string;
  readonly #agent = new Agent({ pipelining: 1, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });

  constructor(url: string, token: string) {
    const { hostname } = new URL(url);
    if (hostname !== '127.0.0.1' && hostname !== 'localhost' && hostname !== '[::1]')
      throw new Error('load goes to loopback only');
    this.url = url;
    this.#token = token;
  }

  async call(method: Method, path: string, { body, key, token }: CallOptions = {}): Promise<Reply> {
    try {
      const reply = await request(this.url + path, {
        dispatcher: this.#agent,
        method,
        headers: {
          authorization: `Bearer ${token ?? this.#token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === undefined || key === null ? {} : { 'idempotency-key': key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await reply.body.text();
      const isReplay = reply.headers['idempotency-replayed'] === 'true';
      return { kind: 'answered', status: reply.statusCode, body: text === '' ? null : (JSON.parse(text) as unknown), isReplay };
    } catch (error) {
      return isUnsent(error) ? { kind: 'unsent' } : { kind: 'open', why: textOf(error) };
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** Nobody listened: nothing can have been done. */
const isUnsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'UND_ERR_CONNECT_TIMEOUT');
const textOf = (error: unknown): string =>
  error instanceof Error ? `${'code' in error ? `${String(error.code)} ` : ''}${error.message}` : String(error);

/** A reply as an answer: 2xx is read, 4xx is a refusal, and whatever else leaves open what was done. */
export function answerOf<T>(reply: Reply, read: (body: never, isReplay: boolean) => T): Answer<T> {
  if (reply.kind !== 'answered') return reply;
  if (reply.status < 300) return { kind: 'ok', value: read(reply.body as never, reply.isReplay) };
  return refusalOf(reply.status, reply.body);
}

export function refusalOf(status: number, problem: unknown): Answer<never> {
  const code = typeof problem === 'object' && problem !== null && 'code' in problem ? String(problem.code) : 'unknown';
  if (status >= 500) return { kind: 'open', why: `${status} ${code}` };
  return { kind: 'refused', status, code };
}
