import { notFound, type FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { EntryView, MemoryCommandMap, VersionView } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { Page } from '../../../shared/rpc.ts';
import type { MemoryLevel } from '../../../shared/schemas/memory.ts';
import { grants, type Subject } from './acl.ts';
import { COLUMNS_WITHOUT_VALUE, filtered, find, permitted, provenanceOf, viewOf, type EntryRow } from './entry-rows.ts';
import { first, join, rows, sql, type Fragment, type Row } from './sql.ts';
import { counters, type Step } from './step.ts';

/**
 * Changes with every write of the entry and with every change of a right in the swarm. The moment tells entries apart
 * that have the same numbers because a restore point was gone back to.
 */
const tagOf = (row: EntryRow, epoch: number): string => `${row.id}.${row.version}.${epoch}.${row.updated_at}`;

/** Reads an entry. A caller that still has an answer and names its tag is told whether it holds. */
export function retrieve(
  step: Step,
  input: MemoryCommandMap['retrieve'][0],
): Result<MemoryCommandMap['retrieve'][1], FleetError> {
  step.count('retrieve');
  const { known, ...ref } = input;
  const epoch = counters(step.db).acl_epoch;
  if (known !== undefined) {
    const row = find(step, ref, 'read', { values: false });
    if (row === null) return err(notFound('entry'));
    if (tagOf(row, epoch) === known) {
      step.count('confirm');
      return ok({ tag: known });
    }
  }
  const row = find(step, ref, 'read');
  return row === null ? err(notFound('entry')) : ok({ tag: tagOf(row, epoch), entry: viewOf(row, step.region) });
}

/** Takes rows up to the limit and the bound of a page's bytes; one row beyond says that more follow. */
export function pageOfRows<R extends Row, T>(
  found: readonly R[],
  limit: number,
  facts: { readonly bytes: (row: R) => number; readonly id: (row: R) => string; readonly view: (row: R) => T },
): Page<T> {
  const data: T[] = [];
  let bytes = 0;
  let last: R | undefined;
  for (const row of found.slice(0, limit)) {
    bytes += facts.bytes(row);
    if (data.length > 0 && bytes > MEMORY_LIMITS.pageBytes) break;
    data.push(facts.view(row));
    last = row;
  }
  return { data, ...(last !== undefined && data.length < found.length ? { nextAfter: facts.id(last) } : {}) };
}

/** Where a page goes on, as a number; what is no number of ours is before everything. */
export const numberAfter = (after: string | null): number => (after !== null && /^\d{1,15}$/.test(after) ? Number(after) : 0);

export function list(step: Step, input: MemoryCommandMap['list'][0]): Result<Page<EntryView>, FleetError> {
  step.count('list');
  const mayClear = step.who.role === 'operator' || step.who.role === 'admin';
  if (input.quarantined && !mayClear) return err({ kind: 'forbidden', detail: 'Only operators see what is quarantined.' });
  const conditions = [
    sql`m.id > ${numberAfter(input.after)}`,
    permitted(step, 'read', input.quarantined),
    ...(input.quarantined ? [sql`m.quarantined_at IS NOT NULL`] : []),
    ...filtered(input),
  ];
  const found = rows<EntryRow>(
    step.db,
    sql`SELECT ${COLUMNS_WITHOUT_VALUE} FROM memory m WHERE ${join(conditions, ' AND ')} ORDER BY m.id LIMIT ${input.limit + 1}`,
  );
  const page = pageOfRows(found, input.limit, {
    bytes: (row) => (input.values ? row.value_bytes : 0) + row.key.length,
    id: (row) => String(row.id),
    view: (row) => row,
  });
  // Values come when it is known how many of them fit: one page of the largest would not fit the object's memory.
  const values = input.values ? valuesOf(step, page.data) : null;
  const view = (row: EntryRow): EntryView =>
    viewOf(values === null ? row : { ...row, value: values.get(row.id) ?? '' }, step.region, input.values);
  return ok({ ...page, data: page.data.map(view) });
}

const valuesOf = (step: Step, page: readonly EntryRow[]): ReadonlyMap<number, string> =>
  new Map(
    rows<{ id: number; value: string }>(
      step.db,
      sql`SELECT id, value FROM memory WHERE id IN (SELECT value FROM json_each(${JSON.stringify(page.map(({ id }) => id))}))`,
    ).map(({ id, value }) => [id, value]),
  );

interface VersionRow extends Row {
  readonly id: number;
  readonly version: number;
  readonly value: string;
  readonly value_bytes: number;
  readonly acl_level: string;
  readonly owner_id: string;
  readonly team: string | null;
  readonly tags: string;
  readonly written_by: string;
  readonly written_at: number;
  readonly task_id: string | null;
  readonly allocation_id: string | null;
  readonly fencing_token: number | null;
  readonly quarantined_at: number | null;
}

/** A version is judged as it was written: by its own level, and by lists only from the version at which they were given. */
const VERSION: Subject = { row: 'v', entry: 'v.memory_id', version: 'v.version' };

export const readableVersion = (step: Step): Fragment => grants(step.who, 'read', VERSION);

/** An older version that this caller may read. */
export const versionOf = (step: Step, entryId: number, version: number): VersionRow | null =>
  first<VersionRow>(
    step.db,
    sql`SELECT v.* FROM versions v WHERE v.memory_id = ${entryId} AND v.version = ${version} AND ${readableVersion(step)}`,
  );

/** The versions before the present one, oldest first; the present one closes the list. */
export function history(step: Step, input: MemoryCommandMap['history'][0]): Result<Page<VersionView>, FleetError> {
  step.count('history');
  const row = find(step, input, 'read');
  if (row === null) return err(notFound('entry'));
  const after = numberAfter(input.after);
  const older = rows<VersionRow>(
    step.db,
    sql`SELECT v.* FROM versions v WHERE v.memory_id = ${row.id} AND v.version > ${after} AND ${readableVersion(step)}
      ORDER BY v.version LIMIT ${input.limit + 1}`,
  );
  const current: VersionRow = { ...row, written_at: row.updated_at };
  const found = older.length <= input.limit && row.version > after ? [...older, current] : older;
  return ok(
    pageOfRows(found, input.limit, {
      bytes: (version) => version.value_bytes,
      id: (version) => String(version.version),
      view: (version) => versionView(version, row.key, step.region),
    }),
  );
}

function versionView(row: VersionRow, key: string, region: string): VersionView {
  return {
    key,
    value: row.value,
    version: row.version,
    level: row.acl_level as MemoryLevel,
    owner: row.owner_id,
    ...(row.team === null ? {} : { team: row.team }),
    tags: JSON.parse(row.tags) as string[],
    region,
    writtenAtMs: row.written_at,
    ...provenanceOf(row),
  };
}
