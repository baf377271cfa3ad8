import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { check, partition, type Model, type Operation } from '../../lib/linearizability.ts';
import { fixed, NEVER } from '../../lib/models/clock.ts';
import { KEY_MODEL, type KeyOperation } from '../../lib/models/key.ts';
import { LEASE_MODEL, type LeaseOperation } from '../../lib/models/lease.ts';
import { registerModel, type RegisterOperation } from '../../lib/models/register.ts';
import { slotsModel, type SlotsOperation } from '../../lib/models/slots.ts';
import { TASK_MODEL, type TaskOperation } from '../../lib/models/task.ts';

const at = <V>(call: number, end: number, value: V): Operation<V> => ({ value, call, end });
const open = <V>(call: number, end: number, value: V): Operation<V> => ({ value, call, end, isOpen: true });

const REGISTER = registerModel(0);
const write = (value: number): RegisterOperation => ({ type: 'write', value });
const read = (value: number): RegisterOperation => ({ type: 'read', value });

/** By definition: some choice of the open operations, and some order of them and the others, that time and the model allow. */
function isLinearizable<S, V>(model: Model<S, V>, history: readonly Operation<V>[]): boolean {
  const search = (state: S, left: readonly Operation<V>[]): boolean => {
    if (left.every(({ isOpen }) => isOpen === true)) return true;
    return left.some((next) => {
      // Nothing that had ended before `next` was called may come after it; an open one that is past its end never comes.
      const rest = left.filter((other) => other !== next);
      if (rest.some((other) => other.end < next.call && other.isOpen !== true)) return false;
      const possible = rest.filter((other) => other.isOpen !== true || other.end >= next.call);
      const untilMs = Math.min(next.end, ...rest.filter((other) => other.isOpen !== true).map((other) => other.end));
      return model.step(state, next.value, { fromMs: next.call, untilMs }).some((after) => search(after, possible));
    });
  };
  return search(model.initial, history);
}

describe('the checker', () => {
  it('accepts what one order explains', () => {
    expect(check(REGISTER, []).kind).toBe('linearizable');
    expect(check(REGISTER, [at(0, 1, write(1)), at(2, 3, read(1))]).kind).toBe('linearizable');
    // The second write takes effect before the first, although it was called later.
    expect(check(REGISTER, [at(0, 10, write(1)), at(1, 9, write(2)), at(11, 12, read(1))]).kind).toBe('linearizable');
    expect(check(REGISTER, [at(0, 10, write(1)), at(1, 2, read(0)), at(3, 4, read(1))]).kind).toBe('linearizable');
  });

  it('refuses what no order explains, with the shortest prefix', () => {
    const history = [at(0, 1, write(1)), at(2, 3, read(0)), at(4, 5, read(0)), at(6, 7, write(2))];
    const verdict = check(REGISTER, history);
    expect(verdict.kind).toBe('violation');
    if (verdict.kind !== 'violation') return;
    expect(verdict.blocked).toEqual(at(2, 3, read(0)));
    expect(verdict.prefix).toEqual(history.slice(0, 2));
    expect(verdict.states).toEqual([1]);
    // A value, once read, does not go back.
    expect(check(REGISTER, [at(0, 10, write(1)), at(1, 2, read(1)), at(3, 4, read(0))]).kind).toBe('violation');
  });

  it('lets an operation without an answer take effect at any time after its call, or never', () => {
    expect(check(REGISTER, [open(0, Infinity, write(1)), at(5, 6, read(0))]).kind).toBe('linearizable');
    expect(check(REGISTER, [open(0, Infinity, write(1)), at(5, 6, read(0)), at(7, 8, read(1))]).kind).toBe('linearizable');
    expect(check(REGISTER, [at(0, 1, read(1)), open(2, Infinity, write(1))]).kind).toBe('violation');
    expect(check(REGISTER, [open(0, Infinity, write(1)), at(1, 2, read(1)), at(3, 4, read(0))]).kind).toBe('violation');
    // Nothing is done by the dead: after the crash at 3 it has happened or not.
    expect(check(REGISTER, [open(0, 3, write(1)), at(5, 6, read(0)), at(7, 8, read(1))]).kind).toBe('violation');
    expect(check(REGISTER, [open(0, 3, write(1)), at(5, 6, read(1))]).kind).toBe('linearizable');
  });

  it('says so when it cannot decide', () => {
    const history = Array.from({ length: 12 }, (_, i) => at(i, 100, write(i)));
    expect(check(REGISTER, [...history, at(50, 101, read(99))], 1_000).kind).toBe('undecided');
  });

  it('checks each key by itself', () => {
    const keyed = [at(0, 1, { key: 'a', ...write(1) }), at(2, 3, { key: 'b', ...read(0) })];
    const parts = partition(keyed, ({ key }) => key);
    expect([...parts.keys()]).toEqual(['a', 'b']);
    for (const part of parts.values()) expect(check(REGISTER, part).kind).toBe('linearizable');
    expect(check(REGISTER, keyed).kind).toBe('violation');
  });

  it('long histories cost no more than their concurrency', () => {
    const long = Array.from({ length: 20_000 }, (_, i) => at(i, i + 2.5, i % 2 === 0 ? write(i % 7) : write(i % 5)));
    expect(check(REGISTER, long).kind).toBe('linearizable');
  });
});

