import type { BoosterRpc } from '../shared/rpc-booster.ts';
import type { PoolRpc } from '../shared/rpc.ts';
import type { RegistryApi } from './registry/registry-rpc.ts';

/**
 * Bindings and variables of a region's Worker and its objects (wrangler.toml, `env.<region>`). The namespaces name the RPC
 * types, not the classes: only the entry file imports those.
 */
export interface RegionEnv {
  readonly REGION: string;
  /** Empty where the region has none. */
  readonly JURISDICTION: string;
  readonly LOCATION_HINT: string;
  /** 'true' in deployments only: the local runtime has no jurisdictions and throws. */
  readonly APPLY_JURISDICTION: string;
  /** Most agents one fleet may have in this region; unset or empty: unlimited. */
  readonly REGION_MAX_AGENTS?: string;
  /** The booster Worker; the local fleet binds more of them, `BOOSTER_2` and so on. */
  readonly BOOSTER?: BoosterRpc;
  readonly POOL: DurableObjectNamespace<PoolRpc & Rpc.DurableObjectBranded>;
  readonly REGISTRY: DurableObjectNamespace<RegistryApi & Rpc.DurableObjectBranded>;
}
