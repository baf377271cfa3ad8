import type { FleetError } from '../../../shared/errors.ts';
import type { Paging } from '../../../shared/memory-rpc.ts';
import { ok, type Result } from '../../../shared/result.ts';
import type { Page } from '../../../shared/rpc.ts';
import type { MemoryAuditRow, MemoryConflict, MemoryEvent } from '../../../shared/schemas/memory.ts';
import { grants } from './acl.ts';
import { numberAfter, pageOfRows } from './reading.ts';
import { rows, sql, raw, type Fragment, type Row } from './sql.ts';
import type { Step } from './step.ts';

/**
 * What happened, to those who may read what it happened to: by the rule as it stood then, and where the entry is still there
 * by the rule as it stands now, too. So a narrowed right closes the past as well.
 */
function visible(step: Step, row: string): Fragment {
  const then = grants(step.who, 'read', { row, entry: `${row}.memory_id` });
  const now = grants(step.who, 'read', { row: 'm', entry: 'm.id' });
  const entry = raw(`${row}.memory_id`);
  return sql`${then} AND (${entry} IS NULL OR NOT EXISTS (SELECT 1 FROM memory m WHERE m.id = ${entry})
    OR EXISTS (SELECT 1 FROM memory m WHERE m.id = ${entry} AND ${now}))`;
}

interface EventRow extends Row {
  readonly id: string;
  readonly type: string;
  readonly agent_id: string | null;
  readonly timestamp: number;
  readonly data: string;
}

export function listEvents(step: Step, input: Paging): Result<Page<MemoryEvent>, FleetError> {
  const found = rows<EventRow>(
    step.db,
    sql`SELECT e.id, e.type, e.agent_id, e.timestamp, e.data FROM events e WHERE e.id > ${input.after ?? ''} AND ${visible(step, 'e')}
      ORDER BY e.id LIMIT ${input.limit + 1}`,
  );
  return ok(
    pageOfRows(found, input.limit, {
      bytes: (row) => row.data.length,
      id: (row) => row.id,
      view: (row) => ({
        id: row.id,
        type: row.type,
        ...(row.agent_id === null ? {} : { agentId: row.agent_id }),
        atMs: row.timestamp,
        data: JSON.parse(row.data) as unknown,
      }),
    }),
  );
}

interface ConflictRow extends Row {
  readonly id: number;
  readonly kind: string;
  readonly target: string;
  readonly agent_id: string;
  readonly expected: number | null;
  readonly actual: number | null;
  readonly holder: string | null;
  readonly timestamp: number;
}

export function listConflicts(step: Step, input: Paging): Result<Page<MemoryConflict>, FleetError> {
  const found = rows<ConflictRow>(
    step.db,
    sql`SELECT c.* FROM conflicts c WHERE c.id > ${numberAfter(input.after)} AND ${visible(step, 'c')}
      ORDER BY c.id LIMIT ${input.limit + 1}`,
  );
  return ok(
    pageOfRows(found, input.limit, {
      bytes: (row) => row.target.length,
      id: (row) => String(row.id),
      view: (row) => ({
        id: String(row.id),
        kind: row.kind as MemoryConflict['kind'],
        target: row.target,
        agentId: row.agent_id,
        ...(row.expected === null ? {} : { expected: row.expected }),
        ...(row.actual === null ? {} : { actual: row.actual }),
        ...(row.holder === null ? {} : { holder: row.holder }),
        atMs: row.timestamp,
      }),
    }),
  );
}

interface AuditRow extends Row {
  readonly id: number;
  readonly timestamp: number;
  readonly actor: string;
  readonly role: string;
  readonly action: string;
  readonly target: string;
  readonly request_id: string;
  readonly detail: string | null;
}

/** Who did what. It names entries by number, never by key or value, so it opens nothing that the rule closes. */
export function listAudit(step: Step, input: Paging): Result<Page<MemoryAuditRow>, FleetError> {
  if (step.who.role !== 'operator' && step.who.role !== 'admin') return ok({ data: [] });
  const found = rows<AuditRow>(
    step.db,
    sql`SELECT * FROM audit WHERE id > ${numberAfter(input.after)} ORDER BY id LIMIT ${input.limit + 1}`,
  );
  return ok(
    pageOfRows(found, input.limit, {
      bytes: (row) => row.detail?.length ?? 0,
      id: (row) => String(row.id),
      view: (row) => ({
        id: String(row.id),
        atMs: row.timestamp,
        actor: row.actor,
        role: row.role,
        action: row.action,
        target: row.target,
        requestId: row.request_id,
        ...(row.detail === null ? {} : { detail: JSON.parse(row.detail) as unknown }),
      }),
    }),
  );
}
