import type { FleetError } from '../../../shared/errors.ts';
import { notFound } from '../../../shared/errors.ts';
import { utf8Bytes } from '../../../shared/json.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { EntryRef, Stored, StoreInput, WriteGuards } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { MemoryLease, MemoryLevel } from '../../../shared/schemas/memory.ts';
import { grants, isInside } from './acl.ts';
import { find, rowAt, scopeOf, viewOf, type EntryRow } from './entry-rows.ts';
import { holdLease, type Provenance } from './fences.ts';
import { aclOf, agentStatus, audit, conflict, event, noteAgent, SWARM_WIDE, type Acl } from './records.ts';
import { first, run, sql } from './sql.ts';
import { counters, NOT_WRITABLE, raiseEpoch, type Step } from './step.ts';
import { indexText } from './text-index.ts';
import { keepVector } from './vectors.ts';

/** What comes before any change: an agent that was taken out writes nothing, and a lease that is named must hold. */
export function startWrite(step: Step, lease: MemoryLease | undefined): Result<Provenance, FleetError> {
  const { agentId } = step.caller;
  if (agentId !== undefined && agentStatus(step.db, agentId) === 'quarantined') return err(NOT_WRITABLE);
  // An outsider's lease is no business of this swarm: what is said of it would tell whether there is a memory.
  if (lease !== undefined && !isInside(step.who)) return err(NOT_WRITABLE);
  const held = holdLease(step, lease);
  if (held.ok) noteAgent(step);
  return held;
}

/** The refusal of an `ifVersion` that is not met; 0 means that there is none. */
export function checkVersion(step: Step, ifVersion: number | undefined, row: EntryRow | null, key: string): FleetError | null {
  const actual = row?.version ?? 0;
  if (ifVersion === undefined || ifVersion === actual) return null;
  const acl: Acl = row === null ? { ...SWARM_WIDE, level: 'private', owner: step.who.subject } : aclOf(row);
  conflict(step, { kind: 'version', target: key, expected: ifVersion, actual }, acl);
  const detail = actual === 0 ? 'There is no such entry.' : `The entry has version ${actual}.`;
  return { kind: 'version_conflict', detail };
}

/** Whether this caller may do `operation` with this very row, expired or not. */
export const may = (step: Step, operation: 'read' | 'write' | 'delete' | 'manage', row: EntryRow): boolean =>
  first(
    step.db,
    sql`SELECT 1 AS n FROM memory m WHERE m.id = ${row.id} AND ${grants(step.who, operation, { row: 'm', entry: 'm.id', quarantined: true })}`,
  ) !== null;

interface Target {
  /** What is overwritten, or null for a new entry. */
  readonly row: EntryRow | null;
  readonly level: MemoryLevel;
}

/**
 * Which entry a write means, and at which level it leaves it.
 * Without a level: the entry that a read of the key finds, else one that a list opens for writing, else a new private one.
 * With a level: the entry in that level's place; else the caller's own under this key, which moves there; else a new one.
 */
function targetOf(step: Step, input: Pick<StoreInput, 'key' | 'level'>): Result<Target, FleetError> {
  const { key, level } = input;
  if (level === undefined) {
    const seen = find(step, { key }, 'read') ?? find(step, { key }, 'write');
    if (seen !== null && may(step, 'write', seen)) return ok({ row: seen, level: seen.acl_level as MemoryLevel });
    if (seen !== null) return err(NOT_WRITABLE);
    return newEntry(step, key, 'private');
  }
  const placed = livingRow(step, key, scopeOf(level, step.who));
  if (placed === null) {
    const own = mayCreate(step, level) ? find(step, { key, owner: step.who.subject }, 'manage') : null;
    return own === null ? newEntry(step, key, level) : ok({ row: own, level });
  }
  if (!may(step, 'write', placed)) return err(NOT_WRITABLE);
  if (placed.acl_level !== level && !(mayCreate(step, level) && may(step, 'manage', placed))) return err(NOT_WRITABLE);
  return ok({ row: placed, level });
}

function newEntry(step: Step, key: string, level: MemoryLevel): Result<Target, FleetError> {
  if (!mayCreate(step, level)) return err(NOT_WRITABLE);
  // A quarantined entry that its owner no longer sees: a new value replaces it and stays clean.
  const hidden = livingRow(step, key, scopeOf(level, step.who));
  if (hidden !== null && !may(step, 'write', hidden)) return err(NOT_WRITABLE);
  return ok({ row: hidden, level });
}

/** Members write into their swarm, operators and admins into any; `team` is a pool's, `system` is written by admins. */
export function mayCreate(step: Step, level: MemoryLevel): boolean {
  const { who } = step;
  if (level === 'system') return who.role === 'admin';
  if (level === 'team') return who.isMember && who.team !== null;
  return isInside(who);
}

/** The row in a place; one that is past its end is cleared away first, since its place is free. */
function livingRow(step: Step, key: string, scope: string): EntryRow | null {
  const row = rowAt(step.db, key, scope);
  if (row === null || row.expires_at === null || row.expires_at > step.nowMs) return row;
  removeRow(step, row);
  return null;
}

