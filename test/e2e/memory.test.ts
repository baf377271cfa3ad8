import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type Call, type ContractFleet, startContractFleet } from './lib/contract-fleet.ts';

/* Agent memory through the real fleet: routes, roles, regions, leases and what lies on the disk. */

let fleet: ContractFleet;
const REGION = 'eu-west-1';
interface Member {
  readonly id: string;
  readonly token: string;
}
let ada: Member;
let bob: Member;
let cyd: Member;
let outsider: Member;
let operator: string;
let viewer: string;

const mint = async (body: object): Promise<string> => String((await fleet.call('POST', '/v1/tokens', { body })).json['token']);
const register = async (pool: string, swarms: readonly string[], region = REGION): Promise<Member> => {
  const { json, status, text } = await fleet.call('POST', '/v1/agents', { body: { pool, region, swarms } });
  expect(status, text).toBe(201);
  return { id: String(json['id']), token: String(json['token']) };
};
const as = (who: Member | string, method: string, route: string, options: Call = {}): Promise<Answer> =>
  fleet.call(method, `/v1/memory/hive${route}`, { token: typeof who === 'string' ? who : who.token, ...options });
const put = (who: Member | string, key: string, body: object, query = ''): Promise<Answer> =>
  as(who, 'PUT', `/entries/${encodeURIComponent(key)}${query}`, { body });
const get = (who: Member | string, key: string, query = ''): Promise<Answer> =>
  as(who, 'GET', `/entries/${encodeURIComponent(key)}${query}`);
const code = (answer: Answer): unknown => answer.json['code'] ?? answer.status;
const HERE = `?region=${REGION}`;

beforeAll(async () => {
  fleet = await startContractFleet();
  ada = await register('coder', ['hive']);
  bob = await register('coder', ['hive']);
  cyd = await register('tester', ['hive']);
  outsider = await register('coder', ['elsewhere']);
  operator = await mint({ role: 'operator' });
  viewer = await mint({ role: 'viewer' });
});
afterAll(async () => {
  expect([...fleet.seen.keys()].filter((status) => status >= 500)).toEqual([]);
  await fleet.stop();
});

