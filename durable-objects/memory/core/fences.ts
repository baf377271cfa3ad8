import type { FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import { parseIdOf } from '../../../shared/ids.ts';
import type { LeaseRevocation } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { MemoryLease } from '../../../shared/schemas/memory.ts';
import { conflict, noteNamedAgent, SWARM_WIDE } from './records.ts';
import { first, rows, run, sql, type Fragment, type Row, type Sql } from './sql.ts';
import { NOT_WRITABLE, type Step } from './step.ts';

/** A lease as its pool tells of it. */
export interface LeaseFacts {
  readonly allocationId: string;
  readonly agentId: string;
  readonly taskId: string | null;
  readonly fencingToken: number;
  readonly slots: number;
  /** All slots of the agent: how many leases it can hold at one time. */
  readonly agentSlots: number;
  readonly expiresAtMs: number;
  readonly status: 'active' | 'released' | 'expired' | 'revoked';
}

/** What a write under a lease carries on. */
export interface Provenance {
  readonly taskId: string | null;
  readonly allocationId: string | null;
  readonly fencingToken: number | null;
}
export const NO_LEASE: Provenance = { taskId: null, allocationId: null, fencingToken: null };

interface FenceRow extends Row {
  readonly allocation_id: string;
  readonly agent_id: string;
  readonly task_id: string | null;
  readonly fencing_token: number;
  readonly slots: number;
  readonly agent_slots: number;
  readonly expires_at: number;
  readonly checked_at: number;
  readonly status: string;
  readonly quarantined_at: number | null;
}

const find = (db: Sql, allocationId: string): FenceRow | null =>
  first<FenceRow>(db, sql`SELECT * FROM fences WHERE allocation_id = ${allocationId}`);

/** The lease that a row was written under, if any. */
export const leaseFrom = (allocationId: string | null, fencingToken: number | null): MemoryLease | undefined =>
  allocationId === null || fencingToken === null ? undefined : { allocationId, fencingToken };

const SUPERSEDED: FleetError = {
  kind: 'lease_superseded',
  detail: 'The fencing token is not this lease’s, or the lease was revoked. Drop the work.',
};

/** Leases of the same agent with a higher token that, as far as is known here, still hold slots. */
const newer = (db: Sql, fence: FenceRow, nowMs: number): FenceRow[] =>
  rows<FenceRow>(
    db,
    sql`SELECT * FROM fences WHERE agent_id = ${fence.agent_id} AND fencing_token > ${fence.fencing_token}
      AND status = 'active' AND expires_at > ${nowMs}`,
  );

const crowdedOut = (fence: FenceRow, others: readonly FenceRow[]): boolean =>
  others.reduce((sum, other) => sum + other.slots, fence.slots) > fence.agent_slots;

/**
 * Leases about which the pool has to be asked before a write under `lease` is decided: on first sight, when the last word is
 * too old, and when newer leases seem to take up the agent's slots, which they may have given back meanwhile.
 */
export function leasesToAsk(db: Sql, lease: MemoryLease, nowMs: number): readonly string[] {
  const fence = find(db, lease.allocationId);
  if (fence === null) return [lease.allocationId];
  if (fence.quarantined_at !== null) return [];
  if (fence.fencing_token !== lease.fencingToken || fence.status === 'revoked' || fence.status === 'released') return [];
  const others = fence.agent_slots > 1 ? newer(db, fence, nowMs) : [];
  const doubtful = others.length > 0 && crowdedOut(fence, others) ? others : [];
  return [fence, ...doubtful].filter((row) => isStale(row, nowMs)).map((row) => row.allocation_id);
}

/** Whether the last word is too old, or of a moment that has not come yet: then the clock was set back. */
const isStale = (row: FenceRow, nowMs: number): boolean =>
  nowMs - row.checked_at > MEMORY_LIMITS.leaseCheckMs || row.checked_at > nowMs || row.expires_at <= nowMs;

/** Keeps what a pool said. What was revoked stays revoked, whatever an answer that was under way says. */
export function keepLease(step: Pick<Step, 'db' | 'nowMs'>, facts: LeaseFacts): void {
  run(
    step.db,
    sql`INSERT INTO fences (allocation_id, agent_id, task_id, fencing_token, slots, agent_slots, expires_at, checked_at, status)
      VALUES (${facts.allocationId}, ${facts.agentId}, ${facts.taskId}, ${facts.fencingToken}, ${facts.slots}, ${facts.agentSlots},
      ${facts.expiresAtMs}, ${step.nowMs}, ${facts.status}) ON CONFLICT (allocation_id) DO UPDATE SET
      expires_at = excluded.expires_at, checked_at = excluded.checked_at, agent_slots = excluded.agent_slots,
      status = CASE WHEN fences.status = 'revoked' THEN 'revoked' ELSE excluded.status END`,
  );
}

/** Claims, by `resources r`, that are over: past their end, or made under a lease that is known to be. */
export const isOver = (nowMs: number): Fragment =>
  sql`(r.expires_at <= ${nowMs} OR EXISTS (SELECT 1 FROM fences f WHERE f.allocation_id = r.allocation_id AND f.status <> 'active'))`;

export const dropOverClaims = ({ db, nowMs }: Pick<Step, 'db' | 'nowMs'>): void =>
  void run(db, sql`DELETE FROM resources WHERE id IN (SELECT r.id FROM resources r WHERE ${isOver(nowMs)})`);

/** Those of leases about which the last word is too old. */
export const leasesInDoubt = (db: Sql, allocationIds: readonly string[], nowMs: number): readonly string[] =>
  [...new Set(allocationIds)].filter((id) => {
    const fence = find(db, id);
    return fence !== null && isStale(fence, nowMs);
  });

/** A pool has taken a lease back. It may be one that was never seen here: then its late first write is refused, too. */
export function revokeLease(step: Step, { agentId, allocationId, fencingToken }: LeaseRevocation): void {
  run(
    step.db,
    sql`INSERT INTO fences (allocation_id, agent_id, task_id, fencing_token, slots, agent_slots, expires_at, checked_at, status)
      VALUES (${allocationId}, ${agentId}, NULL, ${fencingToken}, 1, 1, ${step.nowMs}, ${step.nowMs}, 'revoked')
      ON CONFLICT (allocation_id) DO UPDATE SET status = 'revoked', checked_at = excluded.checked_at`,
  );
  run(step.db, sql`DELETE FROM resources WHERE allocation_id = ${allocationId}`);
}

/** Placeholder of a lease that was quarantined before it was seen: no pool gives this token. */
const NO_TOKEN = 0;

/** Lets nothing more be written under a lease, whatever its pool says of it; or lets it again. */
export function quarantineLease(step: Step, allocationId: string, release: boolean): void {
  const { db, nowMs } = step;
  if (release) {
    run(db, sql`UPDATE fences SET quarantined_at = NULL WHERE allocation_id = ${allocationId}`);
    run(db, sql`DELETE FROM fences WHERE allocation_id = ${allocationId} AND fencing_token = ${NO_TOKEN}`);
    return;
  }
  run(
    db,
    sql`INSERT INTO fences (allocation_id, agent_id, task_id, fencing_token, slots, agent_slots, expires_at, checked_at, status,
      quarantined_at) VALUES (${allocationId}, '', NULL, ${NO_TOKEN}, 1, 1, ${nowMs}, ${nowMs}, 'active', ${nowMs})
      ON CONFLICT (allocation_id) DO UPDATE SET quarantined_at = COALESCE(fences.quarantined_at, excluded.quarantined_at)`,
  );
}

/** The lease if it holds at this moment, in the transaction that is about to write under it. */
export function holdLease(step: Step, lease: MemoryLease | undefined): Result<Provenance, FleetError> {
  if (lease === undefined) return ok(NO_LEASE);
  const refused = (error: FleetError): Result<never, FleetError> => {
    conflict(step, { kind: 'lease', target: lease.allocationId, expected: lease.fencingToken }, SWARM_WIDE);
    return err(error);
  };
  const fence = find(step.db, lease.allocationId);
  if (fence !== null && fence.quarantined_at !== null) return err(NOT_WRITABLE);
  if (fence === null || fence.fencing_token !== lease.fencingToken || fence.status === 'revoked') return refused(SUPERSEDED);
  // Somebody else's token, even a right one, says nothing in an agent's hands.
  if (step.caller.agentId !== undefined && step.caller.agentId !== fence.agent_id) return refused(SUPERSEDED);
  if (fence.status === 'released') {
    return refused({ kind: 'lease_released', detail: 'The lease was released.' });
  }
  if (fence.status === 'expired' || fence.expires_at <= step.nowMs) {
    return refused({ kind: 'lease_expired', detail: 'The lease is past its end.' });
  }
  if (isSuperseded(step, fence)) return refused(SUPERSEDED);
  noteNamedAgent(step, fence.agent_id, parseIdOf('agent', fence.agent_id)?.pool ?? '', 'active');
  if (fence.task_id !== null) noteTask(step, { id: fence.task_id, status: 'running', agentId: fence.agent_id });
  return ok({ taskId: fence.task_id, allocationId: fence.allocation_id, fencingToken: fence.fencing_token });
}

/** An agent of one slot holds one lease: a higher token means that the lower one is over, whatever became of the higher. */
function isSuperseded(step: Step, fence: FenceRow): boolean {
  if (fence.agent_slots > 1) return crowdedOut(fence, newer(step.db, fence, step.nowMs));
  const highest = first<{ token: number | null }>(
    step.db,
    sql`SELECT MAX(fencing_token) AS token FROM fences WHERE agent_id = ${fence.agent_id}`,
  );
  return (highest?.token ?? 0) > fence.fencing_token;
}

export interface TaskFacts {
  readonly id: string;
  readonly status: string;
  readonly agentId?: string;
  readonly priority?: number;
  readonly completedAtMs?: number;
}

/** Mirrors a task of this region. An end is the last word. */
export function noteTask(step: Step, task: TaskFacts): void {
  if (task.agentId !== undefined) noteNamedAgent(step, task.agentId, parseIdOf('agent', task.agentId)?.pool ?? '', 'active');
  run(
    step.db,
    sql`INSERT INTO tasks (id, agent_id, status, priority, created_at, completed_at, updated_at) VALUES (${task.id},
      ${task.agentId ?? null}, ${task.status}, ${task.priority ?? 5}, ${step.nowMs}, ${task.completedAtMs ?? null}, ${step.nowMs})
      ON CONFLICT (id) DO UPDATE SET status = excluded.status, agent_id = COALESCE(excluded.agent_id, tasks.agent_id),
      priority = excluded.priority, completed_at = excluded.completed_at, updated_at = excluded.updated_at
      WHERE tasks.completed_at IS NULL AND tasks.status <> excluded.status`,
  );
}

/** Mirrored tasks that one call of the alarm asks about. */
const ASKED_TASKS = 50;

/** Tasks that were open when they were last seen, those seen longest ago first. */
export const tasksToAsk = (db: Sql, nowMs: number): readonly string[] =>
  rows<{ id: string }>(
    db,
    sql`SELECT id FROM tasks WHERE completed_at IS NULL AND updated_at <= ${nowMs - MEMORY_LIMITS.upkeepMs}
      ORDER BY updated_at LIMIT ${ASKED_TASKS}`,
  ).map(({ id }) => id);

/** What the pools said of tasks that were asked about. One that they know no more has ended, however it did. */
export function keepTasks(step: Step, asked: readonly string[], facts: readonly TaskFacts[] | null): void {
  for (const task of facts ?? []) noteTask(step, task);
  const known = new Set(facts === null ? asked : facts.map(({ id }) => id));
  for (const id of asked) {
    const gone = known.has(id) ? sql`` : sql`, status = 'gone', completed_at = ${step.nowMs}`;
    run(step.db, sql`UPDATE tasks SET updated_at = ${step.nowMs}${gone} WHERE id = ${id} AND completed_at IS NULL`);
  }
}

export const knowsTask = (db: Sql, taskId: string): boolean =>
  first(db, sql`SELECT 1 AS n FROM tasks WHERE id = ${taskId}`) !== null;
