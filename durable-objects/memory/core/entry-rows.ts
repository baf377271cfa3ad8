import type { EntryFilter, EntryRef, EntryView } from '../../../shared/memory-rpc.ts';
import type { MemoryLevel } from '../../../shared/schemas/memory.ts';
import { grants, type Operation, type Reader } from './acl.ts';
import { first, join, raw, sql, type Fragment, type Row, type Sql } from './sql.ts';
import type { Step } from './step.ts';

/** A row of `memory`. */
export interface EntryRow extends Row {
  readonly id: number;
  readonly key: string;
  readonly scope: string;
  readonly value: string;
  readonly value_bytes: number;
  readonly acl_level: string;
  readonly owner_id: string;
  readonly team: string | null;
  readonly created_at: number;
  readonly updated_at: number;
  readonly ttl: number | null;
  readonly expires_at: number | null;
  readonly version: number;
  readonly tags: string;
  readonly written_by: string;
  readonly task_id: string | null;
  readonly allocation_id: string | null;
  readonly fencing_token: number | null;
  readonly quarantined_at: number | null;
  readonly terms: number;
}

const ALL_BUT_VALUE = `m.id, m.key, m.scope, m.value_bytes, m.acl_level, m.owner_id, m.team, m.created_at, m.updated_at, m.ttl,
  m.expires_at, m.version, m.tags, m.written_by, m.task_id, m.allocation_id, m.fencing_token, m.quarantined_at, m.terms`;
export const COLUMNS = raw(`${ALL_BUT_VALUE}, m.value`);
export const COLUMNS_WITHOUT_VALUE = raw(`${ALL_BUT_VALUE}, '' AS value`);

/** Where a key is unique: private entries under their owner, a team's under its pool, all others together. */
export function scopeOf(level: MemoryLevel, who: Pick<Reader, 'subject' | 'team'>): string {
  if (level === 'private') return `private/${who.subject}`;
  return level === 'team' ? `team/${who.team ?? ''}` : 'swarm';
}

/** The end of an entry is the first moment at which it is no longer there, whether or not the sweep has run. */
export const alive = (nowMs: number): Fragment => sql`(m.expires_at IS NULL OR m.expires_at > ${nowMs})`;

/** Entries this caller may do `operation` with; every road goes through here. */
export const permitted = (step: Pick<Step, 'who' | 'nowMs'>, operation: Operation, quarantined = false): Fragment =>
  sql`${grants(step.who, operation, { row: 'm', entry: 'm.id', quarantined })} AND ${alive(step.nowMs)}`;

/** The row that lives in a scope under a key, expired and quarantined ones included. */
export const rowAt = (db: Sql, key: string, scope: string): EntryRow | null =>
  first<EntryRow>(db, sql`SELECT ${COLUMNS} FROM memory m WHERE m.key = ${key} AND m.scope = ${scope}`);

/**
 * The entry that a key means to this caller, for an operation it may do: its own private one, its team's, the swarm's, then
 * others that a list opens to it, the oldest first.
 */
export function find(
  step: Step,
  ref: EntryRef,
  operation: Operation,
  options: { readonly quarantined?: boolean; readonly values?: boolean } = {},
): EntryRow | null {
  const { who } = step;
  const narrowed: Fragment[] = [sql`m.key = ${ref.key}`, permitted(step, operation, options.quarantined)];
  if (ref.owner !== undefined) narrowed.push(sql`m.owner_id = ${ref.owner}`);
  if (ref.level !== undefined) narrowed.push(sql`m.acl_level = ${ref.level}`);
  const columns = options.values === false ? COLUMNS_WITHOUT_VALUE : COLUMNS;
  return first<EntryRow>(
    step.db,
    sql`SELECT ${columns} FROM memory m WHERE ${join(narrowed, ' AND ')} ORDER BY CASE m.scope
      WHEN ${scopeOf('private', who)} THEN 0 WHEN ${scopeOf('team', who)} THEN 1 WHEN 'swarm' THEN 2 ELSE 3 END, m.id LIMIT 1`,
  );
}

/** The conditions of a filter. A tag is compared as a whole; times are those of the last write. */
export function filtered(filter: EntryFilter): Fragment[] {
  const conditions: Fragment[] = [];
  if (filter.prefix !== undefined && filter.prefix !== '') conditions.push(prefixed(filter.prefix));
  if (filter.owner !== undefined) conditions.push(sql`m.owner_id = ${filter.owner}`);
  if (filter.level !== undefined) conditions.push(sql`m.acl_level = ${filter.level}`);
  if (filter.tag !== undefined) conditions.push(sql`EXISTS (SELECT 1 FROM json_each(m.tags) t WHERE t.value = ${filter.tag})`);
  if (filter.updatedAfterMs !== undefined) conditions.push(sql`m.updated_at > ${filter.updatedAfterMs}`);
  if (filter.updatedBeforeMs !== undefined) conditions.push(sql`m.updated_at < ${filter.updatedBeforeMs}`);
  return conditions;
}

/** Answered by the index over keys alone; the order of UTF-8 is the order of code points. */
function prefixed(prefix: string): Fragment {
  const end = successor(prefix);
  const below = end === null ? raw('') : sql` AND k.key < ${end}`;
  return sql`m.id IN (SELECT k.id FROM memory k WHERE k.key >= ${prefix}${below})`;
}

/** The first text after everything that begins with `prefix`; null when there is none. */
function successor(prefix: string): string | null {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last < 0x10ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
  return null;
}

export function viewOf(row: EntryRow, region: string, withValue = true): EntryView {
  return {
    key: row.key,
    ...(withValue ? { value: row.value } : {}),
    version: row.version,
    level: row.acl_level as MemoryLevel,
    owner: row.owner_id,
    ...(row.team === null ? {} : { team: row.team }),
    tags: JSON.parse(row.tags) as string[],
    region,
    createdAtMs: row.created_at,
    updatedAtMs: row.updated_at,
    ...(row.expires_at === null ? {} : { expiresAtMs: row.expires_at }),
    ...provenanceOf(row),
  };
}

export function provenanceOf(
  row: Pick<EntryRow, 'written_by' | 'task_id' | 'allocation_id' | 'fencing_token' | 'quarantined_at'>,
): Pick<EntryView, 'writtenBy' | 'taskId' | 'allocationId' | 'fencingToken' | 'quarantined'> {
  return {
    writtenBy: row.written_by,
    ...(row.task_id === null ? {} : { taskId: row.task_id }),
    ...(row.allocation_id === null ? {} : { allocationId: row.allocation_id }),
    ...(row.fencing_token === null ? {} : { fencingToken: row.fencing_token }),
    ...(row.quarantined_at === null ? {} : { quarantined: true as const }),
  };
}
