import { getSettings, listPools, putPool, putSettings } from './api/fleet.ts';
import { type FleetManagerConfig, poolsOf, settingsOf } from './config.ts';
import { ForbiddenError } from './errors.ts';
import type { CallOptions, HttpClient } from './http.ts';
import type { Pool, PoolInput } from './types.ts';

/**
 * Brings the fleet to the pools and settings of the configuration. What already is so is left alone, so that processes
 * with lesser tokens can share one configuration; a difference they may not mend is a warning.
 */
export async function applyConfig(http: HttpClient, config: FleetManagerConfig, options?: CallOptions): Promise<void> {
  const pools = poolsOf(config);
  const settings = settingsOf(config);
  if (pools.size === 0 && settings === null) return;
  try {
    if (pools.size > 0) {
      const present = await listPools(http, options);
      for (const [name, wanted] of pools) {
        const homes = present.filter((pool) => pool.pool === name);
        if (homes.length === 0 || homes.some((pool) => differs(pool, wanted)))
          await putPool(http, name, wanted, undefined, options);
      }
    }
    if (settings !== null) {
      const present = await getSettings(http, options);
      const wanted = { ...present, ...settings };
      if (JSON.stringify(wanted) !== JSON.stringify(present)) await putSettings(http, wanted, options);
    }
  } catch (error) {
    if (!(error instanceof ForbiddenError)) throw error;
    (config.onWarning ?? console.warn)(
      'The fleet differs from the configured pools or settings, and only an admin token may change them.',
    );
  }
}

const differs = (pool: Pool, wanted: PoolInput): boolean =>
  pool.minAgents !== wanted.minAgents ||
  pool.maxAgents !== wanted.maxAgents ||
  pool.priority !== wanted.priority ||
  (wanted.resources !== undefined && JSON.stringify(pool.resources) !== JSON.stringify(wanted.resources));
