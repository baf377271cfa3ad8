import type { FleetError } from '../shared/errors.ts';
import { err, ok, type Result } from '../shared/result.ts';
import type { Residency } from '../shared/schemas/common.ts';
import { isRegionId, isResidencyGroup, regionOf, type RegionId, unknownRegion } from './table.ts';

/**
 * The regions that may serve, in tiers: every region of a tier is preferred to every region of the next, whatever the
 * distance. A region in no tier must not be touched. Tiers are never empty, and there is at least one.
 */
export interface AllowedRegions {
  readonly tiers: readonly (readonly RegionId[])[];
}

/** A residency rule as `ResidencySchema` reads it. */
export interface ResidencyRule {
  readonly allowed: readonly string[];
  readonly enforcement: Residency['enforcement'];
}

/** What decides residency: the deployment's regions, the fleet's own rule and the one a request brings. */
export interface ResidencyInput {
  readonly configured: readonly RegionId[];
  readonly fleet?: ResidencyRule | undefined;
  readonly request?: ResidencyRule | undefined;
}

/**
 * Resolves residency rules to regions.
 *
 * A `strict` rule is a boundary; a `preferred` one only orders what remains. A request narrows its fleet's boundary and
 * can never widen it: what both name is left, and nothing left is a refusal, not a default. A name that is neither
 * region nor group is refused even when other names would have sufficed, because a misspelt boundary is not one. A
 * region or group that exists but is not part of this deployment merely adds nothing.
 */
export function resolveResidency(input: ResidencyInput): Result<AllowedRegions, FleetError> {
  const fleet = named(input.configured, input.fleet);
  if (!fleet.ok) return fleet;
  const request = named(input.configured, input.request);
  if (!request.ok) return request;

  const inFleet = (region: RegionId): boolean => fleet.value === null || fleet.value.has(region);
  const inRequest = (region: RegionId): boolean => request.value === null || request.value.has(region);
  const lawful = input.configured.filter(
    (region) =>
      (input.fleet?.enforcement !== 'strict' || inFleet(region)) &&
      (input.request?.enforcement !== 'strict' || inRequest(region)),
  );
  if (lawful.length === 0) {
    return err({ kind: 'residency_violation', detail: 'No region of this deployment is allowed by the residency rules.' });
  }

  // What the request prefers outweighs what its fleet prefers: it is the more particular wish, inside the same boundary.
  const tiers: RegionId[][] = [[], [], [], []];
  for (const region of lawful) tiers[(inRequest(region) ? 0 : 2) + (inFleet(region) ? 0 : 1)]?.push(region);
  return ok({ tiers: tiers.filter((tier) => tier.length > 0) });
}

/** Every allowed region, tiers flattened. */
export const allowedRegions = (allowed: AllowedRegions): readonly RegionId[] => allowed.tiers.flat();

/** The configured regions that a rule names; `null` for no rule. */
function named(
  configured: readonly RegionId[],
  rule: ResidencyRule | undefined,
): Result<ReadonlySet<RegionId> | null, FleetError> {
  if (rule === undefined) return ok(null);
  const found = new Set<RegionId>();
  for (const name of rule.allowed) {
    if (isRegionId(name)) {
      if (configured.includes(name)) found.add(name);
    } else if (isResidencyGroup(name)) {
      for (const region of configured) if (regionOf(region).group === name) found.add(region);
    } else {
      return err(unknownRegion(name, configured));
    }
  }
  return ok(found);
}
