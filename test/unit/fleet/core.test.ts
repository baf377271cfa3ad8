import { describe, expect, it } from 'vitest';
import { Admission, COUNTED_WITHIN_MS, TICKET_TTL_MS } from '../../../durable-objects/fleet/core/admission.ts';
import { decide, type FleetCommand, nextAlarmMs, PURGE_AGAIN_MS } from '../../../durable-objects/fleet/core/decide.ts';
import { evolve } from '../../../durable-objects/fleet/core/events.ts';
import { beginKey } from '../../../durable-objects/fleet/core/keys.ts';
import { emptyFleet, type FleetState, storageFleet, type StoredToken } from '../../../durable-objects/fleet/core/state.ts';
import { LIMITS } from '../../../shared/limits.ts';

const token = (id: string, expiresAtMs = 1_000_000): StoredToken => ({
  id,
  role: 'viewer',
  subject: id,
  agentId: null,
  maxLeases: null,
  issuedAtMs: 0,
  expiresAtMs,
});
const run = (state: FleetState, command: FleetCommand, nowMs = 0): FleetState => {
  const decided = decide(state, command, nowMs);
  if (!decided.ok) throw new Error(decided.error.kind);
  return decided.value.reduce(evolve, state);
};
const refusal = (state: FleetState, command: FleetCommand, nowMs = 0): string => {
  const decided = decide(state, command, nowMs);
  return decided.ok ? 'ok' : decided.error.kind;
};
const mint = (t: StoredToken): FleetCommand => ({ type: 'mintToken', token: t });
const revoke = (id: string, unrecorded = false, expiresAtMs = 0): FleetCommand => ({
  type: 'revokeToken',
  id,
  unrecorded,
  expiresAtMs,
});

describe('existence', () => {
  it('the default fleet is there without anyone creating it, others once created', () => {
    expect(emptyFleet('default').exists).toBe(true);
    const acme = emptyFleet('acme');
    expect(acme.exists).toBe(false);
    expect(run(acme, { type: 'create' }).exists).toBe(true);
    expect(decide(run(acme, { type: 'create' }), { type: 'create' }, 0)).toEqual({ ok: true, value: [] });
  });

  it('a deletion ends tokens, revocations and settings, and starts a generation', () => {
    let acme = run(emptyFleet('acme'), { type: 'create' });
    acme = run(acme, mint(token('t')));
    acme = run(acme, revoke('t'));
    acme = run(acme, { type: 'putSettings', settings: { maxAgents: 3 } });
    const deleted = run(acme, { type: 'delete', regions: ['a', 'b'] }, 100);
    expect(deleted).toMatchObject({ exists: false, generation: 1, settings: {} });
    expect([deleted.tokens.size, deleted.revoked.size]).toEqual([0, 0]);
    expect(run(deleted, { type: 'create' })).toMatchObject({ exists: true, generation: 1 });
    expect(run(emptyFleet('default'), { type: 'delete', regions: [] })).toMatchObject({ exists: true, generation: 1 });
    expect([storageFleet('acme', 0), storageFleet('acme', 1)]).toEqual(['acme', 'acme~1']);
  });

  it('a deleted generation is purged twice in every region, and again where a region did not answer', () => {
    let acme = run(run(emptyFleet('acme'), { type: 'create' }), { type: 'delete', regions: ['a', 'b'] }, 0);
    expect(nextAlarmMs(acme)).toBe(PURGE_AGAIN_MS);
    const purged = (done: string[], nowMs: number): void => {
      acme = run(acme, { type: 'purged', generation: 0, done, regions: ['a', 'b'] }, nowMs);
    };
    purged(['a'], 10);
    expect(acme.purges.get(0)).toMatchObject({ pending: ['b'], rounds: 0, attempts: 1 });
    const waits: number[] = [];
    for (let i = 0; i < 12; i += 1) {
      const atMs = nextAlarmMs(acme) ?? 0;
      purged([], atMs);
      waits.push((nextAlarmMs(acme) ?? 0) - atMs);
    }
    expect(waits[0]).toBeLessThan(waits[3] ?? 0);
    expect(Math.max(...waits)).toBe(600_000);
    const done = nextAlarmMs(acme) ?? 0;
    purged(['b'], done);
    expect(acme.purges.get(0)).toMatchObject({ pending: ['a', 'b'], rounds: 1, attempts: 0, nextAtMs: done + PURGE_AGAIN_MS });
    purged(['b'], done + 1);
    purged(['a'], done + 2);
    expect(acme.purges.size).toBe(0);
    expect(nextAlarmMs(acme)).toBeNull();
    expect(decide(acme, { type: 'purged', generation: 0, done: ['a'], regions: [] }, 0)).toEqual({ ok: true, value: [] });
  });
});

