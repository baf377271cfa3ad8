import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it, vi } from 'vitest';
import type { MemoryCommand, MemoryHome } from '../../../shared/memory-rpc.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { memoryObjectName, memoryStub, registryStub } from '../../../durable-objects/stubs.ts';

const REGION = 'eu-west-1';
const ULID = '01J0000000000000000000000';
let fleets = 0;

/** Each test has a fleet, and so a memory, of its own. */
const setUp = (swarm = 'hive') => {
  fleets += 1;
  const fleet = `memory-${fleets}`;
  const home: MemoryHome = { region: REGION, swarm, shard: 0 };
  const subject = `agt.${REGION}.coder.0.${ULID}1`;
  const ada: Caller = { fleet, subject, role: 'agent', agentId: subject, swarms: [swarm], requestId: 'r' };
  const admin: Caller = { fleet, subject: 'tok', role: 'admin', requestId: 'r' };
  const stub = () => memoryStub(env, fleet, home);
  const object = () => env.MEMORY.getByName(memoryObjectName(fleet, home));
  const run = async (caller: Caller, command: MemoryCommand) => (await stub().execute(fleet, home, caller, [{ command }]))[0];
  /** Names of the tables in the object's own storage. */
  const tables = () =>
    runInDurableObject(object(), (_, { storage }) =>
      storage.sql
        .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")
        .toArray()
        .map(({ name }) => name),
    );
  return { fleet, home, ada, admin, stub, object, run, tables };
};

