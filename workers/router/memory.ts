import type { RegionId } from '../../regions/table.ts';
import { candidateRegions } from '../../regions/rank.ts';
import { notFound, type FleetError } from '../../shared/errors.ts';
import type {
  EntryView,
  MemoryCommandOf,
  MemoryCommandType,
  MemoryOutput,
  MemoryReply,
  VersionView,
} from '../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Page } from '../../shared/rpc.ts';
import { MemoryKeySchema } from '../../shared/schemas/memory.ts';
import { SwarmNameSchema } from '../../shared/schemas/common.ts';
import { jsonArray, jsonWith } from '../lib/json-text.ts';
import { invalidField } from '../lib/validate.ts';
import type { RequestContext } from './context.ts';
import { filterHash, readCursor, writeCursor } from './cursor.ts';
import { requestKey } from './idempotency.ts';
import { configuredRegion } from './placement.ts';
import { callRegion, OWN_TIMEOUT_MS } from './region-calls.ts';
import { refusedBy, reply, type Outcome } from './reply.ts';

/** Where a request about a memory goes. */
export interface MemoryPlace {
  readonly region: RegionId;
  readonly swarm: string;
}

/**
 * What no caller may reach: for an agent every region but its own, for others what the fleet's residency rule forbids. Said
 * before the body is read. A region that does not exist is the schema's business.
 */
export function refuseRegion(context: RequestContext, query: Readonly<Record<string, string>>): FleetError | null {
  const region = query['region'];
  if (region === undefined) return null;
  const own = context.claims.region;
  if (context.claims.agentId !== undefined) {
    return region === own ? null : violation(`An agent's memory is that of its own region, not ${region.slice(0, 64)}.`);
  }
  const place = allowed(context, region);
  return place.ok || place.error.kind !== 'residency_violation' ? null : place.error;
}

const violation = (detail: string): FleetError => ({ kind: 'residency_violation', detail });

function allowed(context: RequestContext, region: string): Result<RegionId, FleetError> {
  const configured = configuredRegion(context, region);
  if (!configured.ok) return configured;
  const fleet = context.view.snapshot.settings.residency;
  const candidates = candidateRegions({ configured: context.config.regions, fleet, request: undefined, region, from: null });
  return candidates.ok ? ok(configured.value) : candidates;
}

/** The region of a request: an agent's own, the one named, the fleet's home. There is no guess. */
export function placeOf(
  context: RequestContext,
  query: { readonly region?: string | undefined },
): Result<MemoryPlace, FleetError> {
  const swarm = context.params['swarm'] ?? '';
  if (!SwarmNameSchema.safeParse(swarm).success) {
    const isRead = context.request.method === 'GET' || context.request.method === 'DELETE';
    return err(isRead ? notFound('memory') : invalidField('swarm', 'must match [a-z0-9][a-z0-9-]{0,63}'));
  }
  const named = context.claims.agentId === undefined ? query.region : context.claims.region;
  const region = named ?? context.view.snapshot.settings.homeRegion;
  if (region === undefined) {
    return err({ kind: 'region_required', detail: 'Name a region with ?region=, or give the fleet a homeRegion.' });
  }
  const place = allowed(context, region);
  return place.ok ? ok({ region: place.value, swarm }) : place;
}

/** A place together with the key of the path; a key that cannot be one names nothing, and is refused where it would be made. */
export function entryPlace(
  context: RequestContext,
  query: { readonly region?: string | undefined },
): Result<MemoryPlace & { readonly key: string }, FleetError> {
  const place = placeOf(context, query);
  if (!place.ok) return place;
  const key = keyOfPath(context.pathname);
  const parsed = MemoryKeySchema.safeParse(key);
  if (key !== null && parsed.success) return ok({ ...place.value, key });
  if (context.request.method === 'GET' || context.request.method === 'DELETE') return err(notFound('entry'));
  return err(invalidField('key', (key === null ? undefined : parsed.error?.issues[0]?.message) ?? 'must be UTF-8'));
}

/** The key as it was sent: a part of the path that is no UTF-8 is no key, whatever a lenient decoder would make of it. */
function keyOfPath(pathname: string): string | null {
  const part = /^\/v1\/memory\/[^/]+\/entries\/([^/]+)/.exec(pathname)?.[1];
  if (part === undefined) return null;
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** Runs one command where the place says. */
export async function ask<K extends MemoryCommandType>(
  context: RequestContext,
  place: MemoryPlace,
  command: MemoryCommandOf<K>,
): Promise<MemoryReply<K>> {
  const idempotency = requestKey(context);
  const request = { command: command as never, ...(idempotency === null ? {} : { idempotency }) };
  const called = await callRegion(context, place.region, OWN_TIMEOUT_MS, (binding) =>
    binding.memory(context.caller, place.swarm, [request]),
  );
  if (!called.ok) return called;
  const [answer] = called.value;
  return answer ?? err({ kind: 'internal', detail: 'The region gave no answer.' });
}

/** Runs one command and writes its answer; `write` null: there is nothing to say. */
export async function answer<K extends MemoryCommandType>(
  context: RequestContext,
  place: MemoryPlace,
  command: MemoryCommandOf<K>,
  show: { readonly status: number | ((output: MemoryOutput<K>) => number); readonly write?: (output: MemoryOutput<K>) => string },
): Promise<Outcome> {
  const answered = await ask(context, place, command);
  if (!answered.ok) return refusedBy(place.region, answered);
  const output = answered.value;
  const status = typeof show.status === 'number' ? show.status : show.status(output);
  const body = status === 204 ? null : (show.write ?? JSON.stringify)(output);
  return reply(status, body, { region: place.region, replayed: answered.replayed });
}

/** A page of anything in a memory, with a cursor of that very list. */
export async function answerPage<K extends MemoryCommandType>(
  context: RequestContext,
  place: MemoryPlace,
  list: {
    readonly query: Readonly<Record<string, unknown>> & { readonly limit: number; readonly cursor?: string | undefined };
    readonly command: (paging: { readonly after: string | null; readonly limit: number }) => MemoryCommandOf<K>;
    readonly write?: (item: never) => string;
  },
): Promise<Outcome> {
  const { limit, cursor, ...filter } = list.query;
  const texts = Object.entries({ ...filter, ...place, path: context.pathname }).map(([name, value]) => [
    name,
    value === undefined ? undefined : `${value as string | number | boolean}`,
  ]);
  const hash = filterHash(context.template, Object.fromEntries(texts) as Record<string, string | undefined>);
  const after = readCursor(hash, cursor);
  if (!after.ok) return after;
  const answered = await ask(context, place, list.command({ after: after.value, limit }));
  if (!answered.ok) return refusedBy(place.region, answered);
  const page = answered.value as Page<never>;
  const nextCursor = page.nextAfter === undefined ? {} : { nextCursor: writeCursor(hash, page.nextAfter) };
  const data = page.data.map((item) => (list.write ?? JSON.stringify)(item));
  return reply(200, jsonWith(nextCursor, { data: jsonArray(data) }), { region: place.region });
}

export const entryJson = ({ value, ...entry }: EntryView | VersionView): string => jsonWith(entry, { value });