describe('tokens', () => {
  it('are bounded in number; those that have ended make room', () => {
    let state = emptyFleet('default');
    state = {
      ...state,
      tokens: new Map(Array.from({ length: LIMITS.tokensPerFleet }, (_, i) => [`t${i}`, token(`t${i}`, 1_000)])),
    };
    expect(refusal(state, mint(token('next')), 0)).toBe('quota_exceeded');
    const later = run(state, mint(token('next', 2_000_000)), 1_000_000);
    expect([...later.tokens.keys()]).toEqual(['next']);
  });

  it('unknown ids are not found, known ones are refused once, agents’ ids need no record', () => {
    const state = run(emptyFleet('default'), mint(token('t', 500)));
    expect(refusal(state, revoke('x'))).toBe('not_found');
    expect(run(state, revoke('t')).revoked.get('t')).toBe(500);
    expect(run(state, revoke('t', false, 900)).revoked.get('t')).toBe(900);
    expect(decide(run(state, revoke('t')), revoke('t'), 0)).toEqual({ ok: true, value: [] });
    expect(run(state, revoke('tka.x', true, 700)).revoked.get('tka.x')).toBe(700);
  });

  it('revocations are bounded in number; those whose tokens have ended make room', () => {
    const revoked = new Map(Array.from({ length: 2 * LIMITS.tokensPerFleet }, (_, i) => [`t${i}`, 1_000] as const));
    const state = { ...emptyFleet('default'), revoked };
    expect(refusal(state, revoke('tka.y', true), 0)).toBe('quota_exceeded');
    expect([...run(state, revoke('tka.y', true, 200_000), 100_000).revoked.keys()]).toEqual(['tka.y']);
  });

  it('a revocation outlives its token and no more', () => {
    const state = run(run(emptyFleet('default'), mint(token('t', 1_000))), revoke('t'));
    expect(run(state, { type: 'prune' }, 1_001).revoked.has('t')).toBe(true);
    const pruned = run(state, { type: 'prune' }, 1_000 + 60_000);
    expect([pruned.revoked.size, pruned.tokens.size]).toEqual([0, 0]);
  });
});

describe('keys of control calls', () => {
  const ref = { key: 'k', bodyHash: 'h' };
  it('first, running, done, other body, too old', () => {
    expect(beginKey(null, ref, 0)).toEqual({ ok: true, value: null });
    expect(beginKey({ bodyHash: 'h', answer: null, atMs: 0 }, ref, 59_000)).toMatchObject({
      error: { kind: 'idempotency_in_progress' },
    });
    expect(beginKey({ bodyHash: 'h', answer: null, atMs: 0 }, ref, 61_000)).toEqual({ ok: true, value: null });
    expect(beginKey({ bodyHash: 'h', answer: '{}', atMs: 0 }, ref, LIMITS.idempotencyTtlMs)).toEqual({ ok: true, value: '{}' });
    expect(beginKey({ bodyHash: 'h', answer: '{}', atMs: 0 }, ref, LIMITS.idempotencyTtlMs + 1)).toEqual({
      ok: true,
      value: null,
    });
    expect(beginKey({ bodyHash: 'x', answer: '{}', atMs: 0 }, ref, 0)).toMatchObject({ error: { kind: 'idempotency_mismatch' } });
  });
});

