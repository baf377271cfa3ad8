import { receiptDigest } from '../../../durable-objects/memory/core/erase.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type {
  EntryView,
  MemoryCommand,
  MemoryCommandOf,
  MemoryCommandType,
  MemoryOutput,
  MemoryReply,
} from '../../../shared/memory-rpc.ts';
import { ok, type Result } from '../../../shared/result.ts';
import type { Page } from '../../../shared/rpc.ts';
import type { Erasure, MemoryStatus, Quarantined } from '../../../shared/schemas/memory.ts';

/** Asks one shard. */
export type Ask = (shard: number, command: MemoryCommand) => Promise<MemoryReply>;

/** One answer out of those of all shards. A shard that refuses makes the whole a refusal; every such command can be repeated. */
export async function merged(
  ask: Ask,
  command: MemoryCommand,
  shards: number,
  sha256Hex: (text: string) => string,
): Promise<MemoryReply> {
  const numbers = Array.from({ length: shards }, (_, shard) => shard);
  const all = async <K extends MemoryCommandType>(
    each: MemoryCommandOf<K>,
  ): Promise<Result<readonly MemoryOutput<K>[], FleetError>> => {
    const replies = await Promise.all(numbers.map((shard) => ask(shard, each as never)));
    const failed = replies.find((reply) => !reply.ok);
    return failed === undefined ? ok(replies.flatMap((reply) => (reply.ok ? [reply.value as MemoryOutput<K>] : []))) : failed;
  };
  switch (command.type) {
    case 'list':
      return list(ask, command, shards);
    case 'search':
    case 'vectorSearch': {
      // A few at a time: each may answer a whole page.
      let found: Found = { data: [], complete: true };
      for (let from = 0; from < shards; from += ASKED_AT_ONCE) {
        const replies = await Promise.all(numbers.slice(from, from + ASKED_AT_ONCE).map((shard) => ask(shard, command)));
        for (const reply of replies) {
          if (!reply.ok) return reply;
          found = best([found, reply.value as Found], command.limit);
        }
      }
      return ok(found);
    }
    case 'quarantine': {
      const done = await all<'quarantine'>(command);
      return done.ok ? ok(done.value.map((one): Record<string, number> => one).reduce(added) as Quarantined) : done;
    }
    case 'erase': {
      const receipts = await all<'erase'>(command);
      return receipts.ok ? ok(receiptOf(receipts.value, sha256Hex)) : receipts;
    }
    case 'listEvents':
    case 'listConflicts':
    case 'listAudit':
      return feed(ask, command, numbers);
    case 'memoryStatus': {
      const states = await all<'memoryStatus'>(command);
      return states.ok ? ok(statusOf(states.value)) : states;
    }
    default: {
      // The first shard decides whether it may be done at all.
      const first = await ask(0, command);
      if (!first.ok) return first;
      for (const shard of numbers.slice(1)) {
        const reply = await ask(shard, command);
        if (!reply.ok) return reply;
      }
      return first;
    }
  }
}

const ASKED_AT_ONCE = 4;
const MARK = '~';
const bytesOf = (entries: readonly EntryView[]): number => entries.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);

/** Shard after shard, each in its own order of creation. A cursor names the shard it is in. */
async function list(ask: Ask, command: MemoryCommandOf<'list'>, shards: number): Promise<MemoryReply<'list'>> {
  const [from = '', rest = ''] = (command.after ?? '').split(MARK);
  const data: EntryView[] = [];
  let after: string | null = rest === '' ? null : rest;
  for (let shard = /^\d{1,2}$/.test(from) ? Number(from) : 0; shard < shards; shard += 1, after = null) {
    const reply = (await ask(shard, { ...command, after, limit: command.limit - data.length })) as MemoryReply<'list'>;
    if (!reply.ok) return reply;
    data.push(...reply.value.data);
    if (reply.value.nextAfter !== undefined) return ok({ data, nextAfter: `${shard}${MARK}${reply.value.nextAfter}` });
    const isFull = data.length >= command.limit || bytesOf(data) > MEMORY_LIMITS.pageBytes / 2;
    if (isFull && shard + 1 < shards) return ok({ data, nextAfter: `${shard + 1}${MARK}` });
  }
  return ok({ data });
}

type Found = MemoryOutput<'search'>;
function best(parts: readonly Found[], limit: number): Found {
  const data: Found['data'][number][] = [];
  let complete = parts.every((part) => part.complete);
  let bytes = 0;
  for (const entry of parts.flatMap((part) => part.data).sort((a, b) => b.score - a.score || (a.key < b.key ? -1 : 1))) {
    if (data.length >= limit) break;
    bytes += entry.value?.length ?? 0;
    if (data.length > 0 && bytes > MEMORY_LIMITS.pageBytes) {
      complete = false;
      break;
    }
    data.push(entry);
  }
  return { data, complete };
}

