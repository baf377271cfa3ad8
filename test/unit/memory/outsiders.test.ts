import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { emptyAnswer } from '../../../durable-objects/memory/core/empty.ts';
import { emptyFile, exportFile, importFile } from '../../../durable-objects/memory/files.ts';
import { readerOf } from '../../../durable-objects/memory/core/step.ts';
import type { MemoryCommand } from '../../../shared/memory-rpc.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { loadSqlJs } from '../../../wasm/sqlite/load-node.ts';
import {
  agent,
  allocationId,
  type Harness,
  kindOf,
  lease,
  memory,
  person,
  REGION,
  SWARM,
  taskId,
  sha256Of,
} from '../../lib/memory-harness.ts';

const ada = agent('coder', 1);
const stranger = agent('coder', 8, ['elsewhere']);
const viewer = person('viewer');
const operator = person('operator');
const admin = person('admin');
const paging = { after: null, limit: 10 };
const under = { allocationId: allocationId(1), fencingToken: 1 };

/** Everything that an outsider may say, with a lease where one can be named. */
const COMMANDS: readonly MemoryCommand[] = [
  { type: 'store', key: 'k', value: '1' },
  { type: 'store', key: 'k', value: '1', lease: under },
  { type: 'retrieve', key: 'k' },
  { type: 'delete', key: 'k' },
  { type: 'delete', key: 'k', lease: under },
  { type: 'list', ...paging, values: true, quarantined: false },
  { type: 'getPermissions', key: 'k' },
  { type: 'setPermissions', key: 'k', permissions: { level: 'public', read: [], write: [], delete: [] }, lease: under },
  { type: 'history', key: 'k', ...paging },
  { type: 'rollback', key: 'k', version: 1 },
  { type: 'rollback', key: 'k', version: 1, lease: under },
  { type: 'search', query: 'needle', limit: 1 },
  { type: 'vectorSearch', vector: [1], limit: 1 },
  { type: 'transaction', operations: [{ op: 'check', key: 'k', ifVersion: 1 }], lease: under },
  { type: 'quarantine', agentId: ada.subject, release: false },
  { type: 'erase', keys: ['k'] },
  { type: 'claim', paths: ['src'], mode: 'write', leaseMs: 1_000, lease: under },
  { type: 'renewClaim', claimId: 'clm.x', fencingToken: 1, leaseMs: 1_000 },
  { type: 'releaseClaim', claimId: 'clm.x', fencingToken: 1 },
  { type: 'listClaims', ...paging },
  { type: 'vote', taskId: taskId(1), choice: 'a', confidence: 1, lease: under },
  { type: 'vote', taskId: taskId(1), choice: 'a', confidence: 1 },
  { type: 'getConsensus', taskId: taskId(1) },
  { type: 'addDependencies', taskId: taskId(1), dependsOn: [taskId(2)] },
  { type: 'listDependencies', ...paging },
  { type: 'createArtifact', name: 'a', bytes: 1, sha256: 'a'.repeat(64), contentType: 'x', level: 'public', lease: under },
  { type: 'getArtifact', artifactId: 'art.x' },
  { type: 'putChunk', artifactId: 'art.x', number: 0, data: new ArrayBuffer(1) },
  { type: 'getChunk', artifactId: 'art.x', number: 0 },
  { type: 'listArtifacts', ...paging },
  { type: 'deleteArtifact', artifactId: 'art.x' },
  { type: 'listEvents', ...paging },
  { type: 'listConflicts', ...paging },
  { type: 'listAudit', ...paging },
  { type: 'getSettings' },
  { type: 'putSettings', settings: { quorum: 1, majority: 1, textIndex: [] } },
  { type: 'memoryStatus' },
];

