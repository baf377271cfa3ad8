import { check, type Model, type Operation } from '../../test/lib/linearizability.ts';
import { isDone, isOf, type Entry } from '../../test/lib/history.ts';
import { fixed, NEVER, type Instants } from '../../test/lib/models/clock.ts';
import { KEY_MODEL, type KeyOperation } from '../../test/lib/models/key.ts';
import { LEASE_MODEL, type LeaseOperation, type LeaseRefusal } from '../../test/lib/models/lease.ts';
import { registerModel, type RegisterOperation } from '../../test/lib/models/register.ts';
import { slotsModel, type SlotsOperation } from '../../test/lib/models/slots.ts';
import { TASK_MODEL, type TaskOperation } from '../../test/lib/models/task.ts';
import type { Facts, LeaseFacts } from './facts.ts';
import type { Violation } from './violation.ts';
import { SETTINGS_POOL } from './world.ts';

/** Checks every agent, lease, key and task of a history by itself. */
export function checkLinearizability(facts: Facts): { readonly violations: readonly Violation[]; readonly histories: number } {
  const violations: Violation[] = [];
  let histories = 0;
  const judge = <S, V>(what: string, model: Model<S, V>, operations: readonly Operation<V>[]): void => {
    histories += 1;
    const verdict = check(model, operations);
    if (verdict.kind === 'linearizable') return;
    if (verdict.kind === 'undecided') {
      violations.push({
        rule: 'linearizability',
        text: `${what}: undecided after ${verdict.configurations} configurations`,
        entries: [],
      });
      return;
    }
    const states = verdict.states
      .slice(0, 3)
      .map((state) => JSON.stringify(state, (_, v: unknown) => (v instanceof Map ? [...v] : v)));
    violations.push({
      rule: 'linearizability',
      text: `${what}: no order of its first ${verdict.prefix.length} operations explains ${JSON.stringify(verdict.blocked)}; states before it: ${states.join(' or ')}`,
      entries: verdict.prefix.slice(-20),
    });
  };

  const byAgent = Map.groupBy(facts.leases.values(), (lease) => lease.agentId);
  for (const [agentId, leases] of byAgent) {
    const slots = facts.agents.get(agentId)?.slots ?? Infinity;
    judge(`slots of ${agentId}`, slotsModel(slots), slotsOperations(facts, leases));
  }
  for (const lease of facts.leases.values()) judge(`lease ${lease.id}`, LEASE_MODEL, leaseOperations(facts, lease));
  for (const [key, operations] of keyOperations(facts)) judge(`key ${key}`, KEY_MODEL, operations);
  for (const id of facts.tasks.keys()) judge(`task ${id}`, TASK_MODEL, taskOperations(facts, id));
  judge('settings of a pool', registerModel(SETTINGS_POOL.maxAgents), settingsOperations(facts));
  return { violations, histories };
}

const span = (entry: Entry): { readonly call: number; readonly end: number } => ({ call: entry.call, end: entry.end });

/** The operation of an entry: as answered, open, or none when it certainly did nothing. */
function made<V>(facts: Facts, entry: Entry, value: V): readonly Operation<V>[] {
  if (entry.answer.kind === 'unsent') return [];
  if (entry.answer.kind === 'open') return [{ value, call: entry.call, end: facts.lastMoment(entry), isOpen: true }];
  return [{ value, ...span(entry) }];
}

const isRefused = (entry: Entry, ...codes: readonly string[]): boolean =>
  entry.answer.kind === 'refused' && codes.includes(entry.answer.code);
const mayBeDone = (entry: Entry): boolean => entry.answer.kind === 'ok' || entry.answer.kind === 'open';

/** When a renewal lets the lease end. Unanswered, it counts from some moment of the call. */
function renewedTo(facts: Facts, entry: Entry): Instants {
  if (isDone('renew')(entry)) return fixed(entry.answer.value.endsAtMs);
  if (!isOf('renew')(entry)) return NEVER;
  return { minMs: entry.call + entry.input.leaseMs, maxMs: facts.lastMoment(entry) + entry.input.leaseMs };
}