describe('agrees with the definition on every tiny history', () => {
  const operations = <V>(value: fc.Arbitrary<V>, most = 5): fc.Arbitrary<readonly Operation<V>[]> =>
    fc.array(
      fc
        .tuple(value, fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 8 }), fc.boolean(), fc.boolean())
        .map(([v, call, length, isOpen, isForever]): Operation<V> => {
          // Ends lie between calls: at one position a call comes first, which the definition cannot tell apart.
          const end = call + length + 0.5;
          return isOpen ? open(call, isForever ? Infinity : end, v) : at(call, end, v);
        }),
      { maxLength: most },
    );
  const agrees = <S, V>(model: Model<S, V>, value: fc.Arbitrary<V>): number => {
    let violations = 0;
    fc.assert(
      fc.property(operations(value), (history) => {
        const expected = isLinearizable(model, history);
        if (!expected) violations += 1;
        expect(check(model, history).kind).toBe(expected ? 'linearizable' : 'violation');
      }),
      { numRuns: 3_000 },
    );
    return violations;
  };

  it('a register', () => {
    const value = fc.record({ type: fc.constantFrom('write' as const, 'read' as const), value: fc.integer({ min: 0, max: 2 }) });
    expect(agrees(REGISTER, value)).toBeGreaterThan(100);
  });

  it('the slots of an agent', () => {
    const leaseId = fc.constantFrom('a', 'b', 'c');
    const grant = fc.record({
      type: fc.constant('grant' as const),
      leaseId,
      token: fc.integer({ min: 1, max: 3 }),
      after: fc.integer({ min: 0, max: 2 }),
      slots: fc.constantFrom(1, 2),
      ends: fc.constantFrom(NEVER, fixed(8), fixed(14)),
      mayExpire: fc.boolean(),
    });
    const other = fc.record({ type: fc.constantFrom('release' as const, 'revoke' as const), leaseId });
    expect(agrees(slotsModel(2), fc.oneof(grant, other))).toBeGreaterThan(100);
  });

  it('an idempotency key', () => {
    const body = fc.constantFrom('x', 'y');
    const value: fc.Arbitrary<KeyOperation> = fc.oneof(
      fc.record({ type: fc.constant('done' as const), body, answer: fc.constantFrom('1', '2'), isReplay: fc.boolean() }),
      fc.record({ type: fc.constantFrom('refused' as const, 'mismatch' as const, 'unknown' as const), body }),
    );
    expect(agrees(KEY_MODEL, value)).toBeGreaterThan(100);
  });
});

