import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Page } from '../../../shared/rpc.ts';
import { listShards } from '../../../workers/region/lists.ts';
import { idIn, REGION } from './fixtures.ts';

interface Thing {
  readonly id: string;
}
const ulidOf = (n: number): string =>
  `01J${n
    .toString(32)
    .toUpperCase()
    .replace(/[ILOU]/g, 'Z')
    .padStart(23, '0')}`;

/** Shards that page as PoolRpc says, at most `pageMax` at once whatever is asked. */
function world(counts: Readonly<Record<string, number>>, pageMax = 1_000) {
  const shards = Object.keys(counts).map((name) => {
    const [pool, shard] = name.split('/') as [string, string];
    return { pool, shard: Number(shard) };
  });
  const ids = (pool: string, shard: number): string[] =>
    Array.from({ length: counts[`${pool}/${shard}`] ?? 0 }, (_, n) => `agt.${REGION}.${pool}.${shard}.${ulidOf(n)}`).sort();
  const all = shards.flatMap(({ pool, shard }) => ids(pool, shard)).sort();
  let calls = 0;
  const list = async (
    { pool, shard }: { pool: string; shard: number },
    after: string | null,
    limit: number,
  ): Promise<Page<Thing>> => {
    calls += 1;
    const rest = ids(pool, shard).filter((id) => after === null || id > after);
    const data = rest.slice(0, Math.min(limit, pageMax)).map((id) => ({ id }));
    const last = data.at(-1);
    return data.length < rest.length && last !== undefined ? { data, nextAfter: last.id } : { data };
  };
  const page = (after: string | null, limit: number) => listShards({ kind: 'agent', region: REGION, shards, after, limit }, list);
  return { all, page, calls: () => calls };
}

async function walk(of: ReturnType<typeof world>, limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  for (let after: string | null = null; ;) {
    const result = await of.page(after, limit);
    if (!result.ok) throw new Error(result.error.detail);
    pages.push(result.value.data.map((thing) => thing.id));
    if (result.value.nextAfter === undefined) return pages;
    after = result.value.nextAfter;
  }
}

describe('a list over shards', () => {
  it('gives everything once, in the order of ids, for any page size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.constantFrom('coder/0', 'coder/2', 'coder/10', 'coder-2/0', 'a/0', 'a/11', 'z-z/1', 'zz/1', 'b/3', 'c/3', 'd/3'),
          fc.nat(12),
        ),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 8 }),
        async (counts, limit, pageMax) => {
          const of = world(counts, pageMax);
          const pages = await walk(of, limit);
          expect(pages.flat()).toEqual(of.all);
          // No page is short but the last, and no page is empty unless there is nothing at all.
          for (const page of pages.slice(0, -1)) expect(page).toHaveLength(limit);
          if (of.all.length > 0) expect(pages.at(-1)?.length).toBeGreaterThan(0);
        },
      ),
    );
  });

  it('asks only shards that can have what follows', async () => {
    const of = world(Object.fromEntries(Array.from({ length: 30 }, (_, shard) => [`coder/${shard}`, 5])));
    await of.page(null, 5);
    expect(of.calls()).toBeLessThanOrEqual(8);
    const before = of.calls();
    await of.page(`agt.${REGION}.coder.9.${ulidOf(4)}`, 5);
    expect(of.calls() - before).toBe(1);
  });

  it('refuses a cursor of another list', async () => {
    const of = world({ 'coder/0': 1 });
    for (const after of ['', 'x', idIn('tsk', 'coder', 0), idIn('agt', 'coder', 0, 'us-east-1')])
      expect(await of.page(after, 5)).toMatchObject({ ok: false, error: { kind: 'invalid_cursor' } });
  });
});
