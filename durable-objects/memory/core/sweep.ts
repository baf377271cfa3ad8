import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import { dropArtifact } from './artifacts.ts';
import { COLUMNS, type EntryRow } from './entry-rows.ts';
import { dropOverClaims } from './fences.ts';
import { aclOf, audit, event, keepNewest } from './records.ts';
import { first, raw, rows, run, sql } from './sql.ts';
import type { Step } from './step.ts';
import { reindex } from './text-index.ts';
import { removeRow } from './writing.ts';

/**
 * Takes away what is past its end and what is over a bound, in bounded steps. Nothing depends on when it runs: reads leave out
 * what has ended by the clock. Answers whether a step was full, so that more is to be done at once.
 */
export function sweep(step: Step): boolean {
  const { db, nowMs } = step;
  const limit = MEMORY_LIMITS.sweepStep;
  let isFull = false;
  const note = (removed: number): void => {
    if (removed >= limit) isFull = true;
  };

  const ended = rows<EntryRow>(
    db,
    sql`SELECT ${COLUMNS} FROM memory m WHERE m.expires_at <= ${nowMs} ORDER BY m.expires_at LIMIT ${limit}`,
  );
  for (const row of ended) {
    removeRow(step, row);
    event(step, 'memory.expired', { key: row.key, version: row.version }, aclOf(row));
  }
  if (ended.length > 0) audit(step, 'expire', ended.length);
  note(ended.length);

  // An upload that nobody finished within a day is nothing that can be read.
  const artifacts = rows<{ id: string; bytes: number }>(
    db,
    sql`SELECT id, bytes FROM artifacts WHERE expires_at <= ${nowMs}
      OR (completed_at IS NULL AND created_at <= ${nowMs - MEMORY_LIMITS.tombstoneMs}) LIMIT ${limit}`,
  );
  for (const artifact of artifacts) dropArtifact(step, artifact);
  note(artifacts.length);

  // Before the leases are forgotten that some of them fell with.
  dropOverClaims(step);
  note(
    run(
      db,
      sql`DELETE FROM tombstones WHERE (key, scope) IN (SELECT key, scope FROM tombstones
    WHERE deleted_at <= ${nowMs - MEMORY_LIMITS.tombstoneMs} LIMIT ${limit})`,
    ),
  );
  note(foldTombstones(step, limit));
  note(
    run(
      db,
      sql`DELETE FROM fences WHERE allocation_id IN (SELECT allocation_id FROM fences
    WHERE expires_at <= ${nowMs - MEMORY_LIMITS.tombstoneMs}
    AND (quarantined_at IS NULL OR quarantined_at <= ${nowMs - MEMORY_LIMITS.workMs}) LIMIT ${limit})`,
    ),
  );
  note(
    run(
      db,
      sql`DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency
    WHERE at <= ${nowMs - MEMORY_LIMITS.idempotencyTtlMs} ORDER BY id LIMIT ${limit})`,
    ),
  );
  run(db, sql`DELETE FROM metrics WHERE minute <= ${Math.floor(nowMs / 60_000) - MEMORY_LIMITS.metricMinutes}`);
  note(keepNewest(db, 'idempotency', 'id', MEMORY_LIMITS.idempotencyKeys, limit));
  note(keepNewest(db, 'events', 'id', MEMORY_LIMITS.events, limit));
  note(keepNewest(db, 'audit', 'id', MEMORY_LIMITS.audit, limit));
  note(keepNewest(db, 'conflicts', 'id', MEMORY_LIMITS.conflicts, limit));
  if (sweepWork(step)) isFull = true;
  note(sweepMirrors(step, limit));
  if (reindex(step)) isFull = true;
  return isFull;
}

/**
 * Tombstones beyond their bound, the oldest first, become one: for a day every new entry counts from above the highest version
 * that any of them had, so a stale number fits none of their keys.
 */
function foldTombstones({ db, nowMs }: Step, limit: number): number {
  const count = first<{ n: number }>(db, sql`SELECT COUNT(*) AS n FROM tombstones`)?.n ?? 0;
  const over = Math.min(limit, count - MEMORY_LIMITS.tombstones);
  if (over <= 0) return 0;
  const oldest = sql`(key, scope) IN (SELECT key, scope FROM tombstones ORDER BY deleted_at, key, scope LIMIT ${over})`;
  const floor = sql`CASE WHEN version_floor_at > ${nowMs - MEMORY_LIMITS.tombstoneMs} THEN version_floor ELSE 0 END`;
  run(
    db,
    sql`UPDATE counters SET version_floor = MAX(${floor}, (SELECT MAX(version) FROM tombstones WHERE ${oldest})),
      version_floor_at = MAX(version_floor_at, (SELECT MAX(deleted_at) FROM tombstones WHERE ${oldest}))`,
  );
  return run(db, sql`DELETE FROM tombstones WHERE ${oldest}`);
}

