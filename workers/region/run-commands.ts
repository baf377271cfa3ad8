import { notFound, type FleetError } from '../../shared/errors.ts';
import { err } from '../../shared/result.ts';
import type { Caller, PoolCommand, PoolReply, PoolRequest } from '../../shared/rpc.ts';
import { regionFull } from '../../durable-objects/registry/core/admission.ts';
import { poolNotFound } from '../../durable-objects/registry/core/pools.ts';
import { subjectOf } from './command-id.ts';
import { executeOnShards, type Shards } from './execute.ts';
import { released } from '../../durable-objects/lib/disposable.ts';
import { callerAt } from '../../durable-objects/lib/lease-quota.ts';
import type { LiveRoute } from './placement.ts';
import { configOf, findRoute, type RegionPorts } from './region.ts';

type Run = (requests: readonly PoolRequest[]) => Promise<readonly PoolReply[]>;

/** Runs commands on one pool; CONTRACT's answer for each, in order. `shard` null: each is placed, or goes where its id says. */
export async function runCommands(
  ports: RegionPorts,
  caller: Caller,
  pool: string,
  shard: number | null,
  requests: readonly PoolRequest[],
): Promise<readonly PoolReply[]> {
  const route = await findRoute(ports, caller.fleet, pool);
  if (route === null || (shard !== null && shard >= route.shards)) {
    return requests.map(({ command }) => err(nowhere(command, pool, shard)));
  }
  const used = new Set<number>();
  const runOn = (latest: LiveRoute, part: readonly PoolRequest[]): Promise<readonly PoolReply[]> =>
    executeOnShards(latest, { region: ports.region, shard }, part, shardsOf(ports, caller, latest, used), ports.random);
  const run: Run = async (part) => {
    const replies = await runOn(route, part);
    const latest = replies.some(isPoolFull) ? await newerRoute(ports, caller, route) : null;
    if (latest === null) return replies;
    const again = [
      ...(await runOn(
        latest,
        part.filter((_, index) => isPoolFull(replies[index])),
      )),
    ];
    return replies.map((reply) => (isPoolFull(reply) ? (again.shift() ?? reply) : reply));
  };
  return ports.maxAgents === null
    ? run(requests)
    : withinQuota(ports, caller, pool, { limit: ports.maxAgents, requests, run, used });
}

/** An id of a place that does not exist is an unknown id; a pool that does not exist is told only to who named it. */
function nowhere(command: PoolCommand, pool: string, shard: number | null): FleetError {
  const subject = subjectOf(command);
  if (subject !== null) return notFound(subject.kind);
  return shard === null ? poolNotFound(pool) : notFound('pool or id');
}

const isPoolFull = (reply: PoolReply | undefined): boolean =>
  reply?.ok === false && reply.error.kind === 'quota_exceeded' && reply.error.scope === 'pool';

/** A pool may be full only by routes that are two seconds old. Nobody is refused who would fit by the newest ones. */
async function newerRoute(ports: RegionPorts, caller: Caller, route: LiveRoute): Promise<LiveRoute | null> {
  ports.routes.forget(caller.fleet);
  try {
    const latest = await findRoute(ports, caller.fleet, route.pool);
    return latest === null || latest.version === route.version ? null : latest;
  } catch (error) {
    // There are answers already; the refusals among them stand.
    ports.logError('routes not renewed', error, { pool: route.pool });
    return null;
  }
}

function shardsOf(ports: RegionPorts, caller: Caller, route: LiveRoute, used: Set<number>): Shards {
  const { fleet } = caller;
  const home = (shard: number) => ({ region: ports.region, pool: route.pool, shard });
  return {
    async execute(shard, requests) {
      const opened = isFirstUse(route, shard, requests) ? open(ports, fleet, route, shard) : null;
      used.add(shard);
      const [replies] = await Promise.all([
        ports
          .pool(fleet, home(shard))
          .execute(fleet, home(shard), configOf(route, shard), callerAt(caller, shard, route.shards), requests),
        opened,
      ]);
      return released(replies);
    },
    async forgetKeys(shard, keys) {
      try {
        await ports.pool(fleet, home(shard)).forgetKeys(keys);
      } catch (error) {
        // The marks end by themselves; until then a repeat of the key skips this shard.
        ports.logError('keys not forgotten', error, { pool: route.pool, shard });
      }
    },
  };
}

const isFirstUse = (route: LiveRoute, shard: number, requests: readonly PoolRequest[]): boolean =>
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

/** Keeps registrations under the region's maximum: the first that fit go on, the others are refused. */
async function withinQuota(
  ports: RegionPorts,
  caller: Caller,
  pool: string,
  asked: {
    readonly limit: number;
    readonly requests: readonly PoolRequest[];
    readonly run: Run;
    /** Shards that were called, filled while it runs. */
    readonly used: ReadonlySet<number>;
  },
): Promise<readonly PoolReply[]> {
  const { limit, requests, run, used } = asked;
  const wanted = requests.filter(isRegistration).length;
  if (wanted === 0) return run(requests);
  const { fleet } = caller;
  const room = await ports.registry(fleet).admit(fleet, ports.region, { wanted, limit });
  let left = room.ok ? room.value.admitted : 0;
  const goes = requests.map((request) => !isRegistration(request) || left-- > 0);
  const refused = room.ok ? err(regionFull(limit)) : room;
  try {
    const replies = [...(await run(requests.filter((_, index) => goes[index])))];
    return goes.map((go) => (go ? (replies.shift() ?? refused) : refused));
  } finally {
    if (room.ok) await settle(ports, fleet, pool, room.value.ticket, [...used]);
  }
}

const isRegistration = ({ command }: PoolRequest): boolean => command.type === 'registerAgent';

/** A reservation that is not given back ends by itself, so a failure here only refuses too much for some seconds. */
async function settle(ports: RegionPorts, fleet: string, pool: string, ticket: number, shards: readonly number[]): Promise<void> {
  try {
    const summaries = await Promise.all(
      shards.map((shard) => ports.pool(fleet, { region: ports.region, pool, shard }).summary()),
    );
    await ports.registry(fleet).settle(fleet, ports.region, ticket, summaries);
  } catch (error) {
    ports.logError('reservation not settled', error, { pool });
  }
}
