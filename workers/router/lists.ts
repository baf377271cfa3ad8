import type { RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import { parseIdOf } from '../../shared/ids.ts';
import { err, type Result } from '../../shared/result.ts';
import type { Page } from '../../shared/rpc.ts';
import { jsonWith, jsonArray } from '../lib/json-text.ts';
import { configuredRegion } from './placement.ts';
import type { RequestContext } from './context.ts';
import { filterHash, readCursor, writeCursor } from './cursor.ts';
import { reply, type Outcome } from './reply.ts';

interface ListInput<T> {
  readonly kind: 'agent' | 'task';
  readonly filter: Readonly<Record<string, string | undefined>>;
  readonly region: string | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
  /** One region's page of items with an id above `after`. */
  readonly fetch: (region: RegionId, after: string | null, limit: number) => Promise<Result<Page<T>, FleetError>>;
  readonly write: (item: T) => string;
}

/**
 * One page over all regions in the order of ids, which is the order of region names. A region that does not answer fails
 * the page: one that silently leaves out a region would be taken for the whole.
 */
export async function listAcrossRegions<T extends { readonly id: string }>(
  context: RequestContext,
  input: ListInput<T>,
): Promise<Outcome> {
  const { limit } = input;
  const hash = filterHash(input.kind, { ...input.filter, region: input.region });
  const only = input.region === undefined ? null : configuredRegion(context, input.region);
  if (only !== null && !only.ok) return only;
  const after = readCursor(hash, input.cursor);
  if (!after.ok) return after;
  const from = after.value === null ? null : parseIdOf(input.kind, after.value);
  if (after.value !== null && from === null)
    return err({ kind: 'invalid_cursor', detail: 'The cursor is not one of this list.' });

  const regions = (only === null ? [...context.config.regions].sort() : [only.value]).filter(
    (region) => from === null || region >= from.region,
  );
  const data: T[] = [];
  let more = false;
  for (const region of regions) {
    // One beyond the page tells whether more follow; it is asked for only when the page is full at a region's end.
    const wanted = Math.max(1, limit - data.length);
    const page = await input.fetch(region, region === from?.region ? after.value : null, wanted);
    if (!page.ok) return page;
    if (data.length === limit) {
      more = page.value.data.length > 0;
      if (more) break;
      continue;
    }
    data.push(...page.value.data);
    if (page.value.nextAfter !== undefined) {
      more = true;
      break;
    }
  }
  const last = data.at(-1);
  const nextCursor = more && last !== undefined ? writeCursor(hash, last.id) : undefined;
  const body = jsonWith(nextCursor === undefined ? {} : { nextCursor }, { data: jsonArray(data.map(input.write)) });
  return reply(200, body, only === null ? {} : { region: only.value });
}
