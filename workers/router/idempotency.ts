import type { RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import { ok, type Result } from '../../shared/result.ts';
import type { IdempotencyRef } from '../../shared/rpc.ts';
import { fingerprint } from '../lib/fingerprint.ts';
import type { RequestContext } from './context.ts';
import { callRegion, PLACING_TIMEOUT_MS } from './region-calls.ts';
import type { WorkItem } from './work.ts';

/** The reference of the request's own key; null when it brought none. */
export const requestKey = (context: RequestContext): IdempotencyRef | null =>
  context.idempotencyKey === null ? null : keyOf(context, context.idempotencyKey, context.bodyText);

/** The reference of a batch item's key. The item is its own body: the same item in another batch is the same request. */
export const itemKey = (context: RequestContext, key: string | undefined, item: unknown): IdempotencyRef | null =>
  key === undefined ? null : keyOf(context, key, JSON.stringify(item));

/** Keys are scoped to token subject and route (the fleet is the object's); the hash covers method, path and body. */
function keyOf(context: RequestContext, key: string, body: string): IdempotencyRef {
  return {
    key: `${context.caller.subject}\n${context.template}\n${key}`,
    bodyHash: fingerprint(`${context.request.method} ${context.pathname}\n${body}`),
  };
}

interface Asking {
  readonly index: number;
  readonly item: WorkItem;
  readonly key: string;
  readonly coordinators: readonly RegionId[];
}

/**
 * The order of regions for keyed work that named none. The first order tried is remembered by a region that follows from
 * the key alone, so that a repeat from elsewhere on the globe finds the first answer, and work stays near its first caller.
 * One call per coordinator; the next one is asked where a coordinator is down.
 */
export async function rememberOrders(
  context: RequestContext,
  items: readonly WorkItem[],
): Promise<readonly Result<WorkItem, FleetError>[]> {
  const results: Result<WorkItem, FleetError>[] = items.map((item) => ok(item));
  let open = items.flatMap((item, index): Asking[] => {
    if (item.idempotency === null || item.named || item.order.length === 1) return [];
    return [{ index, item, key: item.idempotency.key, coordinators: coordinatorsOf(item.idempotency.key, item.order) }];
  });
  for (let attempt = 0; open.length > 0; attempt += 1) {
    const groups = Map.groupBy(open, ({ item, coordinators }) => `${coordinators[attempt]} ${item.order.join(' ')}`);
    open = [];
    const ask = async (group: readonly Asking[]): Promise<void> => {
      const [first] = group;
      const coordinator = first?.coordinators[attempt];
      if (first === undefined || coordinator === undefined) return;
      const asked = await callRegion(context, coordinator, PLACING_TIMEOUT_MS, (binding) =>
        binding.routesForKeys(
          context.caller,
          group.map(({ key }) => key),
          first.item.order,
        ),
      );
      for (const [i, one] of group.entries()) {
        if (asked.ok) results[one.index] = ok({ ...one.item, order: inOrder(asked.value[i] ?? [], one.item.order) });
        else if (attempt < one.coordinators.length - 1) open.push(one);
        else results[one.index] = asked;
      }
    };
    await Promise.all([...groups.values()].map(ask));
  }
  return results;
}

/** All candidates, beginning with the one that the key's hash points at. */
function coordinatorsOf(key: string, order: readonly RegionId[]): readonly RegionId[] {
  const sorted = [...order].sort();
  const start = Number.parseInt(fingerprint(key).slice(0, 8), 16) % sorted.length;
  return [...sorted.slice(start), ...sorted.slice(0, start)];
}

/** Residency comes first: a remembered region that is no longer allowed is left out, one that is new comes last. */
function inOrder(remembered: readonly string[], allowed: readonly RegionId[]): readonly RegionId[] {
  const first = remembered.flatMap((name) => allowed.filter((region) => region === name));
  return [...first, ...allowed.filter((region) => !first.includes(region))];
}
