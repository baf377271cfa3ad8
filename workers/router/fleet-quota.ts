import type { FleetError } from '../../shared/errors.ts';
import { err } from '../../shared/result.ts';
import { errorText, log } from '../lib/log.ts';
import type { RequestContext } from './context.ts';
import type { Placed } from './place-work.ts';
import type { WorkItem } from './work.ts';

/**
 * Keeps registrations under the fleet's `maxAgents`; costs nothing where none is set. Room is reserved before the regions
 * are asked, and given back, or counted by them, afterwards. A repeat whose key already made an agent needs no room.
 */
export async function withinFleetQuota(
  context: RequestContext,
  items: readonly WorkItem[],
  place: (admitted: readonly WorkItem[]) => Promise<readonly Placed[]>,
): Promise<readonly Placed[]> {
  if (context.view.snapshot.settings.maxAgents === undefined || items.length === 0) return place(items);
  const fleet = context.fleet();
  const name = context.claims.fleet;
  const keyOf = (item: WorkItem): string | undefined => item.idempotency?.key;
  const keys = items.flatMap((item) => keyOf(item) ?? []);
  const room = await fleet.admit(name, context.caller, { wanted: items.length, keys });
  const known = new Set(room.ok ? room.value.known : []);
  let left = room.ok ? room.value.admitted : 0;
  const goes = items.map((item) => known.has(keyOf(item) ?? '') || left-- > 0);
  const placed = [...(await place(items.filter((_, i) => goes[i])))];
  const refusal = room.ok ? quotaExceeded(context.view.snapshot.settings.maxAgents) : room.error;
  const all = goes.map((go): Placed =>
    go ? (placed.shift() ?? { reply: err(refusal), region: null }) : { reply: err(refusal), region: null },
  );
  const fresh = items.filter((item, i) => all[i]?.reply.ok === true && !known.has(keyOf(item) ?? ''));
  if (room.ok) {
    const outcome = { registered: fresh.length, keys: fresh.flatMap((item) => keyOf(item) ?? []) };
    try {
      await fleet.settle(name, room.value.ticket, outcome);
    } catch (error) {
      // A reservation that is not given back ends by itself.
      log('error', 'reservation not settled', { requestId: context.requestId, error: errorText(error) });
    }
  }
  return all;
}

const quotaExceeded = (limit: number): FleetError => ({
  kind: 'quota_exceeded',
  scope: 'fleet',
  limit,
  detail: `The fleet may have ${limit} agents in all regions together.`,
});

/** Whoever removes an agent to make room must find it: the counters follow half a second later. */
export async function noteRemoved(context: RequestContext): Promise<void> {
  if (context.view.snapshot.settings.maxAgents === undefined) return;
  try {
    await context.fleet().noteRemoved(context.claims.fleet);
  } catch (error) {
    log('error', 'removal not noted', { requestId: context.requestId, error: errorText(error) });
  }
}
