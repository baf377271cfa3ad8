import { notFound, type FleetError } from '../../../shared/errors.ts';
import { parseIdOf } from '../../../shared/ids.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { MemoryCommandMap } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { Page } from '../../../shared/rpc.ts';
import type { Consensus, Dependency } from '../../../shared/schemas/memory.ts';
import { isInside } from './acl.ts';
import { knowsTask } from './fences.ts';
import { audit, event } from './records.ts';
import { first, join, rows, run, sql, type Row } from './sql.ts';
import { forbidden, NOT_WRITABLE, type Step } from './step.ts';
import { settingsOf } from './text-index.ts';
import { startWrite } from './writing.ts';

interface VoteRow extends Row {
  readonly agent_id: string;
  readonly choice: string;
  readonly confidence: number;
  readonly reasoning: string | null;
  readonly timestamp: number;
}
interface DecisionRow extends Row {
  readonly choice: string;
  readonly share: number;
  readonly votes: number;
  readonly decided_at: number;
}

/** Votes that count: those of quarantined writers do not. */
const votesOf = (step: Step, taskId: string): VoteRow[] =>
  rows<VoteRow>(
    step.db,
    sql`SELECT agent_id, choice, confidence, reasoning, timestamp FROM consensus
      WHERE task_id = ${taskId} AND quarantined_at IS NULL ORDER BY agent_id`,
  );

/**
 * The rule (M120): once at least `quorum` agents have voted, the choice that holds more than nothing and at least the share
 * `majority` of all confidence is decided, and stays decided. Confidence is the weight of a vote. Null: still open.
 */
export function decisionOf(
  votes: readonly Pick<VoteRow, 'choice' | 'confidence'>[],
  rule: { readonly quorum: number; readonly majority: number },
): { readonly choice: string; readonly share: number } | null {
  if (votes.length < rule.quorum) return null;
  const weights = new Map<string, number>();
  let total = 0;
  for (const { choice, confidence } of votes) {
    weights.set(choice, (weights.get(choice) ?? 0) + confidence);
    total += confidence;
  }
  if (total === 0) return null;
  for (const [choice, weight] of weights) {
    // Sums of fractions: a third three times over must count as the whole.
    if (weight / total >= rule.majority - 1e-9) return { choice, share: weight / total };
  }
  return null;
}

export const AGENTS_VOTE = forbidden('Agents of the swarm vote, each for itself.');

/** What is done about a task keeps what is known of it. */
const touchTasks = (step: Step, ids: readonly string[]): void =>
  void run(
    step.db,
    sql`UPDATE tasks SET updated_at = ${step.nowMs} WHERE id IN (SELECT value FROM json_each(${JSON.stringify(ids)}))`,
  );

/** A vote on a task by an agent of the swarm; until the decision it may be changed. */
export function vote(step: Step, input: MemoryCommandMap['vote'][0]): Result<Consensus, FleetError> {
  const { agentId } = step.caller;
  if (agentId === undefined || !step.who.isMember) return err(isInside(step.who) ? AGENTS_VOTE : NOT_WRITABLE);
  const held = startWrite(step, input.lease);
  if (!held.ok) return held;
  const { taskId } = input;
  if (!knowsTask(step.db, taskId)) return err(notFound('task'));
  if (decided(step, taskId) !== null) {
    return err({ kind: 'invalid_state', state: 'decided', detail: 'This task has been decided.' });
  }
  const there = rows<VoteRow>(step.db, sql`SELECT agent_id FROM consensus WHERE task_id = ${taskId}`);
  if (there.length >= MEMORY_LIMITS.votesPerTask && !there.some((row) => row.agent_id === agentId)) {
    const limit = MEMORY_LIMITS.votesPerTask;
    return err({ kind: 'quota_exceeded', scope: 'swarm', limit, detail: 'This task has as many votes as it may.' });
  }
  const votes = first<{ n: number }>(step.db, sql`SELECT COUNT(*) AS n FROM consensus`)?.n ?? 0;
  if (votes >= MEMORY_LIMITS.votes) {
    const limit = MEMORY_LIMITS.votes;
    return err({ kind: 'quota_exceeded', scope: 'swarm', limit, detail: 'This memory holds no more votes.' });
  }
  touchTasks(step, [taskId]);
  const id = `vot.${step.ulid()}`;
  run(
    step.db,
    sql`INSERT INTO consensus (id, task_id, agent_id, confidence, reasoning, timestamp, choice, allocation_id) VALUES (${id}, ${taskId},
      ${agentId}, ${input.confidence}, ${input.reasoning ?? null}, ${step.nowMs}, ${input.choice}, ${held.value.allocationId})
      ON CONFLICT (task_id, agent_id) DO UPDATE SET confidence = excluded.confidence, reasoning = excluded.reasoning,
      timestamp = excluded.timestamp, choice = excluded.choice, allocation_id = excluded.allocation_id, quarantined_at = NULL`,
  );
  const decision = decisionOf(votesOf(step, taskId), settingsOf(step.db));
  event(step, 'consensus.voted', { taskId });
  audit(step, 'vote', taskId);
  if (decision !== null) {
    run(
      step.db,
      sql`INSERT INTO decisions (task_id, choice, share, votes, decided_at) VALUES (${taskId}, ${decision.choice}, ${decision.share},
        ${votesOf(step, taskId).length}, ${step.nowMs})`,
    );
    event(step, 'consensus.decided', { taskId, choice: decision.choice });
  }
  step.count('vote');
  return ok(viewOf(step, taskId));
}

