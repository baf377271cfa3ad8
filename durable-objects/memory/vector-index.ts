import type { Sql } from './core/sql.ts';
import type { VectorSearch } from './core/vectors.ts';

/** Bytes of vectors kept in memory, over all numbers of dimensions; what is beyond is read for each search. */
const RESIDENT_BYTES = 32 * 2 ** 20;
const LOAD_ROWS = 500;

interface Matrix {
  readonly dimensions: number;
  data: Int8Array<ArrayBuffer>;
  norms: Float32Array<ArrayBuffer>;
  /** Row of each entry. */
  readonly rows: Map<number, number>;
  used: number;
}

/** Vectors of one database in memory, packed by number of dimensions and loaded at the first search. */
export class VectorIndex implements VectorSearch {
  readonly #sql: () => Sql;
  readonly #matrices = new Map<number, Matrix>();

  constructor(sql: () => Sql) {
    this.#sql = sql;
  }

  put(id: number, vector: Int8Array<ArrayBuffer>): void {
    const matrix = this.#matrices.get(vector.length);
    if (matrix !== undefined) set(matrix, id, vector);
  }

  forget(): void {
    this.#matrices.clear();
  }

  nearest(
    dimensions: number,
    query: Int8Array,
    allowed: readonly number[],
    limit: number,
  ): readonly { readonly id: number; readonly score: number }[] {
    const matrix = this.#matrix(dimensions);
    const norm = normOf(query, 0, dimensions);
    const best: { readonly id: number; readonly score: number }[] = [];
    let least = Number.NEGATIVE_INFINITY;
    for (const id of allowed) {
      const row = matrix.rows.get(id);
      if (row === undefined) continue;
      const score = dot(matrix.data, row * dimensions, query, dimensions) / (norm * (matrix.norms[row] ?? 1));
      if (best.length >= limit && score <= least) continue;
      insert(best, { id, score }, limit);
      least = best.at(-1)?.score ?? least;
    }
    return best;
  }

  #matrix(dimensions: number): Matrix {
    const known = this.#matrices.get(dimensions);
    if (known !== undefined) return known;
    const matrix: Matrix = { dimensions, data: new Int8Array(0), norms: new Float32Array(0), rows: new Map(), used: 0 };
    for (let after = 0; ;) {
      const page = this.#sql()
        .exec<{ memory_id: number; data: ArrayBuffer }>(
          'SELECT memory_id, data FROM vectors WHERE memory_id > ? AND dimensions = ? ORDER BY memory_id LIMIT ?',
          after,
          dimensions,
          LOAD_ROWS,
        )
        .toArray();
      for (const row of page) set(matrix, row.memory_id, new Int8Array(row.data));
      const last = page.at(-1);
      if (page.length < LOAD_ROWS || last === undefined) break;
      after = last.memory_id;
    }
    if (matrix.data.byteLength <= RESIDENT_BYTES) {
      let resident = matrix.data.byteLength;
      for (const other of this.#matrices.values()) resident += other.data.byteLength;
      if (resident > RESIDENT_BYTES) this.#matrices.clear();
      this.#matrices.set(dimensions, matrix);
    }
    return matrix;
  }
}

function set(matrix: Matrix, id: number, vector: Int8Array<ArrayBuffer>): void {
  let row = matrix.rows.get(id);
  if (row === undefined) {
    row = matrix.used;
    matrix.used += 1;
    if (row >= matrix.norms.length) grow(matrix);
    matrix.rows.set(id, row);
  }
  matrix.data.set(vector, row * matrix.dimensions);
  matrix.norms[row] = normOf(vector, 0, matrix.dimensions);
}

function grow(matrix: Matrix): void {
  const capacity = Math.max(64, matrix.norms.length * 2);
  const data = new Int8Array(capacity * matrix.dimensions);
  data.set(matrix.data);
  const norms = new Float32Array(capacity);
  norms.set(matrix.norms);
  matrix.data = data;
  matrix.norms = norms;
}

function normOf(vector: Int8Array, from: number, dimensions: number): number {
  let sum = 0;
  for (let i = from; i < from + dimensions; i += 1) sum += (vector[i] ?? 0) ** 2;
  return Math.sqrt(sum) || 1;
}

function dot(data: Int8Array, from: number, query: Int8Array, dimensions: number): number {
  let sum = 0;
  for (let i = 0; i < dimensions; i += 1) sum += (data[from + i] ?? 0) * (query[i] ?? 0);
  return sum;
}

/** Keeps the list sorted, best first; equal scores in the order of ids. */
function insert(
  best: { readonly id: number; readonly score: number }[],
  one: { readonly id: number; readonly score: number },
  limit: number,
): void {
  let at = best.length;
  while (at > 0 && (best[at - 1]?.score ?? 0) < one.score) at -= 1;
  best.splice(at, 0, one);
  if (best.length > limit) best.pop();
}
