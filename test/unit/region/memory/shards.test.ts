import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { emptyAnswer } from '../../../../durable-objects/memory/core/empty.ts';
import { receiptDigest } from '../../../../durable-objects/memory/core/erase.ts';
import { otherCount, shardOf } from '../../../../durable-objects/memory/core/shards.ts';
import { readerOf } from '../../../../durable-objects/memory/core/step.ts';
import type { MemoryCommandOf, MemoryCommandType, MemoryOutput } from '../../../../shared/memory-rpc.ts';
import { err } from '../../../../shared/result.ts';
import type { Caller } from '../../../../shared/rpc.ts';
import { EntryCache } from '../../../../workers/region/memory/entry-cache.ts';
import { exportedShard } from '../../../../workers/region/memory/memory-shards.ts';
import { merged } from '../../../../workers/region/memory/merge-shards.ts';
import { readEntry, restoreMemory, runMemory, type MemoryPorts } from '../../../../workers/region/memory/region-memory.ts';
import { agent, type Harness, kindOf, memory, person, REGION, SWARM } from '../../../lib/memory-harness.ts';

const ada = agent('coder', 1);
const stranger = agent('coder', 9, []);
const admin = person('admin');
const operator = person('operator');
const SHARDS = 4;
const paging = { after: null, limit: 100 };

/** A swarm's memories as objects are: made at their first write, and refusing another number than their own. */
class Swarm {
  readonly shards = new Map<number, Harness>();
  readonly noted: string[] = [];
  nowMs = 1_700_000_000_000;

  /** What an isolate of the region's Worker has. */
  isolate(): MemoryPorts & { readonly calls: string[] } {
    const calls: string[] = [];
    return {
      calls,
      region: REGION,
      memory: () => ({
        execute: async (_fleet, home, who, requests) => {
          calls.push(`${home.shard}/${home.shards ?? 1} ${requests.map(({ command }) => command.type).join()}`);
          const place = { region: REGION, swarm: SWARM };
          if (!this.shards.has(home.shard)) {
            const answers = requests.map(({ command }) => emptyAnswer(command, readerOf(who, SWARM), place));
            if (answers.every((answer) => answer !== null)) return answers;
            this.shards.set(home.shard, memory());
          }
          const m = this.shards.get(home.shard) as Harness;
          m.nowMs = this.nowMs;
          // As the object does: the first shard has the number of its settings, the others ask it.
          const count = home.shards ?? 1;
          const first = this.shards.get(0)?.engine.shards;
          const isOne = m.engine.shards === count || (home.shard !== 0 && first === count && m.engine.settle(count));
          if (!isOne) return requests.map(() => err(otherCount()));
          return m.engine.execute(who, requests);
        },
        shardCount: async () => this.shards.get(0)?.engine.shards ?? null,
        leasesRevoked: async () => undefined,
        purge: async () => undefined,
        exportFile: () => Promise.reject(new Error('not asked')),
        importFile: () => Promise.reject(new Error('not asked')),
        restore: () => Promise.reject(new Error('not asked')),
        mayRestore: () => Promise.reject(new Error('not asked')),
      }),
      registry: () =>
        ({
          openSwarm: async (_f: string, _r: string, ref: { shard: number }) => void this.noted.push(String(ref.shard)),
        }) as never,
      cache: new EntryCache(),
      shared: null,
      knownSwarms: new Set(),
      shards: new Map(),
      nowMs: () => this.nowMs,
      logError: () => undefined,
    };
  }
}

const settings = { quorum: 3, majority: 0.6, textIndex: ['indexed/'], shards: SHARDS };
async function sharded(): Promise<{ readonly swarm: Swarm; readonly p: ReturnType<Swarm['isolate']> }> {
  const swarm = new Swarm();
  const p = swarm.isolate();
  expect(await run(p, admin, { type: 'putSettings', settings })).toMatchObject({ ok: true, value: { shards: SHARDS } });
  return { swarm, p };
}
const run = async <K extends MemoryCommandType>(p: MemoryPorts, who: Caller, command: MemoryCommandOf<K>) =>
  (await runMemory(p, who, SWARM, [{ command: command as never }]))[0];
