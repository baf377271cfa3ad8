import type { RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { IdempotencyRef } from '../../shared/rpc.ts';
import { sha256Hex } from '../lib/sha256.ts';
import type { RequestContext } from './context.ts';
import { callRegion, PLACING_TIMEOUT_MS } from './region-calls.ts';

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
    bodyHash: sha256Hex(`${context.request.method} ${context.pathname}\n${body}`),
  };
}

/**
 * The order of regions for a keyed request that named none. The first order tried is remembered by a region that follows
 * from the key alone, so that a repeat from elsewhere on the globe finds the first answer, and work stays near its first
 * caller. Residency comes first: a remembered region that is no longer allowed is left out.
 */
export async function rememberedOrder(
  context: RequestContext,
  idempotency: IdempotencyRef,
  order: readonly RegionId[],
): Promise<Result<readonly RegionId[], FleetError>> {
  const coordinators = [...order].sort();
  const start = Number.parseInt(sha256Hex(idempotency.key).slice(0, 8), 16) % coordinators.length;
  let fault: FleetError | null = null;
  for (let i = 0; i < coordinators.length; i += 1) {
    const region = coordinators[(start + i) % coordinators.length];
    if (region === undefined) continue;
    const asked = await callRegion(context, region, PLACING_TIMEOUT_MS, (binding) =>
      binding.routeForKey(context.caller, idempotency.key, order),
    );
    if (asked.ok) {
      const remembered = asked.value.flatMap((name) => order.filter((allowed) => allowed === name));
      return ok([...remembered, ...order.filter((allowed) => !remembered.includes(allowed))]);
    }
    fault = asked.error;
  }
  return err(fault ?? { kind: 'internal', detail: 'There was no region to ask.' });
}
