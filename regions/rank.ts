import type { FleetError } from '../shared/errors.ts';
import { err, ok, type Result } from '../shared/result.ts';
import { allowedRegions, type AllowedRegions, resolveResidency, type ResidencyInput } from './residency.ts';
import { type GeoPoint, regionOf, type RegionId, unknownRegion } from './table.ts';

const EARTH_RADIUS_KM = 6_371;
const GEO = /^\s*(-?\d{1,3}(?:\.\d{1,12})?)\s*,\s*(-?\d{1,3}(?:\.\d{1,12})?)\s*$/;

/** Reads `<lat>,<lon>` in degrees; anything else, a place off the globe included, is `null`: an unknown place. */
export function parseGeoPoint(text: string): GeoPoint | null {
  const match = GEO.exec(text);
  if (match === null) return null;
  const lat = Number(match[1]);
  const lon = Number(match[2]);
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lat, lon } : null;
}

/** The great-circle distance between two places, by the haversine formula (stable for near places, unlike the cosine one). */
export function distanceKm(a: GeoPoint, b: GeoPoint): number {
  const rad = (degrees: number): number => (degrees * Math.PI) / 180;
  const half = (degrees: number): number => Math.sin(rad(degrees) / 2) ** 2;
  const h = half(b.lat - a.lat) + Math.cos(rad(a.lat)) * Math.cos(rad(b.lat)) * half(b.lon - a.lon);
  // Rounding may push antipodes a hair past 1, and asin of that is NaN.
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, h)));
}

/** Where the caller is, and which region it asked for. */
export interface RankInput {
  readonly from: GeoPoint | null;
  /** Goes first. It must be one of the allowed: `candidateRegions` refuses otherwise, this function ignores it. */
  readonly preferred?: RegionId | undefined;
}

/**
 * Allowed regions in the order to try them: the preferred one, then tier by tier, nearest first. Without a place the
 * configured order stands. Equal distances keep the configured order, so every router ranks alike.
 */
export function rankRegions(allowed: AllowedRegions, input: RankInput): readonly RegionId[] {
  const { from, preferred } = input;
  const ordered = allowed.tiers.flatMap((tier) => (from === null ? tier : byDistance(tier, from)));
  if (preferred === undefined || !ordered.includes(preferred)) return ordered;
  return [preferred, ...ordered.filter((region) => region !== preferred)];
}

/**
 * Residency and geography in one step: the regions that may serve a request, in the order to try them.
 * A `region` that is not of this deployment is `unknown_region`; one that the rules forbid is `residency_violation`.
 */
export function candidateRegions(
  input: ResidencyInput & { readonly region?: string | undefined; readonly from: GeoPoint | null },
): Result<readonly RegionId[], FleetError> {
  const allowed = resolveResidency(input);
  if (!allowed.ok) return allowed;
  if (input.region === undefined) return ok(rankRegions(allowed.value, { from: input.from }));

  const preferred = input.configured.find((region) => region === input.region);
  if (preferred === undefined) return err(unknownRegion(input.region, input.configured));
  if (!allowedRegions(allowed.value).includes(preferred)) {
    return err({ kind: 'residency_violation', detail: `Region ${preferred} is not allowed by the residency rules.` });
  }
  return ok(rankRegions(allowed.value, { from: input.from, preferred }));
}

function byDistance(regions: readonly RegionId[], from: GeoPoint): readonly RegionId[] {
  return regions
    .map((region) => ({ region, km: distanceKm(from, regionOf(region).location) }))
    .sort((a, b) => a.km - b.km)
    .map(({ region }) => region);
}
