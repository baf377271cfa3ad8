import type { FleetError } from '../../../shared/errors.ts';
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
  /** The best `limit` of `allowed` by cosine, best first. */
  nearest(
    dimensions: number,
    query: Int8Array,
    allowed: readonly number[],
    limit: number,
  ): readonly { readonly id: number; readonly score: number }[];
  /** An entry's vector is another one now. */
  put(id: number, vector: Int8Array<ArrayBuffer>): void;
  /** Something was undone: the copy may be ahead of the rows. */
  forget(): void;
}

const LARGEST = 127;

/** Eight bits a number, scaled to the vector's largest: the direction is what is compared, so the scale need not be kept. */
export function quantise(vector: readonly number[]): Int8Array<ArrayBuffer> {
  const largest = vector.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const scale = largest === 0 ? 0 : LARGEST / largest;
  return Int8Array.from(vector, (x) => Math.round(x * scale));
}

/** Keeps the vector of an entry's present value; a value that came without one has none. */
export function keepVector(step: Step, entryId: number, vector: readonly number[] | undefined): void {
  if (vector === undefined) {
    run(step.db, sql`DELETE FROM vectors WHERE memory_id = ${entryId}`);
    return;
  }
  const data = quantise(vector);
  run(
    step.db,
    sql`INSERT INTO vectors (memory_id, dimensions, data) VALUES (${entryId}, ${vector.length}, ${data.buffer})
      ON CONFLICT (memory_id) DO UPDATE SET dimensions = excluded.dimensions, data = excluded.data`,
  );
  step.vectors.put(entryId, data);
}

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
  );
  const data: (EntryView & { readonly score: number })[] = [];
  const ids = allowed.map(({ id }) => id);
  for (const { id, score } of step.vectors.nearest(vector.length, quantise(vector), ids, limit)) {
    const row = first<EntryRow>(step.db, sql`SELECT ${COLUMNS} FROM memory m WHERE m.id = ${id}`);
    if (row !== null) data.push({ ...viewOf(row, step.region), score: Number(score.toFixed(6)) });
  }
  return ok({ data });
}