/** Writes a value. */
export function store(step: Step, input: StoreInput): Result<Stored, FleetError> {
  const provenance = startWrite(step, input.lease);
  return provenance.ok ? storeAs(step, input, provenance.value) : provenance;
}

/** `known`: the entry is found already, and stays at the level given. */
export function storeAs(step: Step, input: StoreInput, provenance: Provenance, known?: EntryRow): Result<Stored, FleetError> {
  const target: Result<Target, FleetError> =
    known === undefined ? targetOf(step, input) : ok({ row: known, level: input.level ?? (known.acl_level as MemoryLevel) });
  if (!target.ok) return target;
  const { row, level } = target.value;
  // A quarantined value is there for nobody: a condition that there be none is met.
  const unmet = checkVersion(step, input.ifVersion, row?.quarantined_at === null ? row : null, input.key);
  if (unmet !== null) return err(unmet);
  const bytes = utf8Bytes(input.value);
  if (bytes > MEMORY_LIMITS.valueBytes) {
    const limitBytes = MEMORY_LIMITS.valueBytes;
    return err({ kind: 'payload_too_large', limitBytes, detail: `value is larger than ${limitBytes} bytes.` });
  }
  const full = quotaError(step, row, bytes);
  if (full !== null) return err(full);
  const written =
    row === null ? insert(step, input, level, bytes, provenance) : update(step, row, input, level, bytes, provenance);
  indexText(step, written, row);
  if (input.vector !== undefined || row !== null) keepVector(step, written.id, input.vector);
  event(step, 'memory.stored', { key: written.key, version: written.version, level }, aclOf(written));
  audit(step, row === null ? 'create' : 'update', written.id, { version: written.version, level });
  step.count('store');
  return ok({ created: row === null, entry: viewOf(written, step.region, false) });
}

function quotaError(step: Step, row: EntryRow | null, bytes: number): FleetError | null {
  const now = counters(step.db);
  if (row === null && now.entries >= MEMORY_LIMITS.entriesPerShard) {
    return {
      kind: 'quota_exceeded',
      scope: 'swarm',
      limit: MEMORY_LIMITS.entriesPerShard,
      detail: 'This memory holds no more entries.',
    };
  }
  if (now.bytes - (row?.value_bytes ?? 0) + bytes > MEMORY_LIMITS.bytesPerShard) {
    return {
      kind: 'quota_exceeded',
      scope: 'swarm',
      limit: MEMORY_LIMITS.bytesPerShard,
      detail: 'This memory holds no more bytes.',
    };
  }
  if (step.databaseBytes > MEMORY_LIMITS.databaseBytes) {
    return {
      kind: 'quota_exceeded',
      scope: 'swarm',
      limit: MEMORY_LIMITS.databaseBytes,
      detail: 'This memory is as large as it may be, with its history. Delete or erase something.',
    };
  }
  return null;
}

function insert(step: Step, input: StoreInput, level: MemoryLevel, bytes: number, from: Provenance): EntryRow {
  const { db, nowMs, who } = step;
  const scope = scopeOf(level, who);
  const past = takeTombstone(step, input.key, scope);
  const row: EntryRow = {
    id: counters(db).next_id,
    key: input.key,
    scope,
    value: input.value,
    value_bytes: bytes,
    acl_level: level,
    owner_id: who.subject,
    team: who.team,
    created_at: nowMs,
    updated_at: nowMs,
    ttl: input.ttlMs ?? null,
    expires_at: input.ttlMs === undefined ? null : nowMs + input.ttlMs,
    version: past + 1,
    tags: JSON.stringify(input.tags ?? []),
    written_by: who.subject,
    task_id: from.taskId,
    allocation_id: from.allocationId,
    fencing_token: from.fencingToken,
    quarantined_at: null,
    terms: 0,
  };
  run(
    db,
    sql`INSERT INTO memory (id, key, scope, value, value_bytes, acl_level, owner_id, team, created_at, updated_at, ttl, expires_at,
      version, tags, written_by, task_id, allocation_id, fencing_token) VALUES (${row.id}, ${row.key}, ${scope}, ${row.value},
      ${bytes}, ${level}, ${row.owner_id}, ${row.team}, ${nowMs}, ${nowMs}, ${row.ttl}, ${row.expires_at}, ${row.version},
      ${row.tags}, ${row.written_by}, ${row.task_id}, ${row.allocation_id}, ${row.fencing_token})`,
  );
  run(db, sql`UPDATE counters SET next_id = next_id + 1, entries = entries + 1, bytes = bytes + ${bytes}`);
  return row;
}

