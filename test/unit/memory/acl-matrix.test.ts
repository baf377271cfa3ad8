import { describe, expect, it } from 'vitest';
import type { Caller } from '../../../shared/rpc.ts';
import { MEMORY_LEVELS, type MemoryLevel } from '../../../shared/schemas/memory.ts';
import { readEntry, runMemory, type MemoryPorts } from '../../../workers/region/memory/region-memory.ts';
import { narrowing } from '../../../durable-objects/memory/core/let-out.ts';
import { readerOf } from '../../../durable-objects/memory/core/step.ts';
import { EntryCache, type CachedEntry } from '../../../workers/region/memory/entry-cache.ts';
import type { SharedCache } from '../../../workers/region/memory/shared-cache.ts';
import { CALLERS, CHANGES, OWNER, READS } from '../../lib/memory-callers.ts';
import { type Harness, kindOf, memory, person, REGION, SWARM } from '../../lib/memory-harness.ts';

/*
 * Every level × every kind of caller × every list, on every road. What is right is said by the oracle below, which knows
 * nothing of SQL and is written from the contract, not from the code.
 */

type Who = keyof typeof CALLERS;
/** Whom the lists name, beside nobody. */
const LISTED = ['nobody', 'caller', 'team', 'swarm'] as const;
type Listed = (typeof LISTED)[number];

interface Case {
  readonly level: MemoryLevel;
  readonly who: Who;
  readonly listed: Listed;
}
const CASES: readonly Case[] = MEMORY_LEVELS.flatMap((level) =>
  Object.keys(CALLERS).flatMap((who) => LISTED.map((listed) => ({ level, who, listed }))),
);

const isListed = ({ who, listed }: Case): boolean => {
  if (listed === 'caller') return true;
  if (listed === 'team') return who === 'owner' || who === 'teammate';
  return listed === 'swarm' && ['owner', 'teammate', 'member'].includes(who);
};
const byList = (c: Case): boolean => c.level !== 'system' && isListed(c);
const oracle = {
  read: (c: Case): boolean => READS[c.who]?.includes(c.level) === true || byList(c),
  change: (c: Case): boolean => CHANGES[c.who]?.includes(c.level) === true || byList(c),
  manage: (c: Case): boolean => CHANGES[c.who]?.includes(c.level) === true,
};

/** Worlds by what they hold: building one takes longer than asking it something. */
const WORLDS = new Map<string, ReturnType<typeof build>>();

function world(c: Case): ReturnType<typeof build> {
  const key = `${c.level} ${c.listed === 'caller' ? c.who : c.listed}`;
  const known = WORLDS.get(key) ?? build(c);
  WORLDS.set(key, known);
  known.cache.clear();
  return { ...known, caller: CALLERS[c.who] as Caller };
}

/** Lets something happen in a world and undoes it. */
function undone<T>({ m }: ReturnType<typeof build>, body: () => T): T {
  const undo = new Error('undo');
  let value: { readonly is: T } | undefined;
  try {
    m.storage.transactionSync(() => {
      value = { is: body() };
      throw undo;
    });
  } catch (error) {
    if (error !== undo) throw error;
  }
  if (value === undefined) throw new Error('nothing happened');
  return value.is;
}

/** A memory with one entry of the case's level, owned by an agent, with the lists of the case. */
function build(c: Case): {
  readonly m: Harness;
  readonly caller: Caller;
  readonly cache: EntryCache;
  readonly ports: MemoryPorts;
} {
  const m = memory();
  const caller = CALLERS[c.who] as Caller;
  const admin = person('admin', 'root');
  m.must(admin, { type: 'putSettings', settings: { quorum: 1, majority: 1, textIndex: ['indexed/'] } });
  for (const key of ['indexed/k', 'k']) {
    m.must(OWNER, {
      type: 'store',
      key,
      value: '"needle one"',
      level: c.level === 'system' ? 'swarm' : c.level,
      tags: ['needle'],
      vector: [1, 2, 3],
    });
    m.must(OWNER, { type: 'store', key, value: '"needle two"', tags: ['needle'], vector: [1, 2, 3] });
    const names = { nobody: [], caller: [caller.subject], team: ['team'], swarm: ['swarm'] }[c.listed];
    const by = c.level === 'system' ? admin : OWNER;
    m.must(by, { type: 'setPermissions', key, permissions: { level: c.level, read: names, write: names, delete: names } });
    // What is written after the lists were given is what they open.
    m.must(by, { type: 'store', key, value: '"needle three"', tags: ['needle'], vector: [1, 2, 3], level: c.level });
  }
  const cache = new EntryCache();
  const ports: MemoryPorts = {
    region: REGION,
    memory: () => ({
      execute: (_fleet, _home, who, requests) => Promise.resolve(m.engine.execute(who, requests)),
      leasesRevoked: () => Promise.resolve(),
      shardCount: () => Promise.resolve(1),
      purge: () => Promise.resolve(),
      exportFile: () => Promise.reject(new Error('not asked')),
      importFile: () => Promise.reject(new Error('not asked')),
      restore: () => Promise.reject(new Error('not asked')),
      mayRestore: () => Promise.reject(new Error('not asked')),
    }),
    registry: () => ({ openSwarm: () => Promise.resolve() }) as never,
    cache,
    shared: null,
    knownSwarms: new Set(),
    shards: new Map(),
    nowMs: () => m.nowMs,
    logError: () => undefined,
  };
  return { m, caller, cache, ports };
}