describe('admission', () => {
  const ask = (
    admission: Admission,
    agents: number,
    wanted: number,
    nowMs: number,
    rest: { limit?: number; mayWait?: boolean } = {},
  ) =>
    admission.judge({
      limit: rest.limit ?? 10,
      wanted,
      count: { agents, askedAtMs: nowMs },
      nowMs,
      mayWait: rest.mayWait ?? true,
    });

  it('admits what fits, all or the first ones, and refuses when there is no room', () => {
    const admission = new Admission();
    expect(ask(admission, 4, 6, 0)).toEqual({ type: 'admit', admitted: 6 });
    expect(ask(admission, 4, 7, 0)).toEqual({ type: 'admit', admitted: 6 });
    expect(ask(admission, 10, 1, 0)).toEqual({ type: 'refuse' });
    expect(ask(admission, 12, 1, 0)).toEqual({ type: 'refuse' });
  });

  it('an open ticket stands for its agents until the counters must have them', () => {
    const admission = new Admission();
    const ticket = admission.open(6, 0);
    expect(ask(admission, 4, 1, 10)).toEqual({ type: 'wait' });
    expect(ask(admission, 4, 1, 10, { mayWait: false })).toEqual({ type: 'refuse' });
    admission.settle(ticket, 5, 100);
    // Five registered: until they are counted they count as tickets, and may already be in the counters, too.
    expect(ask(admission, 4, 1, 200)).toEqual({ type: 'admit', admitted: 1 });
    expect(ask(admission, 9, 1, 200)).toEqual({ type: 'wait' });
    expect(ask(admission, 9, 1, 100 + COUNTED_WITHIN_MS)).toEqual({ type: 'admit', admitted: 1 });
  });

  it('a ticket nobody settles stops counting', () => {
    const admission = new Admission();
    admission.open(10, 0);
    expect(ask(admission, 0, 1, TICKET_TTL_MS - 1, { mayWait: false })).toEqual({ type: 'refuse' });
    expect(ask(admission, 0, 1, TICKET_TTL_MS)).toEqual({ type: 'admit', admitted: 1 });
  });

  it('a registration that failed gives its room back at once', () => {
    const admission = new Admission();
    const ticket = admission.open(10, 0);
    admission.settle(ticket, 0, 5);
    expect(ask(admission, 0, 10, 5)).toEqual({ type: 'admit', admitted: 10 });
    admission.settle(ticket, 10, 6);
    expect(ask(admission, 0, 10, 6)).toEqual({ type: 'admit', admitted: 10 });
  });

  it('after a removal a full fleet is asked again before anyone is refused', () => {
    const admission = new Admission();
    admission.noteRemoved(100);
    expect(ask(admission, 10, 1, 150)).toEqual({ type: 'wait' });
    expect(ask(admission, 9, 1, 200)).toEqual({ type: 'admit', admitted: 1 });
    expect(ask(admission, 10, 1, 100 + COUNTED_WITHIN_MS)).toEqual({ type: 'refuse' });
  });

  it('never admits beyond the maximum, whatever the order of answers and counters (I9)', () => {
    // Counters lag by up to COUNTED_WITHIN_MS; tickets settle in any order; clients are many.
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
    for (let round = 0; round < 200; round += 1) {
      const admission = new Admission();
      const limit = 1 + random(12);
      const born: number[] = [];
      const open: { id: number; wanted: number }[] = [];
      for (let nowMs = 0; nowMs < 20_000; nowMs += 1 + random(300)) {
        if (random(2) === 0) {
          const agents = born.filter((atMs) => atMs + COUNTED_WITHIN_MS <= nowMs || (atMs <= nowMs && random(3) === 0)).length;
          const wanted = 1 + random(4);
          const verdict = ask(admission, agents, wanted, nowMs, { limit, mayWait: random(2) === 0 });
          if (verdict.type === 'admit') open.push({ id: admission.open(verdict.admitted, nowMs), wanted: verdict.admitted });
        } else {
          const [ticket] = open.splice(random(Math.max(1, open.length)), 1);
          if (ticket === undefined) continue;
          const registered = random(ticket.wanted + 1);
          for (let i = 0; i < registered; i += 1) born.push(nowMs);
          admission.settle(ticket.id, registered, nowMs);
        }
        expect(born.length).toBeLessThanOrEqual(limit);
        // Routers that died are not part of this: a ticket lives longer than any registration.
        while (open[0] !== undefined && random(20) === 0) admission.settle((open.shift() as { id: number }).id, 0, nowMs);
      }
    }
  });
});