describe('slots of an agent', () => {
  const grant = (
    leaseId: string,
    token: number,
    after: number,
    more: Partial<SlotsOperation & { type: 'grant' }> = {},
  ): SlotsOperation => ({
    type: 'grant',
    leaseId,
    token,
    after,
    slots: 1,
    ends: fixed(30_000),
    mayExpire: true,
    ...more,
  });
  const release = (leaseId: string): SlotsOperation => ({ type: 'release', leaseId });
  const judge = (slots: number, ...history: readonly Operation<SlotsOperation>[]): string =>
    check(slotsModel(slots), history).kind;

  it('one after the other, by release, expiry or revocation', () => {
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(20, 30, release('a')), at(40, 50, grant('b', 2, 1)))).toBe('linearizable');
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(30_000, 30_010, grant('b', 2, 1)))).toBe('linearizable');
    const revoked = grant('a', 1, 0, { mayExpire: false });
    expect(judge(1, at(0, 10, revoked), at(0, 45, { type: 'revoke', leaseId: 'a' }), at(40, 50, grant('b', 2, 1)))).toBe(
      'linearizable',
    );
  });

  it('double grants', () => {
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(20, 30, grant('b', 2, 1)))).toBe('violation');
    expect(judge(2, at(0, 10, grant('a', 1, 0)), at(20, 30, grant('b', 2, 1)))).toBe('linearizable');
    expect(judge(2, at(0, 10, grant('a', 1, 0)), at(20, 30, grant('b', 2, 1, { slots: 2 })))).toBe('violation');
    // A release that is called only after the second grant was answered frees nothing for it.
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(20, 30, grant('b', 2, 1)), at(31, 40, release('a')))).toBe('violation');
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(20, 30, grant('b', 2, 1)), at(29, 40, release('a')))).toBe('linearizable');
  });

  it('a grant before the lease has ended by the clock, and one after a renewal', () => {
    const renew: SlotsOperation = { type: 'renew', leaseId: 'a', ends: fixed(60_000) };
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(29_900, 29_950, grant('b', 2, 1)))).toBe('violation');
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(29_900, 30_020, grant('b', 2, 1)))).toBe('linearizable');
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(20, 30, renew), at(30_000, 30_020, grant('b', 2, 1)))).toBe('violation');
    // Whether a renewal that was never answered counts is open until the crash.
    expect(judge(1, at(0, 10, grant('a', 1, 0)), open(20, 30, renew), at(30_000, 30_020, grant('b', 2, 1)))).toBe('linearizable');
    // A renewal of a lease that must have made room already.
    expect(judge(1, at(0, 10, grant('a', 1, 0)), at(30_000, 30_020, grant('b', 2, 1)), at(30_030, 30_040, renew))).toBe(
      'violation',
    );
  });

  it('tokens that do not rise', () => {
    expect(judge(2, at(0, 10, grant('a', 7, 6)))).toBe('violation');
    expect(judge(2, at(0, 10, grant('a', 7, 0)), at(20, 30, grant('b', 7, 7)))).toBe('violation');
    // Ordered by token, b comes first; by time, a.
    expect(judge(2, at(0, 10, grant('a', 7, 5)), at(20, 30, grant('b', 5, 0)))).toBe('violation');
    expect(judge(2, at(0, 25, grant('a', 7, 5)), at(20, 30, grant('b', 5, 0)))).toBe('linearizable');
  });
});

