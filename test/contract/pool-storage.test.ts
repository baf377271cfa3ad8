import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../durable-objects/lib/migrate.ts';
import { Changes } from '../../durable-objects/pool/core/changes.ts';
import type { AgentRecord, LeaseRecord, RevocationRecord, TaskRecord } from '../../durable-objects/pool/core/records.ts';
import { MemoryPoolStorage } from '../../durable-objects/pool/memory-storage.ts';
import { POOL_MIGRATIONS } from '../../durable-objects/pool/migrations.ts';
import { SqlitePoolStorage } from '../../durable-objects/pool/sqlite-storage.ts';
import type { PoolStorage, ShardMeta, StoredAnswer } from '../../durable-objects/pool/storage.ts';
import { makeId } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import { TASK_STATUSES } from '../../shared/schemas/tasks.ts';
import { agentSpec, FLEET, HOME, PoolHarness, START_MS } from '../lib/pool-harness.ts';
import { reopened } from '../lib/reopened-storage.ts';
import { NodeStorage } from '../lib/sql-storage.ts';

const meta: ShardMeta = {
  fleet: FLEET,
  home: HOME,
  config: { version: 3, maxAgents: 9, priority: 5 },
  lastFence: 7,
  nextTaskSeq: 11,
  summaryVersion: 13,
  prunedAtMs: 17,
};
const ulid = (n: number): string => String(n).padStart(26, '0');
const agentId = (n: number): string => makeId('agent', HOME, ulid(n));
const leaseId = (n: number): string => makeId('allocation', HOME, ulid(n));
const taskId = (n: number): string => makeId('task', HOME, ulid(n));

const agent = (n: number, patch: Partial<AgentRecord> = {}): AgentRecord => ({
  id: agentId(n),
  spec: agentSpec({
    capabilities: ['a', 'b'],
    labels: { zone: 'north', "it's": '"quoted" ☃' },
    slots: 3,
    metadata: '{"x":[1,null]}',
  }),
  createdAtMs: START_MS + n,
  lifecycle: 'ready',
  onSession: false,
  suspectSinceMs: null,
  zombieSinceMs: null,
  lostAtMs: null,
  drainDeadlineAtMs: null,
  removeWhenFree: false,
  lastSeenAtMs: START_MS + n,
  completed: 1,
  failed: 2,
  totalDurationMs: 1_234.5,
  ...patch,
});
const lease = (n: number, patch: Partial<LeaseRecord> = {}): LeaseRecord => ({
  id: leaseId(n),
  agentId: agentId(1),
  kind: 'direct',
  taskId: null,
  slots: 1,
  fencingToken: n,
  grantedAtMs: START_MS,
  metadata: '{"caller":"ünï"}',
  expiresAtMs: START_MS + 30_000,
  timeoutAtMs: null,
  accepted: false,
  status: 'active',
  endedAtMs: null,
  ...patch,
});
const revocation = (epoch: number, patch: Partial<RevocationRecord> = {}): RevocationRecord => ({
  epoch,
  fence: 10 * epoch,
  terms: { selector: { agentIds: [agentId(1)], holder: "it's" }, reason: 'ünï', tasks: 'cancel', quarantine: true },
  atMs: START_MS,
  endedAtMs: null,
  revoked: 0,
  requeued: 0,
  cancelled: 0,
  quarantined: 0,
  ...patch,
});
const task = (n: number, patch: Partial<TaskRecord> = {}): TaskRecord => ({
  id: taskId(n),
  seq: n,
  priority: 5,
  capabilities: ['a'],
  selectors: [{ matchLabels: { zone: 'north' } }],
  fairnessKey: '',
  fairnessWeight: 1,
  concurrency: null,
  maxAttempts: 3,
  retry: { baseMs: 1, factor: 2, maxMs: 3, jitter: 0.2 },
  timeoutMs: 1_000,
  deadlineAtMs: null,
  resultTtlMs: 10_000,
  createdAtMs: START_MS,
  readyAtMs: START_MS,
  replayOf: null,
  metadata: null,
  status: 'queued',
  attempts: 0,
  notBeforeMs: 0,
  waitsFor: [],
  agentId: null,
  allocationId: null,
  fencingToken: null,
  startedAtMs: null,
  completedAtMs: null,
  cancelDueAtMs: null,
  error: null,
  ...patch,
});
const ended = (n: number, completedAtMs: number, patch: Partial<TaskRecord> = {}): TaskRecord =>
  task(n, { status: 'succeeded', completedAtMs, ...patch });