describe('M92 whoever is outside cannot tell a memory from none', () => {
  const place = { region: REGION, swarm: SWARM };
  it.each([stranger, viewer].map((who): [string, Caller] => [who.role, who]))('%s', (_, who) => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '"needle"', level: 'swarm', vector: [1] });
    const before = m.rows(
      'SELECT (SELECT COUNT(*) FROM conflicts) + (SELECT COUNT(*) FROM fences) + (SELECT COUNT(*) FROM tasks) AS n',
    );
    for (const command of COMMANDS) {
      const written = m.run(who, command, {});
      expect({ command, answer: written }).toEqual({ command, answer: emptyAnswer(command, readerOf(who, SWARM), place) });
    }
    // Nor does it leave anything: no conflict, no lease, no task.
    expect(
      m.engine.questions(
        who,
        COMMANDS.map((command) => ({ command })),
      ),
    ).toEqual({ leases: [], tasks: [] });
    expect(
      m.rows('SELECT (SELECT COUNT(*) FROM conflicts) + (SELECT COUNT(*) FROM fences) + (SELECT COUNT(*) FROM tasks) AS n'),
    ).toEqual(before);
  });

  it('M92 a vote of one who cannot vote makes no memory', () => {
    const vote = { type: 'vote', taskId: taskId(1), choice: 'a', confidence: 1 } as const;
    expect(emptyAnswer(vote, readerOf(operator, SWARM), { region: REGION, swarm: SWARM })).toMatchObject({ ok: false });
    expect(emptyAnswer(vote, readerOf(ada, SWARM), { region: REGION, swarm: SWARM })).toBeNull();
  });

  it('M60 what only operators and admins do is refused to others below the routes, too', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1', level: 'swarm' });
    expect(kindOf(m.run(ada, { type: 'quarantine', agentId: ada.subject, release: false }))).toBe('forbidden');
    expect(kindOf(m.run(operator, { type: 'erase', keys: ['k'] }))).toBe('forbidden');
    expect(kindOf(m.run(operator, { type: 'putSettings', settings: { quorum: 1, majority: 1, textIndex: [] } }))).toBe(
      'forbidden',
    );
  });
});

