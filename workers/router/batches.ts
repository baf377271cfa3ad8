import type { RegionId } from '../../regions/table.ts';
import { notFound, type FleetError } from '../../shared/errors.ts';
import { parseIdOf, type IdKind } from '../../shared/ids.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { PoolReply, PoolRequest } from '../../shared/rpc.ts';
import { IdempotencyKeySchema } from '../../shared/schemas/common.ts';
import { validate } from '../lib/validate.ts';
import type { PathId, RequestContext } from './context.ts';
import { callRegion, OWN_TIMEOUT_MS } from './region-calls.ts';

/** A batch item that acts on one thing by its id. */
export interface AddressedItem {
  readonly id: PathId;
  readonly request: PoolRequest;
}

/** An id inside a body, held against this deployment as one in a path is. */
export function itemId(context: RequestContext, kind: IdKind, text: string): Result<PathId, FleetError> {
  const parsed = parseIdOf(kind, text);
  const region = parsed === null ? undefined : context.config.regions.find((name) => name === parsed.region);
  return parsed === null || region === undefined ? err(notFound(kind)) : ok({ ...parsed, region, text });
}

/** An item without its own idempotency key, and that key. What else it holds, hostile names included, is the schema's to judge. */
export function splitKey(item: unknown): Result<{ readonly key: string | undefined; readonly rest: unknown }, FleetError> {
  if (typeof item !== 'object' || item === null || !Object.hasOwn(item, 'idempotencyKey'))
    return ok({ key: undefined, rest: item });
  const { idempotencyKey, ...rest } = item as { readonly idempotencyKey?: unknown };
  const key = validate(IdempotencyKeySchema, idempotencyKey, 'idempotencyKey');
  return key.ok ? ok({ key: key.value, rest }) : key;
}

/** One call per shard, all at once; one answer per item, in order. A shard that fails fails its own items. */
export async function executeAddressed(context: RequestContext, items: readonly AddressedItem[]): Promise<readonly PoolReply[]> {
  const replies: PoolReply[] = Array.from({ length: items.length });
  const entries = items.map((item, index) => ({ item, index }));
  const groups = Map.groupBy(entries, ({ item: { id } }) => `${id.region}\n${id.pool}\n${id.shard}`);
  const call = async (group: readonly { readonly item: AddressedItem; readonly index: number }[]): Promise<void> => {
    const [first] = group;
    if (first === undefined) return;
    const { region, pool, shard } = first.item.id;
    const requests = group.map(({ item }) => item.request);
    const called = await callRegion(context, region, OWN_TIMEOUT_MS, (binding) =>
      binding.execute(context.caller, pool, shard, requests),
    );
    for (const [i, { index }] of group.entries()) replies[index] = called.ok ? (called.value[i] ?? NO_ANSWER) : called;
  };
  await Promise.all([...groups.values()].map(call));
  return replies;
}

const NO_ANSWER: PoolReply = err({ kind: 'internal', detail: 'The region gave no answer.' });

/** The region of a batch that had only one; the header names where one served. */
export function soleRegion(regions: readonly (RegionId | null)[]): { readonly region?: RegionId } {
  const [first] = regions;
  return first != null && regions.every((region) => region === first) ? { region: first } : {};
}
