import type { FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { parseIdOf } from '../../../shared/ids.ts';
import type { Quarantined, QuarantineInput } from '../../../shared/schemas/memory.ts';
import { decisionOf } from './consensus.ts';
import { quarantineLease } from './fences.ts';
import { audit, event, noteNamedAgent } from './records.ts';
import { raw, rows, run, sql, type Fragment } from './sql.ts';
import { NOT_WRITABLE, raiseEpoch, type Step } from './step.ts';
import { settingsOf } from './text-index.ts';

/**
 * Hides everything that an agent wrote, or that was written under a lease, from every road, older versions included; and lets
 * a quarantined agent write no more, and nobody under a quarantined lease. Released, it is back as it was. What others wrote since stays.
 */
export function quarantine(step: Step, input: QuarantineInput): Result<Quarantined, FleetError> {
  const { db, nowMs, who } = step;
  if (who.role !== 'operator' && who.role !== 'admin') return err(NOT_WRITABLE);
  const set = input.release ? sql`quarantined_at = NULL` : sql`quarantined_at = ${nowMs}`;
  const isDue = input.release ? sql`quarantined_at IS NOT NULL` : sql`quarantined_at IS NULL`;
  const writtenBy =
    input.agentId === undefined ? sql`allocation_id = ${input.allocationId ?? ''}` : sql`written_by = ${input.agentId}`;
  const mark = (table: string, whose: Fragment): number =>
    run(db, sql`UPDATE ${raw(table)} SET ${set} WHERE ${whose} AND ${isDue}`);
  const votedBy =
    input.agentId === undefined ? sql`allocation_id = ${input.allocationId ?? ''}` : sql`agent_id = ${input.agentId}`;
  const result: Quarantined = {
    entries: mark('memory', writtenBy),
    versions: mark('versions', writtenBy),
    artifacts: mark('artifacts', writtenBy),
    votes: mark('consensus', votedBy),
    claims: input.release ? 0 : run(db, sql`DELETE FROM resources WHERE ${votedBy}`),
  };
  if (input.allocationId !== undefined) quarantineLease(step, input.allocationId, input.release);
  recount(step, votedBy);
  if (input.agentId !== undefined) {
    noteNamedAgent(step, input.agentId, parseIdOf('agent', input.agentId)?.pool ?? '', 'active');
    const status = input.release ? 'active' : 'quarantined';
    run(db, sql`UPDATE agents SET status = ${status}, updated_at = ${nowMs} WHERE id = ${input.agentId}`);
  }
  raiseEpoch(step);
  const target = input.agentId ?? input.allocationId ?? '';
  event(step, input.release ? 'quarantine.released' : 'quarantine.set', { target });
  audit(step, input.release ? 'release_quarantine' : 'quarantine', target, { ...result, reason: input.reason });
  return ok(result);
}

/** A decision that rested on such votes is made anew with those that are left, or is open again. */
function recount(step: Step, votedBy: Fragment): void {
  const { db } = step;
  const rule = settingsOf(db);
  const touched = rows<{ task_id: string }>(db, sql`SELECT DISTINCT task_id FROM consensus WHERE ${votedBy}`);
  for (const { task_id: taskId } of touched) {
    const votes = rows<{ choice: string; confidence: number }>(
      db,
      sql`SELECT choice, confidence FROM consensus WHERE task_id = ${taskId} AND quarantined_at IS NULL`,
    );
    const decision = decisionOf(votes, rule);
    run(db, sql`DELETE FROM decisions WHERE task_id = ${taskId}`);
    if (decision === null) continue;
    run(
      db,
      sql`INSERT INTO decisions (task_id, choice, share, votes, decided_at)
        VALUES (${taskId}, ${decision.choice}, ${decision.share}, ${votes.length}, ${step.nowMs})`,
    );
  }
}