const decided = (step: Step, taskId: string): DecisionRow | null =>
  first<DecisionRow>(step.db, sql`SELECT choice, share, votes, decided_at FROM decisions WHERE task_id = ${taskId}`);

function viewOf(step: Step, taskId: string): Consensus {
  const { quorum, majority } = settingsOf(step.db);
  const decision = decided(step, taskId);
  return {
    taskId,
    votes: votesOf(step, taskId).map((row) => ({
      agentId: row.agent_id,
      choice: row.choice,
      confidence: row.confidence,
      ...(row.reasoning === null ? {} : { reasoning: row.reasoning }),
      atMs: row.timestamp,
    })),
    quorum,
    majority,
    ...(decision === null
      ? {}
      : {
          decision: { choice: decision.choice, share: decision.share, votes: decision.votes, decidedAtMs: decision.decided_at },
        }),
  };
}

export function getConsensus(step: Step, { taskId }: { readonly taskId: string }): Result<Consensus, FleetError> {
  const known =
    isInside(step.who) && first(step.db, sql`SELECT 1 AS n FROM consensus WHERE task_id = ${taskId} LIMIT 1`) !== null;
  return known ? ok(viewOf(step, taskId)) : err(notFound('consensus'));
}

interface EdgeRow extends Row {
  readonly task_id: string;
  readonly depends_on: string;
  readonly agent_id: string;
  readonly created_at: number;
}

/** Records that one task waits for others. A cycle is refused: nothing in it could ever begin. */
export function addDependencies(
  step: Step,
  input: MemoryCommandMap['addDependencies'][0],
): Result<{ readonly added: number }, FleetError> {
  const held = startWrite(step, input.lease);
  if (!held.ok) return held;
  if (!isInside(step.who)) return err(NOT_WRITABLE);
  const { taskId } = input;
  const targets = [...new Set(input.dependsOn)];
  if ([taskId, ...targets].some((id) => parseIdOf('task', id) === null || !knowsTask(step.db, id))) return err(notFound('task'));
  const edges = first<{ n: number }>(step.db, sql`SELECT COUNT(*) AS n FROM dependencies`)?.n ?? 0;
  if (edges + targets.length > MEMORY_LIMITS.dependencies) {
    const limit = MEMORY_LIMITS.dependencies;
    return err({ kind: 'quota_exceeded', scope: 'swarm', limit, detail: 'This memory holds no more dependencies.' });
  }
  for (const target of targets) {
    if (target !== taskId && !reaches(step, target, taskId)) continue;
    return err({ kind: 'invalid_state', state: 'cyclic', detail: 'The tasks would wait for each other.' });
  }
  touchTasks(step, [taskId, ...targets]);
  let added = 0;
  for (const target of targets) {
    added += run(
      step.db,
      sql`INSERT OR IGNORE INTO dependencies (task_id, depends_on, agent_id, created_at)
        VALUES (${taskId}, ${target}, ${step.who.subject}, ${step.nowMs})`,
    );
  }
  event(step, 'dependency.added', { taskId, dependsOn: targets });
  audit(step, 'add_dependencies', taskId, { added });
  return ok({ added });
}

/** Whether `from` waits for `to`, directly or through others. */
const reaches = (step: Step, from: string, to: string): boolean =>
  first(
    step.db,
    sql`WITH RECURSIVE waits (id) AS (SELECT ${from} UNION SELECT d.depends_on FROM dependencies d JOIN waits w ON d.task_id = w.id)
      SELECT 1 AS n FROM waits WHERE id = ${to} LIMIT 1`,
  ) !== null;

export function listDependencies(
  step: Step,
  input: MemoryCommandMap['listDependencies'][0],
): Result<Page<Dependency>, FleetError> {
  if (!isInside(step.who)) return ok({ data: [] });
  const [task = '', target = ''] = (input.after ?? '').split(' ');
  const conditions = [sql`(task_id, depends_on) > (${task}, ${target})`];
  if (input.taskId !== undefined) conditions.push(sql`task_id = ${input.taskId}`);
  const found = rows<EdgeRow>(
    step.db,
    sql`SELECT task_id, depends_on, agent_id, created_at FROM dependencies WHERE ${join(conditions, ' AND ')}
      ORDER BY task_id, depends_on LIMIT ${input.limit + 1}`,
  );
  const data = found.slice(0, input.limit).map((row) => ({
    taskId: row.task_id,
    dependsOn: row.depends_on,
    agentId: row.agent_id,
    createdAtMs: row.created_at,
  }));
  const last = data.at(-1);
  return ok({
    data,
    ...(found.length > data.length && last !== undefined ? { nextAfter: `${last.taskId} ${last.dependsOn}` } : {}),
  });
}