describe('a lease', () => {
  const ends = fixed(1_000);
  const grant = at<LeaseOperation>(0, 10, { type: 'grant', ends });
  const call = (
    type: 'renew' | 'release',
    outcome: 'ok' | 'lease_superseded' | 'lease_expired' | 'lease_released',
    isRight = true,
  ): LeaseOperation => ({
    type,
    isRight,
    outcome,
    ends: fixed(2_000),
  });
  const get = (status: 'active' | 'released' | 'expired' | 'revoked', endsAtMs = 1_000): LeaseOperation => ({
    type: 'get',
    status,
    endsAtMs,
  });
  const judge = (...history: readonly Operation<LeaseOperation>[]): string => check(LEASE_MODEL, [grant, ...history]).kind;

  it('good lives', () => {
    expect(
      judge(at(20, 30, call('renew', 'ok')), at(1_500, 1_510, call('release', 'ok')), at(1_600, 1_610, call('release', 'ok'))),
    ).toBe('linearizable');
    expect(judge(at(20, 30, call('release', 'lease_superseded', false)), at(40, 50, get('active')))).toBe('linearizable');
    expect(judge(at(1_001, 1_010, call('renew', 'lease_expired')), at(1_020, 1_030, get('expired')))).toBe('linearizable');
    expect(judge(at(20, 30, call('release', 'ok')), at(40, 50, call('renew', 'lease_released')))).toBe('linearizable');
    expect(judge(open(20, 30, call('release', 'ok')), at(40, 50, get('released')))).toBe('linearizable');
    expect(judge(at(0, 60, { type: 'revoke' }), at(50, 55, call('renew', 'lease_superseded')), at(70, 80, get('revoked')))).toBe(
      'linearizable',
    );
  });

  it('a stale release that is accepted', () => {
    expect(judge(at(20, 30, call('release', 'ok', false)))).toBe('violation');
    expect(judge(at(20, 30, call('renew', 'ok', false)))).toBe('violation');
  });

  it('calls that are accepted after the end', () => {
    expect(judge(at(1_100, 1_110, call('renew', 'ok')))).toBe('violation');
    expect(judge(at(1_100, 1_110, call('release', 'ok')))).toBe('violation');
    expect(judge(at(20, 30, call('release', 'ok')), at(40, 50, call('renew', 'ok')))).toBe('violation');
    expect(judge(at(0, 60, { type: 'revoke' }), at(70, 80, call('release', 'ok')))).toBe('violation');
    expect(judge(at(0, 60, { type: 'revoke' }), at(70, 80, { type: 'use' }))).toBe('violation');
  });

  it('an acknowledged release, or renewal, that is lost', () => {
    expect(judge(at(20, 30, call('release', 'ok')), at(40, 50, get('active')))).toBe('violation');
    expect(judge(at(20, 30, call('renew', 'ok')), at(40, 50, get('active', 1_000)))).toBe('violation');
    expect(judge(at(20, 30, call('renew', 'ok')), at(40, 50, get('active', 2_000)))).toBe('linearizable');
    expect(judge(at(20, 30, call('renew', 'ok')), at(1_100, 1_110, get('expired')))).toBe('violation');
  });

  it('a lease that ends early, or that nobody released', () => {
    expect(judge(at(500, 510, get('expired')))).toBe('violation');
    expect(judge(at(500, 510, get('released')))).toBe('violation');
    expect(judge(at(500, 510, get('revoked')))).toBe('violation');
  });
});

describe('an idempotency key', () => {
  const done = (answer: string, isReplay: boolean, body = 'x'): KeyOperation => ({ type: 'done', body, answer, isReplay });
  const judge = (...history: readonly Operation<KeyOperation>[]): string => check(KEY_MODEL, history).kind;

  it('the same answer', () => {
    expect(judge(at(0, 1, done('1', false)), at(2, 3, done('1', true)), at(4, 5, { type: 'mismatch', body: 'y' }))).toBe(
      'linearizable',
    );
    expect(judge(open(0, 3, { type: 'unknown', body: 'x' }), at(5, 6, done('1', true)))).toBe('linearizable');
    expect(judge(open(0, 3, { type: 'unknown', body: 'x' }), at(5, 6, done('1', false)))).toBe('linearizable');
    expect(judge(at(0, 1, { type: 'refused', body: 'x' }), at(2, 3, done('1', false)))).toBe('linearizable');
  });

  it('two answers, or a forgotten one', () => {
    expect(judge(at(0, 1, done('1', false)), at(2, 3, done('2', true)))).toBe('violation');
    expect(judge(at(0, 1, done('1', false)), at(2, 3, done('2', false)))).toBe('violation');
    expect(judge(at(0, 1, done('1', false)), at(2, 3, { type: 'refused', body: 'x' }))).toBe('violation');
    expect(judge(open(0, 3, { type: 'unknown', body: 'x' }), at(5, 6, done('1', true)), at(7, 8, done('2', true)))).toBe(
      'violation',
    );
    expect(judge(at(0, 1, done('1', true)))).toBe('violation');
  });

  it('another body', () => {
    expect(judge(at(0, 1, done('1', false)), at(2, 3, done('1', true, 'y')))).toBe('violation');
    expect(judge(at(0, 1, done('1', false)), at(2, 3, { type: 'mismatch', body: 'x' }))).toBe('violation');
  });
});

