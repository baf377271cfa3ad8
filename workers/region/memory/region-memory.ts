import { notFound, type FleetError } from '../../../shared/errors.ts';
import type {
  EntryRef,
  EntryView,
  MemoryCommand,
  MemoryHome,
  MemoryReply,
  MemoryImportReply,
  MemoryRestoreReply,
  MemoryRequest,
} from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { Caller, IdempotencyRef } from '../../../shared/rpc.ts';
import { isInside } from '../../../durable-objects/memory/core/acl.ts';
import { isOtherCount } from '../../../durable-objects/memory/core/shards.ts';
import { READS } from '../../../durable-objects/memory/core/decide.ts';
import { readerOf } from '../../../durable-objects/memory/core/step.ts';
import type { FileStream, MemoryApi } from '../../../durable-objects/memory/memory-api.ts';
import type { RegistryApi } from '../../../durable-objects/registry/registry-rpc.ts';
import type { CachedEntry, EntryCache } from './entry-cache.ts';
import { exportedShard, homeOf, knownShards, learnShards, noteShard, runOnShards } from './memory-shards.ts';
import type { SharedCache } from './shared-cache.ts';

export interface MemoryPorts {
  readonly region: string;
  readonly memory: (fleet: string, home: MemoryHome) => MemoryApi;
  readonly registry: (fleet: string) => RegistryApi;
  readonly cache: EntryCache;
  readonly shared: SharedCache | null;
  /** Swarms that this isolate has told the registry of. */
  readonly knownSwarms: Set<string>;
  /** Numbers of shards that memories have told, where there are several. They never change. */
  readonly shards: Map<string, number>;
  readonly nowMs: () => number;
  readonly logError: (message: string, error: unknown, fields: Readonly<Record<string, string | number>>) => void;
}

/** Runs commands on a swarm's memory. What they changed leaves the caches before the answer does. */
export async function runMemory(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  requests: readonly MemoryRequest[],
): Promise<readonly MemoryReply[]> {
  const writes = requests.filter(({ command }) => !READS.has(command.type));
  const run = (): Promise<readonly MemoryReply[]> => runOnShards(ports, caller, swarm, requests);
  if (writes.length === 0) return withCacheMetrics(ports, caller, requests, await run());
  // Before as well as after: a read that is under way must neither be answered from here nor be kept.
  for (const { command } of writes) invalidateLocal(ports, caller.fleet, swarm, command);
  const replies = await run();
  for (const { command } of writes) invalidateLocal(ports, caller.fleet, swarm, command);
  const clear = await invalidateShared(ports, caller, swarm, writes);
  return replies.map((reply, i) => (requests[i]?.command.type === 'erase' ? withReceipt(ports, reply, clear) : reply));
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
    const [reply] = await runOnShards(ports, caller, swarm, [{ command }]);
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

/** The file of one shard; a memory of several has a file for each. */
export async function exportMemory(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  wanted: number | null,
): Promise<Result<FileStream, FleetError>> {
  for (let attempt = 0; ; attempt += 1) {
    const shards = knownShards(ports, caller.fleet, swarm);
    const shard = exportedShard(wanted, shards, isInside(readerOf(caller, swarm)));
    if (shard.ok) {
      const home = homeOf(ports, swarm, shard.value, shards);
      const file = await ports.memory(caller.fleet, home).exportFile(caller.fleet, home, caller);
      if (file.ok || !isOtherCount(file.error)) return file;
    }
    if (attempt > 0 || !(await learnShards(ports, caller.fleet, swarm))) return shard.ok ? err(UNSETTLED) : shard;
  }
}

/** Every shard is given the whole file, one after the other, and takes what is its own. */
export async function importMemory(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  file: ArrayBuffer,
  idempotency: IdempotencyRef | null,
): Promise<MemoryImportReply> {
  await learnShards(ports, caller.fleet, swarm);
  const shards = knownShards(ports, caller.fleet, swarm);
  const taken: Extract<MemoryImportReply, { ok: true }>[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    await noteShard(ports, caller.fleet, swarm, shard);
    const home = homeOf(ports, swarm, shard, shards);
    const reply = await ports.memory(caller.fleet, home).importFile(caller.fleet, home, caller, file, idempotency);
    ports.cache.clear();
    if (!reply.ok) return reply;
    taken.push(reply);
  }
  const [first] = taken;
  if (first === undefined || shards === 1) return first ?? err(UNSETTLED);
  const entries = taken.reduce((sum, { value }) => sum + value.entries, 0);
  const inFile = first.value.entries + first.value.skipped;
  const restorePoint = taken.map(({ value }) => value.restorePoint).join(' ');
  return { ...first, value: { restorePoint, entries, skipped: inFile - entries } };
}

/** Goes back in every shard; a memory of several has a number for each. */
export async function restoreMemory(
  ports: MemoryPorts,
  caller: Caller,
  swarm: string,
  restorePoint: string,
  idempotency: IdempotencyRef | null,
): Promise<MemoryRestoreReply> {
  await learnShards(ports, caller.fleet, swarm);
  const shards = knownShards(ports, caller.fleet, swarm);
  const numbers = restorePoint.split(' ').map(Number);
  if (numbers.length !== shards) return err(notFound('restore point'));
  const homes = numbers.map((_, shard) => homeOf(ports, swarm, shard, shards));
  // All or none: a number that is wrong for one shard must not leave the others gone back.
  const found = await Promise.all(
    homes.map((home, shard) => ports.memory(caller.fleet, home).mayRestore(caller.fleet, home, numbers[shard] ?? 0, idempotency)),
  );
  if (found.includes(false)) return err(notFound('restore point'));
  const left: string[] = [];
  let replayed = false;
  for (const [shard, number] of numbers.entries()) {
    const home = homeOf(ports, swarm, shard, shards);
    const reply = await ports.memory(caller.fleet, home).restore(caller.fleet, home, caller, number, idempotency);
    ports.cache.clear();
    if (!reply.ok) return reply;
    left.push(reply.value.restorePoint);
    replayed = reply.replayed === true;
  }
  return { ...ok({ restorePoint: left.join(' ') }), replayed };
}

const UNSETTLED: FleetError = { kind: 'overloaded', retryAfterMs: 1_000, detail: 'The memory is being set up. Try again.' };