const named = (c: Case): string => `${c.who} at ${c.level}, listed: ${c.listed}`;
const paging = { after: null, limit: 100 };

/** Roads on which an entry could come out: each answers whether it did. */
const ROADS: Readonly<Record<string, (w: ReturnType<typeof world>) => boolean | Promise<boolean>>> = {
  get: ({ m, caller }) => kindOf(m.run(caller, { type: 'retrieve', key: 'k' })) === 'ok',
  'get by owner': ({ m, caller }) => kindOf(m.run(caller, { type: 'retrieve', key: 'k', owner: OWNER.subject })) === 'ok',
  'get with a tag guessed': ({ m, caller }) => m.run(caller, { type: 'retrieve', key: 'k', known: '2.3.2' }).ok,
  list: ({ m, caller }) =>
    m.must(caller, { type: 'list', ...paging, values: true, quarantined: false }).data.some((e) => e.key === 'k'),
  'list by everything': ({ m, caller }) =>
    m.must(caller, {
      type: 'list',
      ...paging,
      values: false,
      quarantined: false,
      prefix: 'k',
      owner: OWNER.subject,
      tag: 'needle',
    }).data.length > 0,
  search: ({ m, caller }) => m.must(caller, { type: 'search', query: 'needle', limit: 10, prefix: 'k' }).data.length > 0,
  'search in the index': ({ m, caller }) =>
    m.must(caller, { type: 'search', query: 'need*', limit: 10, prefix: 'indexed/' }).data.length > 0,
  'vector search': ({ m, caller }) =>
    m.must(caller, { type: 'vectorSearch', vector: [1, 2, 3], limit: 10 }).data.some((e) => e.key === 'k'),
  permissions: ({ m, caller }) => kindOf(m.run(caller, { type: 'getPermissions', key: 'k' })) === 'ok',
  history: ({ m, caller }) => kindOf(m.run(caller, { type: 'history', key: 'k', ...paging })) === 'ok',
  events: ({ m, caller }) => m.must(caller, { type: 'listEvents', ...paging }).data.some((e) => e.type === 'memory.stored'),
  export: (w) =>
    undone(w, () => {
      for (const { text, values } of narrowing(readerOf(w.caller, SWARM), w.m.nowMs)) w.m.storage.sql.exec(text, ...values);
      const rest =
        JSON.stringify(w.m.rows('SELECT key, value FROM memory')) + JSON.stringify(w.m.rows('SELECT data FROM events'));
      return rest.includes('"k"') || rest.includes('needle');
    }),
  'through the region': async ({ caller, ports }) => (await readEntry(ports, caller, SWARM, { key: 'k' }, 0)).ok,
  'from the cache, after the owner has read it': async ({ caller, ports }) => {
    await readEntry(ports, OWNER, SWARM, { key: 'k' }, 0);
    return (await readEntry(ports, caller, SWARM, { key: 'k' }, 30_000)).ok;
  },
  'from the shared cache, after the owner has read it': async ({ caller, ports }) => {
    const kept = new Map<string, CachedEntry>();
    const shared: SharedCache = {
      get: (name) => Promise.resolve(kept.get(JSON.stringify(name)) ?? null),
      put: (name, entry) => Promise.resolve(void kept.set(JSON.stringify(name), entry)),
      invalidate: () => Promise.resolve(),
      clear: () => Promise.resolve(),
    };
    const both = { ...ports, shared };
    await readEntry(both, OWNER, SWARM, { key: 'k' }, 0);
    ports.cache.clear();
    return (await readEntry(both, caller, SWARM, { key: 'k' }, 30_000)).ok;
  },
  'in a batch': async ({ caller, ports }) => {
    const [reply] = await runMemory(ports, caller, SWARM, [{ command: { type: 'retrieve', key: 'k' } }]);
    return reply?.ok === true;
  },
};

describe('M60 the matrix of who reads what, on every road', { timeout: 60_000 }, () => {
  it.each(Object.entries(ROADS))('%s', async (road, take) => {
    const wrong: string[] = [];
    for (const c of CASES) {
      const came = await take(world(c));
      // An event was written at the level that held then, and a list opens what came after it.
      if (came !== oracle.read(c)) wrong.push(`${named(c)}: ${road} gave ${came}`);
    }
    expect(wrong).toEqual([]);
  });
});

