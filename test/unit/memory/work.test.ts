import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decisionOf } from '../../../durable-objects/memory/core/consensus.ts';
import { overlap, patternsOf } from '../../../durable-objects/memory/core/globs.ts';
import type { MemoryCommandOf } from '../../../shared/memory-rpc.ts';
import { agent, allocationId, type Harness, kindOf, lease, memory, person, sha256Of, taskId } from '../../lib/memory-harness.ts';

const ada = agent('coder', 1);
const bob = agent('coder', 2);
const cyd = agent('tester', 3);
const admin = person('admin');
const operator = person('operator');
const paging = { after: null, limit: 100 };
const isTask = (n: number): { tasks: { id: string; status: string }[] } => ({ tasks: [{ id: taskId(n), status: 'running' }] });

describe('claims', { timeout: 60_000 }, () => {
  it('M110 whatever is claimed and given back, two holders never have overlapping write claims', () => {
    const globs = ['src/**', 'src/a', 'src/*.ts', 'src/a/b.ts', '**/*.ts', 'docs', 'docs/{a,b}.md', '*'];
    const step = fc.record({
      who: fc.constantFrom(ada, bob, cyd),
      path: fc.constantFrom(...globs),
      mode: fc.constantFrom('read' as const, 'write' as const),
      waitMs: fc.integer({ min: 0, max: 3_000 }),
      giveBack: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const m = memory();
        for (const { who, path, mode, waitMs, giveBack } of steps) {
          m.nowMs += waitMs;
          const mine = m.must(who, { type: 'listClaims', ...paging }).data.find((claim) => claim.holder === who.subject);
          if (giveBack && mine !== undefined)
            m.run(who, { type: 'releaseClaim', claimId: mine.id, fencingToken: mine.fencingToken });
          else m.run(who, { type: 'claim', paths: [path], mode, leaseMs: 5_000 });
          const live = m.must(admin, { type: 'listClaims', ...paging }).data;
          for (const [i, a] of live.entries()) {
            for (const b of live.slice(i + 1)) {
              if (a.holder === b.holder || (a.mode === 'read' && b.mode === 'read')) continue;
              const meet = overlap(a.paths.flatMap(patternsOf), b.paths.flatMap(patternsOf));
              if (meet) throw new Error(`${a.paths.join()} and ${b.paths.join()}`);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('M115 a claim ends by the clock, its token rises, and an old one is refused', () => {
    const m = memory();
    const first = m.must(ada, { type: 'claim', paths: ['src'], mode: 'write', leaseMs: 1_000 });
    expect(kindOf(m.run(bob, { type: 'claim', paths: ['src/x'], mode: 'read', leaseMs: 1_000 }))).toBe('invalid_state');
    m.nowMs += 1_000;
    expect(kindOf(m.run(ada, { type: 'renewClaim', claimId: first.id, fencingToken: first.fencingToken, leaseMs: 1_000 }))).toBe(
      'lease_expired',
    );
    const second = m.must(bob, { type: 'claim', paths: ['src/x'], mode: 'write', leaseMs: 1_000 });
    expect(second.fencingToken).toBe(first.fencingToken + 1);
    expect(kindOf(m.run(bob, { type: 'renewClaim', claimId: second.id, fencingToken: first.fencingToken, leaseMs: 1_000 }))).toBe(
      'lease_superseded',
    );
    expect(kindOf(m.run(ada, { type: 'releaseClaim', claimId: second.id, fencingToken: second.fencingToken }))).toBe('forbidden');
    expect(m.must(operator, { type: 'listConflicts', ...paging }).data).toMatchObject([
      { kind: 'claim', agentId: bob.subject, holder: ada.subject },
    ]);
    expect(kindOf(m.run(agent('coder', 9, []), { type: 'claim', paths: ['x'], mode: 'write', leaseMs: 1_000 }))).toBe(
      'forbidden',
    );
  });
});

describe('consensus', () => {
  it('M120 decides by the share of confidence once the quorum has voted', () => {
    const rule = { quorum: 3, majority: 2 / 3 };
    const votes = (...list: readonly (readonly [string, number])[]): { choice: string; confidence: number }[] =>
      list.map(([choice, confidence]) => ({ choice, confidence }));
    expect(decisionOf(votes(['a', 1], ['a', 1]), rule)).toBeNull();
    expect(decisionOf(votes(['a', 1], ['a', 1], ['b', 1]), rule)).toEqual({ choice: 'a', share: 2 / 3 });
    expect(decisionOf(votes(['a', 0.9], ['a', 0.2], ['b', 0.9]), rule)).toBeNull();
    expect(decisionOf(votes(['a', 0], ['a', 0], ['b', 0]), rule)).toBeNull();
    expect(decisionOf(votes(['a', 0.5], ['b', 0.25], ['c', 0.25]), { quorum: 3, majority: 0.51 })).toBeNull();
  });

  it('M121 one vote an agent, changed until the decision; a quarantined vote counts no more', () => {
    const m = memory();
    const vote = (who: typeof ada, choice: string, confidence: number) =>
      m.run(who, { type: 'vote', taskId: taskId(1), choice, confidence }, isTask(1));
    expect(kindOf(m.run(ada, { type: 'vote', taskId: taskId(2), choice: 'x', confidence: 1 }))).toBe('not_found');
    vote(ada, 'no', 0.9);
    vote(ada, 'yes', 0.9);
    vote(bob, 'yes', 0.9);
    expect(m.must(cyd, { type: 'getConsensus', taskId: taskId(1) })).toMatchObject({
      votes: [{ choice: 'yes' }, { choice: 'yes' }],
    });
    expect(m.must(operator, { type: 'getConsensus', taskId: taskId(1) }).decision).toBeUndefined();
    vote(cyd, 'no', 0.1);
    expect(m.must(cyd, { type: 'getConsensus', taskId: taskId(1) }).decision).toMatchObject({ choice: 'yes', votes: 3 });
    expect(kindOf(vote(cyd, 'no', 1))).toBe('invalid_state');
    m.must(operator, { type: 'quarantine', agentId: bob.subject, release: false });
    expect(m.must(cyd, { type: 'getConsensus', taskId: taskId(1) }).decision).toBeUndefined();
    expect(m.rows('SELECT id, status FROM tasks')).toEqual([{ id: taskId(1), status: 'running' }]);
    expect(kindOf(m.run(operator, { type: 'vote', taskId: taskId(1), choice: 'x', confidence: 1 }))).toBe('forbidden');
  });

  it('M125 edges of tasks are kept, and a cycle is refused', () => {
    const m = memory();
    const told = { tasks: [1, 2, 3].map((n) => ({ id: taskId(n), status: 'queued' })) };
    expect(m.must(ada, { type: 'addDependencies', taskId: taskId(2), dependsOn: [taskId(1)] }, told)).toEqual({ added: 1 });
    m.must(ada, { type: 'addDependencies', taskId: taskId(3), dependsOn: [taskId(2), taskId(2)] });
    expect(kindOf(m.run(ada, { type: 'addDependencies', taskId: taskId(1), dependsOn: [taskId(3)] }))).toBe('invalid_state');
    expect(kindOf(m.run(ada, { type: 'addDependencies', taskId: taskId(1), dependsOn: [taskId(1)] }))).toBe('invalid_state');
    expect(kindOf(m.run(ada, { type: 'addDependencies', taskId: taskId(1), dependsOn: [taskId(9)] }))).toBe('not_found');
    expect(m.must(bob, { type: 'listDependencies', ...paging }).data).toMatchObject([
      { taskId: taskId(2), dependsOn: taskId(1), agentId: ada.subject },
      { taskId: taskId(3), dependsOn: taskId(2) },
    ]);
  });
});

describe('the mirror of tasks', () => {
  it('M74 open tasks are asked about by the alarm, and their end is the last word', () => {
    const m = memory();
    m.must(ada, { type: 'vote', taskId: taskId(1), choice: 'a', confidence: 1 }, isTask(1));
    m.must(ada, { type: 'vote', taskId: taskId(2), choice: 'a', confidence: 1 }, isTask(2));
    expect(m.engine.tasksToAsk()).toEqual([]);
    expect(m.engine.nextEndMs()).toBe(m.nowMs + 60_000);
    m.nowMs += 60_000;
    const asked = m.engine.tasksToAsk();
    expect(asked).toEqual([taskId(1), taskId(2)]);
    m.engine.keepTasks(admin, asked, [{ id: taskId(1), status: 'succeeded', completedAtMs: m.nowMs }]);
    const known = (): unknown => m.must(admin, { type: 'memoryStatus' }).tasks.map(({ id, status }) => [id, status]);
    expect(known()).toEqual(
      expect.arrayContaining([
        [taskId(1), 'succeeded'],
        [taskId(2), 'gone'],
      ]),
    );
    m.nowMs += 600_000;
    expect(m.engine.tasksToAsk()).toEqual([]);
    expect(m.engine.nextEndMs()).toBeNull();
  });
});

describe('leases', () => {
  const under = (n: number, fencingToken: number) => ({ allocationId: allocationId(n), fencingToken });
  const write = (m: Harness, who: typeof ada, n: number, token: number, told?: Parameters<Harness['run']>[2]) =>
    kindOf(m.run(who, { type: 'store', key: 'k', value: '1', lease: under(n, token) }, told));

  it('M80 a lease is asked about at first sight and again when the last word is old', () => {
    const m = memory();
    const request = { command: { type: 'store', key: 'k', value: '1', lease: under(1, 5) } } as const;
    expect(m.engine.questions(ada, [request]).leases).toEqual([allocationId(1)]);
    expect(write(m, ada, 1, 5)).toBe('lease_superseded');
    expect(write(m, ada, 1, 5, { leases: [lease(1, ada, { fencingToken: 5, taskId: taskId(7) })] })).toBe('ok');
    expect(m.engine.questions(ada, [request]).leases).toEqual([]);
    expect(m.must(ada, { type: 'retrieve', key: 'k' }).entry).toMatchObject({
      taskId: taskId(7),
      allocationId: allocationId(1),
      fencingToken: 5,
    });
    m.nowMs += 5_001;
    expect(m.engine.questions(ada, [request]).leases).toEqual([allocationId(1)]);
    m.nowMs -= 60_000;
    expect(m.engine.questions(ada, [request]).leases).toEqual([allocationId(1)]);
  });

  it('M81 another token, another’s lease, a released and an ended one are refused, and written down', () => {
    const m = memory();
    const known = { leases: [lease(1, ada, { fencingToken: 5 })] };
    expect(write(m, ada, 1, 5, known)).toBe('ok');
    expect(write(m, ada, 1, 4)).toBe('lease_superseded');
    expect(write(m, bob, 1, 5)).toBe('lease_superseded');
    expect(kindOf(m.run(operator, { type: 'store', key: 'o', value: '1', lease: under(1, 5) }))).toBe('ok');
    expect(write(m, ada, 2, 6, { leases: [lease(2, ada, { fencingToken: 6, status: 'released', agentSlots: 9 })] })).toBe(
      'lease_released',
    );
    m.nowMs = 1_700_000_060_000;
    expect(write(m, ada, 1, 5)).toBe('lease_expired');
    expect(m.must(operator, { type: 'listConflicts', ...paging }).data.filter(({ kind }) => kind === 'lease')).toHaveLength(4);
  });

  it('M82 a higher token of the same agent ends the lower one, in the transaction that writes', () => {
    const m = memory();
    expect(write(m, ada, 1, 5, { leases: [lease(1, ada, { fencingToken: 5 })] })).toBe('ok');
    expect(write(m, ada, 2, 8, { leases: [lease(2, ada, { fencingToken: 8 })] })).toBe('ok');
    expect(write(m, ada, 1, 5)).toBe('lease_superseded');
    expect(write(m, ada, 2, 8)).toBe('ok');
    expect(write(m, bob, 3, 6, { leases: [lease(3, bob, { fencingToken: 6 })] })).toBe('ok');
  });

  it('M83 an agent of two slots holds two; when newer ones seem to fill them, they are asked about first', () => {
    const m = memory();
    const two = (n: number, token: number) => lease(n, ada, { fencingToken: token, agentSlots: 2 });
    expect(write(m, ada, 1, 1, { leases: [two(1, 1)] })).toBe('ok');
    expect(write(m, ada, 2, 2, { leases: [two(2, 2)] })).toBe('ok');
    expect(write(m, ada, 1, 1)).toBe('ok');
    expect(write(m, ada, 3, 3, { leases: [two(3, 3)] })).toBe('ok');
    expect(write(m, ada, 1, 1)).toBe('lease_superseded');
    m.nowMs += 6_000;
    const request = { command: { type: 'store', key: 'k', value: '1', lease: under(1, 1) } } as const;
    expect(m.engine.questions(ada, [request]).leases).toEqual([allocationId(1), allocationId(2), allocationId(3)]);
    expect(write(m, ada, 1, 1, { leases: [two(1, 1), { ...two(2, 2), status: 'released' }, two(3, 3)] })).toBe('ok');
  });

  it('M84 a revoked lease stays revoked, whatever an answer under way says, and its claims go with it', () => {
    const m = memory();
    const known = { leases: [lease(1, ada, { fencingToken: 5 })] };
    m.must(ada, { type: 'claim', paths: ['src'], mode: 'write', leaseMs: 60_000, lease: under(1, 5) }, known);
    m.engine.leasesRevoked(admin, [{ agentId: ada.subject, allocationId: allocationId(1), fencingToken: 5 }]);
    expect(write(m, ada, 1, 5)).toBe('lease_superseded');
    expect(write(m, ada, 1, 5, known)).toBe('lease_superseded');
    expect(m.must(bob, { type: 'listClaims', ...paging }).data).toEqual([]);
    m.engine.leasesRevoked(admin, [{ agentId: ada.subject, allocationId: allocationId(2), fencingToken: 6 }]);
    expect(write(m, ada, 2, 6, { leases: [lease(2, ada, { fencingToken: 6 })] })).toBe('lease_superseded');
  });
});

describe('claims and the leases they were made under', () => {
  const claims = (m: Harness): readonly unknown[] => m.must(bob, { type: 'listClaims', ...paging }).data;
  const made = (): Harness => {
    const m = memory();
    m.must(
      ada,
      {
        type: 'claim',
        paths: ['src/**'],
        mode: 'write',
        leaseMs: 600_000,
        lease: { allocationId: allocationId(1), fencingToken: 5 },
      },
      { leases: [lease(1, ada, { fencingToken: 5 })] },
    );
    return m;
  };
  const wanted: MemoryCommandOf<'claim'> = { type: 'claim', paths: ['src/a.ts'], mode: 'write', leaseMs: 60_000 };

  it.each(['released', 'expired', 'revoked'] as const)('M115 a claim falls with its lease, once that is %s', (status) => {
    const m = made();
    expect(m.engine.questions(bob, [{ command: wanted }]).leases).toEqual([]);
    expect(kindOf(m.run(bob, wanted))).toBe('invalid_state');
    m.nowMs += 5_001;
    // The last word is old: the pool is asked before the claim is held against anybody.
    expect(m.engine.questions(bob, [{ command: wanted }]).leases).toEqual([allocationId(1)]);
    expect(m.engine.questions(bob, [{ command: { type: 'listClaims', ...paging } }]).leases).toEqual([allocationId(1)]);
    expect(m.engine.questions(bob, [{ command: { ...wanted, paths: ['docs'] } }]).leases).toEqual([]);
    expect(m.engine.questions(ada, [{ command: wanted }]).leases).toEqual([]);
    const told = { leases: [lease(1, ada, { fencingToken: 5, status })] };
    expect(m.must(bob, wanted, told)).toMatchObject({ holder: bob.subject });
    expect(claims(m)).toHaveLength(1);
  });

  it('M115 a claim under a lease that goes on stays', () => {
    const m = made();
    m.nowMs += 5_001;
    expect(kindOf(m.run(bob, wanted, { leases: [lease(1, ada, { fencingToken: 5 })] }))).toBe('invalid_state');
    expect(claims(m)).toHaveLength(1);
  });
});

describe('quarantine', () => {
  it('M130 hides what was written by an agent or under a lease, and gives it back', () => {
    const m = memory();
    m.must(ada, { type: 'store', key: 'a', value: '"clean"', level: 'swarm' });
    m.must(ada, { type: 'setPermissions', key: 'a', permissions: { level: 'swarm', read: [], write: ['swarm'], delete: [] } });
    m.must(bob, { type: 'store', key: 'a', value: '"poison"' });
    m.must(bob, { type: 'store', key: 'b', value: '"poison"', level: 'swarm' });
    m.must(
      bob,
      { type: 'store', key: 'c', value: '"fine"', level: 'swarm', lease: { allocationId: allocationId(1), fencingToken: 1 } },
      { leases: [lease(1, bob, { fencingToken: 1 })] },
    );
    expect(m.must(operator, { type: 'quarantine', agentId: bob.subject, release: false })).toMatchObject({ entries: 3 });
    const keys = (): string[] =>
      m.must(cyd, { type: 'list', ...paging, values: false, quarantined: false }).data.map(({ key }) => key);
    expect(keys()).toEqual([]);
    for (const key of ['a', 'b', 'c']) expect(kindOf(m.run(cyd, { type: 'retrieve', key }))).toBe('not_found');
    expect(kindOf(m.run(bob, { type: 'store', key: 'd', value: '1' }))).toBe('forbidden');
    expect(kindOf(m.run(cyd, { type: 'list', ...paging, values: false, quarantined: true }))).toBe('forbidden');
    expect(m.must(operator, { type: 'list', ...paging, values: true, quarantined: true }).data).toHaveLength(3);
    // The owner writes over it, or an admin goes back to the version before.
    expect(m.must(admin, { type: 'rollback', key: 'a', version: 1 }).entry).toMatchObject({ version: 3 });
    expect(m.must(cyd, { type: 'retrieve', key: 'a' }).entry?.value).toBe('"clean"');
    expect(m.must(ada, { type: 'history', key: 'a', ...paging }).data.map(({ value }) => value)).toEqual(['"clean"', '"clean"']);
    m.must(operator, { type: 'quarantine', agentId: bob.subject, release: true });
    expect(keys()).toEqual(['a', 'b', 'c']);
    expect(m.must(operator, { type: 'quarantine', allocationId: allocationId(1), release: false })).toMatchObject({ entries: 1 });
    expect(keys()).toEqual(['a', 'b']);
    expect(kindOf(m.run(bob, { type: 'store', key: 'd', value: '1' }))).toBe('ok');
  });
});

describe('erasure', () => {
  it('M131 leaves nothing of an owner in any table, and says so', () => {
    const m = memory();
    const mark = 'MARK';
    m.must(bob, { type: 'store', key: `k${mark}`, value: `"v${mark}"`, tags: [mark], vector: [1, 2] });
    m.must(bob, { type: 'store', key: `k${mark}`, value: `"w${mark}"`, vector: [1, 2] });
    m.must(bob, {
      type: 'setPermissions',
      key: `k${mark}`,
      permissions: { level: 'swarm', read: [cyd.subject], write: ['swarm'], delete: [] },
    });
    m.must(ada, { type: 'store', key: 'shared', value: '1', level: 'swarm' });
    m.must(ada, {
      type: 'setPermissions',
      key: 'shared',
      permissions: { level: 'swarm', read: [], write: ['swarm'], delete: [] },
    });
    m.must(bob, { type: 'store', key: 'shared', value: `"by bob ${mark}"` });
    m.must(ada, { type: 'store', key: 'shared', value: '2' });
    m.must(bob, { type: 'vote', taskId: taskId(1), choice: mark, confidence: 1, reasoning: mark }, isTask(1));
    m.must(bob, { type: 'claim', paths: [mark], mode: 'write', leaseMs: 60_000 });
    m.must(bob, { type: 'createArtifact', name: mark, bytes: 0, sha256: sha256Of(), contentType: 'x', level: 'swarm' });
    m.run(
      bob,
      { type: 'transaction', operations: [{ op: 'put', key: `t${mark}`, value: '1' }] },
      { key: { key: `${bob.subject}\nr\nk`, bodyHash: 'h' } },
    );
    const receipt = m.must(admin, { type: 'erase', owner: bob.subject });
    expect(receipt).toMatchObject({ remaining: 0, swarm: 'hive', actor: admin.subject });
    expect(receipt.digest).toMatch(/^[0-9a-f]{64}$/);
    const tables = m.rows("SELECT name FROM sqlite_master WHERE type = 'table'").map(({ name }) => String(name));
    for (const table of tables.filter((name) => name !== 'audit')) {
      const text = JSON.stringify(m.rows(`SELECT * FROM ${table}`));
      expect({ table, found: text.includes(mark) || text.includes(bob.subject) }).toEqual({ table, found: false });
    }
    expect(JSON.stringify(m.rows('SELECT target, detail FROM audit'))).not.toMatch(mark);
    expect(m.must(ada, { type: 'retrieve', key: 'shared' }).entry?.value).toBe('2');
    expect(m.rows('SELECT entries, bytes FROM counters')).toEqual(
      m.rows('SELECT COUNT(*) AS entries, SUM(value_bytes) AS bytes FROM memory'),
    );
  });

  it('M131 by keys and by prefix, whoever owns them', () => {
    const m = memory();
    for (const who of [ada, bob]) for (const key of ['x/1', 'x/2', 'y']) m.must(who, { type: 'store', key, value: '1' });
    expect(m.must(admin, { type: 'erase', keys: ['y'] }).erased).toMatchObject({ memory: 2 });
    expect(m.must(admin, { type: 'erase', prefix: 'x/' })).toMatchObject({ erased: { memory: 4 }, remaining: 0 });
    expect(m.rows('SELECT COUNT(*) AS n FROM memory')).toEqual([{ n: 0 }]);
    expect(JSON.stringify(m.rows('SELECT data FROM events'))).not.toMatch(/x\/|"y"/);
  });
});

describe('artifacts', () => {
  it('M135 are complete with their last chunk, have their level, and go with it', () => {
    const m = memory();
    const chunk = 524_288;
    const artifact = m.must(ada, {
      type: 'createArtifact',
      name: 'a',
      bytes: chunk + 10,
      sha256: sha256Of(new Uint8Array(chunk), new Uint8Array(10).fill(1)),
      contentType: 'x/y',
      level: 'team',
    });
    const part = (number: number, bytes: number) =>
      m.run(ada, { type: 'putChunk', artifactId: artifact.id, number, data: new Uint8Array(bytes).fill(number).buffer });
    expect(kindOf(part(1, 11))).toBe('validation_failed');
    expect(kindOf(part(2, 1))).toBe('not_found');
    expect(part(1, 10)).toMatchObject({ ok: true, value: { complete: false } });
    expect(kindOf(m.run(bob, { type: 'getChunk', artifactId: artifact.id, number: 1 }))).toBe('not_found');
    // Other bytes than were announced do not complete it.
    const wrong = { type: 'putChunk', artifactId: artifact.id, number: 0, data: new Uint8Array(chunk).fill(9).buffer } as const;
    expect(kindOf(m.run(ada, wrong))).toBe('validation_failed');
    expect(kindOf(m.run(bob, { type: 'getChunk', artifactId: artifact.id, number: 1 }))).toBe('not_found');
    expect(part(0, chunk)).toMatchObject({ ok: true, value: { complete: true } });
    expect(kindOf(part(0, chunk))).toBe('invalid_state');
    expect(m.must(bob, { type: 'getChunk', artifactId: artifact.id, number: 1 }).byteLength).toBe(10);
    expect(kindOf(m.run(cyd, { type: 'getArtifact', artifactId: artifact.id }))).toBe('not_found');
    expect(kindOf(m.run(cyd, { type: 'getChunk', artifactId: artifact.id, number: 0 }))).toBe('not_found');
    expect(m.must(cyd, { type: 'listArtifacts', ...paging }).data).toEqual([]);
    expect(kindOf(m.run(bob, { type: 'deleteArtifact', artifactId: artifact.id }))).toBe('forbidden');
    m.must(ada, { type: 'deleteArtifact', artifactId: artifact.id });
    expect(m.rows('SELECT COUNT(*) AS n FROM artifact_chunks')).toEqual([{ n: 0 }]);
    expect(m.rows('SELECT artifact_bytes AS n FROM counters')).toEqual([{ n: 0 }]);
  });
});
