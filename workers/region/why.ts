import type { FleetError } from '../../shared/errors.ts';
import { ok, type Result } from '../../shared/result.ts';
import type { Caller } from '../../shared/rpc.ts';
import type { Why, WhyLimit } from '../../shared/schemas/why.ts';
import { describeWhy } from '../../durable-objects/pool/core/describe.ts';
import { NEAR_MISSES } from '../../durable-objects/pool/core/near-misses.ts';
import { readById, type RegionPorts } from './region.ts';

/** Why a task waits. While it waits for an agent, those of the other shards count too: an idle shard takes what waits. */
export function whyTask(ports: RegionPorts, caller: Caller, id: string): Promise<Result<Why, FleetError>> {
  return readById(ports, caller, 'task', id, async (pool, { home, route }) => {
    const own = await pool.whyTask(id);
    if (!own.ok) return own;
    const { why, demand } = own.value;
    if (demand === null || why.waitsFor?.for !== 'agent') return ok(why);
    const shards = Array.from({ length: route.shards }, (_, shard) => shard).filter((shard) => shard !== home.shard);
    const others = await Promise.all(shards.map((shard) => ports.pool(caller.fleet, { ...home, shard }).explainDemand(demand)));
    return ok(mergeWhys([...others, why]) ?? why);
  });
}

/** What shares nothing between parts of a pool but the caller's view of it. */
type Parts = 'shards' | 'regions';

/**
 * What several shards say of one request, as if one had been asked: agents and failed predicates add up. Place and wait are
 * those of the last, where the request stands or was refused last.
 */
export const mergeWhys = (whys: readonly Why[]): Why | undefined => merge(whys, 'shards');

/** The detail of a refusal, with what one shard said in it replaced by what all say. */
export const retold = (detail: string, own: Why, merged: Why): string =>
  detail.endsWith(own.detail) ? `${detail.slice(0, detail.length - own.detail.length)}${merged.detail}` : detail;

/** What several regions say, nearest first. */
export const whyAcrossRegions = (whys: readonly Why[]): Why | undefined => merge(whys.toReversed(), 'regions');

function merge(whys: readonly Why[], parts: Parts): Why | undefined {
  const last = whys.at(-1);
  if (last === undefined || whys.length === 1) return last;
  const {
    nearMisses: _near,
    limitedBy: _limit,
    estimatedStartAtMs: _start,
    detail: _detail,
    matching: _matching,
    fitting: _fitting,
    ...own
  } = last;
  const sum = (read: (why: Why) => number | undefined): number => whys.reduce((total, why) => total + (read(why) ?? 0), 0);
  const near = whys
    .flatMap((why) => why.nearMisses ?? [])
    .toSorted((a, b) => a.failed.length - b.failed.length)
    .slice(0, NEAR_MISSES);
  const limitedBy = mergeLimits(whys, last, parts);
  const estimatedStartAtMs = startOf(whys, last);
  const facts = {
    ...own,
    agents: sum((why) => why.agents),
    eligible: sum((why) => why.eligible),
    ...(whys.some((why) => why.matching === undefined)
      ? {}
      : { matching: sum((why) => why.matching), fitting: sum((why) => why.fitting) }),
    failed: addUp(whys),
    ...(near.length === 0 ? {} : { nearMisses: near }),
    ...(estimatedStartAtMs === undefined ? {} : { estimatedStartAtMs }),
    ...(limitedBy === undefined ? {} : { limitedBy }),
  };
  return { ...facts, detail: detailOf(facts, whys, last, parts) };
}

function addUp(whys: readonly Why[]): Why['failed'] {
  const failed = new Map<string, number>();
  for (const why of whys)
    for (const { predicate, agents } of why.failed) failed.set(predicate, (failed.get(predicate) ?? 0) + agents);
  return [...failed].map(([predicate, agents]) => ({ predicate, agents }));
}

/** A task starts where it waits; what waits nowhere yet starts where it can first. */
function startOf(whys: readonly Why[], last: Why): number | undefined {
  if (last.waitsFor !== undefined) return last.estimatedStartAtMs;
  const starts = whys.flatMap((why) => why.estimatedStartAtMs ?? []);
  return starts.length === 0 ? undefined : Math.min(...starts);
}

/** A maximum or a quota is divided over the shards, and is in the way only where all have reached their share. */
function mergeLimits(whys: readonly Why[], last: Why, parts: Parts): WhyLimit | undefined {
  const scope = last.limitedBy?.scope;
  if (scope !== 'pool' && scope !== 'caller') return last.limitedBy;
  const limits = whys.flatMap(({ limitedBy }) => (limitedBy?.scope === scope ? [limitedBy] : []));
  if (limits.length < whys.length) return undefined;
  const inUse = limits.reduce((total, limit) => total + (limit.inUse ?? 0), 0);
  // A quota is told whole by each shard; each region has one of its own, and a maximum of its own.
  const limit = scope === 'caller' ? (limits[0]?.limit ?? 0) : limits.reduce((total, each) => total + each.limit, 0);
  return { scope, limit, ...(parts === 'shards' ? { inUse } : {}) };
}

function detailOf(facts: Omit<Why, 'detail'>, whys: readonly Why[], last: Why, parts: Parts): string {
  // What a task waits for before any agent is asked is known in its own shard.
  if (last.waitsFor !== undefined && last.waitsFor.for !== 'agent') return last.detail;
  const { needed = 1, eligible, agents } = facts;
  if (agents === 0 && parts === 'regions')
    return `The pool has no agents in any of the ${whys.length} regions asked. Register some, or scale it up.`;
  const where = parts === 'regions' ? `In ${whys.length} regions: ` : '';
  const most = Math.max(...whys.map((why) => why.eligible));
  if (most < needed && eligible >= needed)
    return `${where}${eligible} of ${agents} agents could take this now, but all ${needed} of a gang come from one of the ${whys.length} ${parts}, and none has more than ${most}. Ask for fewer at once, or add agents.`;
  return `${where}${describeWhy(facts)}`;
}
