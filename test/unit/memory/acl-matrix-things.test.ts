import { describe, expect, it } from 'vitest';
import { emptyAnswer } from '../../../durable-objects/memory/core/empty.ts';
import { narrowing } from '../../../durable-objects/memory/core/let-out.ts';
import { readerOf } from '../../../durable-objects/memory/core/step.ts';
import type { MemoryCommand } from '../../../shared/memory-rpc.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { MEMORY_LEVELS, type MemoryLevel } from '../../../shared/schemas/memory.ts';
import { CALLERS, CHANGES, OWNER, READS } from '../../lib/memory-callers.ts';
import { type Harness, kindOf, memory, person, REGION, sha256Of, SWARM, taskId } from '../../lib/memory-harness.ts';

/*
 * What can be reached beside entries: artifacts at every level, and what is the swarm's as such. And for all of it, entries
 * included: who may not see a thing is answered word for word as in a memory that never had it.
 * The oracle is written from the contract, not from the code.
 */

const ROOT = person('admin', 'root');
const INSIDE = ['owner', 'teammate', 'member', 'operator', 'admin'];
interface Case {
  readonly who: string;
  readonly level: MemoryLevel;
  readonly caller: Caller;
}
const CASES: readonly Case[] = MEMORY_LEVELS.flatMap((level) =>
  Object.entries(CALLERS).map(([who, caller]) => ({ who, level, caller })),
);
const reads = ({ who, level }: Case): boolean => READS[who]?.includes(level) === true;
const changes = ({ who, level }: Case): boolean => CHANGES[who]?.includes(level) === true;

const paging = { after: null, limit: 100 };
const TASK = taskId(1);
const DATA = new Uint8Array([1]).buffer;
const KNOWN = { tasks: [1, 2, 3].map((n) => ({ id: taskId(n), status: 'running' })) };
const NOWHERE = 'art.01J00000000000000000000000';

interface World {
  readonly m: Harness;
  /** One that is whole, and one whose chunk is missing. */
  readonly whole: string;
  readonly begun: string;
  readonly claimId: string;
  readonly fencingToken: number;
}

/** A memory with one of everything: things of the level, work of the swarm. Without `things` only the work. */
function build(level: MemoryLevel, has: { readonly things: boolean; readonly work: boolean }): World {
  const m = memory();
  const by = level === 'system' ? ROOT : OWNER;
  m.must(ROOT, { type: 'putSettings', settings: { quorum: 3, majority: 0.6, textIndex: ['indexed/'] } }, KNOWN);
  let [whole, begun] = [NOWHERE, NOWHERE];
  if (has.things) {
    const announced = {
      type: 'createArtifact',
      name: 'needle',
      bytes: 1,
      sha256: sha256Of(new Uint8Array([1])),
      contentType: 'x',
      level,
      taskId: TASK,
    } as const;
    whole = m.must(by, announced).id;
    m.must(by, { type: 'putChunk', artifactId: whole, number: 0, data: DATA });
    begun = m.must(by, { ...announced, name: 'begun' }).id;
    for (const key of ['k', 'indexed/k']) {
      const entry = { type: 'store', key, value: '"needle"', tags: ['needle'], vector: [1, 2, 3], level } as const;
      m.must(by, entry);
      m.must(by, entry);
      // A conflict about it.
      m.run(by, { ...entry, ifVersion: 9 });
    }
  }
  let [claimId, fencingToken] = ['clm.none', 1];
  if (has.work) {
    ({ id: claimId, fencingToken } = m.must(OWNER, { type: 'claim', paths: ['src/**'], mode: 'write', leaseMs: 60_000 }));
    m.run(CALLERS['teammate'] as Caller, { type: 'claim', paths: ['src/a'], mode: 'write', leaseMs: 1_000 });
    m.must(OWNER, { type: 'vote', taskId: TASK, choice: 'needle', confidence: 1 });
    m.must(OWNER, { type: 'addDependencies', taskId: TASK, dependsOn: [taskId(2)] });
  }
  return { m, whole, begun, claimId, fencingToken };
}

