import type { Caller } from '../../shared/rpc.ts';
import { hash } from '../../shared/hash.ts';

/**
 * The caller as one shard is to take it: with its part of the lease quota. The parts of a pool's shards add up to the quota,
 * so it holds although no shard asks another; callers have the odd ones on different shards.
 */
export function callerAt(caller: Caller, shard: number, shards: number): Caller {
  const { leaseQuota } = caller;
  if (leaseQuota === undefined || shards === 1) return caller;
  const { limit } = leaseQuota;
  const turn = (shard + hash(caller.subject)) % shards;
  return { ...caller, leaseQuota: { limit, share: Math.floor(limit / shards) + (turn < limit % shards ? 1 : 0) } };
}