function changes(what: {
  readonly newAgents?: readonly AgentRecord[];
  readonly agents?: readonly AgentRecord[];
  readonly removed?: readonly string[];
  readonly leases?: readonly LeaseRecord[];
  readonly tasks?: readonly TaskRecord[];
  readonly revocations?: readonly RevocationRecord[];
  readonly blobs?: Changes['blobs'];
}): Changes {
  const all = new Changes();
  for (const a of what.newAgents ?? []) all.newAgents.set(a.id, a);
  for (const a of what.agents ?? []) all.agents.set(a.id, a);
  for (const id of what.removed ?? []) all.removedAgents.add(id);
  for (const l of what.leases ?? []) all.leases.set(l.id, l);
  for (const t of what.tasks ?? []) all.tasks.set(t.id, t);
  for (const r of what.revocations ?? []) all.revocations.set(r.epoch, r);
  all.blobs.push(...(what.blobs ?? []));
  return all;
}

const makers: Record<string, () => PoolStorage> = {
  memory: () => new MemoryPoolStorage(),
  'node:sqlite': () => {
    const storage = new NodeStorage();
    migrate(storage, POOL_MIGRATIONS);
    return new SqlitePoolStorage(storage.sql);
  },
  'node:sqlite, opened again after every write': () => {
    const storage = new NodeStorage();
    migrate(storage, POOL_MIGRATIONS);
    return reopened(storage.sql, 1, false);
  },
};