describe('entries', () => {
  it('M50 a value goes in and comes out as it was', async () => {
    const value = { text: 'häßlich 🦊', n: [1, 2.5, null], ['__proto__']: 'x' };
    const stored = await put(ada, 'notes/ä b/%2F', { value, tags: ['x'] });
    expect([stored.status, stored.json['version'], stored.headers.get('x-fleet-region')]).toEqual([201, 1, REGION]);
    const read = await get(ada, 'notes/ä b/%2F');
    expect(read.status).toBe(200);
    expect(read.json).toMatchObject({
      key: 'notes/ä b/%2F',
      value,
      version: 1,
      level: 'private',
      owner: ada.id,
      region: REGION,
      tags: ['x'],
    });
    expect((await put(ada, 'notes/ä b/%2F', { value: 1, ifVersion: 7 })).json).toMatchObject({
      status: 412,
      code: 'version_conflict',
    });
    expect((await put(ada, 'notes/ä b/%2F', { value: 1, ifVersion: 1 })).status).toBe(200);
    expect((await as(ada, 'DELETE', `/entries/${encodeURIComponent('notes/ä b/%2F')}`)).status).toBe(204);
    expect((await get(ada, 'notes/ä b/%2F')).status).toBe(404);
  });

  it('M60 without the right a read is told exactly what it is told of nothing; a write that can see is refused', async () => {
    await put(ada, 'own', { value: 1 });
    await put(ada, 'team', { value: 2, level: 'team' });
    await put(ada, 'shared', { value: 3, level: 'swarm' });
    await put(ada, 'open', { value: 4, level: 'public' });
    const strip = ({ status, json }: Answer): object => ({ status, ...json, requestId: '', instance: '' });
    for (const rest of ['', '/permissions', '/history']) {
      const hidden = await as(cyd, 'GET', `/entries/own${rest}`);
      const absent = await as(cyd, 'GET', `/entries/never${rest}`);
      expect(strip(hidden)).toEqual(strip(absent));
      expect(hidden.status).toBe(404);
      expect([...hidden.headers.keys()].toSorted()).toEqual([...absent.headers.keys()].toSorted());
    }
    const sees = async (who: Member | string, query = ''): Promise<string> =>
      (
        await Promise.all(
          ['own', 'team', 'shared', 'open'].map(async (key) => ((await get(who, key, query)).status === 200 ? key[0] : '-')),
        )
      ).join('');
    expect(await sees(ada)).toBe('otso');
    expect(await sees(bob)).toBe('-tso');
    expect(await sees(cyd)).toBe('--so');
    expect(await sees(outsider)).toBe('---o');
    expect(await sees(viewer, HERE)).toBe('---o');
    expect(await sees(operator, HERE)).toBe('-tso');
    expect(await sees(fleet.admin, HERE)).toBe('-tso');
    for (const who of [bob, cyd])
      expect((await put(who, 'shared', { value: 9 })).json).toMatchObject({ status: 403, code: 'forbidden' });
    expect((await put(outsider, 'shared', { value: 9, level: 'swarm' })).status).toBe(403);
    expect((await put(viewer, 'x', { value: 9 }, HERE)).status).toBe(403);
    expect((await as(bob, 'DELETE', '/entries/open')).status).toBe(403);
    expect((await put(operator, 'sys', { value: 1, level: 'system' }, HERE)).status).toBe(403);
    expect((await put(fleet.admin, 'sys', { value: 1, level: 'system' }, HERE)).status).toBe(201);
    expect((await get(ada, 'sys')).status).toBe(200);
    expect((await put(ada, 'sys', { value: 2 })).status).toBe(403);
    expect((await get(outsider, 'sys')).status).toBe(404);
  });

  it('M61 lists open a key for those they name, and closing it is felt at once, whatever age the reader allows', async () => {
    await put(ada, 'lent', { value: 1 });
    const lend = (read: readonly string[], write: readonly string[] = []): Promise<Answer> =>
      as(ada, 'PUT', '/entries/lent/permissions', { body: { level: 'private', read, write } });
    expect((await get(cyd, 'lent', '?maxStaleMs=30000')).status).toBe(404);
    expect((await lend([cyd.id], [cyd.id])).json).toEqual({ level: 'private', read: [cyd.id], write: [cyd.id], delete: [] });
    expect((await get(cyd, 'lent', '?maxStaleMs=30000')).json['value']).toBe(1);
    expect((await put(cyd, 'lent', { value: 2 })).json).toMatchObject({ version: 2, owner: ada.id, writtenBy: cyd.id });
    expect((await get(ada, 'lent', '?maxStaleMs=30000')).json['value']).toBe(2);
    expect((await lend([])).status).toBe(200);
    expect((await get(cyd, 'lent', '?maxStaleMs=30000')).status).toBe(404);
    expect((await as(bob, 'PUT', '/entries/lent/permissions', { body: { level: 'public' } })).status).toBe(404);
    expect((await as(bob, 'PUT', '/entries/shared/permissions', { body: { level: 'public' } })).status).toBe(403);
  });

  it('M57 lists, searches and histories show what the rule shows', async () => {
    await put(ada, 'find/a', { value: 'the quick brown fox', level: 'swarm', vector: [1, 0, 0] });
    await put(ada, 'find/b', { value: 'the quick secret fox', vector: [1, 0.1, 0] });
    const keys = (answer: Answer): unknown => (answer.json['data'] as { key: string }[]).map((entry) => entry.key);
    expect(keys(await as(bob, 'GET', '/entries?prefix=find/'))).toEqual(['find/a']);
    expect(keys(await as(ada, 'GET', '/entries?prefix=find/'))).toEqual(['find/a', 'find/b']);
    expect(keys(await as(bob, 'POST', '/search', { body: { query: 'quick fox' } }))).toEqual(['find/a']);
    expect(keys(await as(ada, 'POST', '/search', { body: { query: '"quick secret" fo*' } }))).toEqual(['find/b']);
    expect(keys(await as(bob, 'POST', '/vectors/search', { body: { vector: [1, 0, 0] } }))).toEqual(['find/a']);
    expect(keys(await as(ada, 'POST', '/vectors/search', { body: { vector: [1, 0.2, 0] } }))).toEqual(['find/b', 'find/a']);
    const first = await as(ada, 'GET', '/entries?prefix=find/&limit=1');
    const next = await as(ada, 'GET', `/entries?prefix=find/&limit=1&cursor=${String(first.json['nextCursor'])}`);
    expect([keys(first), keys(next), next.json['nextCursor']]).toEqual([['find/a'], ['find/b'], undefined]);
    expect(code(await as(ada, 'GET', `/entries?prefix=other/&limit=1&cursor=${String(first.json['nextCursor'])}`))).toBe(
      'invalid_cursor',
    );
  });

  it('M59 batches take each item by itself, transactions all or none, and keys keep both', async () => {
    const batch = await as(ada, 'POST', '/batch', {
      body: {
        operations: [
          { op: 'put', key: 'b/1', value: 1, idempotencyKey: 'one' },
          { op: 'put', key: 'b/1', value: 2, ifVersion: 9 },
          { op: 'get', key: 'b/1' },
          { op: 'delete', key: 'b/none' },
          { op: 'nonsense' },
        ],
      },
    });
    const results = batch.json['results'] as { status: number; body?: { version: number } }[];
    expect(results.map((result) => result.status)).toEqual([201, 412, 200, 404, 422]);
    const headers = { 'idempotency-key': 'tx' };
    const body = {
      operations: [
        { op: 'put', key: 'b/2', value: 1 },
        { op: 'check', key: 'b/1', ifVersion: 1 },
      ],
    };
    const one = await as(ada, 'POST', '/transaction', { body, headers });
    const again = await as(ada, 'POST', '/transaction', { body, headers });
    expect([one.status, again.headers.get('idempotency-replayed'), again.json]).toEqual([200, 'true', one.json]);
    expect(
      code(await as(ada, 'POST', '/transaction', { body: { operations: [{ op: 'put', key: 'b/3', value: 1 }] }, headers })),
    ).toBe('idempotency_mismatch');
    const failed = await as(ada, 'POST', '/transaction', {
      body: {
        operations: [
          { op: 'put', key: 'b/3', value: 1 },
          { op: 'check', key: 'b/1', ifVersion: 8 },
        ],
      },
    });
    expect([failed.status, (await get(ada, 'b/3')).status]).toEqual([412, 404]);
  });
});

