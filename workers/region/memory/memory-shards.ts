import { createHash } from 'node:crypto';
import { isInside } from '../../../durable-objects/memory/core/acl.ts';
import { READS } from '../../../durable-objects/memory/core/decide.ts';
import { isOtherCount, shardOf } from '../../../durable-objects/memory/core/shards.ts';
import { readerOf } from '../../../durable-objects/memory/core/step.ts';
import { bytesOf, TOO_MUCH_AT_ONCE } from '../../../durable-objects/memory/memory-engine.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { MemoryCommand, MemoryHome, MemoryReply, MemoryRequest } from '../../../shared/memory-rpc.ts';
import { err, type Result } from '../../../shared/result.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { merged, type Ask } from './merge-shards.ts';
import type { MemoryPorts } from './region-memory.ts';

/** Swarms whose number of shards, or that the registry knows them, an isolate remembers. */
const KNOWN_SWARMS_MAX = 10_000;

/** The first shard has what concerns the swarm as such: claims, votes, edges, artifacts and settings. */
const FIRST = 0;

const nameOf = (fleet: string, swarm: string): string => `${fleet}/${swarm}`;

export const homeOf = (ports: MemoryPorts, swarm: string, shard: number, shards: number): MemoryHome => ({
  region: ports.region,
  swarm,
  shard,
  ...(shards === 1 ? {} : { shards }),
});

function remember<V>(known: Map<string, V>, name: string, value: V): void {
  if (known.size >= KNOWN_SWARMS_MAX) known.clear();
  known.set(name, value);
}

/** How many shards a memory has, as far as this isolate knows: one, until a memory says otherwise. */
export const knownShards = (ports: MemoryPorts, fleet: string, swarm: string): number =>
  ports.shards.get(nameOf(fleet, swarm)) ?? 1;

/** Asks the first shard; answers whether it said something new. */
export async function learnShards(ports: MemoryPorts, fleet: string, swarm: string): Promise<boolean> {
  const before = knownShards(ports, fleet, swarm);
  const home = homeOf(ports, swarm, FIRST, 1);
  // None: there is no such memory, or no more.
  const count = (await ports.memory(fleet, home).shardCount(fleet, home)) ?? 1;
  if (count === before) return false;
  remember(ports.shards, nameOf(fleet, swarm), count);
  return true;
}

/** Runs requests on the shards that they concern, in order for each key. */
export async function runOnShards(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  requests: readonly MemoryRequest[],
): Promise<readonly MemoryReply[]> {
  for (let attempt = 0; ; attempt += 1) {
    const replies = await run(ports, caller, swarm, requests, knownShards(ports, caller.fleet, swarm));
    const isOther = replies.some((reply) => !reply.ok && isOtherCount(reply.error));
    // Whoever has another number in mind was refused before anything was done, so all of it is asked again.
    if (isOther && attempt === 0 && (await learnShards(ports, caller.fleet, swarm))) continue;
    return replies;
  }
}

async function run(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  requests: readonly MemoryRequest[],
  shards: number,
): Promise<readonly MemoryReply[]> {
  const on = async (shard: number, some: readonly MemoryRequest[]): Promise<readonly MemoryReply[]> => {
    // Whoever is outside makes no memory, and must leave no trace of having tried.
    const mayMake = some.some(({ command }) => !READS.has(command.type)) && isInside(readerOf(caller, swarm));
    if (mayMake) await noteShard(ports, caller.fleet, swarm, shard);
    const home = homeOf(ports, swarm, shard, shards);
    return ports.memory(caller.fleet, home).execute(caller.fleet, home, caller, some);
  };
  if (shards === 1) {
    const replies = await on(FIRST, requests);
    return Promise.all(requests.map((request, i) => afterSettings(ports, caller, swarm, request, replies[i] ?? UNANSWERED)));
  }
  const places = requests.map(({ command }) => placeOf(command, shards));
  const answers: MemoryReply[] = [];
  const single = new Map<number, { readonly index: number; readonly request: MemoryRequest }[]>();
  for (const [index, request] of requests.entries()) {
    const place = places[index] ?? ALL;
    if (typeof place === 'number') single.set(place, [...(single.get(place) ?? []), { index, request }]);
    else if (place !== ALL) answers[index] = err(place);
  }
  let answered = 0;
  const askOne = async (
    shard: number,
    some: readonly { readonly index: number; readonly request: MemoryRequest }[],
  ): Promise<void> => {
    const replies = await on(
      shard,
      some.map(({ request }) => request),
    );
    for (const [i, { index }] of some.entries()) answers[index] = replies[i] ?? UNANSWERED;
    answered += replies.reduce((sum, reply) => sum + bytesOf(reply), 0);
  };
  // Values leave together, so shards that are read are asked one after the other, as long as there is room.
  const isReading = requests.some(({ command }) => command.type === 'retrieve');
  if (!isReading) await Promise.all([...single].map(([shard, some]) => askOne(shard, some)));
  for (const [shard, some] of isReading ? single : []) {
    const isFull = (one: { readonly request: MemoryRequest }): boolean =>
      answered > MEMORY_LIMITS.batchBytes && one.request.command.type === 'retrieve';
    for (const one of some) if (isFull(one)) answers[one.index] = TOO_MUCH_AT_ONCE;
    const left = some.filter((one) => !isFull(one));
    if (left.length > 0) await askOne(shard, left);
  }
  for (const [index, request] of requests.entries()) {
    if (places[index] !== ALL) continue;
    const ask: Ask = async (shard, command) => (await on(shard, [{ ...request, command }]))[0] ?? UNANSWERED;
    answers[index] = await merged(ask, request.command, shards, sha256Hex);
  }
  return answers;
}

