import { notFound, type FleetError } from '../../shared/errors.ts';
import { parseIdOf, type Home, type IdKind } from '../../shared/ids.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Caller, PoolReply, PoolRequest, PoolRpc, ShardConfig } from '../../shared/rpc.ts';
import { regionFull } from '../../durable-objects/registry/core/admission.ts';
import { poolNotFound } from '../../durable-objects/registry/core/pools.ts';
import type { RegistryApi } from '../../durable-objects/registry/registry-rpc.ts';
import { executeOnShards, type Shards } from './execute.ts';
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

/** Runs commands on one pool; CONTRACT's answer for each, in order. */
export async function execute(
  ports: RegionPorts,
  caller: Caller,
  pool: string,
  shard: number | null,
  requests: readonly PoolRequest[],
): Promise<readonly PoolReply[]> {
  const route = await findRoute(ports, caller.fleet, pool);
  const refusal = route === null ? poolNotFound(pool) : shard !== null && shard >= route.shards ? notFound('shard') : null;
  if (route === null || refusal !== null) return requests.map(() => err(refusal ?? poolNotFound(pool)));
  return withinQuota(ports, caller, requests, (admitted) => {
    const used = new Set<number>();
    const run = executeOnShards(
      route,
      { region: ports.region, shard },
      admitted,
      shardsOf(ports, caller, route, used),
      ports.random,
    );
    return { run, used, pool };
  });
}

function shardsOf(ports: RegionPorts, caller: Caller, route: LiveRoute, used: Set<number>): Shards {
  const { fleet } = caller;
  const home = (shard: number): Home => ({ region: ports.region, pool: route.pool, shard });
  return {
    async execute(shard, requests) {
      const opened = isNew(route, shard, requests) ? open(ports, fleet, route, shard) : null;
      used.add(shard);
      const [replies] = await Promise.all([
        ports.pool(fleet, home(shard)).execute(fleet, home(shard), configOf(route, shard), caller, requests),
        opened,
      ]);
      return replies;
    },
    forgetKeys: (shard, keys) => ports.pool(fleet, home(shard)).forgetKeys(keys),
  };
}

const isNew = (route: LiveRoute, shard: number, requests: readonly PoolRequest[]): boolean =>
  route.inUse[shard] !== true &&
  requests.some(({ command }) => command.type === 'registerAgent' || command.type === 'submitTask');

/** The registry learns of a shard's first use before the answer leaves, so that the next list asks it. */
async function open(ports: RegionPorts, fleet: string, route: LiveRoute, shard: number): Promise<void> {
  try {
    await ports.registry(fleet).open(fleet, ports.region, [{ pool: route.pool, shard }]);
    route.inUse[shard] = true;
  } catch (error) {
    // The shard's first report does the same a little later.
    ports.logError('shard not opened', error, { pool: route.pool, shard });
  }
}

interface Run {
  readonly run: Promise<readonly PoolReply[]>;
  readonly pool: string;
  /** Shards that were called. */
  readonly used: ReadonlySet<number>;
}

/** Keeps registrations under the region's maximum: the first that fit go on, the others are refused. */
async function withinQuota(
  ports: RegionPorts,
  caller: Caller,
  requests: readonly PoolRequest[],
  start: (requests: readonly PoolRequest[]) => Run,
): Promise<readonly PoolReply[]> {
  const wanted = ports.maxAgents === null ? 0 : requests.filter(isRegistration).length;
  if (ports.maxAgents === null || wanted === 0) return start(requests).run;
  const { fleet } = caller;
  const registry = ports.registry(fleet);
  const room = await registry.admit(fleet, ports.region, { wanted, limit: ports.maxAgents });
  let left = room.ok ? room.value.admitted : 0;
  const goes = requests.map((request) => !isRegistration(request) || left-- > 0);
  const started = start(requests.filter((_, index) => goes[index]));
  try {
    const replies = [...(await started.run)];
    const refused = room.ok ? err(regionFull(ports.maxAgents)) : room;
    return goes.map((go) => (go ? (replies.shift() ?? refused) : refused));
  } finally {
    if (room.ok) await settle(ports, registry, fleet, room.value.ticket, started);
  }
}

const isRegistration = ({ command }: PoolRequest): boolean => command.type === 'registerAgent';

/** A reservation that is not given back ends by itself, so a failure here only refuses too much for some seconds. */
async function settle(
  ports: RegionPorts,
  registry: RegistryApi,
  fleet: string,
  ticket: number,
  { used, pool }: Run,
): Promise<void> {
  try {
    const summaries = await Promise.all(
      [...used].map((shard) => ports.pool(fleet, { region: ports.region, pool, shard }).summary()),
    );
    await registry.settle(fleet, ports.region, ticket, summaries);
  } catch (error) {
    ports.logError('reservation not settled', error, { pool });
  }
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
  call: (pool: PoolRpc) => Promise<T>,
): Promise<Result<readonly T[], FleetError>> {
  const route = await findRoute(ports, caller.fleet, pool);
  if (route === null) return err(poolNotFound(pool));
  const shards = Array.from({ length: route.shards }, (_, shard) => shard);
  return ok(await Promise.all(shards.map((shard) => call(ports.pool(caller.fleet, { region: ports.region, pool, shard })))));
}
