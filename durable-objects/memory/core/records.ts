import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { MemoryLevel } from '../../../shared/schemas/memory.ts';
import type { Subject } from './acl.ts';
import { join, raw, run, sql, first, type Row, type Sql } from './sql.ts';
import type { Step } from './step.ts';

/** Whose row it is, as events and conflicts keep it to be judged by the same rule as the thing they are about. */
export interface Acl {
  readonly memoryId: number | null;
  readonly level: MemoryLevel;
  readonly owner: string | null;
  readonly team: string | null;
}

/** What concerns the swarm as such: its members see it. */
export const SWARM_WIDE: Acl = { memoryId: null, level: 'swarm', owner: null, team: null };

export const aclOf = (row: {
  readonly id: number;
  readonly acl_level: string;
  readonly owner_id: string;
  readonly team: string | null;
}): Acl => ({ memoryId: row.id, level: row.acl_level as MemoryLevel, owner: row.owner_id, team: row.team });

export const asSubject = (row: string): Subject => ({ row, entry: `${row}.memory_id` });

/** Agents are written down when they are first seen, and again when a minute has passed. */
const SEEN_AGAIN_MS = 60_000;

/** Mirrors the calling agent; what others do is not an agent's. */
export function noteAgent(step: Step): void {
  const { agentId } = step.caller;
  if (agentId === undefined) return;
  const known = first<{ updated_at: number }>(step.db, sql`SELECT updated_at FROM agents WHERE id = ${agentId}`);
  if (known !== null && step.nowMs - known.updated_at < SEEN_AGAIN_MS && known.updated_at <= step.nowMs) return;
  noteNamedAgent(step, agentId, step.who.team ?? '', 'active');
}

/** Mirrors an agent that somebody else named. A quarantine is ended by an operator, not by being seen again. */
export function noteNamedAgent(step: Step, agentId: string, pool: string, status: string): void {
  run(
    step.db,
    sql`INSERT INTO agents (id, type, status, pool, created_at, updated_at) VALUES (${agentId}, ${pool}, ${status}, ${pool},
      ${step.nowMs}, ${step.nowMs}) ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at,
      status = CASE WHEN agents.status = 'quarantined' THEN agents.status ELSE excluded.status END`,
  );
}

export const agentStatus = (db: Sql, agentId: string): string | null =>
  first<{ status: string }>(db, sql`SELECT status FROM agents WHERE id = ${agentId}`)?.status ?? null;

/** Writes an event: who did what with which thing. Never a value. */
export function event(step: Step, type: string, data: Readonly<Record<string, unknown>>, acl: Acl = SWARM_WIDE): void {
  run(
    step.db,
    sql`INSERT INTO events (id, type, agent_id, timestamp, data, memory_id, acl_level, owner_id, team)
      VALUES (${step.ulid()}, ${type}, ${step.caller.agentId ?? null}, ${step.nowMs}, ${JSON.stringify(data)}, ${acl.memoryId},
      ${acl.level}, ${acl.owner}, ${acl.team})`,
  );
}

/**
 * The row of who did what (I14). `target` is a number or an id of ours, never a key: what is erased must not live on here.
 */
export function audit(step: Step, action: string, target: string | number, detail?: Readonly<Record<string, unknown>>): void {
  run(
    step.db,
    sql`INSERT INTO audit (timestamp, actor, role, action, target, request_id, detail) VALUES (${step.nowMs},
      ${step.caller.subject}, ${step.caller.role}, ${action}, ${String(target)}, ${step.caller.requestId},
      ${detail === undefined ? null : detailText(detail)})`,
  );
}

/** The bound of the audit is one of rows; what a row holds is bounded here. */
function detailText(detail: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(detail);
  if (text.length <= MEMORY_LIMITS.auditDetailChars) return text;
  const counted = Object.entries(detail).map(([name, value]): [string, unknown] => [
    name,
    Array.isArray(value) ? { count: value.length } : value,
  ]);
  return JSON.stringify(Object.fromEntries(counted));
}

export interface ConflictFacts {
  readonly kind: 'version' | 'claim' | 'lease';
  readonly target: string;
  readonly expected?: number;
  readonly actual?: number;
  readonly holder?: string;
}

/** A write that came second. It changes nothing else, so it is written down although its caller is refused. */
export function conflict(step: Step, facts: ConflictFacts, acl: Acl): void {
  run(
    step.db,
    sql`INSERT INTO conflicts (kind, target, agent_id, expected, actual, holder, timestamp, memory_id, acl_level, owner_id, team)
      VALUES (${facts.kind}, ${facts.target}, ${step.caller.subject}, ${facts.expected ?? null}, ${facts.actual ?? null},
      ${facts.holder ?? null}, ${step.nowMs}, ${acl.memoryId}, ${acl.level}, ${acl.owner}, ${acl.team})`,
  );
  step.count(`conflict_${facts.kind}`);
}

/** Leaves the newest rows of a table, in steps of bounded size; answers how many went. */
export function keepNewest(db: Sql, table: string, key: string, keep: number, step: number): number {
  const edge = first<Row>(
    db,
    sql`SELECT ${raw(key)} AS edge FROM ${raw(table)} ORDER BY ${raw(key)} DESC LIMIT 1 OFFSET ${keep}`,
  );
  if (edge === null) return 0;
  const old = join([sql`${raw(key)} <= ${edge['edge'] ?? null}`], '');
  return run(
    db,
    sql`DELETE FROM ${raw(table)} WHERE ${raw(key)} IN (SELECT ${raw(key)} FROM ${raw(table)} WHERE ${old} ORDER BY ${raw(key)} LIMIT ${step})`,
  );
}