describe('regions', () => {
  it('M90 an agent’s memory is that of its region, others name one or have a home', async () => {
    expect((await get(ada, 'own', '?region=us-east-1')).json).toMatchObject({ status: 403, code: 'residency_violation' });
    expect((await get(ada, 'own', HERE)).status).toBe(200);
    expect(code(await get(operator, 'open'))).toBe('region_required');
    expect(code(await get(operator, 'open', '?region=mars-1'))).toBe('unknown_region');
    expect((await get(operator, 'open', '?region=us-east-1')).status).toBe(404);
    const admin = await mint({ role: 'admin', fleet: 'homely' });
    await fleet.call('PUT', '/v1/fleet', { token: admin, body: { homeRegion: REGION, residency: { allowed: ['eu'] } } });
    expect((await put(admin, 'k', { value: 1, level: 'swarm' })).headers.get('x-fleet-region')).toBe(REGION);
    expect((await put(admin, 'k', { value: 1, level: 'swarm' }, '?region=us-east-1')).json).toMatchObject({
      code: 'residency_violation',
    });
    expect((await get(operator, 'k', HERE)).status).toBe(404);
  });
});

describe('leases', () => {
  it('M80 a write under a lease holds while the lease does, and is refused from the moment its pool takes it back', async () => {
    const worker = await register('devops', ['hive']);
    const granted = await fleet.call('POST', '/v1/allocations', { body: { pool: 'devops', region: REGION, leaseMs: 60_000 } });
    expect(granted.json['agentId']).toBe(worker.id);
    const lease = { allocationId: granted.json['id'], fencingToken: granted.json['fencingToken'] };
    const written = await put(worker, 'leased', { value: 1, lease, level: 'swarm' });
    expect(written.json).toMatchObject({ version: 1, allocationId: lease.allocationId, fencingToken: lease.fencingToken });
    expect(code(await put(worker, 'leased', { value: 2, lease: { ...lease, fencingToken: 99_999 } }))).toBe('lease_superseded');
    expect(code(await put(ada, 'mine', { value: 2, lease }))).toBe('lease_superseded');
    expect((await fleet.call('POST', `/v1/agents/${worker.id}/quarantine`, { body: {} })).status).toBe(200);
    await expect
      .poll(async () => code(await put(worker, 'leased', { value: 3, lease })), { timeout: 4_000 })
      .toBe('lease_superseded');
    const after = (await get(bob, 'leased')).json['version'];
    expect(code(await put(worker, 'leased', { value: 4, lease }))).toBe('lease_superseded');
    expect((await get(bob, 'leased')).json['version']).toBe(after);
  });
});