function update(step: Step, old: EntryRow, input: StoreInput, level: MemoryLevel, bytes: number, from: Provenance): EntryRow {
  const { db, nowMs, who } = step;
  keepVersion(step, old);
  const moved = old.acl_level !== level;
  // A level that is the owner's place is that of the owner, also when an admin writes.
  const scope = moved ? scopeOf(level, { subject: old.owner_id, team: old.team }) : old.scope;
  const past = scope === old.scope ? 0 : takeTombstone(step, old.key, scope);
  const row: EntryRow = {
    ...old,
    scope,
    value: input.value,
    value_bytes: bytes,
    acl_level: level,
    updated_at: nowMs,
    ttl: input.ttlMs ?? null,
    expires_at: input.ttlMs === undefined ? null : nowMs + input.ttlMs,
    version: Math.max(old.version, past) + 1,
    tags: input.tags === undefined ? old.tags : JSON.stringify(input.tags),
    written_by: who.subject,
    task_id: from.taskId,
    allocation_id: from.allocationId,
    fencing_token: from.fencingToken,
    quarantined_at: null,
  };
  run(
    db,
    sql`UPDATE memory SET scope = ${scope}, value = ${row.value}, value_bytes = ${bytes}, acl_level = ${level},
      updated_at = ${nowMs}, ttl = ${row.ttl}, expires_at = ${row.expires_at}, version = ${row.version}, tags = ${row.tags},
      written_by = ${row.written_by}, task_id = ${row.task_id}, allocation_id = ${row.allocation_id},
      fencing_token = ${row.fencing_token}, quarantined_at = NULL WHERE id = ${row.id}`,
  );
  if (bytes !== old.value_bytes) run(db, sql`UPDATE counters SET bytes = bytes + ${bytes - old.value_bytes}`);
  if (scope !== old.scope) leaveTombstone(step, old);
  if (moved) raiseEpoch(step);
  return row;
}

/** Keeps what is about to be overwritten, and only so many versions and bytes of one key. */
export function keepVersion(step: Step, old: EntryRow): void {
  const { db } = step;
  run(
    db,
    sql`INSERT INTO versions (memory_id, version, value, value_bytes, acl_level, owner_id, team, tags, written_by, written_at,
      task_id, allocation_id, fencing_token, quarantined_at) VALUES (${old.id}, ${old.version}, ${old.value}, ${old.value_bytes},
      ${old.acl_level}, ${old.owner_id}, ${old.team}, ${old.tags}, ${old.written_by}, ${old.updated_at}, ${old.task_id},
      ${old.allocation_id}, ${old.fencing_token}, ${old.quarantined_at})`,
  );
  run(
    db,
    sql`DELETE FROM versions WHERE memory_id = ${old.id} AND version <= (SELECT MAX(version) FROM (
      SELECT version, ROW_NUMBER() OVER (ORDER BY version DESC) AS n, SUM(value_bytes) OVER (ORDER BY version DESC) AS total
      FROM versions WHERE memory_id = ${old.id}) WHERE n > ${MEMORY_LIMITS.versions} OR (n > 1 AND total > ${MEMORY_LIMITS.versionBytes}))`,
  );
}

/** A place that was left goes on counting its versions for a while, so that none fits twice. */
export function leaveTombstone(step: Step, row: EntryRow): void {
  run(
    step.db,
    sql`INSERT INTO tombstones (key, scope, version, deleted_at) VALUES (${row.key}, ${row.scope}, ${row.version}, ${step.nowMs})
      ON CONFLICT (key, scope) DO UPDATE SET version = MAX(tombstones.version, excluded.version), deleted_at = excluded.deleted_at`,
  );
}

/** The last version of a place that was left, or may have been, which its next entry goes on from. */
export function takeTombstone({ db, nowMs }: Pick<Step, 'db' | 'nowMs'>, key: string, scope: string): number {
  const past = first<{ version: number }>(db, sql`SELECT version FROM tombstones WHERE key = ${key} AND scope = ${scope}`);
  if (past !== null) run(db, sql`DELETE FROM tombstones WHERE key = ${key} AND scope = ${scope}`);
  const { version_floor: floor, version_floor_at: floorAtMs } = counters(db);
  return Math.max(past?.version ?? 0, floorAtMs > nowMs - MEMORY_LIMITS.tombstoneMs ? floor : 0);
}

/** Takes an entry away with all that hangs on it: history, lists, words and vector go by its foreign keys. */
export function removeRow(step: Step, row: EntryRow): void {
  leaveTombstone(step, row);
  run(step.db, sql`DELETE FROM memory WHERE id = ${row.id}`);
  run(step.db, sql`UPDATE counters SET entries = entries - 1, bytes = bytes - ${row.value_bytes}`);
}

/** Deletes an entry. */
export function remove(step: Step, input: EntryRef & WriteGuards): Result<{ readonly version: number }, FleetError> {
  const held = startWrite(step, input.lease);
  return held.ok ? removeEntry(step, input) : held;
}

export function removeEntry(
  step: Step,
  input: EntryRef & Pick<WriteGuards, 'ifVersion'>,
): Result<{ readonly version: number }, FleetError> {
  const row = find(step, input, 'read', { values: false }) ?? find(step, input, 'delete', { values: false });
  if (row === null) return err(notFound('entry'));
  if (!may(step, 'delete', row)) return err(NOT_WRITABLE);
  const unmet = checkVersion(step, input.ifVersion, row, input.key);
  if (unmet !== null) return err(unmet);
  removeRow(step, row);
  event(step, 'memory.deleted', { key: row.key, version: row.version }, aclOf(row));
  audit(step, 'delete', row.id, { version: row.version });
  step.count('delete');
  return ok({ version: row.version });
}
