import type { FleetError } from '../../../shared/errors.ts';
import type {
  EntryRef,
  EntryView,
  MemoryCommand,
  MemoryHome,
  MemoryReply,
  MemoryImportReply,
  MemoryRequest,
} from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { Caller, IdempotencyRef } from '../../../shared/rpc.ts';
import { isInside } from '../../../durable-objects/memory/core/acl.ts';
import { READS } from '../../../durable-objects/memory/core/decide.ts';
import { readerOf } from '../../../durable-objects/memory/core/step.ts';
import type { FileStream, MemoryApi } from '../../../durable-objects/memory/memory-api.ts';
import type { RegistryApi } from '../../../durable-objects/registry/registry-rpc.ts';
import type { CachedEntry, EntryCache } from './entry-cache.ts';
import type { SharedCache } from './shared-cache.ts';

/** Every swarm has one shard so far; a larger one would spread by key, which the address has room for. */
export const MEMORY_SHARD = 0;
const KNOWN_SWARMS_MAX = 10_000;

export interface MemoryPorts {
  readonly region: string;
  readonly memory: (fleet: string, home: MemoryHome) => MemoryApi;
  readonly registry: (fleet: string) => RegistryApi;
  readonly cache: EntryCache;
  readonly shared: SharedCache | null;
  /** Swarms that this isolate has told the registry of. */
  readonly knownSwarms: Set<string>;
  readonly nowMs: () => number;
  readonly logError: (message: string, error: unknown, fields: Readonly<Record<string, string | number>>) => void;
}

const homeOf = (ports: MemoryPorts, swarm: string): MemoryHome => ({ region: ports.region, swarm, shard: MEMORY_SHARD });

/** Runs commands on a swarm's memory. What they changed leaves the caches before the answer does. */
export async function runMemory(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  requests: readonly MemoryRequest[],
): Promise<readonly MemoryReply[]> {
  const writes = requests.filter(({ command }) => !READS.has(command.type));
  // Whoever is outside makes no memory, and must leave no trace of having tried.
  if (writes.length > 0 && isInside(readerOf(caller, swarm))) await noteSwarm(ports, caller, swarm);
  const run = async (): Promise<readonly MemoryReply[]> =>
    ports.memory(caller.fleet, homeOf(ports, swarm)).execute(caller.fleet, homeOf(ports, swarm), caller, requests);
  if (writes.length === 0) return withCacheMetrics(ports, caller, requests, await run());
  // Before as well as after: a read that is under way must neither be answered from here nor be kept.
  for (const { command } of writes) invalidateLocal(ports, caller.fleet, swarm, command);
  const replies = await run();
  for (const { command } of writes) invalidateLocal(ports, caller.fleet, swarm, command);
  const clear = await invalidateShared(ports, caller, swarm, writes);
  return replies.map((reply, i) => (requests[i]?.command.type === 'erase' ? withReceipt(ports, reply, clear) : reply));
}

/** A swarm that the registry does not know would outlive its fleet's deletion. */
async function noteSwarm(ports: MemoryPorts, caller: Caller, swarm: string): Promise<void> {
  const name = `${caller.fleet}/${swarm}`;
  if (ports.knownSwarms.has(name)) return;
  await ports.registry(caller.fleet).openSwarm(caller.fleet, ports.region, { swarm, shard: MEMORY_SHARD });
  if (ports.knownSwarms.size >= KNOWN_SWARMS_MAX) ports.knownSwarms.clear();
  ports.knownSwarms.add(name);
}

/** Keys that a command may change; null: any of them. */
function keysOf(command: MemoryCommand): readonly string[] | null {
  switch (command.type) {
    case 'store':
    case 'delete':
    case 'setPermissions':
    case 'rollback':
      return [command.key];
    case 'transaction':
      return command.operations.map(({ key }) => key);
    case 'quarantine':
    case 'erase':
      return null;
    default:
      return [];
  }
}

function invalidateLocal(ports: MemoryPorts, fleet: string, swarm: string, command: MemoryCommand): void {
  const keys = keysOf(command);
  if (keys === null) ports.cache.clear();
  else for (const key of keys) ports.cache.invalidate(fleet, swarm, key);
}

/** Answers whether everything that had to go is gone. What stays is confirmed by nobody and ends with its time. */
async function invalidateShared(
  ports: MemoryPorts,
  { fleet, requestId }: Caller,
  swarm: string,
  writes: readonly MemoryRequest[],
): Promise<boolean> {
  const { shared } = ports;
  if (shared === null) return true;
  const keys = writes.map(({ command }) => keysOf(command));
  try {
    if (keys.includes(null)) await shared.clear({ fleet, swarm });
    else await Promise.all(keys.flatMap((some) => some ?? []).map((key) => shared.invalidate({ fleet, swarm, key })));
    return true;
  } catch (error) {
    ports.logError('shared cache not invalidated', error, { requestId });
    return false;
  }
}

