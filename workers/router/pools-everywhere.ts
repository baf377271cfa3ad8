import type { RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { PoolView } from '../../shared/rpc.ts';
import type { RequestContext } from './context.ts';
import { askRegion, OWN_TIMEOUT_MS } from './region-calls.ts';

export const poolNotFound = (pool: string): FleetError => ({
  kind: 'pool_not_found',
  detail: `There is no pool '${pool.slice(0, 64)}'.`,
});

export const inRegions = <T>(regions: readonly RegionId[], call: (region: RegionId) => Promise<T>): Promise<readonly T[]> =>
  Promise.all(regions.map(call));

/** The error to answer when a call to several regions went wrong in one: their refusal before their silence. */
export function firstError(results: readonly Result<unknown, FleetError>[]): FleetError | null {
  const errors = results.flatMap((result) => (result.ok ? [] : [result.error]));
  return errors.find(({ kind }) => kind !== 'region_unavailable') ?? errors[0] ?? null;
}

interface Scaled {
  readonly desired: number;
  readonly limitedBy?: 'min' | 'max';
}

/** Sets the desired size of the pool in each of these regions; a pool is one region's, and so is its size. */
export async function scaleEverywhere(
  context: RequestContext,
  pools: readonly PoolView[],
  input: { readonly targetSize: number; readonly reason?: string },
): Promise<Result<ReadonlyMap<string, Scaled>, FleetError>> {
  const scaled = await Promise.all(
    pools.map(({ pool, region }) =>
      askRegion(context, region as RegionId, OWN_TIMEOUT_MS, (binding) => binding.scalePool(context.caller, pool, input)),
    ),
  );
  const failed = firstError(scaled);
  if (failed !== null) return err(failed);
  return ok(new Map(scaled.flatMap((one, i) => (one.ok ? [[pools[i]?.region ?? '', one.value] as const] : []))));
}