const UNANSWERED: MemoryReply = err({ kind: 'internal', detail: 'The memory gave no answer.' });
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A memory whose number of shards has just been chosen: its other shards are made, with the same settings. */
async function afterSettings(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  request: MemoryRequest,
  reply: MemoryReply,
): Promise<MemoryReply> {
  if (request.command.type !== 'putSettings' || !reply.ok) return reply;
  if (!(await learnShards(ports, caller.fleet, swarm))) return reply;
  const { idempotency: _, ...again } = request;
  const [others] = await run(ports, caller, swarm, [again], knownShards(ports, caller.fleet, swarm));
  return others === undefined || others.ok ? reply : others;
}

/** A swarm that the registry does not know would outlive its fleet's deletion. */
export async function noteShard(ports: MemoryPorts, fleet: string, swarm: string, shard: number): Promise<void> {
  const name = `${nameOf(fleet, swarm)}/${shard}`;
  if (ports.knownSwarms.has(name)) return;
  await ports.registry(fleet).openSwarm(fleet, ports.region, { swarm, shard });
  if (ports.knownSwarms.size >= KNOWN_SWARMS_MAX) ports.knownSwarms.clear();
  ports.knownSwarms.add(name);
}

const ALL = 'all';

/** Where a command is done: the shard of its key, the first one, all of them, or nowhere. */
function placeOf(command: MemoryCommand, shards: number): number | typeof ALL | FleetError {
  switch (command.type) {
    case 'store':
    case 'retrieve':
    case 'delete':
    case 'getPermissions':
    case 'setPermissions':
    case 'history':
    case 'rollback':
      return shardOf(command.key, shards);
    case 'transaction': {
      const [one, ...others] = new Set(command.operations.map(({ key }) => shardOf(key, shards)));
      return others.length === 0 ? (one ?? FIRST) : APART;
    }
    case 'list':
    case 'search':
    case 'vectorSearch':
    case 'quarantine':
    case 'erase':
    case 'listEvents':
    case 'listConflicts':
    case 'listAudit':
    case 'memoryStatus':
    case 'putSettings':
      return ALL;
    default:
      return FIRST;
  }
}

const APART_TEXT = 'lie in several shards of this memory; keys with the same {braced} part lie in one';
const APART: FleetError = {
  kind: 'validation_failed',
  errors: [{ path: 'operations', message: APART_TEXT }],
  detail: `operations ${APART_TEXT}`,
};

/** Which shard of a memory is exported; null: the one there is. */
export function exportedShard(wanted: number | null, shards: number, isInsider: boolean): Result<number, FleetError> {
  const refused = (message: string): Result<number, FleetError> =>
    err({ kind: 'validation_failed', errors: [{ path: 'shard', message }], detail: `shard ${message}` });
  // Whoever is outside is not told of shards: it gets the file of the one it names, which may hold nothing.
  if (!isInsider) return { ok: true, value: Math.min(wanted ?? FIRST, MEMORY_LIMITS.shards - 1) };
  if (wanted === null && shards > 1) return refused(`must be named: this memory has ${shards}, each with a file of its own`);
  if (wanted !== null && wanted >= shards) return refused(`must be below ${shards}`);
  return { ok: true, value: wanted ?? FIRST };
}