/** What became of the copies in the shared cache belongs to the receipt; the digest is over what the memory itself says. */
function withReceipt(ports: MemoryPorts, reply: MemoryReply, isCleared: boolean): MemoryReply {
  if (!reply.ok || reply.value === null || !('erased' in reply.value)) return reply;
  const sharedCache = ports.shared === null ? 'none' : isCleared ? 'cleared' : 'ends_by_itself';
  return { ...reply, value: { ...reply.value, sharedCache } };
}

function withCacheMetrics(
  ports: MemoryPorts,
  { fleet }: Caller,
  requests: readonly MemoryRequest[],
  replies: readonly MemoryReply[],
): readonly MemoryReply[] {
  const { hits, misses, sharedHits, sharedMisses } = ports.cache.counts(fleet);
  const rate = (found: number, not: number): number => (found + not === 0 ? 0 : found / (found + not));
  return replies.map((reply, i) => {
    if (requests[i]?.command.type !== 'memoryStatus' || !reply.ok || reply.value === null || !('metrics' in reply.value))
      return reply;
    const metrics = {
      ...reply.value.metrics,
      l1_hits: hits,
      l1_misses: misses,
      l1_hit_rate: rate(hits, misses),
      ...(ports.shared === null
        ? {}
        : { l2_hits: sharedHits, l2_misses: sharedMisses, l2_hit_rate: rate(sharedHits, sharedMisses) }),
    };
    return { ...reply, value: { ...reply.value, metrics } };
  });
}

/**
 * One entry. An answer from the caches is given when the memory confirms it, which costs a call but no value; without asking
 * only when the caller allows an answer of that age.
 */
export async function readEntry(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  ref: EntryRef,
  maxStaleMs: number,
): Promise<Result<EntryView, FleetError>> {
  const { cache } = ports;
  const counts = cache.counts(caller.fleet);
  const near = cache.get(caller, swarm, ref, ports.nowMs());
  if (near !== undefined && maxStaleMs > 0 && ports.nowMs() - near.atMs <= maxStaleMs) {
    counts.hits += 1;
    return ok(near.entry);
  }
  const begun = cache.begin();
  const known = near ?? (await fromShared(ports, caller, swarm, ref));
  const read = async (tag: string | undefined): Promise<MemoryReply<'retrieve'>> => {
    const command: MemoryCommand = { type: 'retrieve', ...ref, ...(tag === undefined ? {} : { known: tag }) };
    const home = homeOf(ports, swarm);
    const [reply] = await ports.memory(caller.fleet, home).execute(caller.fleet, home, caller, [{ command }]);
    return (reply ?? err({ kind: 'internal', detail: 'The memory gave no answer.' })) as MemoryReply<'retrieve'>;
  };
  const reply = await read(known?.tag);
  if (!reply.ok) {
    counts.misses += 1;
    return reply;
  }
  const { tag, entry } = reply.value;
  const confirmed = entry === undefined && known?.tag === tag ? known : null;
  if (near !== undefined && confirmed !== null) counts.hits += 1;
  else counts.misses += 1;
  if (near === undefined && ports.shared !== null) {
    if (confirmed === null) counts.sharedMisses += 1;
    else counts.sharedHits += 1;
  }
  const fresh: CachedEntry | null = confirmed ?? (entry === undefined ? null : { tag, entry });
  if (fresh === null) return err({ kind: 'internal', detail: 'The memory gave no answer.' });
  cache.put(caller, swarm, ref, fresh, { begun, nowMs: ports.nowMs() });
  if (confirmed === null) await toShared(ports, caller, swarm, ref, fresh);
  return ok(fresh.entry);
}

const identityOf = ({ subject, role, swarms }: Caller, ref: EntryRef): string =>
  JSON.stringify([subject, role, swarms ?? [], ref.owner ?? null, ref.level ?? null]);

async function fromShared(ports: MemoryPorts, caller: Caller, swarm: string, ref: EntryRef): Promise<CachedEntry | null> {
  if (ports.shared === null) return null;
  try {
    return await ports.shared.get({ fleet: caller.fleet, swarm, key: ref.key, identity: identityOf(caller, ref) });
  } catch (error) {
    ports.logError('shared cache not read', error, { requestId: caller.requestId });
    return null;
  }
}

async function toShared(ports: MemoryPorts, caller: Caller, swarm: string, ref: EntryRef, cached: CachedEntry): Promise<void> {
  if (ports.shared === null) return;
  try {
    await ports.shared.put({ fleet: caller.fleet, swarm, key: ref.key, identity: identityOf(caller, ref) }, cached);
  } catch (error) {
    ports.logError('shared cache not written', error, { requestId: caller.requestId });
  }
}

export async function exportMemory(ports: MemoryPorts, caller: Caller, swarm: string): Promise<Result<FileStream, FleetError>> {
  const home = homeOf(ports, swarm);
  return ports.memory(caller.fleet, home).exportFile(caller.fleet, home, caller);
}

export async function importMemory(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  file: ArrayBuffer,
  idempotency: IdempotencyRef | null,
): Promise<MemoryImportReply> {
  await noteSwarm(ports, caller, swarm);
  const home = homeOf(ports, swarm);
  const reply = await ports.memory(caller.fleet, home).importFile(caller.fleet, home, caller, file, idempotency);
  ports.cache.clear();
  return reply;
}
