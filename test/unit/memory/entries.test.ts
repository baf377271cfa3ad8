import { describe, expect, it } from 'vitest';
import { agent, agentId, kindOf, memory, person, SWARM } from '../../lib/memory-harness.ts';

const ada = agent('coder', 1);
const bob = agent('coder', 2);
const cyd = agent('tester', 3);
const admin = person('admin');

describe('entries', () => {
  it('M50 a value is read back as it was written, with who wrote it and when', () => {
    const m = memory();
    expect(m.must(ada, { type: 'store', key: 'a/b', value: '{"x":1}', tags: ['t'] })).toMatchObject({
      created: true,
      entry: { key: 'a/b', version: 1, level: 'private', owner: ada.subject, region: 'eu-west-1' },
    });
    const { entry } = m.must(ada, { type: 'retrieve', key: 'a/b' });
    expect(entry).toEqual({
      key: 'a/b',
      value: '{"x":1}',
      version: 1,
      level: 'private',
      owner: ada.subject,
      team: 'coder',
      tags: ['t'],
      region: 'eu-west-1',
      createdAtMs: m.nowMs,
      updatedAtMs: m.nowMs,
      writtenBy: ada.subject,
    });
  });

  it('M51 private entries live under owner and key, a team’s under pool and key, the others once per swarm', () => {
    const m = memory();
    for (const [who, value] of [
      [ada, '1'],
      [bob, '2'],
      [cyd, '3'],
    ] as const) {
      expect(m.must(who, { type: 'store', key: 'k', value }).created).toBe(true);
      expect(m.must(who, { type: 'retrieve', key: 'k' }).entry?.value).toBe(value);
    }
    expect(m.must(ada, { type: 'store', key: 't', value: '4', level: 'team' }).created).toBe(true);
    expect(m.must(cyd, { type: 'store', key: 't', value: '5', level: 'team' }).created).toBe(true);
    expect(m.must(bob, { type: 'retrieve', key: 't' }).entry?.value).toBe('4');
    expect(m.must(ada, { type: 'store', key: 's', value: '6', level: 'swarm' }).created).toBe(true);
    expect(kindOf(m.run(cyd, { type: 'store', key: 's', value: '7', level: 'public' }))).toBe('forbidden');
  });

  it('M52 a write without a level goes to the entry that a read finds', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1', level: 'swarm' });
    expect(m.must(ada, { type: 'store', key: 'k', value: '2' })).toMatchObject({
      created: false,
      entry: { version: 2, level: 'swarm' },
    });
    expect(kindOf(m.run(bob, { type: 'store', key: 'k', value: '3' }))).toBe('forbidden');
    expect(m.must(bob, { type: 'retrieve', key: 'k' }).entry?.value).toBe('2');
  });

  it('M53 an owner’s write with another level moves the entry', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1' });
    expect(kindOf(m.run(bob, { type: 'retrieve', key: 'k' }))).toBe('not_found');
    expect(m.must(ada, { type: 'store', key: 'k', value: '2', level: 'swarm' })).toMatchObject({
      created: false,
      entry: { version: 2 },
    });
    expect(m.must(bob, { type: 'retrieve', key: 'k' }).entry?.value).toBe('2');
    expect(m.must(ada, { type: 'retrieve', key: 'k' }).entry?.value).toBe('2');
    // The value of its private days stays private.
    expect(m.must(bob, { type: 'history', key: 'k', after: null, limit: 10 }).data.map((v) => v.value)).toEqual(['2']);
    expect(m.must(ada, { type: 'history', key: 'k', after: null, limit: 10 }).data.map((v) => v.value)).toEqual(['1', '2']);
  });

  it('M54 ifVersion decides, 0 means none, and a refusal is written down', () => {
    const m = memory();
    expect(kindOf(m.run(ada, { type: 'store', key: 'k', value: '1', level: 'swarm', ifVersion: 3 }))).toBe('version_conflict');
    expect(m.must(ada, { type: 'store', key: 'k', value: '1', level: 'swarm', ifVersion: 0 }).created).toBe(true);
    expect(kindOf(m.run(ada, { type: 'store', key: 'k', value: '2', ifVersion: 0 }))).toBe('version_conflict');
    expect(m.must(ada, { type: 'store', key: 'k', value: '2', ifVersion: 1 }).entry.version).toBe(2);
    expect(kindOf(m.run(ada, { type: 'delete', key: 'k', ifVersion: 1 }))).toBe('version_conflict');
    expect(m.must(bob, { type: 'listConflicts', after: null, limit: 10 }).data).toMatchObject([
      { kind: 'version', target: 'k', agentId: ada.subject, expected: 0, actual: 1 },
      { kind: 'version', target: 'k', expected: 1, actual: 2 },
    ]);
  });

  it('M55 a deleted key goes on counting, so that an old version never fits again', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1' });
    m.must(ada, { type: 'store', key: 'k', value: '2' });
    expect(m.must(ada, { type: 'delete', key: 'k' })).toEqual({ version: 2 });
    expect(kindOf(m.run(ada, { type: 'retrieve', key: 'k' }))).toBe('not_found');
    expect(m.must(ada, { type: 'store', key: 'k', value: '3', ifVersion: 0 }).entry.version).toBe(3);
    expect(m.must(ada, { type: 'history', key: 'k', after: null, limit: 10 }).data).toHaveLength(1);
  });

  it('M56 an entry is gone at its end, whether or not the sweep has run, and its place is free', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1', ttlMs: 1_000, level: 'swarm' });
    m.nowMs += 999;
    expect(m.must(bob, { type: 'retrieve', key: 'k' }).entry?.expiresAtMs).toBe(m.nowMs + 1);
    m.nowMs += 1;
    expect(kindOf(m.run(ada, { type: 'retrieve', key: 'k' }))).toBe('not_found');
    expect(m.must(ada, { type: 'list', after: null, limit: 10, values: true, quarantined: false }).data).toEqual([]);
    expect(m.engine.nextEndMs()).toBe(m.nowMs);
    expect(m.must(bob, { type: 'store', key: 'k', value: '2', level: 'swarm' })).toMatchObject({
      created: true,
      entry: { version: 2 },
    });
    m.must(ada, { type: 'store', key: 'other', value: '1', ttlMs: 1_000 });
    m.nowMs += 5_000;
    m.engine.sweep(admin);
    expect(m.rows('SELECT key FROM memory')).toEqual([{ key: 'k' }]);
    expect(m.rows('SELECT entries, bytes FROM counters')).toEqual([{ entries: 1, bytes: 1 }]);
  });

  it('M57 a list is filtered, in the order of creation, and goes on where it ended', () => {
    const m = memory();
    for (let i = 0; i < 25; i += 1) {
      m.nowMs += 1;
      m.must(i % 2 === 0 ? ada : bob, {
        type: 'store',
        key: `n/${24 - i}`,
        value: '1',
        level: 'swarm',
        tags: i % 5 === 0 ? ['five'] : [],
      });
    }
    m.must(ada, { type: 'store', key: 'other', value: '1', level: 'swarm' });
    const page = (after: string | null, filter = {}) =>
      m.must(cyd, { type: 'list', after, limit: 10, values: false, quarantined: false, ...filter });
    const keys: string[] = [];
    for (let after: string | null = null; ;) {
      const { data, nextAfter } = page(after, { prefix: 'n/' });
      keys.push(...data.map(({ key }) => key));
      if (nextAfter === undefined) break;
      after = nextAfter;
    }
    expect(keys).toEqual(Array.from({ length: 25 }, (_, i) => `n/${24 - i}`));
    expect(page(null, { tag: 'five' }).data).toHaveLength(5);
    expect(page(null, { owner: bob.subject, prefix: 'n/1' }).data.map(({ key }) => key)).toEqual([
      'n/19',
      'n/17',
      'n/15',
      'n/13',
      'n/11',
      'n/1',
    ]);
    expect(page(null, { updatedAfterMs: m.nowMs - 2, prefix: 'n/' }).data.map(({ key }) => key)).toEqual(['n/1', 'n/0']);
    expect(page(null, { level: 'public' }).data).toEqual([]);
  });

  it('M58 a prefix ends where UTF-8 says, at the edges of its planes, too', () => {
    const m = memory();
    const keys = ['a', 'a\u{10ffff}', 'a\u{10ffff}b', 'a\ud7ff', 'a\ue000', 'b', 'A', '%', 'a%'];
    for (const key of keys) m.must(ada, { type: 'store', key, value: '1' });
    const found = (prefix: string) =>
      m.must(ada, { type: 'list', prefix, after: null, limit: 99, values: false, quarantined: false }).data.map(({ key }) => key);
    for (const prefix of ['a', 'a\u{10ffff}', 'a\ud7ff', 'b', '%', '\u{10ffff}'])
      expect(found(prefix).toSorted()).toEqual(keys.filter((key) => key.startsWith(prefix)).toSorted());
  });

  it('M59 a transaction is all or nothing, and says where it was refused', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'a', value: '1' });
    const refused = m.run(ada, {
      type: 'transaction',
      operations: [
        { op: 'put', key: 'b', value: '1' },
        { op: 'delete', key: 'a' },
        { op: 'check', key: 'c', ifVersion: 4 },
      ],
    });
    expect(refused).toMatchObject({
      ok: false,
      error: { kind: 'version_conflict', detail: expect.stringContaining('operations.2') },
    });
    expect(m.rows('SELECT key, version FROM memory')).toEqual([{ key: 'a', version: 1 }]);
    expect(
      m.must(ada, {
        type: 'transaction',
        operations: [
          { op: 'check', key: 'a', ifVersion: 1 },
          { op: 'put', key: 'b', value: '1', ifVersion: 0 },
          { op: 'put', key: 'b', value: '2' },
          { op: 'delete', key: 'a', ifVersion: 1 },
        ],
      }),
    ).toEqual({
      versions: [
        { key: 'a', version: 1 },
        { key: 'b', version: 1 },
        { key: 'b', version: 2 },
        { key: 'a', version: 1 },
      ],
    });
    expect(m.rows('SELECT entries, bytes FROM counters')).toEqual([{ entries: 1, bytes: 1 }]);
  });

  it('M70 history keeps the newest versions, and a rollback is a new version', () => {
    const m = memory();
    for (let i = 1; i <= 40; i += 1) m.must(ada, { type: 'store', key: 'k', value: String(i) });
    const { data } = m.must(ada, { type: 'history', key: 'k', after: null, limit: 100 });
    expect(data.map(({ version }) => version)).toEqual(Array.from({ length: 33 }, (_, i) => i + 8));
    expect(kindOf(m.run(ada, { type: 'rollback', key: 'k', version: 3 }))).toBe('not_found');
    expect(m.must(ada, { type: 'rollback', key: 'k', version: 10, ifVersion: 40 }).entry.version).toBe(41);
    expect(m.must(ada, { type: 'retrieve', key: 'k' }).entry?.value).toBe('10');
  });

  it('M71 a key with its answer is kept, with another body refused, and nothing is done twice', () => {
    const m = memory();
    const key = { key: 'ada\nr\n1', bodyHash: 'h' };
    const command = { type: 'transaction', operations: [{ op: 'put', key: 'k', value: '1' }] } as const;
    const one = m.run(ada, command, { key });
    expect(m.run(ada, command, { key })).toEqual({ ...one, replayed: true });
    expect(kindOf(m.run(ada, command, { key: { ...key, bodyHash: 'other' } }))).toBe('idempotency_mismatch');
    expect(m.must(ada, { type: 'retrieve', key: 'k' }).entry?.version).toBe(1);
    expect(m.rows('SELECT COUNT(*) AS n FROM idempotency')).toEqual([{ n: 1 }]);
  });

  it('M72 an answer that the caller still has is confirmed by its tag until value or right change', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1', level: 'swarm' });
    const { tag } = m.must(bob, { type: 'retrieve', key: 'k' });
    expect(m.must(bob, { type: 'retrieve', key: 'k', known: tag })).toEqual({ tag });
    m.must(ada, { type: 'store', key: 'k', value: '2' });
    const next = m.must(bob, { type: 'retrieve', key: 'k', known: tag });
    expect(next.entry?.value).toBe('2');
    m.must(ada, { type: 'setPermissions', key: 'k', permissions: { level: 'private', read: [], write: [], delete: [] } });
    expect(kindOf(m.run(bob, { type: 'retrieve', key: 'k', known: next.tag }))).toBe('not_found');
  });

  it('M73 every change has its audit row, and none of them names a key or a value', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'secret-key', value: '"secret-value"' });
    m.must(ada, {
      type: 'setPermissions',
      key: 'secret-key',
      permissions: { level: 'team', read: [agentId('tester', 3)], write: [], delete: [] },
    });
    m.must(ada, { type: 'delete', key: 'secret-key' });
    const { data } = m.must(admin, { type: 'listAudit', after: null, limit: 10 });
    expect(data.map(({ action }) => action)).toEqual(['create', 'set_permissions', 'delete']);
    expect(JSON.stringify(data)).not.toMatch(/secret/);
    expect(data[0]).toMatchObject({ actor: ada.subject, role: 'agent', requestId: 'r' });
  });

  it('M74 the tables of agents and events follow what happened', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1', level: 'swarm' });
    expect(m.rows('SELECT id, pool, status FROM agents')).toEqual([{ id: ada.subject, pool: 'coder', status: 'active' }]);
    expect(m.must(cyd, { type: 'listEvents', after: null, limit: 10 }).data).toMatchObject([
      { type: 'memory.stored', agentId: ada.subject, data: { key: 'k', version: 1, level: 'swarm' } },
    ]);
    expect(m.must(agent('coder', 9, ['other']), { type: 'listEvents', after: null, limit: 10 }).data).toEqual([]);
  });

  it('M75 status counts what a recount counts', () => {
    const m = memory();
    for (let i = 0; i < 5; i += 1) m.must(ada, { type: 'store', key: `k${i}`, value: '"abc"' });
    m.must(ada, { type: 'store', key: 'k0', value: '1' });
    m.must(ada, { type: 'delete', key: 'k1' });
    expect(m.must(person('operator'), { type: 'memoryStatus' })).toMatchObject({
      swarm: SWARM,
      entries: 4,
      bytes: 16,
      metrics: { store: 6, delete: 1 },
    });
    expect(m.rows('SELECT COUNT(*) AS n, SUM(value_bytes) AS b FROM memory')).toEqual([{ n: 4, b: 16 }]);
  });
});
