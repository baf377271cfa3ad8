import type { FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { EntryView, MemoryCommandMap } from '../../../shared/memory-rpc.ts';
import { ok, type Result } from '../../../shared/result.ts';
import { COLUMNS, filtered, permitted, viewOf, type EntryRow } from './entry-rows.ts';
import { first, join, rows, run, sql } from './sql.ts';
import type { Step } from './step.ts';

/**
 * Nearest vectors, from a copy that the object keeps in memory. The core decides who may be among them, so a copy that still
 * has what was deleted does no harm.
 */
export interface VectorSearch {
  /** A vector as it is stored and compared. */
  encode(vector: readonly number[]): ArrayBuffer;
  /** The best `limit` of `allowed` by cosine, best first. */
  nearest(
    query: readonly number[],
    allowed: readonly number[],
    limit: number,
  ): readonly { readonly id: number; readonly score: number }[];
  /** An entry's vector is another one now. */
  put(id: number, dimensions: number, encoded: ArrayBuffer): void;
  /** Something was undone: the copy may be ahead of the rows. */
  forget(): void;
}

/** Keeps the vector of an entry's present value; a value that came without one has none. */
export function keepVector(step: Step, entryId: number, vector: readonly number[] | undefined): void {
  if (vector === undefined) {
    run(step.db, sql`DELETE FROM vectors WHERE memory_id = ${entryId}`);
    return;
  }
  const encoded = step.vectors.encode(vector);
  run(
    step.db,
    sql`INSERT INTO vectors (memory_id, dimensions, data) VALUES (${entryId}, ${vector.length}, ${encoded})
      ON CONFLICT (memory_id) DO UPDATE SET dimensions = excluded.dimensions, data = excluded.data`,
  );
  step.vectors.put(entryId, vector.length, encoded);
}

/** Twelve bits a number make a vector a little longer or shorter than it is; a cosine stays one. */
const cosine = (score: number): number => Number(Math.min(1, Math.max(-1, score)).toFixed(6));

/** The nearest entries among those that the caller may read: the rule comes before the ranking, never after it. */
export function vectorSearch(
  step: Step,
  input: MemoryCommandMap['vectorSearch'][0],
): Result<MemoryCommandMap['vectorSearch'][1], FleetError> {
  step.count('vector_search');
  const { vector, limit } = input;
  const conditions = [sql`v.dimensions = ${vector.length}`, permitted(step, 'read'), ...filtered(input)];
  const allowed = rows<{ id: number }>(
    step.db,
    sql`SELECT m.id FROM vectors v JOIN memory m ON m.id = v.memory_id WHERE ${join(conditions, ' AND ')}`,
  ).map(({ id }) => id);
  const data: (EntryView & { readonly score: number })[] = [];
  let bytes = 0;
  for (const { id, score } of step.vectors.nearest(vector, allowed, limit)) {
    const row = first<EntryRow>(step.db, sql`SELECT ${COLUMNS} FROM memory m WHERE m.id = ${id}`);
    if (row === null) continue;
    bytes += row.value_bytes;
    if (data.length > 0 && bytes > MEMORY_LIMITS.pageBytes) return ok({ data, complete: false });
    data.push({ ...viewOf(row, step.region), score: cosine(score) });
  }
  return ok({ data, complete: true });
}
