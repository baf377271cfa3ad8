import { POOL_NAME, REGION_NAME, type Home } from '../shared/ids.ts';
import type { PoolRpc } from '../shared/rpc.ts';
import type { RegionEnv } from './env.ts';
import type { RegistryApi } from './registry/registry-rpc.ts';

/*
 * The one place where a name becomes an object. The same name in two jurisdictions is two different objects, so a name
 * never travels without its region, and a region other than the Worker's own is refused rather than looked up.
 */

const FLEET_NAME = /^[a-z][a-z0-9-]{0,62}$/;
const JURISDICTIONS: readonly string[] = ['eu', 'us', 'fedramp'] satisfies DurableObjectJurisdiction[];
const LOCATION_HINTS: readonly string[] = [
  'wnam',
  'enam',
  'sam',
  'weur',
  'eeur',
  'apac',
  'oc',
  'afr',
  'me',
] satisfies DurableObjectLocationHint[];

type Placement = Pick<RegionEnv, 'REGION' | 'JURISDICTION' | 'LOCATION_HINT' | 'APPLY_JURISDICTION'>;
type PoolStub = PoolRpc & { fetch(request: Request): Promise<Response> };

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

/** The object of one pool shard of this Worker's region. */
export function poolStub(env: Placement & Pick<RegionEnv, 'POOL'>, fleet: string, home: Home): PoolStub {
  return locate(env.POOL, env, home.region, poolObjectName(fleet, home));
}

/** The registry of one fleet in this Worker's region. */
export function registryStub(env: Placement & Pick<RegionEnv, 'REGISTRY'>, fleet: string, region: string): RegistryApi {
  return locate(env.REGISTRY, env, region, registryObjectName(fleet, region));
}

function locate<T extends Rpc.DurableObjectBranded>(
  namespace: DurableObjectNamespace<T>,
  env: Placement,
  region: string,
  name: string,
): DurableObjectStub<T> {
  if (region !== env.REGION) throw new Error(`objects of ${region} are not reachable from ${env.REGION}`);
  const within = jurisdictionOf(env);
  const scope = within === null ? namespace : namespace.jurisdiction(within);
  return scope.getByName(name, { locationHint: locationHintOf(env) });
}

/** An unknown value is a mistake of the deployment. Without a refusal the object would quietly live anywhere. */
function jurisdictionOf(env: Placement): DurableObjectJurisdiction | null {
  if (env.APPLY_JURISDICTION !== 'true' || env.JURISDICTION === '') return null;
  if (!isJurisdiction(env.JURISDICTION)) throw new Error(`unknown jurisdiction ${env.JURISDICTION}`);
  return env.JURISDICTION;
}

function locationHintOf(env: Placement): DurableObjectLocationHint {
  if (!isLocationHint(env.LOCATION_HINT)) throw new Error(`unknown location hint ${env.LOCATION_HINT}`);
  return env.LOCATION_HINT;
}

const isJurisdiction = (value: string): value is DurableObjectJurisdiction => JURISDICTIONS.includes(value);
const isLocationHint = (value: string): value is DurableObjectLocationHint => LOCATION_HINTS.includes(value);
