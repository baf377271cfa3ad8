import type { FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { EraseInput, Erasure } from '../../../shared/schemas/memory.ts';
import { dropArtifact } from './artifacts.ts';
import type { EntryRow } from './entry-rows.ts';
import { audit, event } from './records.ts';
import { first, join, raw, rows, run, sql, type Fragment } from './sql.ts';
import { NOT_WRITABLE, raiseEpoch, type Step } from './step.ts';

/** A receipt's digest: over its members but this one, names in order. */
export const receiptDigest = (receipt: Omit<Erasure, 'digest'>, sha256Hex: (text: string) => string): string =>
  sha256Hex(JSON.stringify(Object.entries(receipt).sort(([a], [b]) => (a < b ? -1 : 1))));

interface Match {
  /** Rows of `memory`, whatever their level, quarantined and expired ones included. */
  readonly entries: Fragment;
  readonly tombstones: Fragment;
  /** Events and conflicts that name a key or a person. */
  readonly events: Fragment;
  readonly conflicts: Fragment;
  /** Members of answers kept for idempotency, as `json_tree` gives them: an answer outlives the entry it is about. */
  readonly answers: Fragment;
}

const inList = (values: readonly string[]): Fragment => sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`;

function matchOf(input: EraseInput): Match {
  if (input.keys !== undefined) {
    const keys = inList(input.keys);
    return {
      entries: sql`m.key IN ${keys}`,
      tombstones: sql`key IN ${keys}`,
      events: sql`json_extract(data, '$.key') IN ${keys}`,
      conflicts: sql`target IN ${keys}`,
      answers: sql`t.key = 'key' AND t.atom IN ${keys}`,
    };
  }
  if (input.prefix !== undefined) {
    const { prefix } = input;
    const starts = (text: string): Fragment => sql`substr(${raw(text)}, 1, ${Array.from(prefix).length}) = ${prefix}`;
    return {
      entries: starts('m.key'),
      tombstones: starts('key'),
      events: starts(`json_extract(data, '$.key')`),
      conflicts: starts('target'),
      answers: sql`t.key = 'key' AND ${starts('t.atom')}`,
    };
  }
  const owner = input.owner ?? '';
  return {
    entries: sql`(m.owner_id = ${owner} OR m.written_by = ${owner})`,
    tombstones: sql`scope = ${`private/${owner}`}`,
    events: sql`(owner_id = ${owner} OR agent_id = ${owner} OR json_extract(data, '$.target') = ${owner})`,
    conflicts: sql`(owner_id = ${owner} OR agent_id = ${owner} OR holder = ${owner})`,
    answers: sql`t.atom = ${owner}`,
  };
}

/**
 * Takes away everything that matches, from every table, whoever may read it, and then looks whether anything is left. The
 * engine overwrites freed space (`secure_delete`) and seals the changed pages anew, so the old bytes are nowhere in storage.
 * Idempotent answers are dropped where they are about such an entry; caches of values are the Worker's to clear.
 */
export function erase(step: Step, input: EraseInput, restorePoints: number): Result<Erasure, FleetError> {
  const { db, nowMs } = step;
  if (step.who.role !== 'admin') return err(NOT_WRITABLE);
  const match = matchOf(input);
  // The caller drops them: each holds the whole memory as it was.
  const erased: Record<string, number> = { restore_points: restorePoints };
  const ids = rows<Pick<EntryRow, 'id' | 'value_bytes'>>(
    db,
    sql`SELECT m.id, m.value_bytes FROM memory m WHERE ${match.entries}`,
  );
  const idList = inList(ids.map(({ id }) => String(id)));
  const ofThem = (column: string): Fragment =>
    sql`${raw(column)} IN (SELECT CAST(value AS INTEGER) FROM json_each(${JSON.stringify(ids.map(({ id }) => id))}))`;
  const count = (table: string, where: Fragment): number =>
    first<{ n: number }>(db, sql`SELECT COUNT(*) AS n FROM ${raw(table)} WHERE ${where}`)?.n ?? 0;
  for (const table of ['versions', 'permissions', 'terms', 'vectors']) erased[table] = count(table, ofThem('memory_id'));
  // Versions that this person wrote of others' entries are its words, too.
  if (input.owner !== undefined) {
    erased['versions'] =
      (erased['versions'] ?? 0) +
      run(db, sql`DELETE FROM versions WHERE written_by = ${input.owner} AND NOT ${ofThem('memory_id')}`);
  }
  run(db, sql`DELETE FROM memory WHERE ${ofThem('id')}`);
  // Not what SQLite says it changed: with some engines that counts what went by foreign keys as well.
  erased['memory'] = ids.length;
  const bytes = ids.reduce((sum, row) => sum + row.value_bytes, 0);
  run(db, sql`UPDATE counters SET entries = entries - ${ids.length}, bytes = bytes - ${bytes}`);
  const removeFrom = (table: string, where: Fragment): void => {
    erased[table] = (erased[table] ?? 0) + run(db, sql`DELETE FROM ${raw(table)} WHERE ${where}`);
  };
  removeFrom('tombstones', match.tombstones);
  removeFrom('events', join([match.events, ofThem('memory_id')], ' OR '));
  removeFrom('conflicts', join([match.conflicts, ofThem('memory_id')], ' OR '));
  const answers = sql`(EXISTS (SELECT 1 FROM json_each(idempotency.memory_ids) j WHERE CAST(j.value AS TEXT) IN ${idList})
    OR EXISTS (SELECT 1 FROM json_tree(idempotency.answer) t WHERE ${match.answers}))`;
  removeFrom('idempotency', answers);
  if (input.owner !== undefined) eraseOwner(step, input.owner, erased, removeFrom);
  const remaining =
    count('memory m', match.entries) +
    count('tombstones', match.tombstones) +
    count('events', match.events) +
    count('conflicts', match.conflicts) +
    count('idempotency', answers) +
    ['versions', 'permissions', 'terms', 'vectors'].reduce((sum, table) => sum + count(table, ofThem('memory_id')), 0) +
    (input.owner === undefined ? 0 : remainingOf(step, input.owner));
  // The copy in memory is no storage, but neither is it to outlive what it was made of.
  step.vectors.forget();
  raiseEpoch(step);
  const id = `era.${step.ulid()}`;
  audit(step, 'erase', id, { ...erased, remaining, reason: input.reason });
  event(step, 'memory.erased', { erasureId: id });
  const receipt: Omit<Erasure, 'digest'> = {
    id,
    region: step.region,
    swarm: step.swarm,
    atMs: nowMs,
    actor: step.caller.subject,
    erased,
    remaining,
  };
  return ok({ ...receipt, digest: receiptDigest(receipt, step.sha256Hex) });
}

function eraseOwner(
  step: Step,
  owner: string,
  erased: Record<string, number>,
  removeFrom: (table: string, where: Fragment) => void,
): void {
  const { db } = step;
  const artifacts = rows<{ id: string; bytes: number }>(
    db,
    sql`SELECT id, bytes FROM artifacts WHERE owner_id = ${owner} OR written_by = ${owner}`,
  );
  for (const artifact of artifacts) dropArtifact(step, artifact);
  erased['artifacts'] = artifacts.length;
  removeFrom('consensus', sql`agent_id = ${owner}`);
  removeFrom('resources', sql`agent_id = ${owner}`);
  removeFrom('permissions', sql`subject = ${owner}`);
  removeFrom('dependencies', sql`agent_id = ${owner}`);
  removeFrom('fences', sql`agent_id = ${owner} AND quarantined_at IS NULL`);
  removeFrom('idempotency', sql`substr(key, 1, ${Array.from(owner).length + 1}) = ${`${owner}\n`}`);
  run(db, sql`UPDATE tasks SET agent_id = NULL, result = NULL WHERE agent_id = ${owner}`);
  removeFrom('agents', sql`id = ${owner} AND status <> 'quarantined'`);
}

function remainingOf({ db }: Step, owner: string): number {
  const parts = [
    ['versions', sql`written_by = ${owner} OR owner_id = ${owner}`],
    ['artifacts', sql`owner_id = ${owner} OR written_by = ${owner}`],
    ['consensus', sql`agent_id = ${owner}`],
    ['resources', sql`agent_id = ${owner}`],
    ['permissions', sql`subject = ${owner}`],
    ['dependencies', sql`agent_id = ${owner}`],
    ['fences', sql`agent_id = ${owner} AND quarantined_at IS NULL`],
  ] as const;
  return parts.reduce(
    (sum, [table, where]) =>
      sum + (first<{ n: number }>(db, sql`SELECT COUNT(*) AS n FROM ${raw(table)} WHERE ${where}`)?.n ?? 0),
    0,
  );
}
