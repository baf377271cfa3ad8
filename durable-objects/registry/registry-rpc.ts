import type { FleetError } from '../../shared/errors.ts';
import type { Result } from '../../shared/result.ts';
import type { RegistryRpc, ShardSummary } from '../../shared/rpc.ts';
import type { PlacementRoute, ShardRef, SwarmRef } from './core/routes.ts';

/** What the region's Worker asks of the registry beyond the contract between the parts. */
export interface RegistryApi extends RegistryRpc {
  routes(fleet: string, region: string): Promise<readonly PlacementRoute[]>;
  /**
   * Marks shards as in use before the first answer about them leaves, so that a list that follows asks them although their
   * first report is still on its way.
   */
  open(fleet: string, region: string, shards: readonly ShardRef[]): Promise<void>;
  /** Every shard that may hold anything, configuration included: what a purge must reach. */
  instances(fleet: string, region: string): Promise<readonly ShardRef[]>;
  /** Reserves room for up to `wanted` new agents under the region's maximum; `limit` null means there is none. */
  admit(
    fleet: string,
    region: string,
    input: { readonly wanted: number; readonly limit: number },
  ): Promise<Result<{ readonly ticket: number; readonly admitted: number }, FleetError>>;
  /** Ends a reservation, together with counters that show what became of it. */
  settle(fleet: string, region: string, ticket: number, summaries: readonly ShardSummary[]): Promise<void>;
  /** Writes down that a swarm has a memory here, before its first write: a deletion of the fleet must find it. */
  openSwarm(fleet: string, region: string, ref: SwarmRef): Promise<void>;
  swarms(fleet: string, region: string): Promise<readonly SwarmRef[]>;
}
