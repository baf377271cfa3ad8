import { isRegionId, regionOf, type Region } from '../../regions/table.ts';
import type { RegionEnv } from '../env.ts';

export type RegionVars = Pick<RegionEnv, 'REGION' | 'JURISDICTION' | 'LOCATION_HINT' | 'APPLY_JURISDICTION'>;

/**
 * The region that this Worker is deployed as. What its variables say must be what the table says: a Worker that is wrong
 * about its own jurisdiction must not serve at all.
 */
export function ownRegion(env: RegionVars): Region {
  if (!isRegionId(env.REGION)) throw new Error(`REGION is not a region: ${env.REGION}`);
  const region = regionOf(env.REGION);
  if (env.JURISDICTION !== (region.jurisdiction ?? ''))
    throw new Error(`JURISDICTION is not that of ${region.id}: ${env.JURISDICTION}`);
  if (env.LOCATION_HINT !== region.locationHint)
    throw new Error(`LOCATION_HINT is not that of ${region.id}: ${env.LOCATION_HINT}`);
  return region;
}

/** The jurisdiction that objects of this deployment are created in, or null where none is applied. */
export function appliedJurisdiction(env: RegionVars): 'eu' | 'us' | null {
  return env.APPLY_JURISDICTION === 'true' ? ownRegion(env).jurisdiction : null;
}

/**
 * Refuses to work as an object that the data does not belong to: another name (so another region, fleet, pool or shard),
 * or the right name in the wrong jurisdiction, which is a different object. A jurisdiction governs where an object lives,
 * not who calls it, so the object must look itself.
 */
export function assertOwnObject(id: DurableObjectId, env: RegionVars, name: string): void {
  if (id.name !== name) throw new Error(`asked as ${name}, but this is ${id.name ?? 'an object without a name'}`);
  const expected = appliedJurisdiction(env);
  if (expected !== null && id.jurisdiction !== expected) {
    throw new Error(`${name} belongs to jurisdiction ${expected}, but this object is in ${id.jurisdiction ?? 'none'}`);
  }
}
