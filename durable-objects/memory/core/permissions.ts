import { notFound, type FleetError } from '../../../shared/errors.ts';
import type { EntryRef, MemoryCommandMap, Stored } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { MemoryLevel, Permissions } from '../../../shared/schemas/memory.ts';
import { find, rowAt, scopeOf, type EntryRow } from './entry-rows.ts';
import { aclOf, audit, event } from './records.ts';
import { versionOf } from './reading.ts';
import { rows, run, sql, type Sql } from './sql.ts';
import { NOT_WRITABLE, raiseEpoch, type Step } from './step.ts';
import { checkVersion, leaveTombstone, may, mayCreate, startWrite, storeAs, takeTombstone, removeRow } from './writing.ts';

const OPERATIONS = ['read', 'write', 'delete'] as const;

function listsOf(db: Sql, row: Pick<EntryRow, 'id' | 'acl_level'>): Permissions {
  const named = rows<{ operation: string; subject: string }>(
    db,
    sql`SELECT operation, subject FROM permissions WHERE memory_id = ${row.id} ORDER BY subject`,
  );
  const of = (operation: string): string[] => named.filter((p) => p.operation === operation).map((p) => p.subject);
  return { level: row.acl_level as MemoryLevel, read: of('read'), write: of('write'), delete: of('delete') };
}

/** Who may do what with an entry. Whoever may read it may know with whom it is shared. */
export function getPermissions(step: Step, ref: EntryRef): Result<Permissions, FleetError> {
  const row = find(step, ref, 'read', { values: false });
  return row === null ? err(notFound('entry')) : ok(listsOf(step.db, row));
}

/**
 * Sets level and lists as a whole. An id that stays in a list keeps the version since which it is in it: what was written
 * before it was given the right stays closed to it.
 */
export function setPermissions(step: Step, input: MemoryCommandMap['setPermissions'][0]): Result<Permissions, FleetError> {
  const held = startWrite(step, input.lease);
  if (!held.ok) return held;
  const { permissions } = input;
  const seen = find(step, input, 'read', { values: false }) ?? find(step, input, 'write', { values: false });
  if (seen === null) return err(notFound('entry'));
  if (!may(step, 'manage', seen)) return err(NOT_WRITABLE);
  const row = moveTo(step, seen, permissions.level);
  if (!row.ok) return row;
  const { id, version } = row.value;
  for (const operation of OPERATIONS) {
    const subjects = [...new Set(permissions[operation])];
    const kept = JSON.stringify(subjects);
    run(
      step.db,
      sql`DELETE FROM permissions WHERE memory_id = ${id} AND operation = ${operation}
        AND subject NOT IN (SELECT value FROM json_each(${kept}))`,
    );
    run(
      step.db,
      sql`INSERT OR IGNORE INTO permissions (memory_id, operation, subject, since_version)
        SELECT ${id}, ${operation}, value, ${version} FROM json_each(${kept})`,
    );
  }
  raiseEpoch(step);
  const lists = listsOf(step.db, row.value);
  event(step, 'memory.permissions_changed', { key: seen.key, level: permissions.level }, aclOf(row.value));
  audit(step, 'set_permissions', id, { ...lists });
  step.count('set_permissions');
  return ok(lists);
}

/** Another level may mean another place, which must be free; the value stays as it is, and so does its version. */
function moveTo(step: Step, row: EntryRow, level: MemoryLevel): Result<EntryRow, FleetError> {
  if (level === row.acl_level) return ok(row);
  if (!mayCreate(step, level) && !(step.who.role === 'admin' && (level !== 'team' || row.team !== null)))
    return err(NOT_WRITABLE);
  const scope = scopeOf(level, { subject: row.owner_id, team: row.team });
  let past = 0;
  if (scope !== row.scope) {
    const there = rowAt(step.db, row.key, scope);
    const isOver = there !== null && there.expires_at !== null && there.expires_at <= step.nowMs;
    if (there !== null && !isOver) {
      return err({ kind: 'invalid_state', state: 'taken', detail: 'Another entry has this key at that level.' });
    }
    if (there !== null) removeRow(step, there);
    past = takeTombstone(step, row.key, scope);
    leaveTombstone(step, row);
  }
  // A version number that the place has seen before must not come again.
  const version = past >= row.version ? past + 1 : row.version;
  run(step.db, sql`UPDATE memory SET acl_level = ${level}, scope = ${scope}, version = ${version} WHERE id = ${row.id}`);
  return ok({ ...row, acl_level: level, scope, version });
}

/** Makes an older version the present one again, as a new version at the present level. */
export function rollback(step: Step, input: MemoryCommandMap['rollback'][0]): Result<Stored, FleetError> {
  const held = startWrite(step, input.lease);
  if (!held.ok) return held;
  const clears = step.who.role === 'admin';
  const row = find(step, input, 'read', { quarantined: clears }) ?? find(step, input, 'write');
  if (row === null) return err(notFound('entry'));
  if (!may(step, 'write', row)) return err(NOT_WRITABLE);
  const unmet = checkVersion(step, input.ifVersion, row, input.key);
  if (unmet !== null) return err(unmet);
  const older = versionOf(step, row.id, input.version);
  if (older === null) return err(notFound('version'));
  const stored = storeAs(
    step,
    {
      key: row.key,
      value: older.value,
      level: row.acl_level as MemoryLevel,
      tags: JSON.parse(older.tags) as string[],
      ...(row.expires_at === null ? {} : { ttlMs: Math.max(1, row.expires_at - step.nowMs) }),
    },
    held.value,
    row,
  );
  if (stored.ok) audit(step, 'rollback', row.id, { to: input.version });
  return stored;
}