/** Sums numbers by name. */
const added = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> => {
  const sum = { ...a };
  for (const [name, value] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + value;
  return sum;
};

/** One receipt, whose digest is over what it says. The audit of each shard has the number of its own. */
function receiptOf(receipts: readonly Erasure[], sha256Hex: (text: string) => string): Erasure {
  const [first] = receipts;
  if (first === undefined) throw new Error('an erasure without shards');
  const { digest: _, sharedCache: _cache, ...receipt } = first;
  const whole = {
    ...receipt,
    erased: receipts.map(({ erased }) => erased).reduce((sum, one) => added(sum, one)),
    remaining: receipts.reduce((sum, { remaining }) => sum + remaining, 0),
  };
  return { ...whole, digest: receiptDigest(whole, sha256Hex) };
}

const LATEST = 100;
const newest = <T extends { readonly id: string; readonly updatedAtMs: number }>(rows: readonly T[]): T[] =>
  [
    ...new Map(
      rows
        .toSorted((a, b) => b.updatedAtMs - a.updatedAtMs)
        .toReversed()
        .map((row) => [row.id, row]),
    ).values(),
  ]
    .toReversed()
    .slice(0, LATEST);

/**
 * Imports and restores are of all shards, and one call gives one reason everywhere: points of the same reason belong together,
 * counted from the newest. Their id has all their numbers. What an interrupted call left in some shards only is no state of the whole.
 */
function pointsOf(lists: readonly MemoryStatus['restorePoints'][]): MemoryStatus['restorePoints'] {
  const [first = []] = lists;
  return first.flatMap((point, at) => {
    const later = first.slice(at + 1).filter(({ reason }) => reason === point.reason).length;
    const ids = lists.map((points) => points.filter(({ reason }) => reason === point.reason).at(-1 - later)?.id);
    return ids.includes(undefined) ? [] : [{ ...point, id: ids.join(' ') }];
  });
}

function statusOf(states: readonly MemoryStatus[]): MemoryStatus {
  const [first] = states;
  if (first === undefined) throw new Error('a memory without shards');
  const sum = (of: (state: MemoryStatus) => number): number => states.reduce((total, state) => total + of(state), 0);
  return {
    ...first,
    entries: sum((s) => s.entries),
    bytes: sum((s) => s.bytes),
    artifacts: sum((s) => s.artifacts),
    claims: sum((s) => s.claims),
    aclEpoch: sum((s) => s.aclEpoch),
    databaseBytes: sum((s) => s.databaseBytes),
    restorePoints: pointsOf(states.map((s) => s.restorePoints)),
    agents: newest(states.flatMap((s) => s.agents)),
    tasks: newest(states.flatMap((s) => s.tasks)),
    metrics: states.map((s) => s.metrics).reduce((total, one) => added(total, one)),
  };
}

interface Row {
  readonly id: string;
  readonly atMs: number;
}

/**
 * Rows of all shards in the order of time. The cursor holds how far each shard was taken, so a row that comes later in one
 * shard is not passed over because another one was ahead. Numbers of rows are a shard's own: it is put before them.
 */
async function feed(
  ask: Ask,
  command: MemoryCommandOf<'listEvents' | 'listConflicts' | 'listAudit'>,
  numbers: readonly number[],
): Promise<MemoryReply<'listEvents' | 'listConflicts' | 'listAudit'>> {
  const taken = numbers.map((shard) => (command.after ?? '').split(MARK)[shard] ?? '');
  const pages = await Promise.all(
    numbers.map((shard) => ask(shard, { ...command, after: taken[shard] === '' ? null : (taken[shard] ?? null) })),
  );
  const waiting: Row[][] = [];
  let hasMore = false;
  for (const page of pages) {
    if (!page.ok) return page;
    const { data, nextAfter } = page.value as Page<Row>;
    if (nextAfter !== undefined) hasMore = true;
    waiting.push([...data]);
  }
  // Within a shard its own order holds, also where its clock was set back: a cursor knows nothing else.
  const given: { readonly shard: number; readonly row: Row }[] = [];
  while (given.length < command.limit) {
    const heads = waiting.flatMap(([row], shard) => (row === undefined ? [] : [{ shard, row }]));
    const [first, ...others] = heads;
    if (first === undefined) break;
    const next = others.reduce((a, b) => (b.row.atMs < a.row.atMs ? b : a), first);
    waiting[next.shard]?.shift();
    taken[next.shard] = next.row.id;
    given.push(next);
  }
  hasMore ||= waiting.some((rows) => rows.length > 0);
  const data = given.map(({ shard, row }) => ({ ...row, id: `${shard}.${row.id}` }));
  return ok({ data, ...(hasMore ? { nextAfter: taken.join(MARK) } : {}) } as never);
}
