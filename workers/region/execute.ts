import type { FleetError } from '../../shared/errors.ts';
import { err } from '../../shared/result.ts';
import type { IdempotencyRef, PoolReply, PoolRequest } from '../../shared/rpc.ts';
import type { Why } from '../../shared/schemas/why.ts';
import { shardOf } from './command-id.ts';
import { isOverloaded, overloaded } from './faults.ts';
import { candidateShards, notePlaced, type LiveRoute } from './placement.ts';
import { mergeWhys, retold } from './why.ts';

/** The shards of one pool, as the algorithm sees them. */
export interface Shards {
  execute(shard: number, requests: readonly PoolRequest[]): Promise<readonly PoolReply[]>;
  forgetKeys(shard: number, keys: readonly string[]): Promise<void>;
}

interface Item {
  readonly index: number;
  readonly request: PoolRequest;
  readonly candidates: readonly number[];
  at: number;
  readonly whys: Why[];
  /** What a shard said where the caller had room left: that stands before its quota at another. */
  noCapacity: FleetError | null;
}

/** Refusals after which another shard may still say yes. */
const PASSABLE: ReadonlySet<FleetError['kind']> = new Set(['no_capacity', 'queue_full', 'quota_exceeded']);

/**
 * Runs requests on the shards of a pool and answers in their order. Each round makes one call per shard, all at once;
 * what a shard refused goes to its next candidate in the next round.
 */
export async function executeOnShards(
  route: LiveRoute,
  place: { readonly region: string; readonly shard: number | null },
  requests: readonly PoolRequest[],
  shards: Shards,
  random: () => number,
): Promise<readonly PoolReply[]> {
  const replies: PoolReply[] = Array.from({ length: requests.length });
  let open: Item[] = [];
  for (const [index, request] of requests.entries()) {
    const own = shardOf(request.command, { ...place, pool: route.pool, shards: route.shards });
    if ('refused' in own) {
      replies[index] = err(own.refused);
      continue;
    }
    const candidates = own.shard === null ? candidateShards(route, request, random) : [own.shard];
    notePlaced(route, candidates[0] ?? 0, request);
    open.push({ index, request, candidates, at: 0, whys: [], noCapacity: null });
  }

  const faults: unknown[] = [];
  let answered = open.length === 0;
  const forget = new Map<number, string[]>();
  while (open.length > 0) {
    const groups = Map.groupBy(open, (item) => item.candidates[item.at] ?? 0);
    open = [];
    const call = async ([shard, items]: [number, Item[]]): Promise<void> => {
      const outcome = await callShard(shards, shard, items);
      if ('fault' in outcome) faults.push(outcome.fault);
      else answered = true;
      for (const [i, item] of items.entries()) {
        const reply = 'fault' in outcome ? err(SHARD_LOST) : (outcome.replies[i] ?? err(SHARD_LOST));
        if (passOn(item, reply)) open.push(item);
        else replies[item.index] = finish(item, reply, route, forget);
      }
    };
    await Promise.all([...groups].map(call));
    open.sort((a, b) => a.index - b.index);
  }
  // Nobody answered: the region's trouble, not one shard's, and the router's to judge.
  if (!answered && faults.length > 0) throw faults[0];
  await Promise.all([...forget].map(([shard, keys]) => shards.forgetKeys(shard, keys)));
  return replies;
}

const SHARD_LOST: FleetError = {
  kind: 'region_unavailable',
  retryAfterMs: 1_000,
  detail: 'A part of the region did not answer; whether the request was carried out is not known.',
};

async function callShard(
  shards: Shards,
  shard: number,
  items: readonly Item[],
): Promise<{ readonly replies: readonly PoolReply[] } | { readonly fault: unknown }> {
  try {
    return { replies: await shards.execute(shard, items.map(requestAt)) };
  } catch (fault) {
    return isOverloaded(fault) ? { replies: items.map(() => err(overloaded())) } : { fault };
  }
}

/** All candidates but the last are only tried: nothing waits or queues there, and a refusal marks the key as passed on. */
function requestAt(item: Item): PoolRequest {
  const { command, idempotency, ...rest } = item.request;
  if (item.at === item.candidates.length - 1) return item.request;
  const ref: { idempotency?: IdempotencyRef } =
    idempotency === undefined ? {} : { idempotency: { ...idempotency, passOnRefusal: true } };
  switch (command.type) {
    case 'allocate':
      return { command: { ...command, spec: { ...command.spec, waitMs: 0 } }, ...rest, ...ref };
    case 'submitTask':
      return { command: { ...command, needsAgent: true }, ...rest, ...ref };
    default:
      return { command, ...rest, ...ref };
  }
}

function passOn(item: Item, reply: PoolReply): boolean {
  if (reply.ok || !PASSABLE.has(reply.error.kind) || item.at === item.candidates.length - 1) return false;
  if ('why' in reply.error && reply.error.why !== undefined) item.whys.push(reply.error.why);
  if (reply.error.kind === 'no_capacity') item.noCapacity = reply.error;
  item.at += 1;
  return true;
}

/** The answer to the caller; when every candidate refused, the marks of the key are cleared unless the router goes on. */
function finish(item: Item, reply: PoolReply, route: LiveRoute, forget: Map<number, string[]>): PoolReply {
  if (reply.ok || !PASSABLE.has(reply.error.kind)) return reply;
  const { idempotency } = item.request;
  if (idempotency !== undefined && idempotency.passOnRefusal !== true) {
    for (const shard of item.candidates.slice(0, -1)) forget.set(shard, [...(forget.get(shard) ?? []), idempotency.key]);
  }
  const isQuota = reply.error.kind === 'quota_exceeded' && reply.error.scope === 'caller';
  const error = isQuota ? (item.noCapacity ?? reply.error) : reply.error;
  if ('why' in error && 'why' in reply.error) {
    const why = mergeWhys([...item.whys, ...(reply.error.why === undefined ? [] : [reply.error.why])]);
    if (why === undefined || error.why === undefined) return { ...reply, error };
    return { ...reply, error: { ...error, why, detail: retold(error.detail, error.why, why) } };
  }
  // The caller knows the pool's maximum, not one shard's part of it.
  if (error.kind === 'quota_exceeded' && error.scope === 'pool') {
    return {
      ...reply,
      error: {
        ...error,
        limit: route.maxAgents,
        detail: `Pool ${route.pool} may have ${route.maxAgents} agents in this region.`,
      },
    };
  }
  return reply;
}