const WORLDS = new Map<string, World>();
function world(level: MemoryLevel, has = { things: true, work: true }): World {
  const key = `${level} ${has.things} ${has.work}`;
  const known = WORLDS.get(key) ?? build(level, has);
  WORLDS.set(key, known);
  return known;
}

/** Lets something happen in a world and undoes it. */
function undone<T>({ m }: World, body: () => T): T {
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

describe('M135 the matrix of artifacts', { timeout: 60_000 }, () => {
  const ROADS: Readonly<Record<string, (w: World, caller: Caller) => boolean>> = {
    get: ({ m, whole }, caller) => m.run(caller, { type: 'getArtifact', artifactId: whole }).ok,
    'get one that is not whole': ({ m, begun }, caller) => m.run(caller, { type: 'getArtifact', artifactId: begun }).ok,
    chunk: ({ m, whole }, caller) => m.run(caller, { type: 'getChunk', artifactId: whole, number: 0 }).ok,
    list: ({ m, whole }, caller) => m.must(caller, { type: 'listArtifacts', ...paging }).data.some(({ id }) => id === whole),
    'list by name': ({ m }, caller) => m.must(caller, { type: 'listArtifacts', ...paging, name: 'needle' }).data.length > 0,
    'list by task': ({ m }, caller) => m.must(caller, { type: 'listArtifacts', ...paging, taskId: TASK }).data.length > 0,
    events: ({ m, whole }, caller) => JSON.stringify(m.must(caller, { type: 'listEvents', ...paging }).data).includes(whole),
    export: (w, caller) =>
      undone(w, () => {
        for (const { text, values } of narrowing(readerOf(caller, SWARM), w.m.nowMs)) w.m.storage.sql.exec(text, ...values);
        const tables = ['artifacts', 'artifact_chunks', 'events'];
        const left = tables.map((table) =>
          w.m.rows(`SELECT COUNT(*) AS n FROM ${table} t ${table === 'events' ? "WHERE t.type GLOB 'artifact.*'" : ''}`),
        );
        return left.some(([row]) => Number(row?.['n']) > 0);
      }),
  };
  it.each(Object.entries(ROADS))('%s', (road, take) => {
    const wrong = CASES.filter((c) => take(world(c.level), c.caller) !== reads(c)).map((c) => `${c.who} at ${c.level}: ${road}`);
    expect(wrong).toEqual([]);
  });

  const ATTEMPTS: Readonly<Record<string, (w: World) => MemoryCommand>> = {
    'put a chunk': ({ begun }) => ({ type: 'putChunk', artifactId: begun, number: 0, data: DATA }),
    delete: ({ whole }) => ({ type: 'deleteArtifact', artifactId: whole }),
  };
  it.each(Object.entries(ATTEMPTS))('%s', (_, attempt) => {
    const wrong = CASES.flatMap((c) => {
      const w = world(c.level);
      const table = 'SELECT id, completed_at FROM artifacts ORDER BY id';
      const before = JSON.stringify(w.m.rows(table));
      const { kind, after } = undone(w, () => ({
        kind: kindOf(w.m.run(c.caller, attempt(w) as never)),
        after: JSON.stringify(w.m.rows(table)),
      }));
      const expected = changes(c) ? 'ok' : reads(c) ? 'forbidden' : 'not_found';
      return kind === expected && (after !== before) === changes(c) ? [] : [`${c.who} at ${c.level}: ${kind}, not ${expected}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('M60 the matrix of what is the swarm’s as such', { timeout: 60_000 }, () => {
  const AGENTS = ['owner', 'teammate', 'member'];
  const RUNS = ['operator', 'admin'];
  /** Who is told of it, or let do it. */
  const ROADS: Readonly<
    Record<string, { readonly who: readonly string[]; readonly take: (w: World, caller: Caller) => boolean }>
  > = {
    'claims are listed': { who: INSIDE, take: ({ m }, c) => m.must(c, { type: 'listClaims', ...paging }).data.length > 0 },
    'claims are listed by path': {
      who: INSIDE,
      take: ({ m }, c) => m.must(c, { type: 'listClaims', ...paging, path: 'src/x' }).data.length > 0,
    },
    'a claim’s holder is named to who comes second': {
      who: INSIDE.filter((who) => who !== 'owner'),
      take: ({ m }, c) =>
        JSON.stringify(m.run(c, { type: 'claim', paths: ['src/x'], mode: 'write', leaseMs: 1_000 })).includes(OWNER.subject) &&
        c !== OWNER,
    },
    'a claim is made': {
      who: INSIDE,
      take: ({ m }, c) => m.run(c, { type: 'claim', paths: ['docs/x'], mode: 'write', leaseMs: 1_000 }).ok,
    },
    'a claim is renewed': {
      who: ['owner', ...RUNS],
      take: ({ m, claimId, fencingToken }, c) => m.run(c, { type: 'renewClaim', claimId, fencingToken, leaseMs: 1_000 }).ok,
    },
    'a claim is given back': {
      who: ['owner', ...RUNS],
      take: ({ m, claimId, fencingToken }, c) => m.run(c, { type: 'releaseClaim', claimId, fencingToken }).ok,
    },
    'votes are read': { who: INSIDE, take: ({ m }, c) => m.run(c, { type: 'getConsensus', taskId: TASK }).ok },
    'a vote is given': {
      who: AGENTS,
      take: ({ m }, c) => m.run(c, { type: 'vote', taskId: TASK, choice: 'x', confidence: 1 }).ok,
    },
    'edges are listed': { who: INSIDE, take: ({ m }, c) => m.must(c, { type: 'listDependencies', ...paging }).data.length > 0 },
    'an edge is added': {
      who: INSIDE,
      take: ({ m }, c) => m.run(c, { type: 'addDependencies', taskId: TASK, dependsOn: [taskId(3)] }).ok,
    },
    'events of claims': {
      who: INSIDE,
      take: ({ m }, c) => m.must(c, { type: 'listEvents', ...paging }).data.some(({ type }) => type.startsWith('claim')),
    },
    'conflicts of claims': {
      who: INSIDE,
      take: ({ m }, c) => m.must(c, { type: 'listConflicts', ...paging }).data.some(({ kind }) => kind === 'claim'),
    },
    audit: { who: RUNS, take: ({ m }, c) => m.must(c, { type: 'listAudit', ...paging }).data.length > 0 },
    'settings are read': { who: INSIDE, take: ({ m }, c) => m.run(c, { type: 'getSettings' }).ok },
    'settings are changed': {
      who: ['admin'],
      take: ({ m }, c) => m.run(c, { type: 'putSettings', settings: { quorum: 2, majority: 0.6, textIndex: [] } }).ok,
    },
    status: { who: INSIDE, take: ({ m }, c) => m.run(c, { type: 'memoryStatus' }).ok },
    quarantine: {
      who: RUNS,
      take: ({ m }, c) => m.run(c, { type: 'quarantine', agentId: OWNER.subject, release: false }).ok,
    },
    erasure: { who: ['admin'], take: ({ m }, c) => m.run(c, { type: 'erase', keys: ['k'] }).ok },
    'export of claims, votes and edges': {
      who: INSIDE,
      take: (w, c) => {
        for (const { text, values } of narrowing(readerOf(c, SWARM), w.m.nowMs)) w.m.storage.sql.exec(text, ...values);
        return ['resources', 'consensus', 'dependencies', 'tasks', 'agents', 'settings'].some(
          (table) => w.m.rows(`SELECT 1 FROM ${table} LIMIT 1`).length > 0,
        );
      },
    },
    'export of the audit': {
      who: RUNS,
      take: (w, c) => {
        for (const { text, values } of narrowing(readerOf(c, SWARM), w.m.nowMs)) w.m.storage.sql.exec(text, ...values);
        return w.m.rows('SELECT 1 FROM audit LIMIT 1').length > 0;
      },
    },
  };
  it.each(Object.entries(ROADS))('%s', (_, { who: allowed, take }) => {
    const w = world('swarm');
    const letIn = Object.entries(CALLERS).flatMap(([who, caller]) => (undone(w, () => take(w, caller)) ? [who] : []));
    expect(letIn).toEqual(Object.keys(CALLERS).filter((who) => allowed.includes(who)));
  });
});

/** Everything that can be asked or tried about a thing by its name. */
const ABOUT: readonly ((w: World) => MemoryCommand)[] = [
  ...['k', 'indexed/k']
    .flatMap((key): MemoryCommand[] => [
      { type: 'retrieve', key },
      { type: 'retrieve', key, owner: OWNER.subject },
      { type: 'retrieve', key, known: '1.2.3.4' },
      ...MEMORY_LEVELS.map((level): MemoryCommand => ({ type: 'retrieve', key, level })),
      { type: 'delete', key },
      { type: 'delete', key, ifVersion: 2 },
      { type: 'getPermissions', key },
      { type: 'setPermissions', key, permissions: { level: 'public', read: [], write: [], delete: [] } },
      { type: 'history', key, ...paging },
      { type: 'rollback', key, version: 1 },
      { type: 'store', key, value: '1', ifVersion: 2 },
      { type: 'store', key, value: '1', ifVersion: 7 },
      { type: 'transaction', operations: [{ op: 'check', key, ifVersion: 2 }] },
      { type: 'transaction', operations: [{ op: 'check', key, ifVersion: 0 }] },
      { type: 'transaction', operations: [{ op: 'delete', key }] },
      { type: 'list', ...paging, values: true, quarantined: false, prefix: key },
      { type: 'search', query: 'needle', limit: 10, prefix: key },
    ])
    .map((command) => () => command),
  () => ({ type: 'list', ...paging, values: true, quarantined: false, owner: OWNER.subject }),
  () => ({ type: 'list', ...paging, values: true, quarantined: false, tag: 'needle' }),
  () => ({ type: 'vectorSearch', vector: [1, 2, 3], limit: 10 }),
  ({ whole }) => ({ type: 'getArtifact', artifactId: whole }),
  ({ whole }) => ({ type: 'getChunk', artifactId: whole, number: 0 }),
  ({ whole }) => ({ type: 'getChunk', artifactId: whole, number: 9 }),
  ({ begun }) => ({ type: 'putChunk', artifactId: begun, number: 0, data: DATA }),
  ({ whole }) => ({ type: 'putChunk', artifactId: whole, number: 0, data: DATA }),
  ({ begun }) => ({ type: 'putChunk', artifactId: begun, number: 7, data: new ArrayBuffer(9) }),
  ({ whole }) => ({ type: 'deleteArtifact', artifactId: whole }),
  () => ({ type: 'listArtifacts', ...paging, name: 'needle' }),
  () => ({ type: 'listArtifacts', ...paging, taskId: TASK }),
  () => ({ type: 'listEvents', ...paging }),
  () => ({ type: 'listConflicts', ...paging }),
];

/** Everything that can be asked or tried about the swarm's work. */
const ABOUT_WORK: readonly ((w: World) => MemoryCommand)[] = [
  () => ({ type: 'listClaims', ...paging }),
  () => ({ type: 'listClaims', ...paging, path: 'src' }),
  () => ({ type: 'claim', paths: ['src/a'], mode: 'write', leaseMs: 1_000 }),
  ({ claimId, fencingToken }) => ({ type: 'renewClaim', claimId, fencingToken, leaseMs: 1_000 }),
  ({ claimId }) => ({ type: 'renewClaim', claimId, fencingToken: 99, leaseMs: 1_000 }),
  ({ claimId, fencingToken }) => ({ type: 'releaseClaim', claimId, fencingToken }),
  () => ({ type: 'vote', taskId: TASK, choice: 'a', confidence: 1 }),
  () => ({ type: 'getConsensus', taskId: TASK }),
  () => ({ type: 'addDependencies', taskId: taskId(2), dependsOn: [TASK] }),
  () => ({ type: 'listDependencies', ...paging, taskId: TASK }),
  () => ({ type: 'quarantine', agentId: OWNER.subject, release: false }),
  () => ({ type: 'erase', keys: ['k'] }),
  () => ({ type: 'getSettings' }),
  () => ({ type: 'putSettings', settings: { quorum: 1, majority: 1, textIndex: [] } }),
  () => ({ type: 'memoryStatus' }),
  () => ({ type: 'listAudit', ...paging }),
  () => ({ type: 'listEvents', ...paging }),
  () => ({ type: 'listConflicts', ...paging }),
];

/** What an answer says, without what is drawn or counted anew each time. */
const said = (reply: unknown): string =>
  JSON.stringify(reply)
    .replaceAll(/"tag":"[\d.]+"/g, '"tag":""')
    .replaceAll(/"(id|claimId)":"[^"]*"/g, '"$1":""');

describe('M60 absence and lack of right are told alike', { timeout: 60_000 }, () => {
  it.each(
    ABOUT.map((about, i): [string, (w: World) => MemoryCommand] => [`${i} ${said(about(world('public')))}`.slice(0, 90), about]),
  )('things: %s', (_, about) => {
    const wrong: string[] = [];
    for (const c of CASES.filter((one) => !reads(one))) {
      const [there, none] = [world(c.level), world(c.level, { things: false, work: true })];
      const [first, second] = [there, none].map((w) => undone(w, () => said(w.m.run(c.caller, about(w) as never))));
      if (first !== second) wrong.push(`${c.who} at ${c.level}: ${String(first)} / ${String(second)}`);
    }
    expect(wrong).toEqual([]);
  });

  it.each(ABOUT_WORK.map((about): [string, (w: World) => MemoryCommand] => [said(about(world('swarm'))).slice(0, 90), about]))(
    'work: %s',
    (_, about) => {
      const wrong: string[] = [];
      for (const [who, caller] of Object.entries(CALLERS).filter(([name]) => !INSIDE.includes(name))) {
        const [there, none] = [world('swarm', { things: false, work: true }), world('swarm', { things: false, work: false })];
        const [first, second] = [there, none].map((w) => undone(w, () => said(w.m.run(caller, about(w) as never))));
        // Nor is a memory told from none.
        const never = said(emptyAnswer(about(there), readerOf(caller, SWARM), { region: REGION, swarm: SWARM }));
        if (first !== second || first !== never) wrong.push(`${who}: ${String(first)} / ${String(second)} / ${never}`);
      }
      expect(wrong).toEqual([]);
    },
  );

  it('M145: files: no number of an export tells of what its reader may not see', () => {
    const numbers = (caller: Caller, w: World): string =>
      undone(w, () => {
        const seen = { type: 'store', key: 'seen', value: '1', level: 'public' } as const;
        w.m.must(OWNER, seen);
        w.m.must(OWNER, seen);
        for (const { text, values } of narrowing(readerOf(caller, SWARM), w.m.nowMs)) w.m.storage.sql.exec(text, ...values);
        expect(w.m.rows('PRAGMA foreign_key_check')).toEqual([]);
        return JSON.stringify([
          w.m.rows('SELECT m.id, m.key, v.id, v.version FROM memory m LEFT JOIN versions v ON v.memory_id = m.id ORDER BY v.id'),
          w.m.rows('SELECT id, memory_id FROM conflicts'),
          w.m.rows('SELECT id FROM artifact_chunks'),
          w.m.rows('SELECT next_id, entries, bytes, artifact_bytes FROM counters'),
        ]);
      });
    const wrong = CASES.filter((c) => !reads(c)).flatMap((c) => {
      const [there, none] = [true, false].map((things) => numbers(c.caller, world(c.level, { things, work: true })));
      return there === none ? [] : [`${c.who} at ${c.level}: ${String(there)} / ${String(none)}`];
    });
    expect(wrong).toEqual([]);
    expect(numbers(OWNER, world('swarm'))).toContain('"key":"indexed/k"');
  });
});
