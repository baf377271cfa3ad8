import { utf8Bytes } from '../../../shared/json.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import { MEMORY_LEVELS, MemoryKeySchema, TagSchema, type MemoryLevel } from '../../../shared/schemas/memory.ts';
import { rowAt, scopeOf, type EntryRow } from './entry-rows.ts';
import { aclOf, event } from './records.ts';
import { run, sql } from './sql.ts';
import { counters, type Step } from './step.ts';
import { indexText } from './text-index.ts';
import { keepVersion, removeRow, takeTombstone } from './writing.ts';

/** An entry of a file, as far as it is used. Nothing of a file is trusted. */
export interface FileEntry {
  readonly key: unknown;
  readonly value: unknown;
  readonly acl_level: unknown;
  readonly owner_id: unknown;
  readonly team?: unknown;
  readonly created_at?: unknown;
  readonly updated_at?: unknown;
  readonly expires_at?: unknown;
  readonly tags?: unknown;
  readonly version?: unknown;
}

interface Checked {
  readonly key: string;
  readonly value: string;
  readonly level: MemoryLevel;
  readonly owner: string;
  readonly team: string | null;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly tags: readonly string[];
  readonly version: number;
}

const instant = (value: unknown): number | null =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;

const VERSION_MAX = 1_000_000_000;

function check(entry: FileEntry, nowMs: number): Checked | null {
  const { key, value, acl_level: level, owner_id: owner } = entry;
  if (!MemoryKeySchema.safeParse(key).success || typeof value !== 'string' || typeof owner !== 'string') return null;
  if (owner === '' || owner.length > 160 || utf8Bytes(value) > MEMORY_LIMITS.valueBytes) return null;
  const known = MEMORY_LEVELS.find((one) => one === level);
  const team = typeof entry.team === 'string' ? entry.team : null;
  if (known === undefined || (known === 'team' && team === null)) return null;
  let tags: unknown = [];
  try {
    JSON.parse(value);
    tags = entry.tags === undefined || entry.tags === null ? [] : JSON.parse(typeof entry.tags === 'string' ? entry.tags : '');
  } catch {
    return null;
  }
  if (!Array.isArray(tags) || tags.length > MEMORY_LIMITS.tags || !tags.every((tag) => TagSchema.safeParse(tag).success))
    return null;
  return {
    key: key as string,
    value,
    level: known,
    owner,
    team,
    createdAt: instant(entry.created_at) ?? nowMs,
    expiresAt: instant(entry.expires_at),
    tags,
    // A number near the end of what is exact would leave no next one.
    version: Math.min(Math.max(1, instant(entry.version) ?? 1), VERSION_MAX),
  };
}

/**
 * Takes one entry of a file in: as a new version of the entry in its place, or as a new entry with its own number of versions.
 * What is private to another, has ended, or is no entry is left out, and so is what is there already. Answers whether it came in.
 */
export function takeIn(step: Step, entry: FileEntry): boolean {
  const { db, nowMs } = step;
  const read = check(entry, nowMs);
  if (read === null || (read.level === 'private' && read.owner !== step.who.subject)) return false;
  if (read.expiresAt !== null && read.expiresAt <= nowMs) return false;
  const scope = scopeOf(read.level, { subject: read.owner, team: read.team });
  const there = rowAt(db, read.key, scope);
  const isOver = there !== null && there.expires_at !== null && there.expires_at <= nowMs;
  if (there !== null && isOver) removeRow(step, there);
  const present = isOver ? null : there;
  if (present !== null && present.value === read.value && present.acl_level === read.level) return false;
  const now = counters(db);
  const bytes = utf8Bytes(read.value);
  if (now.entries >= MEMORY_LIMITS.entriesPerShard || now.bytes + bytes > MEMORY_LIMITS.bytesPerShard) return false;
  const row = present === null ? insert(step, read, scope, bytes) : replace(step, present, read, bytes);
  indexText(step, row, present);
  event(step, 'memory.stored', { key: row.key, version: row.version, level: row.acl_level }, aclOf(row));
  return true;
}

function insert(step: Step, read: Checked, scope: string, bytes: number): EntryRow {
  const { db, nowMs } = step;
  const row: EntryRow = {
    id: counters(db).next_id,
    key: read.key,
    scope,
    value: read.value,
    value_bytes: bytes,
    acl_level: read.level,
    owner_id: read.owner,
    team: read.team,
    created_at: Math.min(read.createdAt, nowMs),
    updated_at: nowMs,
    ttl: null,
    expires_at: read.expiresAt,
    version: Math.max(read.version, takeTombstone(step, read.key, scope) + 1),
    tags: JSON.stringify(read.tags),
    written_by: step.who.subject,
    task_id: null,
    allocation_id: null,
    fencing_token: null,
    quarantined_at: null,
    terms: 0,
  };
  run(
    db,
    sql`INSERT INTO memory (id, key, scope, value, value_bytes, acl_level, owner_id, team, created_at, updated_at, expires_at, version,
      tags, written_by) VALUES (${row.id}, ${row.key}, ${scope}, ${row.value}, ${bytes}, ${row.acl_level}, ${row.owner_id}, ${row.team},
      ${row.created_at}, ${nowMs}, ${row.expires_at}, ${row.version}, ${row.tags}, ${row.written_by})`,
  );
  run(db, sql`UPDATE counters SET next_id = next_id + 1, entries = entries + 1, bytes = bytes + ${bytes}`);
  return row;
}

function replace(step: Step, old: EntryRow, read: Checked, bytes: number): EntryRow {
  keepVersion(step, old);
  const row: EntryRow = {
    ...old,
    value: read.value,
    value_bytes: bytes,
    acl_level: read.level,
    updated_at: step.nowMs,
    expires_at: read.expiresAt,
    version: old.version + 1,
    tags: JSON.stringify(read.tags),
    written_by: step.who.subject,
    task_id: null,
    allocation_id: null,
    fencing_token: null,
    quarantined_at: null,
  };
  run(
    step.db,
    sql`UPDATE memory SET value = ${row.value}, value_bytes = ${bytes}, acl_level = ${row.acl_level}, updated_at = ${row.updated_at},
      ttl = NULL, expires_at = ${row.expires_at}, version = ${row.version}, tags = ${row.tags}, written_by = ${row.written_by},
      task_id = NULL, allocation_id = NULL, fencing_token = NULL, quarantined_at = NULL WHERE id = ${row.id}`,
  );
  run(step.db, sql`DELETE FROM vectors WHERE memory_id = ${row.id}`);
  run(step.db, sql`UPDATE counters SET bytes = bytes + ${bytes - old.value_bytes}`);
  return row;
}