describe('work', () => {
  it('M110 two agents never hold overlapping write claims', async () => {
    const claim = (who: Member, paths: readonly string[], rest = {}): Promise<Answer> =>
      as(who, 'POST', '/claims', { body: { paths, ...rest } });
    const held = await claim(ada, ['src/**', 'docs/*.md']);
    expect(held.status).toBe(201);
    expect((await claim(bob, ['src/deep/er.ts'])).json).toMatchObject({ status: 409, code: 'invalid_state', state: 'claimed' });
    expect((await claim(bob, ['docs/[a-c]*'])).status).toBe(409);
    expect((await claim(bob, ['test/**'])).status).toBe(201);
    const token = held.json['fencingToken'];
    expect((await as(ada, 'POST', `/claims/${String(held.json['id'])}/release`, { body: { fencingToken: token } })).status).toBe(
      204,
    );
    expect((await claim(bob, ['SRC/deep/er.ts'])).status).toBe(201);
    expect((await as(outsider, 'GET', '/claims')).json['data']).toEqual([]);
  });

  it('M120 a majority of confidence decides, once the quorum has voted', async () => {
    const task = await fleet.call('POST', '/v1/tasks', { body: { pool: 'reviewer', payload: 1, region: REGION } });
    const id = String(task.json['id']);
    const vote = (who: Member | string, body: object): Promise<Answer> => as(who, 'POST', `/consensus/${id}/votes`, { body });
    expect((await vote(ada, { choice: 'yes', confidence: 0.9, reasoning: 'fine' })).json).toMatchObject({
      taskId: id,
      quorum: 3,
    });
    expect((await vote(bob, { choice: 'yes', confidence: 0.8 })).json['decision']).toBeUndefined();
    expect((await vote(cyd, { choice: 'no', confidence: 0.3 })).json['decision']).toMatchObject({ choice: 'yes', votes: 3 });
    expect(code(await vote(cyd, { choice: 'no', confidence: 1 }))).toBe('invalid_state');
    expect((await as(outsider, 'GET', `/consensus/${id}`)).status).toBe(404);
    expect((await vote(outsider, { choice: 'no', confidence: 1 })).status).toBe(403);
    const nobody = id.replace(/[^.]+$/, '01ARZ3NDEKTSV4RRFFQ69G5FAV');
    expect((await as(ada, 'POST', `/consensus/${nobody}/votes`, { body: { confidence: 1 } })).status).toBe(404);
  });

  it('M130 quarantine hides, and erasure leaves nothing behind', async () => {
    const rogue = await register('coder', ['hive']);
    await put(rogue, 'poison', { value: 'bad', level: 'swarm' });
    expect((await as(operator, 'POST', `/quarantine${HERE}`, { body: { agentId: rogue.id } })).json).toMatchObject({
      entries: 1,
    });
    expect((await get(ada, 'poison')).status).toBe(404);
    expect((await put(rogue, 'more', { value: 1 })).status).toBe(403);
    expect((await as(ada, 'POST', '/quarantine', { body: { agentId: bob.id } })).status).toBe(403);
    const receipt = await as(fleet.admin, 'POST', `/erase${HERE}`, { body: { owner: rogue.id } });
    expect(receipt.json).toMatchObject({
      region: REGION,
      swarm: 'hive',
      remaining: 0,
      sharedCache: 'none',
      erased: { memory: 1 },
    });
  });
});

