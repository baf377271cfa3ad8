import type { CallOptions, HttpClient, Query } from '../http.ts';
import type { Page } from '../types.ts';

/** All items of a list, fetched page by page as they are consumed. */
export async function* pages<T>(
  http: HttpClient,
  path: string,
  query: Query,
  options?: CallOptions,
): AsyncGenerator<T, void, undefined> {
  for (let cursor: string | undefined; ;) {
    const page = await http.send<Page<T>>({ method: 'GET', path, query: { limit: 1_000, ...query, cursor } }, options);
    yield* page.data;
    if (page.nextCursor === undefined) return;
    cursor = page.nextCursor;
  }
}

/** All items of a list at once. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
