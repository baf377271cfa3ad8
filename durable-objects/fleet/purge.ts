import type { Caller } from '../../shared/rpc.ts';
import { logError } from '../lib/log.ts';
import { within } from '../lib/within.ts';
import { storageFleet } from './core/state.ts';
import type { RegionBinding } from './env.ts';

/** A region with many shards deletes many databases; longer than that is a failure, and tried again. */
const PURGE_TIMEOUT_MS = 20_000;

/** Removes a deleted generation from regions, all at once; answers those that said it is done. */
export async function purgeRegions(
  bindings: ReadonlyMap<string, RegionBinding>,
  regions: readonly string[],
  fleet: string,
  generation: number,
  caller: Caller,
): Promise<readonly string[]> {
  const asFleet: Caller = { ...caller, fleet: storageFleet(fleet, generation) };
  const purge = async (region: string): Promise<string | null> => {
    const binding = bindings.get(region);
    // A region that is no longer part of the deployment cannot be reached, and holds nothing that can.
    if (binding === undefined) return region;
    try {
      await within(PURGE_TIMEOUT_MS, binding.purgeFleet(asFleet));
      return region;
    } catch (error) {
      logError('region not purged', error, { fleet, region });
      return null;
    }
  };
  const done = await Promise.all(regions.map(purge));
  return done.filter((region) => region !== null);
}
