import type { RegionId } from '../../regions/table.ts';
import { notFound, type FleetError } from '../../shared/errors.ts';
import { parseIdOf, type IdKind } from '../../shared/ids.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { PoolReply, PoolRequest } from '../../shared/rpc.ts';
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
