import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ConfigurationError,
  FleetManager,
  InvalidStateError,
  SwarmMemory,
  VersionConflictError,
} from '../../client/src/index.ts';
import { type ContractFleet, startContractFleet } from './lib/contract-fleet.ts';

/* Agent memory as a program and a terminal use it. */

let contract: ContractFleet;
let fleet: FleetManager;
let ada: SwarmMemory;
let bob: SwarmMemory;
let operator: SwarmMemory;
const REGION = 'eu-west-1';

beforeAll(async () => {
  contract = await startContractFleet(['eu-west-1']);
  fleet = new FleetManager({ endpoint: contract.url, token: contract.admin });
  const member = async (pool: string): Promise<SwarmMemory> => {
    const { token } = await fleet.createAgent({ pool, region: REGION, swarms: ['hive'] });
    return new SwarmMemory({ swarm: 'hive', endpoint: contract.url, token });
  };
  [ada, bob] = [await member('coder'), await member('tester')];
  operator = new SwarmMemory({ swarm: 'hive', fleet, region: REGION });
});
afterAll(async () => {
  await Promise.all([ada, bob, operator].map((memory) => memory.shutdown()));
  await fleet.shutdown();
  expect([...contract.seen.keys()].filter((status) => status >= 500)).toEqual([]);
  await contract.stop();
});

describe('SwarmMemory', () => {
  it('M150 has the methods of the specification', async () => {
    await ada.initialize();
    await ada.store('plan', { step: 1 }, { level: 'swarm', tags: ['now'], ttl: 60_000 });
    expect(await bob.retrieve('plan')).toEqual({ step: 1 });
    expect(await bob.retrieve('nothing')).toBeUndefined();
    expect((await bob.list({ tag: 'now' })).map(({ key, value, owner }) => [key, value, owner])).toMatchObject([
      ['plan', { step: 1 }, expect.stringContaining('.coder.')],
    ]);
    await ada.setPermissions('plan', { level: 'swarm', write: ['swarm'] });
    expect(await bob.getPermissions('plan')).toEqual({ level: 'swarm', read: [], write: ['swarm'], delete: [] });
    await bob.store('plan', { step: 2 }, { ifVersion: 1 });
    await expect(ada.store('plan', { step: 3 }, { ifVersion: 1 })).rejects.toBeInstanceOf(VersionConflictError);
    expect((await ada.history('plan')).map((version) => version.value)).toEqual([{ step: 1 }, { step: 2 }]);
    await ada.rollback('plan', 1);
    expect(await bob.retrieve('plan')).toEqual({ step: 1 });
    await ada.delete('plan');
    expect(await bob.retrieve('plan')).toBeUndefined();
  });

  it('M150 refuses what the edge replaces', () => {
    expect(() => new SwarmMemory({ swarm: 'x', backend: 'redis' })).toThrow(ConfigurationError);
    expect(() => new SwarmMemory({ swarm: 'x', aclEnabled: false })).toThrow(ConfigurationError);
  });

  it('M110 a claim is given back when its block ends', async () => {
    {
      await using claim = await ada.claim(['src/a/**', 'README.md']);
      expect(claim.fencingToken).toBeGreaterThan(0);
      await expect(bob.claim('src/**')).rejects.toBeInstanceOf(InvalidStateError);
      expect(await bob.claims('readme.md')).toHaveLength(1);
      await claim.renew(5_000);
    }
    await using again = await bob.claim('src/**');
    expect(again.paths).toEqual(['src/**']);
  });

  it('M135 an artifact of several chunks comes back as it was', async () => {
    const content = crypto.getRandomValues(new Uint8Array(60_000));
    const large = new Uint8Array(1_200_000).map((_, i) => content[i % content.length] ?? 0);
    const artifact = await ada.putArtifact('report.bin', large, { contentType: 'application/x-test' });
    expect(artifact).toMatchObject({ complete: true, chunks: 3, level: 'swarm' });
    expect(Buffer.compare(await bob.getArtifact(artifact.id), large)).toBe(0);
    expect((await bob.artifacts({ name: 'report.bin' })).map(({ id }) => id)).toEqual([artifact.id]);
    await ada.deleteArtifact(artifact.id);
    expect(await bob.artifacts()).toEqual([]);
  });

  it('M57 finds by words and by vectors, and many at a time', async () => {
    const stored = await ada.batch([
      { op: 'put', key: 's/1', value: 'red apple', level: 'swarm', vector: [1, 0] },
      { op: 'put', key: 's/2', value: 'green apple', level: 'swarm', vector: [0, 1] },
      { op: 'get', key: 's/none' },
    ]);
    expect(stored.map((result) => result.ok)).toEqual([true, true, false]);
    expect((await bob.search('green apple')).map(({ key }) => key)).toEqual(['s/2']);
    expect((await bob.nearest([0.9, 0.1], { limit: 1 })).map(({ key, score }) => [key, score > 0.9])).toEqual([['s/1', true]]);
    expect(
      await ada.transaction([
        { op: 'put', key: 's/1', value: 'x' },
        { op: 'delete', key: 's/2' },
      ]),
    ).toEqual([
      { key: 's/1', version: 2 },
      { key: 's/2', version: 1 },
    ]);
  });

  it('M130 operators look, clear up and keep the proof', async () => {
    await operator.putSettings({ quorum: 1, majority: 1, textIndex: ['s/'] });
    expect(await ada.getSettings()).toMatchObject({ quorum: 1, textIndex: ['s/'] });
    const { metrics, entries, agents } = await operator.status();
    expect([entries > 0, agents.length > 0, metrics['l1_hit_rate'] !== undefined]).toEqual([true, true, true]);
    const file = await operator.exportFile();
    expect(new TextDecoder().decode(file.subarray(0, 15))).toBe('SQLite format 3');
    expect(await operator.importFile(file)).toMatchObject({ entries: 0 });
    const receipt = await operator.erase({ keys: ['s/1'] });
    expect(receipt).toMatchObject({ remaining: 0, erased: { memory: 1, restore_points: 1 } });
    const seen: string[] = [];
    for await (const row of operator.audit()) seen.push(row.action);
    expect(seen.slice(-3)).toEqual(['export', 'import', 'erase']);
  });
});