describe('files', () => {
  it('M145 an export is a standard SQLite file with what its caller may read, and an import takes it in', async () => {
    await put(ada, 'private-note', { value: 'for ada alone' });
    await put(ada, 'swarm-note', { value: 'for all', level: 'swarm' });
    const response = await fetch(`${fleet.url}/v1/memory/hive/export${HERE}`, {
      headers: { authorization: `Bearer ${operator}` },
    });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/vnd.sqlite3']);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const file = path.join(fleet.stateDir, 'export.sqlite');
    writeFileSync(file, bytes);
    const db = new DatabaseSync(file, { readOnly: true });
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
    const keys = db.prepare("SELECT key, acl_level FROM memory WHERE key LIKE '%-note'").all();
    expect(keys).toEqual([{ key: 'swarm-note', acl_level: 'swarm' }]);
    expect(db.prepare("SELECT COUNT(*) AS n FROM memory WHERE acl_level = 'private'").get()).toEqual({ n: 0 });
    db.close();
    expect(Buffer.from(bytes).includes('for ada alone')).toBe(false);
    const own = await as(ada, 'GET', '/export');
    expect([own.status, own.text.includes('for ada alone'), own.text.includes('for all')]).toEqual([200, true, true]);
    const theirs = await as(viewer, 'GET', `/export${HERE}`);
    expect([theirs.status, theirs.text.includes('for ada alone'), theirs.text.includes('for all')]).toEqual([200, false, false]);

    await put(ada, 'swarm-note', { value: 'changed' });
    const load = (body: Uint8Array, type = 'application/vnd.sqlite3'): Promise<Answer> =>
      as(fleet.admin, 'POST', `/import${HERE}`, { raw: body, headers: { 'content-type': type } });
    const taken = await load(bytes);
    expect([taken.status, taken.json['entries']], taken.text).toEqual([200, 1]);
    expect((await get(bob, 'swarm-note')).json).toMatchObject({ value: 'for all', version: 3 });
    expect((await get(ada, 'private-note')).json['value']).toBe('for ada alone');
    expect((await load(new TextEncoder().encode('no database'))).status).toBe(422);
    expect((await load(bytes.slice(0, 9_000))).status).toBe(422);
    expect((await load(bytes, 'application/json')).status).toBe(415);
    expect((await as(operator, 'POST', `/import${HERE}`, { raw: bytes })).status).toBe(403);
    rmSync(file);
  });
});

describe('restore points', () => {
  it('M146 an import is undone as a whole, and what rises goes on rising', async () => {
    const at = (route: string, who: string, options: Call = {}): Promise<Answer> =>
      fleet.call(options.body === undefined && options.raw === undefined ? 'GET' : 'POST', `/v1/memory/vault${route}${HERE}`, {
        token: who,
        ...options,
      });
    const set = (value: unknown): Promise<Answer> =>
      fleet.call('PUT', `/v1/memory/vault/entries/k${HERE}`, { token: fleet.admin, body: { value, level: 'swarm' } });
    const value = async (): Promise<unknown> => (await at('/entries/k', operator)).json['value'];
    await set('first');
    const response = await fetch(`${fleet.url}/v1/memory/vault/export${HERE}`, {
      headers: { authorization: `Bearer ${operator}` },
    });
    const file = new Uint8Array(await response.arrayBuffer());
    await set('second');
    const claim = (path: string): Promise<Answer> => at('/claims', operator, { body: { paths: [path] } });
    const imported = await at('/import', fleet.admin, { raw: file, headers: { 'content-type': 'application/vnd.sqlite3' } });
    expect([imported.status, await value()]).toEqual([200, 'first']);
    const before = (await claim('a')).json['fencingToken'] as number;
    expect((await at('/status', operator)).json['restorePoints']).toMatchObject([{ id: imported.json['restorePoint'] }]);
    const back = (restorePoint: unknown, who = fleet.admin): Promise<Answer> => at('/restore', who, { body: { restorePoint } });
    expect((await back('99')).status).toBe(404);
    expect((await back('x')).status).toBe(422);
    expect((await back('1', operator)).status).toBe(403);
    const restored = await back(imported.json['restorePoint']);
    expect([restored.status, await value()], restored.text).toEqual([200, 'second']);
    expect((await claim('b')).json['fencingToken']).toBe(before + 1);
    expect((await back(restored.json['restorePoint'])).status).toBe(200);
    expect(await value()).toBe('first');
    const audit = (await at('/audit', operator)).json['data'] as { action: string }[];
    expect(audit.at(-1)?.action).toBe('restore');
  });
});