async function must<K extends MemoryCommandType>(
  p: MemoryPorts,
  who: Caller,
  command: MemoryCommandOf<K>,
): Promise<MemoryOutput<K>> {
  const reply = await run(p, who, command);
  if (reply?.ok !== true) throw new Error(JSON.stringify(reply));
  return reply.value;
}
const keys = Array.from({ length: 40 }, (_, i) => `notes/${i}`);
const fill = async (p: MemoryPorts): Promise<void> => {
  for (const [i, key] of keys.entries())
    await must(p, ada, {
      type: 'store',
      key,
      value: JSON.stringify(`word number${i}`),
      level: 'swarm',
      vector: [Math.cos(i / 20), Math.sin(i / 20)],
    });
};

describe('M94 a large swarm', () => {
  it('M94 spreads its entries by key, evenly, and keys with one braced part lie together', () => {
    const counts = new Map<number, number>();
    for (let i = 0; i < 8_000; i += 1) {
      const shard = shardOf(`key/${i}`, 8);
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
    }
    expect([...counts.values()].every((n) => n > 800 && n < 1_200)).toBe(true);
    expect(new Set(Array.from({ length: 50 }, (_, i) => shardOf(`a/{plan}/${i}`, 8))).size).toBe(1);
    expect(shardOf('{}', 8)).toBe(shardOf('{}', 8));
  });

  it('M94 has its number chosen before anything is written, and every isolate learns it', async () => {
    const { swarm, p } = await sharded();
    expect(swarm.noted).toEqual(['0', '1', '2', '3']);
    const other = swarm.isolate();
    await fill(p);
    expect([...swarm.shards.values()].every((m) => m.rows('SELECT COUNT(*) AS n FROM memory')[0]?.['n'] !== 0)).toBe(true);
    for (const key of keys) expect(await readEntry(other, ada, SWARM, { key }, 0)).toMatchObject({ ok: true });
    // One refusal of one shard, and then never again.
    expect(other.calls.filter((call) => call.startsWith('0/1'))).toHaveLength(1);
    expect(await run(p, admin, { type: 'putSettings', settings: { ...settings, shards: 2 } })).toMatchObject({
      error: { kind: 'invalid_state', state: 'written' },
    });
    const { shards: _, ...same } = settings;
    expect(await must(p, admin, { type: 'putSettings', settings: same })).toMatchObject({ shards: SHARDS });

    const small = new Swarm();
    const q = small.isolate();
    await must(q, ada, { type: 'store', key: 'k', value: '1' });
    expect(await run(q, admin, { type: 'putSettings', settings })).toMatchObject({ error: { kind: 'invalid_state' } });
    expect(small.shards.size).toBe(1);
  });

  it('M94 lists everything once, whatever the size of a page', async () => {
    const { p } = await sharded();
    await fill(p);
    for (const limit of [1, 7, 40, 100]) {
      const seen: string[] = [];
      for (let after: string | null = null; ;) {
        const page: MemoryOutput<'list'> = await must(p, ada, { type: 'list', after, limit, values: true, quarantined: false });
        expect(page.data.length).toBeLessThanOrEqual(limit);
        seen.push(...page.data.map(({ key }) => key));
        if (page.nextAfter === undefined) break;
        after = page.nextAfter;
      }
      expect(seen.toSorted()).toEqual(keys.toSorted());
    }
  });

  it('M94 finds the best of all shards, and shows what happened in the order of time', async () => {
    const { swarm, p } = await sharded();
    await fill(p);
    const near = await must(p, ada, { type: 'vectorSearch', vector: [Math.cos(1.95), Math.sin(1.95)], limit: 5 });
    expect(near.data.map(({ key }) => key)).toContain('notes/39');
    expect(near.data.map(({ score }) => score)).toEqual(near.data.map(({ score }) => score).toSorted((a, b) => b - a));
    expect((await must(p, ada, { type: 'search', query: 'number7', limit: 5 })).data.map(({ key }) => key)).toEqual(['notes/7']);
    expect((await must(p, ada, { type: 'search', query: 'word', limit: 100 })).data).toHaveLength(40);
    const take = async (limit: number): Promise<{ readonly ids: string[]; readonly last: string | undefined }> => {
      const ids: string[] = [];
      for (let after: string | null = null; ;) {
        const page: MemoryOutput<'listEvents'> = await must(p, operator, { type: 'listEvents', after, limit });
        ids.push(...page.data.map(({ id }) => id));
        if (page.nextAfter === undefined) return { ids, last: after ?? undefined };
        after = page.nextAfter;
      }
    };
    const all = await take(100);
    swarm.nowMs += 1;
    expect(new Set(all.ids).size).toBe(all.ids.length);
    expect((await take(3)).ids).toEqual(all.ids);
    expect(all.ids.length).toBeGreaterThanOrEqual(40);
  });

  it('M94 keeps to one shard with a transaction, and takes a batch apart in order', async () => {
    const { p } = await sharded();
    const put = (key: string): { op: 'put'; key: string; value: string; level: 'swarm' } => ({
      op: 'put',
      key,
      value: '1',
      level: 'swarm',
    });
    expect(kindOf((await run(p, ada, { type: 'transaction', operations: keys.map(put) })) as never)).toBe('validation_failed');
    const together = Array.from({ length: 20 }, (_, i) => `{plan}/${i}`);
    expect((await must(p, ada, { type: 'transaction', operations: together.map(put) })).versions).toHaveLength(20);
    const replies = await runMemory(
      p,
      ada,
      SWARM,
      keys.flatMap((key) => [
        { command: { type: 'store', key, value: `"${key}"`, level: 'swarm' } as const },
        { command: { type: 'retrieve', key } as const },
      ]),
    );
    expect(replies.map(kindOf)).toEqual(replies.map(() => 'ok'));
    expect(
      replies.flatMap((reply) => (reply.ok && reply.value !== null && 'tag' in reply.value ? [reply.value.entry?.key] : [])),
    ).toEqual(keys);
  });

  it('M94 quarantines and erases in all shards, with one receipt, and counts them together', async () => {
    const { swarm, p } = await sharded();
    await fill(p);
    expect(await must(p, operator, { type: 'memoryStatus' })).toMatchObject({ entries: 40 });
    expect(await must(p, operator, { type: 'quarantine', agentId: ada.subject, release: false })).toMatchObject({ entries: 40 });
    expect((await run(p, ada, { type: 'store', key: 'another', value: '1' }))?.ok).toBe(false);
    await must(p, operator, { type: 'quarantine', agentId: ada.subject, release: true });
    const erased = await must(p, admin, { type: 'erase', owner: ada.subject });
    expect(erased).toMatchObject({ remaining: 0, erased: { memory: 40, vectors: 40 } });
    const { digest, sharedCache: _, ...receipt } = erased;
    expect(digest).toBe(receiptDigest(receipt, (text) => createHash('sha256').update(text).digest('hex')));
    for (const m of swarm.shards.values()) expect(m.rows('SELECT COUNT(*) AS n FROM memory')).toEqual([{ n: 0 }]);
  });

  it('M94 claims, votes and settings are the first shard’s', async () => {
    const { swarm, p } = await sharded();
    const claim = await must(p, ada, { type: 'claim', paths: ['src/**'], mode: 'write', leaseMs: 10_000 });
    expect((await must(p, ada, { type: 'listClaims', ...paging })).data.map(({ id }) => id)).toEqual([claim.id]);
    expect(swarm.shards.get(0)?.rows('SELECT COUNT(*) AS n FROM resources')).toEqual([{ n: 1 }]);
    for (const m of swarm.shards.values()) expect(m.must(admin, { type: 'getSettings' })).toEqual(settings);
  });

  it('M94 tells those outside nothing of its shards', async () => {
    const { p } = await sharded();
    await fill(p);
    const empty = new Swarm().isolate();
    const commands = [
      { type: 'retrieve', key: 'notes/1' },
      { type: 'list', ...paging, values: true, quarantined: false },
      { type: 'transaction', operations: keys.slice(0, 9).map((key) => ({ op: 'check' as const, key, ifVersion: 1 })) },
      { type: 'store', key: 'x', value: '1' },
    ] as const;
    for (const command of commands.filter(({ type }) => type !== 'transaction'))
      expect(await run(p, stranger, command)).toEqual(await run(empty, stranger, command));
    expect(exportedShard(63, SHARDS, false)).toEqual({ ok: true, value: 63 });
    expect(exportedShard(null, SHARDS, true)).toMatchObject({ ok: false });
    expect(exportedShard(4, SHARDS, true)).toMatchObject({ ok: false });
    expect(exportedShard(3, SHARDS, true)).toEqual({ ok: true, value: 3 });
  });
});

