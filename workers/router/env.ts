import type { RegionId } from '../../regions/table.ts';
import { regionBindings, type FleetEnv, type RegionBinding } from '../../durable-objects/fleet/env.ts';
import type { FleetRpc } from '../../durable-objects/fleet/fleet-rpc.ts';
import { LIMITS } from '../../shared/limits.ts';
import { errorText, log } from '../lib/log.ts';
import { loadSigningKeys, type SigningKeys } from '../lib/signing-keys.ts';

/** Bindings, variables and secrets of the router's Worker (wrangler.toml, `env.router`). */
export interface RouterEnv extends FleetEnv {
  /** Origins whose pages may call, separated by commas; empty: none. */
  readonly CORS_ORIGINS?: string;
  /** 'true' in the local fleet only. */
  readonly LOCAL?: string;
  /** 'debug': one line for every request. Failures of our own are logged in any case. */
  readonly LOG_LEVEL?: string;
  /** Requests a second one token may make of one isolate; empty: the default of the limits. */
  readonly RATE_LIMIT_PER_SECOND?: string;
  /** Secret: private Ed25519 JWKS. There is no default. */
  readonly FLEET_SIGNING_KEYS?: string;
  readonly FLEET: DurableObjectNamespace<FleetRpc & Rpc.DurableObjectBranded>;
  readonly ASSETS?: { fetch(request: Request): Promise<Response> };
}

/** The environment, read and checked once per isolate. */
export interface RouterConfig {
  readonly regions: readonly RegionId[];
  readonly bindings: ReadonlyMap<RegionId, RegionBinding>;
  readonly keys: SigningKeys;
  readonly local: boolean;
  readonly corsOrigins: ReadonlySet<string>;
  readonly logRequests: boolean;
  readonly rateLimitPerSecond: number;
}

const CONFIGS = new WeakMap<object, RouterConfig | 'not_configured'>();

/**
 * The configuration, or null when the deployment is not usable: then nothing but /healthz is served. Only values are kept
 * for the isolate: a promise of one request must not be awaited by another on this platform.
 */
export async function configOf(env: RouterEnv): Promise<RouterConfig | null> {
  const known = CONFIGS.get(env);
  if (known !== undefined) return known === 'not_configured' ? null : known;
  const config = await readConfig(env);
  CONFIGS.set(env, config ?? 'not_configured');
  return config;
}

/** The configuration if an earlier request has read it: the hot path waits for nothing. */
export function knownConfig(env: RouterEnv): RouterConfig | undefined {
  const known = CONFIGS.get(env);
  return known === 'not_configured' ? undefined : known;
}

async function readConfig(env: RouterEnv): Promise<RouterConfig | null> {
  const refuse = (reason: string): null => {
    log('error', 'the router is not configured; every route but /healthz answers 503', { reason });
    return null;
  };
  let bindings: ReadonlyMap<RegionId, RegionBinding>;
  try {
    bindings = regionBindings(env);
  } catch (error) {
    return refuse(errorText(error));
  }
  const keys = await loadSigningKeys(env.FLEET_SIGNING_KEYS);
  if (!keys.ok) return refuse(keys.error);
  const rateLimitPerSecond =
    (env.RATE_LIMIT_PER_SECOND ?? '') === '' ? LIMITS.rateLimitPerSecond : Number(env.RATE_LIMIT_PER_SECOND);
  if (!Number.isInteger(rateLimitPerSecond) || rateLimitPerSecond < 1)
    return refuse('RATE_LIMIT_PER_SECOND is not a positive whole number');
  const origins = (env.CORS_ORIGINS ?? '').split(',').map((origin) => origin.trim());
  return {
    regions: [...bindings.keys()],
    bindings,
    keys: keys.value,
    local: env.LOCAL === 'true',
    corsOrigins: new Set(origins.filter((origin) => origin !== '' && origin !== '*')),
    logRequests: env.LOG_LEVEL === 'debug',
    rateLimitPerSecond,
  };
}
