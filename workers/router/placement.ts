import { candidateRegions, parseGeoPoint } from '../../regions/rank.ts';
import type { GeoPoint, RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Residency } from '../../shared/schemas/common.ts';
import { invalidField } from '../lib/validate.ts';
import type { RequestContext } from './context.ts';

/** Where the caller is: the platform's word when deployed, one header in the local fleet, which has no platform to ask. */
export function callerPlace(request: Request, local: boolean): Result<GeoPoint | null, FleetError> {
  if (local) {
    const header = request.headers.get('x-fleet-geo');
    if (header === null) return ok(null);
    const point = parseGeoPoint(header);
    return point === null ? err(invalidField('x-fleet-geo', 'must be <latitude>,<longitude> in degrees')) : ok(point);
  }
  const cf = request.cf as { readonly latitude?: unknown; readonly longitude?: unknown } | undefined;
  return ok(parseGeoPoint(`${String(cf?.latitude)},${String(cf?.longitude)}`));
}

/** The regions that may serve new work, in the order to try them. */
export function candidates(
  context: RequestContext,
  wish: { readonly region?: string | undefined; readonly residency?: Residency | undefined },
): Result<readonly RegionId[], FleetError> {
  const from = callerPlace(context.request, context.config.local);
  if (!from.ok) return from;
  return candidateRegions({
    configured: context.config.regions,
    fleet: context.view.snapshot.settings.residency,
    request: wish.residency,
    region: wish.region,
    from: from.value,
  });
}

/** A configured region by name: for filters and for what is done in one region. */
export function configuredRegion(context: RequestContext, name: string): Result<RegionId, FleetError> {
  const region = context.config.regions.find((id) => id === name);
  if (region !== undefined) return ok(region);
  return err({
    kind: 'unknown_region',
    detail: `'${name.slice(0, 64)}' is not a region here; known are ${context.config.regions.join(', ')}.`,
  });
}
