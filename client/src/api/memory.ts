import type { BatchItem } from '../types.ts';
import { batchResult, type BatchResult } from '../batch.ts';
import { ConfigurationError } from '../errors.ts';
import type { Call, CallOptions, HttpClient, Query } from '../http.ts';

/** One swarm's memory in one region, as paths and queries. */
export class MemoryPaths {
  readonly #http: () => HttpClient;
  readonly #base: string;
  readonly #region: string | undefined;

  constructor(http: () => HttpClient, swarm: string, region: string | undefined) {
    this.#http = http;
    this.#base = `/v1/memory/${encodeURIComponent(swarm)}`;
    this.#region = region;
  }

  get http(): HttpClient {
    return this.#http();
  }

  path(rest: string): string {
    return `${this.#base}${rest}`;
  }

  entry(key: string, rest = ''): string {
    // They would be lost on the way: such a path has no key in it.
    if (key === '' || key === '.' || key === '..') {
      throw new ConfigurationError(`'${key}' cannot be the key of an entry: it must not be empty, . or ..`);
    }
    return this.path(`/entries/${encodeURIComponent(key)}${rest}`);
  }

  query(query: Query = {}): Query {
    return { region: this.#region, ...query };
  }

  get<T>(path: string, query?: Query, options?: CallOptions): Promise<T> {
    return this.http.send({ method: 'GET', path, query: this.query(query) }, options);
  }

  post<T>(rest: string, body: unknown, options?: CallOptions, call: Partial<Call> = {}): Promise<T> {
    return this.http.send({ method: 'POST', path: this.path(rest), query: this.query(), body, creates: true, ...call }, options);
  }

  put<T>(path: string, body: unknown, options?: CallOptions, call: Partial<Call> = {}): Promise<T> {
    return this.http.send({ method: 'PUT', path, query: this.query(), body, ...call }, options);
  }
}

/** The results of a batch, each with its value or its error. */
export async function batch<T>(
  paths: MemoryPaths,
  operations: readonly object[],
  options?: CallOptions,
): Promise<BatchResult<T>[]> {
  const answer = await paths.post<{ results: BatchItem<T>[] }>('/batch', { operations }, options, { creates: false });
  return answer.results.map(batchResult);
}