describe.each(Object.entries(makers))('pool storage: %s', (_, make) => {
  let storage: PoolStorage;
  const write = (what: Parameters<typeof changes>[0], m: ShardMeta = meta): void => storage.write(changes(what), m);
  const answerOf = (key: string): StoredAnswer | null => storage.answers([key]).get(key) ?? null;

  beforeEach(() => {
    storage = make();
  });

  it('holds nothing before the first write', () => {
    expect(storage.load()).toBeNull();
    expect([storage.lease(leaseId(1)), storage.task(taskId(1)), storage.blob(taskId(1), 'payload'), answerOf('k')]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(storage.tasks(null, null, 10)).toEqual([]);
    expect(storage.prune(START_MS, 10)).toEqual({ tasks: {}, rows: 0, more: false, nextAtMs: null });
  });

  it('gives back what was written, in order of id, without what has ended or left', () => {
    write({
      newAgents: [agent(2), agent(1), agent(3)],
      leases: [lease(2), lease(1), lease(3, { status: 'released', endedAtMs: START_MS })],
      tasks: [task(2), task(1), ended(3, START_MS), ended(4, START_MS, { status: 'dead' }), ended(5, START_MS)],
    });
    write({ removed: [agentId(3)] }, { ...meta, summaryVersion: 14 });
    expect(storage.load()).toEqual({
      meta: { ...meta, summaryVersion: 14 },
      agents: [agent(1), agent(2)],
      leases: [lease(1), lease(2)],
      tasks: [task(1), task(2)],
      revocations: [],
      ended: { succeeded: 2, dead: 1 },
    });
  });

  it('loads revocations that are under way, finds any, and forgets the oldest that have ended', () => {
    const keep = LIMITS.revocationsPerShard;
    const begun = revocation(1);
    write({ revocations: [begun, revocation(2, { endedAtMs: START_MS, revoked: 3 }), revocation(3)] });
    write({ revocations: [revocation(3, { revoked: 1 })] });
    expect(storage.load()?.revocations).toEqual([begun, revocation(3, { revoked: 1 })]);
    expect(storage.revocation(2)).toEqual(revocation(2, { endedAtMs: START_MS, revoked: 3 }));
    expect(storage.revocation(4)).toBeNull();
    write({ revocations: [revocation(keep + 1), revocation(keep + 2)] });
    // One that is under way stays, however old.
    expect([storage.revocation(1), storage.revocation(2)]).toEqual([begun, null]);
  });

  it('keeps the latest of each record; what an agent registered with does not change', () => {
    write({ newAgents: [agent(1)], leases: [lease(1)], tasks: [task(1)] });
    const drained = agent(1, { lifecycle: 'draining', drainDeadlineAtMs: 5, completed: 9 });
    write({
      agents: [drained],
      leases: [lease(1, { expiresAtMs: START_MS + 60_000 })],
      tasks: [task(1, { status: 'assigned', attempts: 1, agentId: agentId(1), allocationId: leaseId(1), fencingToken: 1 })],
    });
    const snapshot = storage.load();
    expect(snapshot?.agents).toEqual([drained]);
    expect(snapshot?.leases[0]?.expiresAtMs).toBe(START_MS + 60_000);
    expect(snapshot?.tasks[0]?.status).toBe('assigned');
  });

  it('an agent that registered and changed in one step is stored as it ended up', () => {
    const changed = agent(1, { completed: 5 });
    write({ newAgents: [changed], agents: [changed] });
    expect(storage.load()?.agents).toEqual([changed]);
  });

  it('a change of an agent that is not stored writes nothing', () => {
    write({ agents: [agent(1)] });
    expect(storage.load()?.agents).toEqual([]);
  });

  it('shares nothing with the records it was given or has answered', () => {
    const record = agent(1);
    write({ newAgents: [record], leases: [lease(1)] });
    record.lifecycle = 'quarantined';
    const read = storage.lease(leaseId(1)) as LeaseRecord;
    read.status = 'revoked';
    expect(storage.load()?.agents[0]?.lifecycle).toBe('ready');
    expect(storage.lease(leaseId(1))?.status).toBe('active');
  });

  it('finds leases and tasks by id, live or ended', () => {
    const over = lease(2, { status: 'expired', endedAtMs: START_MS });
    write({ leases: [lease(1), over], tasks: [task(1), ended(2, START_MS)] });
    expect([storage.lease(leaseId(1)), storage.lease(leaseId(2)), storage.lease(leaseId(3))]).toEqual([lease(1), over, null]);
    expect([storage.task(taskId(1)), storage.task(taskId(2)), storage.task(taskId(3))]).toEqual([
      task(1),
      ended(2, START_MS),
      null,
    ]);
  });

  it('keeps texts beside the task, as they are, each kind by itself; null removes one', () => {
    const nasty = JSON.stringify({ __proto__: 1, text: "'; DROP TABLE tasks; --", emoji: '\u{1F600}', nul: '\u0000' });
    write({
      blobs: [
        { taskId: taskId(1), kind: 'payload', json: nasty },
        { taskId: taskId(1), kind: 'progress', json: '1' },
        { taskId: taskId(1), kind: 'progress', json: '2' },
        { taskId: taskId(2), kind: 'payload', json: 'null' },
        { taskId: taskId(1), kind: 'checkpoint', json: '3' },
        { taskId: taskId(1), kind: 'checkpoint', json: null },
      ],
    });
    expect(storage.blob(taskId(1), 'payload')).toBe(nasty);
    expect(storage.blob(taskId(1), 'progress')).toBe('2');
    expect(storage.blob(taskId(1), 'checkpoint')).toBeNull();
    expect(storage.blob(taskId(1), 'result')).toBeNull();
    expect(storage.blob(taskId(2), 'payload')).toBe('null');
  });

  it('lists tasks above an id, ascending, live and ended, of one status or all, at most so many', () => {
    write({ tasks: [5, 3, 1, 4, 2].map((n) => (n % 2 === 0 ? ended(n, START_MS) : task(n))) });
    const ids = (...args: Parameters<PoolStorage['tasks']>): string[] => storage.tasks(...args).map((t) => t.id);
    expect(ids(null, null, 10)).toEqual([1, 2, 3, 4, 5].map(taskId));
    expect(ids(null, taskId(2), 2)).toEqual([3, 4].map(taskId));
    expect(ids('queued', null, 10)).toEqual([1, 3, 5].map(taskId));
    expect(ids('succeeded', taskId(2), 10)).toEqual([4].map(taskId));
    for (const status of TASK_STATUSES.filter((s) => s !== 'queued' && s !== 'succeeded'))
      expect(ids(status, null, 10)).toEqual([]);
    expect(ids(null, taskId(5), 10)).toEqual([]);
  });

  it('keeps the latest answer of a key; only a passed one can be forgotten', () => {
    const answer = (state: 'done' | 'passed', atMs = START_MS, text: JsonText = '{"ok":true}') => ({
      bodyHash: 'h',
      state,
      answer: text,
      atMs,
    });
    storage.putAnswer('done', answer('done'));
    storage.putAnswer('passed', answer('passed'));
    storage.putAnswer('settled', answer('passed'));
    storage.putAnswer('settled', answer('done', START_MS + 1, '"later"'));
    storage.forgetAnswers(['done', 'passed', 'settled', 'unknown']);
    expect(answerOf('done')).toEqual(answer('done'));
    expect(answerOf('passed')).toBeNull();
    expect(answerOf('settled')).toEqual(answer('done', START_MS + 1, '"later"'));
  });

  it('gives back what callers wrote as it was, whatever it is', () => {
    const nasty = ['\u{1F600}', '\ud800', '\u0000', '"\\\'', '\u2028', "'; DROP TABLE leases; --", '[1,{"$.id":2}]', 'ünï'];
    const metadata = JSON.stringify({ nasty, deep: JSON.parse('['.repeat(60) + ']'.repeat(60)) as unknown, number: 1.5e-7 });
    const records = nasty.map((text, n) => lease(n, { metadata: JSON.stringify(text) }));
    const failed = task(1, { error: { code: 'x', message: nasty.join('') } });
    write({ leases: [...records, lease(99, { metadata })], tasks: [failed] });
    for (const [n, text] of nasty.entries()) {
      storage.putAnswer(`key ${text}`, {
        bodyHash: 'h',
        state: 'done',
        answer: JSON.stringify({ [text]: [text, 0.1, null] }),
        atMs: n,
      });
    }
    const check = (): void => {
      for (const [n, record] of records.entries()) expect(storage.lease(leaseId(n))).toEqual(record);
      expect(storage.lease(leaseId(99))?.metadata).toBe(metadata);
      expect(storage.task(taskId(1))).toEqual(failed);
      for (const text of nasty.filter((one) => one !== '\ud800' && one !== '\u0000'))
        expect(answerOf(`key ${text}`)?.answer).toBe(JSON.stringify({ [text]: [text, 0.1, null] }));
    };
    check();
    // Once more after the end of the transaction, from the rows themselves.
    expect(storage.load()?.leases).toHaveLength(nasty.length + 1);
    check();
  });

  it('takes many rows and large ones in one transaction', () => {
    const metadata = JSON.stringify('☃'.repeat(300_000));
    write({ leases: Array.from({ length: 3_000 }, (__, n) => lease(n, n % 1_000 === 0 ? { metadata } : {})) });
    const answer = JSON.stringify('x'.repeat(1_800_000));
    storage.putAnswer('large', { bodyHash: 'h', state: 'done', answer, atMs: 1 });
    expect(storage.load()?.leases).toHaveLength(3_000);
    expect(storage.lease(leaseId(2_000))?.metadata).toBe(metadata);
    expect(answerOf('large')?.answer).toBe(answer);
  });

  it('an audit row may tell of any number of changes', () => {
    const why = 'suspect: its socket was gone after a wake';
    const entries = Array.from({ length: 40_000 }, (__, n) => ['agentChanged', agentId(n), why] as const);
    storage.audit({ atMs: START_MS, actor: 'system', action: 'wake', requestId: '', entries });
    write({});
    // What a transaction keeps back is written by its end.
    expect(storage.load()?.meta).toEqual(meta);
  });

  describe('pruning', () => {
    const limits = LIMITS as { endedTasksPerShard: number; endedAllocationsPerShard: number; idempotencyPerShard: number };
    const before = { ...limits };
    afterEach(() => void Object.assign(limits, before));
    const leaseEnded = (n: number, atMs: number): LeaseRecord => lease(n, { status: 'released', endedAtMs: atMs });
    const put = (key: string, atMs: number): void => storage.putAnswer(key, { bodyHash: 'h', state: 'done', answer: '1', atMs });

    it('removes what is past its time and leaves everything that lives', () => {
      const day = LIMITS.allocationRetentionMs;
      write({
        leases: [lease(1), leaseEnded(2, START_MS), leaseEnded(3, START_MS + 1)],
        tasks: [
          task(1),
          ended(2, START_MS, { resultTtlMs: day }),
          ended(3, START_MS, { resultTtlMs: day + 1 }),
          ended(4, START_MS, { resultTtlMs: day, status: 'dead' }),
        ],
        blobs: [2, 3].flatMap((n) => [
          { taskId: taskId(n), kind: 'payload' as const, json: '1' },
          { taskId: taskId(n), kind: 'result' as const, json: '2' },
        ]),
      });
      put('old', START_MS);
      put('young', START_MS + 1);
      expect(storage.prune(START_MS + day - 1, 100)).toEqual({ tasks: {}, rows: 0, more: false, nextAtMs: START_MS + day });
      expect(storage.prune(START_MS + day, 100)).toEqual({
        tasks: { succeeded: 1, dead: 1 },
        rows: 4,
        more: false,
        nextAtMs: START_MS + day + 1,
      });
      expect(storage.tasks(null, null, 10).map((t) => t.id)).toEqual([taskId(1), taskId(3)]);
      expect([storage.blob(taskId(2), 'payload'), storage.blob(taskId(2), 'result')]).toEqual([null, null]);
      expect(storage.blob(taskId(3), 'result')).toBe('2');
      expect([1, 2, 3].map((n) => storage.lease(leaseId(n))?.id)).toEqual([leaseId(1), undefined, leaseId(3)]);
      expect([answerOf('old'), answerOf('young')?.atMs]).toEqual([null, START_MS + 1]);
      expect(storage.load()?.ended).toEqual({ succeeded: 1 });
    });

    it('removes at most so many of each kind, the oldest first', () => {
      write({
        leases: [4, 2, 3, 1].map((n) => leaseEnded(n, START_MS + n)),
        tasks: [4, 2, 3, 1].map((n) => ended(n, START_MS + n)),
      });
      for (const n of [4, 2, 3, 1]) put(`k${n}`, START_MS + n);
      const lateMs = START_MS + 10 * LIMITS.allocationRetentionMs;
      expect(storage.prune(lateMs, 3)).toMatchObject({ tasks: { succeeded: 3 }, rows: 9, more: true });
      expect(storage.tasks(null, null, 10).map((t) => t.id)).toEqual([taskId(4)]);
      expect([1, 2, 3, 4].map((n) => storage.lease(leaseId(n)) !== null)).toEqual([false, false, false, true]);
      expect([1, 2, 3, 4].map((n) => answerOf(`k${n}`) !== null)).toEqual([false, false, false, true]);
      expect(storage.prune(lateMs, 3)).toEqual({ tasks: { succeeded: 1 }, rows: 3, more: false, nextAtMs: null });
    });

    it('keeps the newest of too many, and counts what age has removed', () => {
      Object.assign(limits, { endedTasksPerShard: 3, endedAllocationsPerShard: 3, idempotencyPerShard: 3 });
      const nowMs = START_MS + LIMITS.allocationRetentionMs;
      const atMs = [-2, -1, 10, 11, 12, 13].map((offset) => START_MS + offset);
      write({
        leases: [lease(99), ...atMs.map((at, i) => leaseEnded(i + 1, at))],
        tasks: [task(99), ...atMs.map((at, i) => ended(i + 1, at, { resultTtlMs: LIMITS.allocationRetentionMs }))],
      });
      for (const [i, at] of atMs.entries()) put(`k${i + 1}`, at);
      // Six where three are kept: two are past their time, one more goes by number.
      expect(storage.prune(nowMs, 100)).toMatchObject({ tasks: { succeeded: 3 }, rows: 9 });
      const left = [1, 2, 3, 4, 5, 6].map((n) => [
        storage.task(taskId(n)) !== null,
        storage.lease(leaseId(n)) !== null,
        answerOf(`k${n}`) !== null,
      ]);
      expect(left).toEqual([false, false, false, true, true, true].map((kept) => [kept, kept, kept]));
      expect([storage.task(taskId(99))?.status, storage.lease(leaseId(99))?.status]).toEqual(['queued', 'active']);
    });
  });

  it('an engine that starts again on what was written goes on where it was', () => {
    const h = new PoolHarness({ storage, maxAgents: 5 });
    const worker = h.connected({ slots: 2 });
    const held = h.submit();
    const delayed = h.submit({ delayMs: 60_000 });
    const direct = h.allocate({ leaseMs: 600_000 });
    const over = h.submit({ capabilities: ['nobody'] });
    h.do({ type: 'cancelTask', taskId: over });
    const before = h.engine.summary();
    h.restart({ socketsSurvive: true });
    expect(h.engine.summary()).toMatchObject({ agents: before.agents, tasks: before.tasks, slotsFree: before.slotsFree });
    expect(h.complete(h.work(held), '{"n":1}').result).toBe('{"n":1}');
    expect(h.do({ type: 'release', allocationId: direct.id, fencingToken: direct.fencingToken }).status).toBe('released');
    h.advanceAlive(60_000);
    expect(h.work(delayed).agentId).toBe(worker);
  });
});
