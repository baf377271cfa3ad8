import { POOL_NAME, REGION_NAME, type Home } from '../shared/ids.ts';
import type { LoanRpc } from '../shared/loan-rpc.ts';
import type { MemoryHome } from '../shared/memory-rpc.ts';
import type { PoolRpc } from '../shared/rpc.ts';
import type { RegionEnv } from './env.ts';
import type { MemoryApi } from './memory/memory-api.ts';
import { appliedJurisdiction, ownRegion, type RegionVars } from './lib/own-region.ts';
import type { RegistryApi } from './registry/registry-rpc.ts';

/*
 * The one place where a name becomes an object. The same name in two jurisdictions is two different objects, so a name
 * never travels without its region, and a region other than the Worker's own is refused rather than looked up.
 */

/** A fleet's name; after a deletion with the number of its generation, which has objects of its own. */
const FLEET_NAME = /^[a-z][a-z0-9-]{0,62}(?:~[1-9][0-9]{0,8})?$/;
type PoolStub = PoolRpc & LoanRpc & { fetch(request: Request): Promise<Response> };

/** `<region>/<fleet>/<pool>/<shard>` */
export function poolObjectName(fleet: string, home: Home): string {
  if (!REGION_NAME.test(home.region) || !FLEET_NAME.test(fleet) || !POOL_NAME.test(home.pool))
    throw new Error('not the name of an object');
  return `${home.region}/${fleet}/${home.pool}/${home.shard}`;
}

/** `<region>/<fleet>` */
export function registryObjectName(fleet: string, region: string): string {
  if (!REGION_NAME.test(region) || !FLEET_NAME.test(fleet)) throw new Error('not the name of an object');
  return `${region}/${fleet}`;
}

const SWARM_NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** `<region>/<fleet>/<swarm>/<shard>` */
export function memoryObjectName(fleet: string, { region, swarm, shard }: MemoryHome): string {
  if (!REGION_NAME.test(region) || !FLEET_NAME.test(fleet) || !SWARM_NAME.test(swarm) || !Number.isInteger(shard))
    throw new Error('not the name of an object');
  return `${region}/${fleet}/${swarm}/${shard}`;
}

/** The object of one pool shard of this Worker's region. */
export function poolStub(env: RegionVars & Pick<RegionEnv, 'POOL'>, fleet: string, home: Home): PoolStub {
  return locate(env.POOL, env, home.region, poolObjectName(fleet, home));
}

/** The registry of one fleet in this Worker's region. */
export function registryStub(env: RegionVars & Pick<RegionEnv, 'REGISTRY'>, fleet: string, region: string): RegistryApi {
  return locate(env.REGISTRY, env, region, registryObjectName(fleet, region));
}

/** One shard of a swarm's memory in this Worker's region. */
export function memoryStub(env: RegionVars & Pick<RegionEnv, 'MEMORY'>, fleet: string, home: MemoryHome): MemoryApi {
  return locate(env.MEMORY, env, home.region, memoryObjectName(fleet, home));
}

/** Ids that an isolate remembers: deriving one costs a hash, and an object that only a full collection removes. */
const IDS_MAX = 10_000;
const ids = new WeakMap<object, Map<string, DurableObjectId>>();

function locate<T extends Rpc.DurableObjectBranded>(
  namespace: DurableObjectNamespace<T>,
  env: RegionVars,
  region: string,
  name: string,
): DurableObjectStub<T> {
  const own = ownRegion(env);
  if (region !== own.id) throw new Error(`objects of ${region} are not reachable from ${own.id}`);
  let known = ids.get(namespace);
  if (known === undefined) ids.set(namespace, (known = new Map<string, DurableObjectId>()));
  let id = known.get(name);
  if (id === undefined) {
    const jurisdiction = appliedJurisdiction(env);
    id = (jurisdiction === null ? namespace : namespace.jurisdiction(jurisdiction)).idFromName(name);
    if (known.size >= IDS_MAX) known.clear();
    known.set(name, id);
  }
  // An id carries its jurisdiction, so the namespace itself finds the object.
  return namespace.get(id, { locationHint: own.locationHint });
}
