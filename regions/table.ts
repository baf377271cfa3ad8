import type { FleetError } from '../shared/errors.ts';
import { err, ok, type Result } from '../shared/result.ts';

/** A place on the globe in degrees. */
export interface GeoPoint {
  readonly lat: number;
  readonly lon: number;
}

/** What is fixed about a region. `wrangler.toml` repeats the part the platform must know; a test holds the two together. */
export interface Region {
  readonly id: string;
  /** The platform's legal boundary for the region's objects; `null` where the platform has none. */
  readonly jurisdiction: 'eu' | 'us' | null;
  /** Where the platform is asked to create an object; a wish, never a guarantee of residency. */
  readonly locationHint: 'enam' | 'wnam' | 'weur' | 'apac';
  /** The cloud region near which the region's Worker runs. */
  readonly placement: string;
  /** Regions of one group may stand in for each other: failover and replication never leave it. */
  readonly group: 'us' | 'eu' | 'apac';
  /** Where callers find it on the globe: the city of the placement. */
  readonly location: GeoPoint;
}

/** Every region a deployment may have. The order is the order of choice when a caller's place is not known. */
export const REGIONS = [
  {
    id: 'us-east-1',
    jurisdiction: 'us',
    locationHint: 'enam',
    placement: 'aws:us-east-1',
    group: 'us',
    location: { lat: 39.04, lon: -77.49 },
  },
  {
    id: 'us-west-1',
    jurisdiction: 'us',
    locationHint: 'wnam',
    placement: 'aws:us-west-1',
    group: 'us',
    location: { lat: 37.34, lon: -121.89 },
  },
  {
    id: 'eu-west-1',
    jurisdiction: 'eu',
    locationHint: 'weur',
    placement: 'aws:eu-west-1',
    group: 'eu',
    location: { lat: 53.35, lon: -6.26 },
  },
  {
    id: 'eu-central-1',
    jurisdiction: 'eu',
    locationHint: 'weur',
    placement: 'aws:eu-central-1',
    group: 'eu',
    location: { lat: 50.11, lon: 8.68 },
  },
  {
    id: 'ap-southeast-1',
    jurisdiction: null,
    locationHint: 'apac',
    placement: 'aws:ap-southeast-1',
    group: 'apac',
    location: { lat: 1.35, lon: 103.82 },
  },
] as const satisfies readonly Region[];

export type RegionId = (typeof REGIONS)[number]['id'];
export type ResidencyGroup = Region['group'];

// Maps, not objects: names come from callers, and `constructor` must find nothing.
const BY_ID: ReadonlyMap<string, Region & { readonly id: RegionId }> = new Map(REGIONS.map((region) => [region.id, region]));
const GROUPS: ReadonlySet<string> = new Set(REGIONS.map((region) => region.group));

/** Whether the name is a region of the table, configured or not. */
export const isRegionId = (name: string): name is RegionId => BY_ID.has(name);

/** Whether the name is a residency group of the table. */
export const isResidencyGroup = (name: string): name is ResidencyGroup => GROUPS.has(name);

/** The facts of a region. */
export function regionOf(id: RegionId): Region & { readonly id: RegionId } {
  const region = BY_ID.get(id);
  if (region === undefined) throw new Error(`not a region: ${id}`);
  return region;
}

/** The one refusal for a name that is no region of this deployment: unknown is never a default. */
export const unknownRegion = (name: string, known: readonly string[]): FleetError => ({
  kind: 'unknown_region',
  detail: `'${name.slice(0, 64)}' is not a region here; known are ${known.join(', ')}.`,
});

/**
 * Reads a deployment's list of regions (`REGIONS`, `FLEET_REGIONS`). Repeats collapse; order is kept, because it decides
 * where callers of unknown place go. An empty list is refused: a fleet without regions can serve nothing.
 */
export function parseRegionList(text: string): Result<readonly RegionId[], FleetError> {
  const all = REGIONS.map((region) => region.id);
  const chosen = new Set<RegionId>();
  for (const part of text.split(',')) {
    const name = part.trim();
    if (name === '') continue;
    if (!isRegionId(name)) return err(unknownRegion(name, all));
    chosen.add(name);
  }
  if (chosen.size === 0) {
    return err({ kind: 'unknown_region', detail: `No region is configured; known are ${all.join(', ')}.` });
  }
  return ok([...chosen]);
}
