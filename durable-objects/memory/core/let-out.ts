import { grants, isInside, type Reader } from './acl.ts';
import { permitted } from './entry-rows.ts';
import { isOver } from './fences.ts';
import { raw, sql, type Fragment } from './sql.ts';

const OF_THE_SWARM: readonly Fragment[] = [
  sql`UPDATE events SET agent_id = NULL`,
  sql`UPDATE artifacts SET task_id = NULL`,
  // Those that refer to others first.
  ...['decisions', 'consensus', 'dependencies', 'tasks', 'agents', 'resources', 'metrics', 'settings'].map(
    (table) => sql`DELETE FROM ${raw(table)}`,
  ),
];

/**
 * The statements that leave in a copy of the whole database only what this reader may read, by the one rule. Run on the copy,
 * before it is packed: what they delete is not in the file.
 */
export function narrowing(who: Reader, nowMs: number): readonly Fragment[] {
  const step = { who, nowMs };
  const unless = (table: string, alias: string, rule: Fragment): Fragment =>
    sql`DELETE FROM ${raw(table)} WHERE rowid NOT IN (SELECT ${raw(alias)}.rowid FROM ${raw(table)} ${raw(alias)} WHERE ${rule})`;
  const unlessById = (table: string, alias: string, rule: Fragment): Fragment =>
    sql`DELETE FROM ${raw(table)} WHERE id NOT IN (SELECT ${raw(alias)}.id FROM ${raw(table)} ${raw(alias)} WHERE ${rule})`;
  const seen = (alias: string): Fragment =>
    sql`${grants(who, 'read', { row: alias, entry: `${alias}.memory_id` })}
      AND (${raw(`${alias}.memory_id`)} IS NULL OR ${raw(`${alias}.memory_id`)} IN (SELECT id FROM memory))`;
  return [
    sql`PRAGMA foreign_keys = ON`,
    // First by their own rule, while lists and entries are all there.
    unless('versions', 'v', grants(who, 'read', { row: 'v', entry: 'v.memory_id', version: 'v.version' })),
    unless('memory', 'm', permitted(step, 'read')),
    unlessById('events', 'e', seen('e')),
    unless('conflicts', 'c', seen('c')),
    unlessById(
      'artifacts',
      'a',
      sql`${grants(who, 'read', { row: 'a' })} AND a.completed_at IS NOT NULL AND (a.expires_at IS NULL OR a.expires_at > ${nowMs})`,
    ),
    sql`DELETE FROM resources WHERE id IN (SELECT r.id FROM resources r WHERE ${isOver(nowMs)})`,
    sql`DELETE FROM consensus WHERE quarantined_at IS NOT NULL`,
    // What concerns the swarm as such is its members', and the audit is the operators'.
    ...(isInside(who) ? [] : OF_THE_SWARM),
    ...(who.role === 'operator' || who.role === 'admin' ? [] : [sql`DELETE FROM audit`, sql`DELETE FROM sqlite_sequence`]),
    // Names of what is gone, answers that were given to others, and what only guards this very memory.
    ...['tombstones', 'idempotency', 'fences'].map((table) => sql`DELETE FROM ${raw(table)}`),
    sql`UPDATE counters SET entries = (SELECT COUNT(*) FROM memory), bytes = (SELECT COALESCE(SUM(value_bytes), 0) FROM memory),
      artifact_bytes = (SELECT COALESCE(SUM(bytes), 0) FROM artifacts)`,
    // How much there was and how often rights were changed tells of what the caller may not see.
    ...RENUMBERED,
    ...(isInside(who)
      ? []
      : [sql`UPDATE counters SET acl_epoch = 0, claim_token = 0, shards = 1, version_floor = 0, version_floor_at = 0`]),
  ];
}

/** Numbers without gaps, in the same order: a gap would tell that something lies there. */
const RENUMBERED: readonly Fragment[] = [
  // The one outside of a transaction, the other inside.
  sql`PRAGMA foreign_keys = OFF`,
  sql`PRAGMA defer_foreign_keys = ON`,
  sql`CREATE TEMP TABLE numbers (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)`,
  ...renumbered('memory', {
    memory: 'id',
    permissions: 'memory_id',
    versions: 'memory_id',
    terms: 'memory_id',
    vectors: 'memory_id',
    events: 'memory_id',
    conflicts: 'memory_id',
  }),
  ...renumbered('versions', { versions: 'id' }),
  ...renumbered('conflicts', { conflicts: 'id' }),
  ...renumbered('artifact_chunks', { artifact_chunks: 'id' }),
  sql`DROP TABLE numbers`,
  sql`UPDATE counters SET next_id = (SELECT COALESCE(MAX(id), 0) + 1 FROM memory)`,
];

/** `places`: the tables, and the column of each, that hold the ids of `table`. Through negative ones, so that none meets another. */
function renumbered(table: string, places: Readonly<Record<string, string>>): readonly Fragment[] {
  return [
    sql`DELETE FROM numbers`,
    sql`INSERT INTO numbers SELECT id, ROW_NUMBER() OVER (ORDER BY id) FROM ${raw(table)}`,
    ...Object.entries(places).flatMap(([place, column]) => [
      sql`UPDATE ${raw(place)} SET ${raw(column)} = (SELECT -new FROM numbers WHERE old = ${raw(`${place}.${column}`)})
        WHERE ${raw(column)} IS NOT NULL`,
      sql`UPDATE ${raw(place)} SET ${raw(column)} = -${raw(column)} WHERE ${raw(column)} IS NOT NULL`,
    ]),
  ];
}
