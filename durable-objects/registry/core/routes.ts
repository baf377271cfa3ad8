import type { PoolRoute } from '../../../shared/rpc.ts';

/** A route with what placement needs; arrays are indexed by shard. */
export interface PlacementRoute extends PoolRoute {
  /** Each shard's part of `maxAgents`. Not always an even split: see `shares.ts`. */
  readonly shares: readonly number[];
  /** Agents of each shard, as last reported. */
  readonly agents: readonly number[];
  /** Free slots of each shard, as last reported. */
  readonly slotsFree: readonly number[];
  /** Whether lists ask this shard. */
  readonly inUse: readonly boolean[];
}

export interface ShardRef {
  readonly pool: string;
  readonly shard: number;
}

/** One object of a swarm's memory. */
export interface SwarmRef {
  readonly swarm: string;
  readonly shard: number;
}