describe('M94 a memory that was deleted and begun anew', () => {
  it('has the number of its own settings, whatever an isolate remembers', async () => {
    const { swarm, p } = await sharded();
    await must(p, ada, { type: 'store', key: 'a', value: '1', level: 'swarm' });
    swarm.shards.clear();
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) await must(p, ada, { type: 'store', key, value: '"new"', level: 'swarm' });
    expect([...swarm.shards].flatMap(([shard, m]) => (m.engine.counters().entries > 0 ? [shard] : []))).toEqual([0]);
    expect((await must(swarm.isolate(), ada, { type: 'list', ...paging, values: false, quarantined: false })).data).toHaveLength(
      6,
    );
  });
});

describe('M146 restore points of several shards', () => {
  it('a number that is wrong for one shard leaves all of them as they are', async () => {
    const { p } = await sharded();
    const restored: number[] = [];
    const points = [[7], [8], [9], []];
    const own = p.memory('acme', { region: REGION, swarm: SWARM, shard: 0 });
    const ports: MemoryPorts = {
      ...p,
      memory: () => ({
        ...own,
        mayRestore: (_fleet, home, point) => Promise.resolve(points[home.shard]?.includes(point) === true),
        restore: (_fleet, home) => {
          restored.push(home.shard);
          return Promise.resolve({ ok: true, value: { restorePoint: '1' } });
        },
      }),
    };
    expect(kindOf(await restoreMemory(ports, admin, SWARM, '7 8 9 10', null))).toBe('not_found');
    expect(restored).toEqual([]);
    points[3] = [10];
    expect(await restoreMemory(ports, admin, SWARM, '7 8 9 10', null)).toMatchObject({ ok: true });
    expect(restored).toEqual([0, 1, 2, 3]);
  });

  it('those of one call belong together, also after one that was interrupted', async () => {
    const point = (id: string, reason: string) => ({ id, createdAtMs: 1, reason });
    const state = (restorePoints: readonly object[]) => ({
      swarm: SWARM,
      region: REGION,
      entries: 0,
      bytes: 0,
      artifacts: 0,
      claims: 0,
      aclEpoch: 0,
      databaseBytes: 0,
      restorePoints,
      agents: [],
      tasks: [],
      metrics: {},
    });
    const shards = [
      state([point('1', 'before an import'), point('2', 'before an import (a)'), point('5', 'before an import (b)')]),
      state([point('3', 'before an import'), point('4', 'before an import (a)')]),
    ];
    const reply = await merged(
      (shard) => Promise.resolve({ ok: true, value: shards[shard] } as never),
      { type: 'memoryStatus' },
      2,
      (text) => text,
    );
    expect(reply).toMatchObject({ value: { restorePoints: [{ id: '1 3' }, { id: '2 4' }] } });
  });
});
