import type { LoanRpc } from '../shared/loan-rpc.ts';
import type { BoosterRpc } from '../shared/rpc-booster.ts';
import type { PoolRpc } from '../shared/rpc.ts';
import type { MemoryApi } from './memory/memory-api.ts';
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
  readonly POOL: DurableObjectNamespace<PoolRpc & LoanRpc & Rpc.DurableObjectBranded>;
  /** The booster Worker; the local fleet binds more of them, `BOOSTER_2` and so on. */
  readonly BOOSTER?: BoosterRpc;
  readonly REGISTRY: DurableObjectNamespace<RegistryApi & Rpc.DurableObjectBranded>;
  readonly MEMORY: DurableObjectNamespace<MemoryApi & Rpc.DurableObjectBranded>;
  /** Secret of this region: what the data keys of its memories are wrapped under, `id:base64`, the current one first. */
  readonly MEMORY_KEYS?: string;
  /** Secret of this region, instead of `MEMORY_KEYS`: access to a key service that speaks the protocol of AWS KMS, as JSON. */
  readonly MEMORY_KMS?: string;
  /** Secret of this region: an Upstash database in it as a second cache, as JSON. Empty: none, which costs nothing but calls. */
  readonly MEMORY_CACHE?: string;
}
