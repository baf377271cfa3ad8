import { notFound, type FleetError } from '../../shared/errors.ts';
import { parseIdOf, type Home, type IdKind } from '../../shared/ids.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Caller, PoolRpc, ShardConfig } from '../../shared/rpc.ts';
import { poolNotFound } from '../../durable-objects/registry/core/pools.ts';
import type { RegistryApi } from '../../durable-objects/registry/registry-rpc.ts';
import type { LiveRoute } from './placement.ts';
import type { RouteCache } from './route-cache.ts';

/** What a region's Worker reaches, and what it is told of the world. Tests give fakes. */
export interface RegionPorts {
  readonly region: string;
  readonly pool: (fleet: string, home: Home) => PoolRpc;
  readonly registry: (fleet: string) => RegistryApi;
  readonly routes: RouteCache;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly logError: (message: string, error: unknown, fields: Readonly<Record<string, string | number>>) => void;
  /** Most agents a fleet may have in this region; null: no such maximum. */
  readonly maxAgents: number | null;
}

export interface Located {
  readonly home: Home;
  readonly route: LiveRoute;
}

export const configOf = (route: LiveRoute, shard: number): ShardConfig => ({
  version: route.version,
  maxAgents: route.shares[shard] ?? 0,
  priority: route.priority,
  shards: route.shards,
});

export async function findRoute(ports: RegionPorts, fleet: string, pool: string): Promise<LiveRoute | null> {
  return ports.routes.find(fleet, pool, {
    nowMs: ports.nowMs,
    fetch: () => ports.registry(fleet).routes(fleet, ports.region),
  });
}

/** Where an id lives, or null when that is no place of this region. An id is checked before any object is asked. */
export async function locate(ports: RegionPorts, fleet: string, kind: IdKind, id: string): Promise<Located | null> {
  const parsed = parseIdOf(kind, id);
  if (parsed === null || parsed.region !== ports.region) return null;
  const route = await findRoute(ports, fleet, parsed.pool);
  if (route === null || parsed.shard >= route.shards) return null;
  return { home: { region: parsed.region, pool: parsed.pool, shard: parsed.shard }, route };
}

/** Reads one thing by its id, from the one object that can have it. */
export async function readById<T>(
  ports: RegionPorts,
  caller: Caller,
  kind: IdKind,
  id: string,
  read: (pool: PoolRpc, located: Located) => Promise<Result<T, FleetError>>,
): Promise<Result<T, FleetError>> {
  const located = await locate(ports, caller.fleet, kind, id);
  return located === null ? err(notFound(kind)) : read(ports.pool(caller.fleet, located.home), located);
}

/** The same call on every shard of a pool, all at once. */
export async function onAllShards<T>(
  ports: RegionPorts,
  caller: Caller,
  pool: string,
  call: (pool: PoolRpc, shard: number, shards: number) => Promise<T>,
): Promise<Result<readonly T[], FleetError>> {
  const route = await findRoute(ports, caller.fleet, pool);
  if (route === null) return err(poolNotFound(pool));
  const shards = Array.from({ length: route.shards }, (_, shard) => shard);
  return ok(
    await Promise.all(
      shards.map((shard) => call(ports.pool(caller.fleet, { region: ports.region, pool, shard }), shard, route.shards)),
    ),
  );
}