describe('a task', () => {
  const assign = (token: number, after: number): TaskOperation => ({ type: 'assign', token, after });
  const complete = (token: number): TaskOperation => ({ type: 'complete', token, result: `by ${token}` });
  const get = (
    status: (TaskOperation & { type: 'get' })['status'],
    more: Partial<TaskOperation & { type: 'get' }> = {},
  ): TaskOperation => ({
    type: 'get',
    status,
    result: null,
    errorCode: null,
    isExhausted: false,
    ...more,
  });
  const judge = (...history: readonly Operation<TaskOperation>[]): string =>
    check(TASK_MODEL, [at(0, 1, { type: 'submit' }), ...history]).kind;

  it('good lives', () => {
    const done = get('succeeded', { result: 'by 3' });
    expect(
      judge(at(2, 3, get('queued')), at(4, 5, assign(3, 0)), at(6, 7, complete(3)), at(8, 9, complete(3)), at(10, 11, done)),
    ).toBe('linearizable');
    expect(
      judge(at(2, 3, assign(1, 0)), at(4, 5, assign(3, 1)), at(6, 7, { type: 'lost', token: 1 }), at(8, 9, complete(3))),
    ).toBe('linearizable');
    expect(judge(at(2, 3, assign(3, 0)), open(4, 5, complete(3)), at(6, 7, done))).toBe('linearizable');
    expect(judge(at(2, 3, { type: 'cancel', status: 'running' }), at(4, 5, get('running')), at(6, 7, get('cancelled')))).toBe(
      'linearizable',
    );
    const fail: TaskOperation = { type: 'fail', token: 3, isRetryable: true };
    expect(judge(at(2, 3, assign(3, 0)), at(4, 5, fail), at(6, 7, get('dead', { isExhausted: true })))).toBe('linearizable');
  });

  it('two completions', () => {
    expect(judge(at(2, 3, assign(1, 0)), at(4, 5, complete(1)), at(6, 7, assign(3, 1)))).toBe('violation');
    expect(judge(at(2, 3, assign(1, 0)), at(4, 5, assign(3, 1)), at(6, 7, complete(1)), at(8, 9, complete(3)))).toBe('violation');
    expect(judge(at(2, 3, assign(1, 0)), at(4, 5, { type: 'fail', token: 1, isRetryable: true }), at(6, 7, complete(1)))).toBe(
      'violation',
    );
  });

  it('a lost acknowledged result', () => {
    expect(judge(at(2, 3, assign(1, 0)), at(4, 5, complete(1)), at(6, 7, get('queued')))).toBe('violation');
    expect(judge(at(2, 3, assign(1, 0)), at(4, 5, complete(1)), at(6, 7, get('succeeded', { result: 'another' })))).toBe(
      'violation',
    );
    expect(judge(at(2, 3, assign(1, 0)), at(4, 5, complete(1)), at(6, 7, { type: 'lost', token: 1 }))).toBe('violation');
  });

  it('an end that only a refusal shows', () => {
    const late: TaskOperation = { type: 'tooLate' };
    expect(judge(at(2, 3, late), at(4, 5, get('failed', { errorCode: 'dependency_failed' })))).toBe('linearizable');
    expect(judge(at(2, 3, late), at(4, 5, get('queued')))).toBe('violation');
    expect(judge(at(2, 3, late), at(4, 5, get('cancelled')))).toBe('violation');
    expect(judge(at(2, 3, late), at(4, 5, get('succeeded')))).toBe('violation');
  });

  it('an end that nobody brought about, or that does not last', () => {
    expect(judge(at(2, 3, get('succeeded')))).toBe('violation');
    expect(judge(at(2, 3, get('cancelled')))).toBe('violation');
    expect(judge(at(2, 3, get('dead')))).toBe('violation');
    expect(judge(at(2, 3, get('failed')))).toBe('violation');
    expect(judge(at(2, 3, get('failed', { errorCode: 'deadline_exceeded' })), at(4, 5, get('queued')))).toBe('violation');
  });
});
