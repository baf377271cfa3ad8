import { describe, expect, it } from 'vitest';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { POOL_MIGRATIONS } from '../../../durable-objects/pool/migrations.ts';
import { SqlitePoolStorage } from '../../../durable-objects/pool/sqlite-storage.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { IdempotencyRef } from '../../../shared/rpc.ts';
import { agentSpec, allocateSpec, OPERATOR, PoolHarness, taskSpec } from '../../lib/pool-harness.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const ref = (key: string, bodyHash = 'a', passOnRefusal?: boolean): IdempotencyRef => ({
  key,
  bodyHash,
  ...(passOnRefusal === undefined ? {} : { passOnRefusal }),
});
const allocate = (waiterId: string, waitMs = 0) => ({ type: 'allocate', spec: allocateSpec({ waitMs }), waiterId }) as const;

describe('idempotency', () => {
  it('P80: the same key and body gets the same answer, and nothing is done again', () => {
    const h = new PoolHarness();
    h.register({ slots: 5 });
    const first = h.ask(allocate('w1'), OPERATOR, ref('k'));
    const again = h.ask(allocate('w2'), OPERATOR, ref('k'));
    expect(again).toEqual({ ...(first as object), replayed: true });
    expect(h.state.leases.size).toBe(1);
    h.restart({ socketsSurvive: false });
    expect(h.ask(allocate('w3'), OPERATOR, ref('k'))).toEqual(again);
    expect(h.state.leases.size).toBe(1);
  });

  it('P80: a repeat in one batch counts as a repeat', () => {
    const h = new PoolHarness();
    const command = { type: 'submitTask', spec: taskSpec(), needsAgent: false } as const;
    const { answers } = h.engine.execute(OPERATOR, [
      { command, idempotency: ref('k') },
      { command, idempotency: ref('k') },
    ]);
    expect(answers[1]).toEqual({ ...(answers[0] as object), replayed: true });
    expect(h.state.tasks.size).toBe(1);
  });

  it('P81: the same key with another body is refused and changes nothing', () => {
    const h = new PoolHarness();
    h.register({ slots: 5 });
    h.ask(allocate('w1'), OPERATOR, ref('k'));
    expect(h.ask(allocate('w2'), OPERATOR, ref('k', 'b'))).toMatchObject({ ok: false, error: { kind: 'idempotency_mismatch' } });
    expect(h.state.leases.size).toBe(1);
  });

  it('P82: only answers that changed something are kept: a refusal may be tried again', () => {
    const h = new PoolHarness();
    expect(h.ask(allocate('w1'), OPERATOR, ref('k'))).toMatchObject({ ok: false, error: { kind: 'no_capacity' } });
    h.register();
    expect(h.ask(allocate('w2'), OPERATOR, ref('k', 'b'))).toMatchObject({ ok: true });
  });

  it('P83: while the first call waits, a repeat is told so; the grant is kept for it', () => {
    const h = new PoolHarness();
    const waiter = h.wait({}, ref('k'));
    expect(h.ask(allocate('w2', 1_000), OPERATOR, ref('k'))).toMatchObject({ error: { kind: 'idempotency_in_progress' } });
    expect(h.ask(allocate('w2', 1_000), OPERATOR, ref('k', 'b'))).toMatchObject({ error: { kind: 'idempotency_mismatch' } });
    h.register();
    expect(h.ask(allocate('w3', 1_000), OPERATOR, ref('k'))).toEqual({ ...h.waited(waiter), replayed: true });
  });

  it('P83: a wait that ended, was withdrawn, or was lost in a crash leaves the key free', () => {
    const h = new PoolHarness();
    h.wait({ waitMs: 1_000 }, ref('timed-out'));
    h.advance(1_000);
    const left = h.wait({}, ref('left'));
    h.engine.withdraw(left);
    h.wait({}, ref('crashed'));
    h.restart({ socketsSurvive: false });
    h.register({ slots: 3 });
    for (const key of ['timed-out', 'left', 'crashed'])
      expect(h.ask(allocate(`again-${key}`), OPERATOR, ref(key, 'b'))).toMatchObject({ ok: true });
  });

  it('P84: a key passed on is skipped here for a minute, so that the grant made elsewhere is found', () => {
    const h = new PoolHarness();
    const refused = h.ask(allocate('w1'), OPERATOR, ref('k', 'a', true));
    expect(refused).toMatchObject({ ok: false });
    h.register();
    expect(h.ask(allocate('w2'), OPERATOR, ref('k', 'a', true))).toEqual(refused);
    expect(h.state.leases.size).toBe(0);
    // Without further candidates it is tried here again.
    expect(h.ask(allocate('w3'), OPERATOR, ref('k', 'a', false))).toMatchObject({ ok: true });
  });

  it('P84: so is one whose wait ended without a grant', () => {
    const h = new PoolHarness();
    h.wait({ waitMs: 1_000 }, ref('k', 'a', true));
    h.advance(1_000);
    h.register();
    expect(h.ask(allocate('w2', 1_000), OPERATOR, ref('k', 'a', true))).toMatchObject({ error: { kind: 'no_capacity' } });
    expect(h.state.leases.size).toBe(0);
  });

  it('P84: the mark goes when every candidate refused, and by itself', () => {
    const h = new PoolHarness();
    h.ask(allocate('w1'), OPERATOR, ref('forgotten', 'a', true));
    h.ask(allocate('w1'), OPERATOR, ref('old', 'a', true));
    h.register({ slots: 2, liveness: 'none', endpoint: 'https://a.example/' });
    h.engine.forgetKeys(['forgotten']);
    expect(h.ask(allocate('w2'), OPERATOR, ref('forgotten', 'a', true))).toMatchObject({ ok: true });
    h.engine.forgetKeys(['forgotten']);
    expect(h.ask(allocate('w3'), OPERATOR, ref('forgotten', 'a', true))).toMatchObject({ ok: true, replayed: true });
    h.advance(60_001);
    expect(h.ask(allocate('w4'), OPERATOR, ref('old', 'a', true))).toMatchObject({ ok: true });
  });

  it('P85: an answer too large for a row is not kept, but nothing is done twice', () => {
    const storage = new NodeStorage();
    migrate(storage, POOL_MIGRATIONS);
    const h = new PoolHarness({ storage: new SqlitePoolStorage(storage.sql) });
    h.connected();
    const { taskId, fencingToken } = h.work(h.submit());
    // A megabyte of quotes is two when it is quoted again.
    const result = JSON.stringify('"'.repeat(520_000));
    const complete = { type: 'completeTask', taskId, fencingToken, result } as const;
    expect(h.ask(complete, OPERATOR, ref('k'))).toMatchObject({ ok: true, value: { result } });
    expect(h.ask(complete, OPERATOR, ref('k'))).toMatchObject({ error: { kind: 'invalid_state' }, replayed: true });
    expect(h.storage.blob(taskId, 'result')).toBe(result);
  });

  it('P85: an answer is kept for a day', () => {
    const h = new PoolHarness();
    const register = { type: 'registerAgent', spec: agentSpec({ liveness: 'none', endpoint: 'https://a.example/' }) } as const;
    const first = h.ask(register, OPERATOR, ref('k'));
    h.jump(LIMITS.idempotencyTtlMs);
    expect(h.ask(register, OPERATOR, ref('k'))).toEqual({ ...(first as object), replayed: true });
    h.jump(1);
    expect(h.ask(register, OPERATOR, ref('k', 'b'))).toMatchObject({ ok: true });
    expect(h.state.agents.size).toBe(2);
  });

  it('P86: a wait that is granted and revoked in one step is told both', () => {
    const h = new PoolHarness();
    const agent = h.register({ liveness: 'none', endpoint: 'https://a.example/' });
    h.allocate({ leaseMs: 5_000 });
    const waiter = h.wait();
    // The lease ended; the next command finds that, grants the agent, and quarantines it.
    h.jump(5_000);
    h.do({ type: 'quarantineAgent', agentId: agent });
    expect(h.waited(waiter)).toMatchObject({ ok: true, value: [{ agentId: agent, status: 'revoked' }] });
  });
});
