import { parseRegionList, type RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import type { Result } from '../../shared/result.ts';
import type { Caller, RegionRpc } from '../../shared/rpc.ts';
import type { FileStream } from '../memory/memory-api.ts';

/** A region's Worker as the router's Worker is bound to it. */
export type RegionBinding = RegionRpc & {
  fetch(request: Request): Promise<Response>;
  memoryExport(caller: Caller, swarm: string, shard: number | null): Promise<Result<FileStream, FleetError>>;
};

/** What the fleet's object uses of the router's environment. */
export interface FleetEnv {
  /** The regions of this deployment, in the order of choice. */
  readonly REGIONS: string;
}

/** `eu-west-1` is bound as `EU_WEST_1`. */
export const bindingName = (region: RegionId): string => region.toUpperCase().replaceAll('-', '_');

/** The bindings of every configured region; throws where one is missing, which is a mistake of the deployment. */
export function regionBindings(env: FleetEnv): ReadonlyMap<RegionId, RegionBinding> {
  const regions = parseRegionList(env.REGIONS ?? '');
  if (!regions.ok) throw new Error(`REGIONS: ${regions.error.detail}`);
  // Which bindings there are depends on the deployment, so they cannot be members of the type.
  const bound = env as unknown as Readonly<Record<string, RegionBinding | undefined>>;
  return new Map(
    regions.value.map((region) => {
      const binding = bound[bindingName(region)];
      if (binding === undefined) throw new Error(`REGIONS lists ${region}, but there is no binding ${bindingName(region)}`);
      return [region, binding];
    }),
  );
}
