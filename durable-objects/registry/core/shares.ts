/** An even split of `total` over `parts`, the remainder to the lower ones. */
export function evenSplit(total: number, parts: number): number[] {
  const floor = Math.floor(total / parts);
  return Array.from({ length: parts }, (_, index) => floor + (index < total % parts ? 1 : 0));
}

/** What the registry knows of one shard. */
export interface ShardRoom {
  /** Agents as last reported: an estimate. */
  readonly agents: number;
  /** The most it can have now: the larger of the share it last got and the agents it had when it took it. */
  readonly held: number;
}

/**
 * Divides a pool's maximum over its shards, so that the pool's maximum holds although no shard asks another (I9).
 *
 * An even part is each shard's aim. A shard that has more than that keeps what it has, and the others share the rest. But
 * nobody may grow into room that another shard may still be using, so what goes above `held` comes only out of what nobody
 * holds. After a pool got more shards or a smaller maximum, shares are therefore at first less than aimed at; they are
 * divided again when the shards that shrink have confirmed, which lowers their `held`.
 *
 * Keeps: sum of max(share, held) ≤ max(maximum, sum of held).
 */
export function divideShares(maxAgents: number, shards: readonly ShardRoom[]): number[] {
  const even = evenSplit(maxAgents, shards.length);
  const agents = shards.map((shard) => shard.agents);
  const held = shards.map((shard) => shard.held);
  return growTowards(growTowards(even, agents, maxAgents), held, maxAgents);
}

/** `from`, but nowhere above `aims`; what is left of `total` beside all of `from` goes to those below their aim. */
function growTowards(aims: readonly number[], from: readonly number[], total: number): number[] {
  const result = aims.map((aim, i) => Math.min(aim, from[i] ?? 0));
  const need = (i: number): number => (aims[i] ?? 0) - (result[i] ?? 0);
  // The smallest needs first: what they leave of their equal part is there for the others.
  const growing = [...aims.keys()].filter((i) => (aims[i] ?? 0) > (from[i] ?? 0)).sort((a, b) => need(a) - need(b) || a - b);
  let room = Math.max(0, total - from.reduce((sum, n) => sum + n, 0));
  for (const [done, i] of growing.entries()) {
    const grant = Math.min(need(i), Math.ceil(room / (growing.length - done)));
    result[i] = (result[i] ?? 0) + grant;
    room -= grant;
  }
  return result;
}