/** When a lease was first known to be revoked. */
function revokedBy(facts: Facts, lease: LeaseFacts): number {
  const seen = facts
    .onLease(lease.id)
    .filter(
      (entry) =>
        (isDone('getAllocation')(entry) && entry.answer.value.status === 'revoked') ||
        (isOf('renew', 'release', 'complete', 'fail', 'progress')(entry) &&
          entry.input.token === lease.token &&
          isRefused(entry, 'lease_superseded')),
    );
  return Math.min(...seen.map((entry) => entry.end));
}

const revocation = (facts: Facts, lease: LeaseFacts): { readonly call: number; readonly end: number } => ({
  call: lease.granted.call,
  end: revokedBy(facts, lease),
});

export function slotsOperations(facts: Facts, leases: readonly LeaseFacts[]): readonly Operation<SlotsOperation>[] {
  const operations: Operation<SlotsOperation>[] = [];
  let after = 0;
  for (const lease of leases.toSorted((a, b) => a.token - b.token)) {
    const { id: leaseId, token, slots, lastStatus } = lease;
    const hasKnownEnd = lastStatus === 'released' || lastStatus === 'revoked';
    const ends = lease.endsAtMs === null ? NEVER : fixed(lease.endsAtMs);
    operations.push({
      value: {
        type: 'grant',
        leaseId,
        token,
        after,
        slots,
        // Nobody knows how it ended: then at any time.
        ends: lastStatus === null ? { ...ends, minMs: lease.granted.call } : ends,
        mayExpire: !hasKnownEnd,
      },
      ...lease.granted,
    });
    after = token;
    for (const entry of facts.onLease(leaseId)) {
      if (!mayBeDone(entry)) continue;
      if (isOf('renew')(entry) && entry.input.token === token) {
        operations.push(...made<SlotsOperation>(facts, entry, { type: 'renew', leaseId, ends: renewedTo(facts, entry) }));
      } else if (isOf('release', 'complete', 'fail')(entry) && entry.input.token === token) {
        if (entry.answer.kind === 'open' && lastStatus !== 'released') continue;
        operations.push(...made<SlotsOperation>(facts, entry, { type: 'release', leaseId }));
      }
    }
    if (lastStatus === 'revoked') operations.push({ value: { type: 'revoke', leaseId }, ...revocation(facts, lease) });
  }
  return operations;
}

const LEASE_REFUSALS: readonly string[] = ['lease_superseded', 'lease_expired', 'lease_released'] satisfies LeaseRefusal[];

export function leaseOperations(facts: Facts, lease: LeaseFacts): readonly Operation<LeaseOperation>[] {
  const operations: Operation<LeaseOperation>[] = [];
  const ends = lease.endsAtMs === null ? NEVER : fixed(lease.endsAtMs);
  operations.push({ value: { type: 'grant', ends }, ...lease.granted });
  for (const entry of facts.onLease(lease.id)) {
    if (isDone('getAllocation')(entry)) {
      const { status, endsAtMs } = entry.answer.value;
      operations.push({ value: { type: 'get', status, endsAtMs }, ...span(entry) });
    } else if (isOf('renew', 'release')(entry)) {
      const isRight = entry.input.token === lease.token;
      const { answer } = entry;
      if (answer.kind === 'refused' && !LEASE_REFUSALS.includes(answer.code)) continue;
      if (answer.kind === 'open' && !isRight) continue;
      const outcome = answer.kind === 'refused' ? (answer.code as LeaseRefusal) : 'ok';
      const to = entry.op === 'renew' ? renewedTo(facts, entry) : NEVER;
      operations.push(...made<LeaseOperation>(facts, entry, { type: entry.op, isRight, outcome, ends: to }));
    } else if (isOf('complete', 'fail')(entry) && mayBeDone(entry)) {
      operations.push(...made<LeaseOperation>(facts, entry, { type: 'release', isRight: true, outcome: 'ok', ends: NEVER }));
    } else if (isDone('progress')(entry)) operations.push({ value: { type: 'use' }, ...span(entry) });
  }
  if (lease.lastStatus === 'revoked') operations.push({ value: { type: 'revoke' }, ...revocation(facts, lease) });
  return operations;
}

