import type { FleetError } from '../../shared/errors.ts';
import { ID_KINDS, parseIdOf } from '../../shared/ids.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Page } from '../../shared/rpc.ts';
import type { ShardRef } from '../../durable-objects/registry/core/routes.ts';

/** How many shards are asked at once. Asking ahead is wasted when the page fills early, so few. */
const ASKED_AT_ONCE = 8;

/**
 * One page over all shards, in the order of ids as strings. All ids of a shard begin with the same text, up to and with the
 * point before the ULID, so shards in the order of that text give ids in order. That order is not pool, then number:
 * `coder-2.0.` comes before `coder.0.`, and `coder.10.` before `coder.2.`.
 */
export async function listShards<T extends { readonly id: string }>(
  input: {
    readonly kind: 'agent' | 'task';
    readonly region: string;
    readonly shards: readonly ShardRef[];
    readonly after: string | null;
    readonly limit: number;
  },
  list: (shard: ShardRef, after: string | null, limit: number) => Promise<Page<T>>,
): Promise<Result<Page<T>, FleetError>> {
  const { kind, region, after, limit } = input;
  const last = after === null ? null : parseIdOf(kind, after);
  if (after !== null && last?.region !== region) {
    return err({ kind: 'invalid_cursor', detail: 'The cursor is not of this list.' });
  }
  const prefix = (ref: ShardRef): string => `${ID_KINDS[kind]}.${region}.${ref.pool}.${ref.shard}.`;
  const from = last === null ? '' : prefix(last);
  const walk = input.shards
    .map((ref) => ({ ref, prefix: prefix(ref) }))
    .filter((shard) => shard.prefix >= from)
    .sort((a, b) => (a.prefix < b.prefix ? -1 : 1));

  // One more than asked for tells whether more follow.
  const found: T[] = [];
  const fill = async (ref: ShardRef, start: string | null): Promise<T[]> => {
    const items: T[] = [];
    for (let position = start; items.length <= limit;) {
      const page = await list(ref, position, limit + 1 - items.length);
      items.push(...page.data);
      if (page.nextAfter === undefined) break;
      position = page.nextAfter;
    }
    return items;
  };
  for (let at = 0; at < walk.length && found.length <= limit; at += ASKED_AT_ONCE) {
    const asked = walk.slice(at, at + ASKED_AT_ONCE);
    const pages = await Promise.all(asked.map((shard) => fill(shard.ref, shard.prefix === from ? after : null)));
    found.push(...pages.flat());
  }
  if (found.length <= limit) return ok({ data: found });
  const data = found.slice(0, limit);
  const end = data.at(-1);
  return ok({ data, ...(end === undefined ? {} : { nextAfter: end.id }) });
}