describe('M62 the matrix of who changes what', { timeout: 60_000 }, () => {
  const attempts: Readonly<
    Record<string, { readonly right: 'change' | 'manage'; readonly run: (w: ReturnType<typeof world>) => string }>
  > = {
    store: { right: 'change', run: ({ m, caller }) => kindOf(m.run(caller, { type: 'store', key: 'k', value: '1' })) },
    delete: { right: 'change', run: ({ m, caller }) => kindOf(m.run(caller, { type: 'delete', key: 'k' })) },
    rollback: { right: 'change', run: ({ m, caller }) => kindOf(m.run(caller, { type: 'rollback', key: 'k', version: 3 })) },
    transaction: {
      right: 'change',
      run: ({ m, caller }) => kindOf(m.run(caller, { type: 'transaction', operations: [{ op: 'put', key: 'k', value: '1' }] })),
    },
    setPermissions: {
      right: 'manage',
      run: ({ m, caller }) =>
        kindOf(
          m.run(caller, { type: 'setPermissions', key: 'k', permissions: { level: 'public', read: [], write: [], delete: [] } }),
        ),
    },
  };

  const ENTRY = 'SELECT id, version, value, acl_level FROM memory WHERE id = 2';

  it.each(Object.entries(attempts))('%s', (name, { right, run }) => {
    const wrong: string[] = [];
    for (const c of CASES) {
      const w = world(c);
      const before = w.m.rows(ENTRY);
      const { kind, after } = undone(w, () => ({ kind: run(w), after: w.m.rows(ENTRY) }));
      const touched = JSON.stringify(before) !== JSON.stringify(after);
      if (touched && !oracle[right](c)) wrong.push(`${named(c)}: ${name} changed it`);
      if (oracle[right](c)) {
        // A rollback to a version that the caller may not read finds none.
        const allowed = name === 'rollback' ? ['ok', 'not_found'] : ['ok'];
        if (!allowed.includes(kind)) wrong.push(`${named(c)}: ${name} answered ${kind}`);
        continue;
      }
      // Seen but not to be changed: 403. Not seen: as if it were not there, so a member makes an entry of its own.
      const mayCreate = ['owner', 'teammate', 'member', 'operator', 'admin'].includes(c.who);
      const unseen = name === 'store' || name === 'transaction' ? (mayCreate ? 'ok' : 'forbidden') : 'not_found';
      const expected = oracle.read(c) ? 'forbidden' : unseen;
      if (kind !== expected) wrong.push(`${named(c)}: ${name} answered ${kind}, not ${expected}`);
    }
    expect(wrong).toEqual([]);
  });

  it('M63 a write with the level named never lands on what the caller may not write', () => {
    const wrong: string[] = [];
    for (const c of CASES) {
      for (const level of MEMORY_LEVELS) {
        const w = world(c);
        const { m, caller } = w;
        const before = m.rows(ENTRY);
        const { after, system } = undone(w, () => {
          m.run(caller, { type: 'store', key: 'k', value: '"mine"', level });
          return { after: m.rows(ENTRY), system: m.rows("SELECT id FROM memory WHERE acl_level = 'system'").length };
        });
        if (JSON.stringify(before) !== JSON.stringify(after) && !oracle.change(c)) wrong.push(`${named(c)} with ${level}`);
        if (c.level !== 'system' && system > 0 && c.who !== 'admin') wrong.push(`${named(c)} made a system entry`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('M64 what a list opens', () => {
  it('is what was written since, not what was before', () => {
    const m = memory();
    const cyd = CALLERS['member'] as Caller;
    m.must(OWNER, { type: 'store', key: 'k', value: '"before"' });
    m.must(OWNER, { type: 'store', key: 'k', value: '"shown"' });
    m.must(OWNER, {
      type: 'setPermissions',
      key: 'k',
      permissions: { level: 'private', read: [cyd.subject], write: [cyd.subject], delete: [] },
    });
    const seen = (): unknown => m.must(cyd, { type: 'history', key: 'k', ...paging }).data.map((v) => v.value);
    expect(seen()).toEqual(['"shown"']);
    m.must(cyd, { type: 'store', key: 'k', value: '"after"' });
    expect(seen()).toEqual(['"shown"', '"after"']);
    expect(kindOf(m.run(cyd, { type: 'rollback', key: 'k', version: 1 }))).toBe('not_found');
    m.must(OWNER, { type: 'setPermissions', key: 'k', permissions: { level: 'private', read: [], write: [], delete: [] } });
    expect(kindOf(m.run(cyd, { type: 'history', key: 'k', ...paging }))).toBe('not_found');
    expect(m.must(cyd, { type: 'listEvents', ...paging }).data).toEqual([]);
  });
});
