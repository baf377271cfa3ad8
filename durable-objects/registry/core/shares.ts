/** An even split of `total` over `parts`, the remainder to the lower ones. */
export function evenSplit(total: number, parts: number): number[] {
  const floor = Math.floor(total / parts);
  return Array.from({ length: parts }, (_, index) => floor + (index < total % parts ? 1 : 0));
}

/**
 * Divides a pool's maximum over its shards, so that the pool's maximum holds although no shard asks another (I9).
 *
 * `held[i]` is the most that shard i can have now: the larger of the share it last got and the agents it has. Nobody may
 * grow into room that another shard may still be using: a shard's even part is its aim, but what goes above `held` comes
 * only out of what is really free. So after a pool got more shards or a smaller maximum, shares are at first less than
 * even; they are divided again when the shards that shrink have confirmed, which lowers their `held`.
 *
 * Keeps: sum of max(share, held) ≤ max(maximum, sum of held).
 */
export function divideShares(maxAgents: number, held: readonly number[]): number[] {
  const aims = evenSplit(maxAgents, held.length);
  const shares = aims.map((aim, shard) => Math.min(aim, held[shard] ?? 0));
  let room = maxAgents - held.reduce((sum, count) => sum + count, 0);
  let growing = aims.filter((aim, shard) => aim > (shares[shard] ?? 0)).length;
  for (const [shard, aim] of aims.entries()) {
    const share = shares[shard] ?? 0;
    if (aim <= share || room <= 0) continue;
    const grant = Math.min(aim - share, Math.ceil(room / growing));
    shares[shard] = share + grant;
    room -= grant;
    growing -= 1;
  }
  return shares;
}