describe('MemoryObject', () => {
  it('M92 is not made by being read, nor by a write that is refused', async () => {
    const { ada, admin, run, tables } = setUp();
    expect(await run(ada, { type: 'retrieve', key: 'k' })).toMatchObject({ ok: false, error: { kind: 'not_found' } });
    expect(await run(admin, { type: 'memoryStatus' })).toMatchObject({ ok: true, value: { entries: 0 } });
    expect(await run({ ...ada, swarms: [] }, { type: 'store', key: 'k', value: '1' })).toMatchObject({
      ok: false,
      error: { kind: 'forbidden' },
    });
    expect(await tables()).toEqual([]);
  });

  it('M94 a shard in which nothing was done takes its number from the first one, not from a caller who may remember another', async () => {
    const { fleet, home, ada, admin, run } = setUp();
    const second: MemoryHome = { ...home, shard: 1, shards: 2 };
    const write: MemoryCommand = { type: 'store', key: 'k', value: '1', level: 'swarm' };
    const there = async () => (await memoryStub(env, fleet, second).execute(fleet, second, ada, [{ command: write }]))[0];
    expect(await there()).toMatchObject({ ok: false, error: { kind: 'invalid_state', state: 'shards' } });
    const settings = { quorum: 1, majority: 1, textIndex: [], shards: 2 };
    expect(await run(admin, { type: 'putSettings', settings })).toMatchObject({ ok: true });
    expect(await there()).toMatchObject({ ok: true });
    // Nor does the first one take a number that nobody has set.
    const other = setUp();
    const wrong: MemoryHome = { ...other.home, shards: 2 };
    const [reply] = await other.stub().execute(other.fleet, wrong, other.ada, [{ command: write }]);
    expect(reply).toMatchObject({ ok: false, error: { kind: 'invalid_state', state: 'shards' } });
  });

  it('M92 tells the registry of itself before it is made: a Worker may think that it has', async () => {
    const { fleet, ada, run } = setUp();
    await run(ada, { type: 'store', key: 'k', value: '1', level: 'swarm' });
    expect(await registryStub(env, fleet, REGION).swarms(fleet, REGION)).toMatchObject([{ swarm: 'hive', shard: 0 }]);
  });

  it('M77 keeps what it acknowledged over an eviction, sealed', async () => {
    const { ada, object, run, tables } = setUp();
    expect(await run(ada, { type: 'store', key: 'k', value: '"v"', level: 'swarm', vector: [1, 2] })).toMatchObject({ ok: true });
    expect((await tables()).every((name) => name.startsWith('sealed_'))).toBe(true);
    await evictDurableObject(object());
    expect(await run(ada, { type: 'retrieve', key: 'k' })).toMatchObject({
      ok: true,
      value: { entry: { value: '"v"', version: 1 } },
    });
    expect(await run(ada, { type: 'vectorSearch', vector: [1, 2], limit: 1 })).toMatchObject({
      ok: true,
      value: { data: [{ key: 'k', score: 1 }] },
    });
    expect(await run(ada, { type: 'store', key: 'k', value: '2' })).toMatchObject({ ok: true, value: { entry: { version: 2 } } });
  });

  it('M91 refuses to be asked as another memory, or for another fleet', async () => {
    const { fleet, home, ada, object } = setUp();
    const command = { type: 'retrieve', key: 'k' } as const;
    await runInDurableObject(object(), async (instance) => {
      await expect(instance.execute(fleet, { ...home, swarm: 'other' }, ada, [{ command }])).rejects.toThrow(/this is/);
      await expect(instance.execute(fleet, home, { ...ada, fleet: 'other' }, [{ command }])).rejects.toThrow(/another fleet/);
    });
    expect(() => memoryStub(env, fleet, { ...home, region: 'us-east-1' })).toThrow(/not reachable/);
  });

  it('M56 the alarm takes away what has ended', async () => {
    const { ada, object, run } = setUp();
    await run(ada, { type: 'store', key: 'k', value: '1', ttlMs: 600_000 });
    const dueAtMs = await runInDurableObject(object(), (_, { storage }) => storage.getAlarm());
    expect(dueAtMs).not.toBeNull();
    const real = Date.now();
    vi.spyOn(Date, 'now').mockImplementation(() => real + 600_001);
    try {
      expect(await run(ada, { type: 'retrieve', key: 'k' })).toMatchObject({ ok: false });
      expect(await runDurableObjectAlarm(object())).toBe(true);
    } finally {
      vi.restoreAllMocks();
    }
    expect(await run(ada, { type: 'listEvents', after: null, limit: 10 })).toMatchObject({
      ok: true,
      value: { data: [{ type: 'memory.stored' }, { type: 'memory.expired' }] },
    });
  });

  it('M84 is told of revoked leases, and does not wake to life for it', async () => {
    const { fleet, home, ada, run, stub, tables } = setUp();
    const revoked = [{ agentId: ada.subject, allocationId: `alc.${REGION}.coder.0.${ULID}1`, fencingToken: 4 }];
    await stub().leasesRevoked(fleet, home, revoked);
    expect(await tables()).toEqual([]);
    await run(ada, { type: 'store', key: 'k', value: '1' });
    await stub().leasesRevoked(fleet, home, revoked);
    const lease = { allocationId: revoked[0]?.allocationId ?? '', fencingToken: 4 };
    expect(await run(ada, { type: 'store', key: 'k', value: '2', lease })).toMatchObject({
      ok: false,
      error: { kind: 'lease_superseded' },
    });
  });

  it('M94 a revocation that the first shard is told of reaches the others', async () => {
    const { fleet, home, ada, admin, run, stub } = setUp();
    const settings = { quorum: 1, majority: 1, textIndex: [], shards: 2 };
    expect(await run(admin, { type: 'putSettings', settings })).toMatchObject({ ok: true, value: { shards: 2 } });
    // A caller that takes it for a memory of one shard is refused before anything is done.
    expect(await run(ada, { type: 'store', key: 'k', value: '1' })).toMatchObject({ ok: false, error: { state: 'shards' } });
    const other = { ...home, shard: 1, shards: 2 };
    const ask = async (command: MemoryCommand) =>
      (await memoryStub(env, fleet, other).execute(fleet, other, ada, [{ command }]))[0];
    expect(await ask({ type: 'store', key: 'k', value: '1' })).toMatchObject({ ok: true });
    expect(await memoryStub(env, fleet, other).shardCount(fleet, other)).toBe(2);
    const revoked = { agentId: ada.subject, allocationId: `alc.${REGION}.coder.0.${ULID}1`, fencingToken: 4 };
    await stub().leasesRevoked(fleet, home, [revoked]);
    await runInDurableObject(env.MEMORY.getByName(memoryObjectName(fleet, other)), async (instance) => {
      const command = { type: 'listAudit', after: null, limit: 10 } as const;
      const [audit] = await instance.execute(fleet, other, admin, [{ command }]);
      expect(audit).toMatchObject({
        ok: true,
        value: { data: [{ action: 'create' }, { action: 'leases_revoked', target: '1' }] },
      });
    });
  });

  it(
    'M79 a database that is mostly free pages is compacted by its alarm, and serves meanwhile',
    { timeout: 60_000 },
    async () => {
      const { ada, admin, object, run } = setUp();
      const value = JSON.stringify('x'.repeat(1_000_000));
      for (let i = 0; i < 20; i += 1) await run(ada, { type: 'store', key: `big/${i}`, value });
      await run(ada, { type: 'store', key: 'kept', value: '1' });
      expect(await run(admin, { type: 'erase', prefix: 'big/' })).toMatchObject({ ok: true, value: { remaining: 0 } });
      const size = async (): Promise<number> => {
        const status = await run(admin, { type: 'memoryStatus' });
        return status?.ok === true && status.value !== null && 'databaseBytes' in status.value ? status.value.databaseBytes : 0;
      };
      expect(await size()).toBeGreaterThan(16 * 2 ** 20);
      for (let i = 0; i < 200 && (await size()) > 2 ** 21; i += 1) {
        await runDurableObjectAlarm(object());
        expect(await run(ada, { type: 'retrieve', key: 'kept' })).toMatchObject({ ok: true });
      }
      expect(await size()).toBeLessThan(2 ** 21);
    },
  );

  it('M91 a page that was changed is an error that is named in the log, not an answer', async () => {
    const { ada, object, run } = setUp();
    await run(ada, { type: 'store', key: 'k', value: '1' });
    await evictDurableObject(object());
    await runInDurableObject(object(), (_, { storage }) => {
      const [{ name }] = storage.sql
        .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name LIKE 'sealed\\_pages%' ESCAPE '\\'")
        .toArray() as [{ name: string }];
      storage.sql.exec(`UPDATE "${name}" SET box = zeroblob(length(box)) WHERE no > 0`);
    });
    const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const answers = [
      await run(ada, { type: 'list', after: null, limit: 10, values: true, quarantined: false }),
      await run(ada, { type: 'store', key: 'n', value: '1' }),
    ];
    expect(answers.some((answer) => answer?.ok === false && answer.error.kind === 'internal')).toBe(true);
    expect(JSON.stringify(said.mock.calls)).toMatch(/page/);
    said.mockRestore();
  });

  it('M93 a purge leaves nothing, and the memory can be made anew', async () => {
    const { ada, run, stub, tables } = setUp();
    await run(ada, { type: 'store', key: 'k', value: '1' });
    await stub().purge();
    expect(await tables()).toEqual([]);
    expect(await run(ada, { type: 'retrieve', key: 'k' })).toMatchObject({ ok: false, error: { kind: 'not_found' } });
    expect(await run(ada, { type: 'store', key: 'k', value: '2' })).toMatchObject({ ok: true, value: { created: true } });
  });
});
