import { encodeVector } from '../../wasm/vectors/encode.ts';
import { type Neighbour, VectorIndex } from '../../wasm/vectors/vector-index.ts';
import type { Sql } from './core/sql.ts';
import type { VectorSearch } from './core/vectors.ts';

/** Vectors that stay in memory, by number of dimensions: one full index, or what two models have while they are compared. */
const RESIDENT_BYTES_MAX = 40 * 2 ** 20;
const LOAD_ROWS = 1_000;

/** Vectors of one database, loaded at the first search and kept in step with what is written. */
export class VectorMemory implements VectorSearch {
  readonly #module: () => WebAssembly.Module;
  readonly #sql: () => Sql;
  /** By number of dimensions, the one used last at the end. */
  readonly #resident = new Map<number, VectorIndex>();

  constructor(module: () => WebAssembly.Module, sql: () => Sql) {
    this.#module = module;
    this.#sql = sql;
  }

  encode(vector: readonly number[]): ArrayBuffer {
    return encodeVector(vector).buffer;
  }

  put(id: number, dimensions: number, encoded: ArrayBuffer): void {
    const index = this.#resident.get(dimensions);
    // One that is full is not the whole any more.
    if (index !== undefined && !index.set(id, new Uint8Array(encoded))) this.#resident.delete(dimensions);
  }

  forget(): void {
    this.#resident.clear();
  }

  nearest(query: readonly number[], allowed: readonly number[], limit: number): readonly Neighbour[] {
    const dimensions = query.length;
    const known = this.#resident.get(dimensions);
    if (known !== undefined) {
      this.#resident.delete(dimensions);
      this.#resident.set(dimensions, known);
      return known.search(query, limit, known.mask(allowed));
    }
    let index = new VectorIndex(this.#module(), dimensions);
    let best: readonly Neighbour[] = [];
    let isWhole = true;
    const take = (): void => {
      best = merged(best, index.search(query, limit, index.mask(allowed)), limit);
    };
    for (const { id, data } of this.#rows(dimensions)) {
      if (index.set(id, data)) continue;
      // More than fits: part after part, each as large as fits.
      take();
      isWhole = false;
      index = new VectorIndex(this.#module(), dimensions);
      index.set(id, data);
    }
    take();
    if (isWhole) this.#keep(dimensions, index);
    return best;
  }

  #keep(dimensions: number, index: VectorIndex): void {
    this.#resident.set(dimensions, index);
    let bytes = [...this.#resident.values()].reduce((sum, one) => sum + one.bytes, 0);
    for (const [oldest, { bytes: its }] of this.#resident) {
      if (bytes <= RESIDENT_BYTES_MAX || oldest === dimensions) return;
      this.#resident.delete(oldest);
      bytes -= its;
    }
  }

  *#rows(dimensions: number): Generator<{ readonly id: number; readonly data: Uint8Array }> {
    for (let after = 0; ;) {
      const page = this.#sql()
        .exec<{ memory_id: number; data: ArrayBuffer }>(
          'SELECT memory_id, data FROM vectors WHERE memory_id > ? AND dimensions = ? ORDER BY memory_id LIMIT ?',
          after,
          dimensions,
          LOAD_ROWS,
        )
        .toArray();
      for (const row of page) yield { id: row.memory_id, data: new Uint8Array(row.data) };
      const last = page.at(-1);
      if (page.length < LOAD_ROWS || last === undefined) return;
      after = last.memory_id;
    }
  }
}

const merged = (a: readonly Neighbour[], b: readonly Neighbour[], limit: number): readonly Neighbour[] =>
  [...a, ...b].sort((one, other) => other.score - one.score || one.id - other.id).slice(0, limit);