/** Tasks that one step takes away, each with up to a thousand votes. */
const ENDED_TASKS = 20;

/** Votes, decisions and edges of tasks that nothing was done about for long. Artifacts keep their task. */
function sweepWork({ db, nowMs }: Step): boolean {
  const due = rows<{ id: string }>(
    db,
    sql`SELECT t.id FROM tasks t WHERE t.updated_at <= ${nowMs - MEMORY_LIMITS.workMs}
      AND (EXISTS (SELECT 1 FROM consensus c WHERE c.task_id = t.id) OR EXISTS (SELECT 1 FROM decisions d WHERE d.task_id = t.id)
      OR EXISTS (SELECT 1 FROM dependencies p WHERE p.task_id = t.id)
      OR EXISTS (SELECT 1 FROM dependencies p WHERE p.depends_on = t.id)) LIMIT ${ENDED_TASKS}`,
  );
  for (const { id } of due) {
    run(db, sql`DELETE FROM decisions WHERE task_id = ${id}`);
    run(db, sql`DELETE FROM consensus WHERE task_id = ${id}`);
    run(db, sql`DELETE FROM dependencies WHERE task_id = ${id} OR depends_on = ${id}`);
  }
  return due.length === ENDED_TASKS;
}

/** Mirrored tasks and agents that nothing here is about any more, those seen longest ago first. */
function sweepMirrors({ db }: Step, limit: number): number {
  const count = (table: string): number => first<{ n: number }>(db, sql`SELECT COUNT(*) AS n FROM ${raw(table)}`)?.n ?? 0;
  const tasks =
    count('tasks') <= MEMORY_LIMITS.tasks
      ? 0
      : run(
          db,
          sql`DELETE FROM tasks WHERE id IN (SELECT id FROM tasks t WHERE
      NOT EXISTS (SELECT 1 FROM consensus c WHERE c.task_id = t.id) AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.task_id = t.id)
      AND NOT EXISTS (SELECT 1 FROM dependencies p WHERE p.task_id = t.id OR p.depends_on = t.id)
      AND t.id NOT IN (SELECT task_id FROM artifacts WHERE task_id IS NOT NULL) ORDER BY t.updated_at LIMIT ${limit})`,
        );
  const agents =
    count('agents') <= MEMORY_LIMITS.agents
      ? 0
      : run(
          db,
          sql`DELETE FROM agents WHERE id IN (SELECT id FROM agents g WHERE g.status <> 'quarantined'
      AND g.id NOT IN (SELECT agent_id FROM events WHERE agent_id IS NOT NULL UNION SELECT agent_id FROM tasks WHERE agent_id IS NOT NULL
      UNION SELECT agent_id FROM consensus) ORDER BY g.updated_at LIMIT ${limit})`,
        );
  return Math.max(tasks, agents);
}

/** When something ends next, or null. It is asked for after every request: each part is answered by the end of an index. */
export function nextEndMs(step: Pick<Step, 'db' | 'nowMs'>): number | null {
  const ends = [
    sql`SELECT MIN(expires_at) AS at FROM memory WHERE expires_at IS NOT NULL`,
    sql`SELECT MIN(expires_at) AS at FROM artifacts WHERE expires_at IS NOT NULL`,
    // A tombstone may stay for longer than it must.
    sql`SELECT ${step.nowMs + MEMORY_LIMITS.tombstoneMs} AS at FROM tombstones LIMIT 1`,
    sql`SELECT MIN(updated_at) + ${MEMORY_LIMITS.upkeepMs} AS at FROM tasks WHERE completed_at IS NULL`,
    sql`SELECT MIN(at) + ${MEMORY_LIMITS.idempotencyTtlMs} AS at FROM (SELECT at FROM idempotency ORDER BY id LIMIT 1)`,
  ].flatMap((query) => first<{ at: number | null }>(step.db, query)?.at ?? []);
  return ends.length === 0 ? null : Math.min(...ends);
}