describe('fleet memory', () => {
  const ROOT = path.resolve(import.meta.dirname, '../..');
  const run = (...args: readonly string[]): { readonly code: number | null; readonly out: string; readonly err: string } => {
    const done = spawnSync(
      process.execPath,
      [path.join(ROOT, 'client/bin/fleet.mjs'), 'memory', ...args, '--swarm', 'cli', '--region', REGION],
      {
        env: { ...process.env, FLEET_ENDPOINT: contract.url, FLEET_TOKEN: contract.admin, NO_COLOR: '1' },
        encoding: 'utf8',
      },
    );
    return { code: done.status, out: done.stdout.trim(), err: done.stderr };
  };

  it('M151 sets, gets, lists, grants and erases', () => {
    expect(run('set', 'plan', '{"step":1}', '--level', 'swarm', '--tag', 'now')).toMatchObject({
      code: 0,
      out: 'plan version 1, swarm, eu-west-1',
    });
    expect(JSON.parse(run('get', 'plan').out)).toEqual({ step: 1 });
    expect(run('list', '--tag', 'now').out).toMatch(/plan +swarm +1/);
    expect(run('set', 'plan', '2', '--if-version', '7')).toMatchObject({
      code: 1,
      err: expect.stringContaining('version_conflict'),
    });
    expect(run('grant', 'plan', '--read', 'a,b').code).toBe(0);
    expect(run('permissions', 'plan').out).toMatch(/read +\["a","b"\]/);
    expect(run('history', 'plan').out).toContain('{"step":1}');
    expect(run('search', 'step').out).toContain('plan');
    expect(run('erase').code).toBe(2);
    expect(run('erase', 'plan').out).toMatch(/remaining +0/);
    expect(run('get', 'plan').code).toBe(1);
  });
});