describe('a large swarm', () => {
  it('M94 lies in several objects, and is one memory to whoever uses it', async () => {
    const at = (method: string, route: string, options: Call = {}): Promise<Answer> =>
      fleet.call(method, `/v1/memory/large${route}${route.includes('?') ? '&' : '?'}region=${REGION}`, options);
    const settings = await at('PUT', '/settings', { body: { shards: 4, textIndex: ['n/'] } });
    expect([settings.status, settings.json['shards']], settings.text).toEqual([200, 4]);
    const operations = Array.from({ length: 60 }, (_, i) => ({ op: 'put', key: `n/${i}`, value: `word w${i}`, level: 'swarm' }));
    expect((await at('POST', '/batch', { body: { operations } })).status).toBe(200);
    const keys: unknown[] = [];
    for (let cursor = ''; ;) {
      const page = await at('GET', `/entries?limit=17${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
      keys.push(...(page.json['data'] as { key: string }[]).map(({ key }) => key));
      const next = page.json['nextCursor'];
      if (typeof next !== 'string') break;
      cursor = next;
    }
    expect(new Set(keys).size).toBe(60);
    expect(keys).toHaveLength(60);
    expect((await at('POST', '/search', { body: { query: 'w7' } })).json['data']).toMatchObject([{ key: 'n/7' }]);
    expect((await at('GET', '/status')).json['entries']).toBe(60);
    expect(code(await at('POST', '/transaction', { body: { operations: operations.slice(0, 9) } }))).toBe('validation_failed');
    expect(code(await at('PUT', '/settings', { body: { shards: 2 } }))).toBe('invalid_state');
    expect(code(await at('GET', '/export'))).toBe('validation_failed');
    const files = await Promise.all([0, 1, 2, 3].map((shard) => at('GET', `/export?shard=${shard}`)));
    expect(files.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const erased = await at('POST', '/erase', { body: { prefix: 'n/' } });
    expect(erased.json).toMatchObject({ remaining: 0, erased: { memory: 60 } });
    // An outsider is told of it what it is told of nothing.
    const [there, nowhere] = await Promise.all([
      at('GET', '/entries/x', { token: viewer }),
      fleet.call('GET', `/v1/memory/nowhere/entries/x${HERE}`, { token: viewer }),
    ]);
    expect([there.status, there.json['detail']]).toEqual([nowhere.status, nowhere.json['detail']]);
  });
});

describe('the disk', () => {
  it('M140 holds no key, no value, no owner and no table of a memory in clear', async () => {
    const mark = 'PLAINTEXT-MARK-7f3a';
    await put(ada, `key-${mark}`, { value: { word: `value-${mark}` }, tags: [`tag-${mark}`] });
    await as(ada, 'POST', '/search', { body: { query: mark } });
    const root = fleet.stateDir;
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const found: string[] = [];
    let sealed = 0;
    for (const file of files) {
      const name = path.join(file.parentPath, file.name);
      if (!name.includes('MemoryObject')) continue;
      sealed += 1;
      const bytes = readFileSync(name).toString('latin1');
      for (const text of [mark, ada.id, 'acl_level', 'CREATE TABLE memory', 'quarantined_at'])
        if (bytes.includes(text)) found.push(`${name}: ${text}`);
    }
    expect(sealed).toBeGreaterThan(0);
    expect(found).toEqual([]);
  });
});