const KEPT_REFUSALS: readonly string[] = ['no_capacity', 'quota_exceeded', 'queue_full'];

export function keyOperations(facts: Facts): ReadonlyMap<string, readonly Operation<KeyOperation>[]> {
  const byKey = new Map<string, Operation<KeyOperation>[]>();
  for (const entry of facts.entries) {
    if (!isOf('allocate', 'submit', 'register')(entry)) continue;
    const { key, body } = entry.input;
    if (key === null) continue;
    const name = `${entry.op} ${key}`;
    const operations = byKey.get(name) ?? [];
    byKey.set(name, operations);
    const value = keyOperation(entry, body);
    if (value !== null) operations.push(...made(facts, entry, value));
  }
  return byKey;
}

function keyOperation(entry: Entry, body: string): KeyOperation | null {
  const { answer } = entry;
  if (answer.kind === 'open') return { type: 'unknown', body };
  if (answer.kind === 'ok') {
    if (!isDone('allocate')(entry) && !isDone('submit')(entry) && !isDone('register')(entry)) return null;
    const { hash, isReplay } = entry.answer.value;
    return { type: 'done', body, answer: hash, isReplay };
  }
  if (isRefused(entry, 'idempotency_mismatch')) return { type: 'mismatch', body };
  if (isRefused(entry, 'idempotency_in_progress')) return { type: 'inProgress' };
  return isRefused(entry, ...KEPT_REFUSALS) ? { type: 'refused', body } : null;
}

export function settingsOperations(facts: Facts): readonly Operation<RegisterOperation>[] {
  return facts.entries.flatMap((entry): readonly Operation<RegisterOperation>[] => {
    if (isDone('getPool')(entry)) return [{ value: { type: 'read', value: entry.answer.value.maxAgents }, ...span(entry) }];
    if (!isOf('putPool')(entry) || !mayBeDone(entry)) return [];
    return made(facts, entry, { type: 'write', value: entry.input.maxAgents });
  });
}

export function taskOperations(facts: Facts, id: string): readonly Operation<TaskOperation>[] {
  const task = facts.tasks.get(id);
  if (task === undefined) return [];
  const operations: Operation<TaskOperation>[] = [{ value: { type: 'submit' }, ...task.submitted }];
  let after = 0;
  for (const [token, leaseId] of [...(facts.assignments.get(id) ?? [])].toSorted(([a], [b]) => a - b)) {
    const granted = facts.leases.get(leaseId)?.granted;
    if (granted !== undefined) operations.push({ value: { type: 'assign', token, after }, ...granted });
    after = token;
  }
  for (const entry of facts.onTask(id)) {
    const value = taskOperation(entry, task.maxAttempts);
    if (value !== null) operations.push(...made(facts, entry, value));
  }
  return operations;
}

function taskOperation(entry: Entry, maxAttempts: number): TaskOperation | null {
  if (isRefused(entry, 'invalid_state')) return { type: 'tooLate' };
  if (isOf('cancel')(entry)) {
    if (isDone('cancel')(entry)) return { type: 'cancel', status: entry.answer.value.status };
    return entry.answer.kind === 'open' ? { type: 'cancelUnknown' } : null;
  }
  if (isDone('getTask')(entry)) {
    const { status, attempts, result, errorCode } = entry.answer.value;
    return { type: 'get', status, result, errorCode, isExhausted: attempts >= maxAttempts };
  }
  if (!isOf('progress', 'complete', 'fail')(entry)) return null;
  const { token } = entry.input;
  if (isRefused(entry, 'lease_superseded', 'lease_expired')) return { type: 'lost', token };
  if (!mayBeDone(entry)) return null;
  if (isOf('complete')(entry)) return { type: 'complete', token, result: entry.input.result };
  if (isOf('fail')(entry)) return { type: 'fail', token, isRetryable: entry.input.isRetryable };
  return entry.answer.kind === 'ok' ? { type: 'progress', token } : null;
}