/** The whole database as a file. */
function fileOf(m: Harness): Uint8Array {
  const folder = mkdtempSync(path.join(tmpdir(), 'memory-'));
  try {
    m.storage.sql.exec(`VACUUM INTO '${path.join(folder, 'f')}'`);
    return new Uint8Array(readFileSync(path.join(folder, 'f')));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('files', () => {
  /** The harness's database, as the sealed one offers itself. */
  async function files(): Promise<{
    readonly m: Harness;
    readonly take: (who: Caller) => InstanceType<Awaited<ReturnType<typeof loadSqlJs>>['Database']>;
  }> {
    const m = memory();
    const sqlJs = await loadSqlJs();
    const database = { exportFile: () => fileOf(m) } as never;
    const take = (who: Caller) =>
      new sqlJs.Database(exportFile({ database, engine: m.engine }, sqlJs, who, { swarm: SWARM, nowMs: m.nowMs }));
    return { m, take };
  }
  const cell = (
    file: { exec(sql: string): readonly { readonly values: readonly (readonly unknown[])[] }[] },
    query: string,
  ): unknown => file.exec(query)[0]?.values[0]?.[0];

  it('M145 an agent that has written nothing exports, and its export is written down', async () => {
    const { m, take } = await files();
    m.must(ada, { type: 'store', key: 'k', value: '1', level: 'public' });
    expect(cell(take(stranger), 'SELECT COUNT(*) FROM memory')).toBe(1);
    expect(m.must(admin, { type: 'listAudit', ...paging }).data.at(-1)).toMatchObject({
      action: 'export',
      actor: stranger.subject,
    });
  });

  it('M92 the file of a memory in which nothing may be seen is that of none', async () => {
    const { m, take } = await files();
    m.must(ada, { type: 'store', key: 'k', value: '1', level: 'swarm' });
    m.must(ada, { type: 'claim', paths: ['src'], mode: 'write', leaseMs: 1_000 });
    m.must(ada, { type: 'setPermissions', key: 'k', permissions: { level: 'swarm', read: [], write: [], delete: [] } });
    const sqlJs = await loadSqlJs();
    const [seen, none] = [take(stranger), new sqlJs.Database(emptyFile(sqlJs))];
    const tables = none
      .exec("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")[0]
      ?.values.map(([name]) => String(name));
    expect(tables?.length).toBeGreaterThan(20);
    for (const table of tables ?? []) {
      const content = (file: typeof none): unknown => file.exec(`SELECT * FROM "${table}"`);
      expect({ table, rows: content(seen) }).toEqual({ table, rows: content(none) });
    }
  });

  it('M135 an artifact that has ended or is not whole is in no file', async () => {
    const { m, take } = await files();
    const announce = {
      type: 'createArtifact',
      name: 'a',
      bytes: 1,
      sha256: sha256Of(new Uint8Array(1)),
      contentType: 'x',
      level: 'swarm',
    } as const;
    const put = (artifactId: string): unknown =>
      m.must(ada, { type: 'putChunk', artifactId, number: 0, data: new ArrayBuffer(1) });
    put(m.must(ada, announce).id);
    put(m.must(ada, { ...announce, ttlMs: 1_000 }).id);
    m.must(ada, announce);
    m.nowMs += 1_000;
    expect(cell(take(admin), 'SELECT COUNT(*) FROM artifacts')).toBe(1);
    expect(cell(take(admin), 'SELECT COUNT(*) FROM artifact_chunks')).toBe(1);
  });

  it('M145 a memory that is too large for a copy is written row by row, the same for every caller', async () => {
    const m = memory();
    const sqlJs = await loadSqlJs();
    for (const level of ['private', 'team', 'swarm', 'public'] as const) {
      for (let i = 0; i < 10; i += 1) m.must(ada, { type: 'store', key: `${level}/${i}`, value: '"one"', level, tags: ['t'] });
      m.must(ada, { type: 'store', key: `${level}/0`, value: '"two"', vector: [1, 2] });
    }
    const shared = { level: 'private', read: [operator.subject], write: [], delete: [] } as const;
    m.must(ada, {
      type: 'setPermissions',
      key: 'private/0',
      permissions: { ...shared, read: [...shared.read], write: [], delete: [] },
    });
    m.must(
      ada,
      { type: 'claim', paths: ['src'], mode: 'write', leaseMs: 1_000 },
      { tasks: [1, 2].map((n) => ({ id: taskId(n), status: 'running' })) },
    );
    m.must(ada, { type: 'vote', taskId: taskId(1), choice: 'a', confidence: 1 });
    m.must(ada, { type: 'addDependencies', taskId: taskId(1), dependsOn: [taskId(2)] });
    for (const level of ['private', 'public'] as const) {
      const sha256 = sha256Of(new Uint8Array(1));
      const { id } = m.must(ada, { type: 'createArtifact', name: 'a', bytes: 1, sha256, contentType: 'x', level });
      m.must(ada, { type: 'putChunk', artifactId: id, number: 0, data: new ArrayBuffer(1) });
    }
    const content = (who: Caller, databaseSize: number): unknown => {
      const whole = fileOf(m);
      const database = { exportFile: () => whole, databaseSize, sql: m.storage.sql } as never;
      let bytes: Uint8Array | undefined;
      const undo = new Error('undo');
      try {
        // What the export itself writes down must not be in the next one.
        m.storage.transactionSync(() => {
          bytes = exportFile({ database, engine: m.engine }, sqlJs, who, { swarm: SWARM, nowMs: m.nowMs });
          throw undo;
        });
      } catch (error) {
        if (error !== undo) throw error;
      }
      const file = new sqlJs.Database(bytes);
      const tables =
        file.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite*'")[0]?.values ?? [];
      return Object.fromEntries(
        tables
          .map(([name]) => String(name))
          .filter((name) => !['terms', 'metrics', 'migrations', '_migrations', 'applied_migrations'].includes(name))
          .map((name) => [
            name,
            file
              .exec(`SELECT * FROM "${name}"`)[0]
              ?.values.map((row) => JSON.stringify(row))
              .toSorted() ?? [],
          ]),
      );
    };
    for (const who of [ada, agent('coder', 2), agent('tester', 3), stranger, viewer, operator, admin])
      expect({ who: who.subject, file: content(who, 2 ** 30) }).toEqual({ who: who.subject, file: content(who, 0) });
  });

  it('M145 what makes a file too large is what its reader sees', async () => {
    const m = memory();
    const sqlJs = await loadSqlJs();
    const value = JSON.stringify('x'.repeat(1_000_000));
    for (let i = 0; i < 52; i += 1) m.must(ada, { type: 'store', key: `k${i}`, value, level: 'swarm' });
    const database = { exportFile: () => fileOf(m), databaseSize: 2 ** 30, sql: m.storage.sql } as never;
    const take = (who: Caller) => exportFile({ database, engine: m.engine }, sqlJs, who, { swarm: SWARM, nowMs: m.nowMs });
    expect(cell(new sqlJs.Database(take(stranger)), 'SELECT COUNT(*) FROM memory')).toBe(0);
    expect(() => take(operator)).toThrow(/larger than a file may be/);
  });

  it('M145 a file that would unfold is refused', async () => {
    const { m } = await files();
    const sqlJs = await loadSqlJs();
    const bomb = new sqlJs.Database();
    bomb.run("CREATE TABLE memory (key TEXT, value TEXT AS (printf('%.*c', 100000000, 'x')), acl_level TEXT, owner_id TEXT)");
    bomb.run("INSERT INTO memory (key, acl_level, owner_id) VALUES ('k', 'swarm', 'o')");
    const database = { databaseSize: 0, exportFile: () => fileOf(m), importFile: () => 1 } as never;
    const taken = importFile({ database, engine: m.engine }, sqlJs, admin, bomb.export());
    expect(taken).toMatchObject({ ok: false, error: { kind: 'validation_failed', detail: /generated/ } });
  });
});

describe('what goes on under a lease', () => {
  it('M85 a chunk and a renewed claim need the lease that they were begun under', () => {
    const m = memory();
    const known = { leases: [lease(1, ada, { fencingToken: 1 })] };
    const begun = {
      type: 'createArtifact',
      name: 'a',
      bytes: 1,
      sha256: sha256Of(new Uint8Array(1)),
      contentType: 'x',
      level: 'swarm',
    } as const;
    const { id } = m.must(ada, { ...begun, lease: under }, known);
    const claimed = m.must(ada, { type: 'claim', paths: ['src'], mode: 'write', leaseMs: 50_000, lease: under });
    const chunk = { type: 'putChunk', artifactId: id, number: 0, data: new ArrayBuffer(1) } as const;
    const renewal = { type: 'renewClaim', claimId: claimed.id, fencingToken: claimed.fencingToken, leaseMs: 50_000 } as const;
    m.nowMs += 6_000;
    expect(m.engine.questions(ada, [{ command: chunk }, { command: renewal }]).leases).toEqual([allocationId(1)]);
    const over = { leases: [lease(1, ada, { fencingToken: 1, status: 'released' })] };
    expect(kindOf(m.run(ada, chunk, over))).toBe('lease_released');
    expect(kindOf(m.run(ada, renewal))).toBe('lease_released');
    expect(kindOf(m.run(ada, { type: 'releaseClaim', claimId: claimed.id, fencingToken: claimed.fencingToken }))).toBe('ok');
    expect(m.must(ada, { type: 'getArtifact', artifactId: id }).complete).toBe(false);
  });

  it('M130 nothing more is written under a quarantined lease, seen before or not, until it is released', () => {
    for (const isSeen of [true, false]) {
      const m = memory();
      const known = { leases: [lease(1, ada, { fencingToken: 1, expiresAtMs: m.nowMs + 1e12 })] };
      const write = { type: 'store', key: 'k', value: '1', lease: under } as const;
      if (isSeen) m.must(ada, write, known);
      m.must(operator, { type: 'quarantine', allocationId: allocationId(1), release: false });
      expect(kindOf(m.run(ada, write, known))).toBe('forbidden');
      m.nowMs += 172_800_000;
      m.engine.sweep(admin);
      expect(kindOf(m.run(ada, write, known))).toBe('forbidden');
      m.must(operator, { type: 'quarantine', allocationId: allocationId(1), release: true });
      expect(kindOf(m.run(ada, write, known))).toBe('ok');
    }
  });
});

describe('what an erasure must not leave', () => {
  it('M131 an answer that was kept for a key, of an entry that is long gone', () => {
    const m = memory();
    const key = { key: 'someone\nroute\nkey', bodyHash: 'h' };
    m.run(ada, { type: 'store', key: 'secret/k', value: '1', tags: ['word'] }, { key });
    m.run(
      ada,
      { type: 'transaction', operations: [{ op: 'put', key: 'secret/t', value: '1' }] },
      { key: { ...key, key: 'other' } },
    );
    m.must(ada, { type: 'delete', key: 'secret/k' });
    m.must(ada, { type: 'delete', key: 'secret/t' });
    expect(m.must(admin, { type: 'erase', keys: ['secret/k'] })).toMatchObject({ remaining: 0, erased: { idempotency: 1 } });
    expect(m.must(admin, { type: 'erase', prefix: 'secret/' })).toMatchObject({ remaining: 0, erased: { idempotency: 1 } });
    expect(JSON.stringify(m.rows('SELECT * FROM idempotency'))).not.toContain('secret');
  });

  it('M131 the name of an owner in what others were told or did', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'k', value: '1', level: 'swarm' });
    m.run(admin, { type: 'store', key: 'k', value: '2' }, { key: { key: 'admin\nroute\nkey', bodyHash: 'h' } });
    m.must(operator, { type: 'quarantine', agentId: ada.subject, release: false });
    expect(m.must(admin, { type: 'erase', owner: ada.subject }).remaining).toBe(0);
    for (const table of ['idempotency', 'events', 'conflicts', 'memory', 'versions'])
      expect(JSON.stringify(m.rows(`SELECT * FROM ${table}`)), table).not.toContain(ada.subject);
  });
});

describe('what was restored', () => {
  it('M81 a lease that was good at the restore point is asked about before anything is written under it', () => {
    const m = memory();
    m.must(
      ada,
      { type: 'store', key: 'k', value: '1', level: 'swarm', lease: under },
      { leases: [lease(1, ada, { fencingToken: 1, expiresAtMs: m.nowMs + 1e9 })] },
    );
    const write = { type: 'store', key: 'k', value: '2', lease: under } as const;
    expect(m.engine.questions(ada, [{ command: write }]).leases).toEqual([]);
    m.engine.restored(admin, m.engine.counters(), { from: 1, left: 2 });
    expect(m.engine.questions(ada, [{ command: write }]).leases).toEqual([allocationId(1)]);
  });
});
