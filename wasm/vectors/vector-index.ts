import { decodeVector, encodeVector, fineBytes, preciseDot, unitVector, VectorError } from './encode.ts';

/** Vectors of one index: 50,000 of 384 dimensions are 19 MB and half as much for the finer parts; an isolate has 128 MB. */
export const VECTORS_MAX = 50_000;
export const MATRIX_BYTES_MAX = 20 * 2 ** 20;
/**
 * Rows that are looked at closely, for a search of `k`. Bytes alone put the right rows near the front, not in order: where
 * hundreds are about as near, as in a tight cluster, one of the best may stand a hundred places behind.
 */
const candidatesFor = (k: number): number => 200 + 4 * k;
const WASM_PAGE_BYTES = 65_536;
const LANES = 16;
/** Rows that a new index has room for; it doubles. */
const ROWS_FIRST = 256;

export interface Neighbour {
  readonly id: number;
  /** Cosine similarity, from −1 to 1, to some 1/30 of what a byte for each dimension would give. */
  readonly score: number;
}

interface Kernel {
  readonly memory: WebAssembly.Memory;
  dot(query: number, rows: number, count: number, bytes: number, scores: number): void;
}

/**
 * Vectors in memory, packed as signed bytes, searched by a full scan, and without an index to keep. The best by their bytes are
 * then compared with the query itself, by all that is stored of them.
 * Ids are those of rows in the database, which is where the vectors are stored; the index can be thrown away at any time.
 */
export class VectorIndex {
  readonly dimensions: number;
  readonly #kernel: Kernel;
  /** Bytes of a row: the dimensions, filled up with zeros. */
  readonly #rowBytes: number;
  readonly #ids: number[] = [];
  readonly #rowOf = new Map<number, number>();
  #scales = new Float32Array(ROWS_FIRST);
  #fine = new Uint8Array(0);
  #capacity = 0;

  constructor(module: WebAssembly.Module, dimensions: number) {
    this.dimensions = dimensions;
    this.#rowBytes = Math.ceil(dimensions / LANES) * LANES;
    this.#kernel = new WebAssembly.Instance(module).exports as unknown as Kernel;
    this.#grow(ROWS_FIRST);
  }

  get size(): number {
    return this.#ids.length;
  }

  /** Of memory, room for more included. */
  get bytes(): number {
    return this.#kernel.memory.buffer.byteLength + this.#fine.byteLength + this.#scales.byteLength;
  }

  /** How many fit. */
  get limit(): number {
    return Math.min(VECTORS_MAX, Math.floor(MATRIX_BYTES_MAX / this.#rowBytes));
  }

  has(id: number): boolean {
    return this.#rowOf.has(id);
  }

  /** Adds or replaces. False when the index is full: the caller must search by other means, or not offer it. */
  set(id: number, encoded: Uint8Array): boolean {
    const decoded = decodeVector(encoded, this.dimensions);
    if (decoded === null) throw new VectorError(`this index holds vectors of ${this.dimensions} dimensions`);
    let row = this.#rowOf.get(id);
    if (row === undefined) {
      if (this.#ids.length >= this.limit) return false;
      row = this.#ids.length;
      this.#grow(row + 1);
      this.#ids.push(id);
      this.#rowOf.set(id, row);
    }
    this.#matrix().set(decoded.bytes, this.#rowAt(row));
    const fine = this.#fineOf(row);
    fine.fill(0);
    fine.set(decoded.fine);
    this.#scales[row] = decoded.scale;
    return true;
  }

  /** The last row takes the place, so that the matrix has no holes. */
  delete(id: number): boolean {
    const row = this.#rowOf.get(id);
    if (row === undefined) return false;
    const last = this.#ids.length - 1;
    const matrix = this.#matrix();
    if (row !== last) {
      matrix.copyWithin(this.#rowAt(row), this.#rowAt(last), this.#rowAt(last) + this.#rowBytes);
      const moved = this.#ids[last] ?? 0;
      this.#ids[row] = moved;
      this.#rowOf.set(moved, row);
      this.#scales[row] = this.#scales[last] ?? 0;
      this.#fineOf(row).set(this.#fineOf(last));
    }
    // Nothing of what was deleted stays in memory.
    matrix.fill(0, this.#rowAt(last), this.#rowAt(last) + this.#rowBytes);
    this.#fineOf(last).fill(0);
    this.#ids.pop();
    this.#rowOf.delete(id);
    return true;
  }

  /** One byte a row, 1 for each of `ids` that is in the index. It holds until the next `set` of a new id or `delete`. */
  mask(ids: Iterable<number>): Uint8Array {
    const mask = new Uint8Array(this.#ids.length);
    for (const id of ids) {
      const row = this.#rowOf.get(id);
      if (row !== undefined) mask[row] = 1;
    }
    return mask;
  }

  /**
   * The `k` nearest rows among those that `mask` allows, best first; equal ones in the order of their ids. What the mask
   * forbids takes no place of what it allows.
   */
  search(query: ArrayLike<number>, k: number, mask: Uint8Array): readonly Neighbour[] {
    if (query.length !== this.dimensions) throw new VectorError(`this index holds vectors of ${this.dimensions} dimensions`);
    const count = this.#ids.length;
    if (mask.length !== count) throw new VectorError('the mask is of another moment');
    const exact = unitVector(query);
    const rough = decodeVector(encodeVector(query), this.dimensions);
    if (rough === null || k === 0) return [];
    this.#matrix().set(rough.bytes, 0);
    this.#kernel.dot(0, this.#rowAt(0), count, this.#rowBytes, this.#scoresAt());
    const scores = new Int32Array(this.#kernel.memory.buffer, this.#scoresAt(), count);
    const bytes = new Int8Array(this.#kernel.memory.buffer);
    return this.#best(scores, mask, candidatesFor(k))
      .map((row) => ({ id: this.#ids[row] ?? 0, score: this.#precise(exact, bytes, row) }))
      .sort((a, b) => b.score - a.score || a.id - b.id)
      .slice(0, k);
  }

  /** Rows of the `count` best, in no order. Twice as many are gathered before the lesser half goes, so that few are sorted. */
  #best(scores: Int32Array, mask: Uint8Array, count: number): readonly number[] {
    const scales = this.#scales;
    let best: { readonly row: number; readonly score: number }[] = [];
    let least = Number.NEGATIVE_INFINITY;
    const halve = (): void => {
      best.sort((a, b) => b.score - a.score || (this.#ids[a.row] ?? 0) - (this.#ids[b.row] ?? 0));
      best = best.slice(0, count);
      least = best.at(-1)?.score ?? least;
    };
    for (let row = 0; row < scores.length; row += 1) {
      if (mask[row] === 0) continue;
      const score = (scores[row] ?? 0) * (scales[row] ?? 0);
      if (score < least) continue;
      best.push({ row, score });
      if (best.length === 2 * count) halve();
    }
    if (best.length > count) halve();
    return best.map(({ row }) => row);
  }

  #precise(query: Float32Array, bytes: Int8Array, row: number): number {
    const at = this.#rowAt(row);
    return preciseDot(query, bytes.subarray(at, at + this.dimensions), this.#fineOf(row)) * (this.#scales[row] ?? 0);
  }

  #fineOf(row: number): Uint8Array {
    const length = fineBytes(this.dimensions);
    return this.#fine.subarray(row * length, (row + 1) * length);
  }

  /** Memory: the query, the rows, and behind the room for all rows the scores. */
  #rowAt(row: number): number {
    return this.#rowBytes * (row + 1);
  }

  #scoresAt(): number {
    return this.#rowAt(this.#capacity);
  }

  #matrix(): Uint8Array {
    // Growing detaches older views.
    return new Uint8Array(this.#kernel.memory.buffer);
  }

  #grow(rows: number): void {
    if (rows <= this.#capacity) return;
    this.#capacity = Math.min(this.limit, Math.max(ROWS_FIRST, this.#capacity * 2, rows));
    const needed = this.#scoresAt() + 4 * this.#capacity;
    const { memory } = this.#kernel;
    const missing = Math.ceil((needed - memory.buffer.byteLength) / WASM_PAGE_BYTES);
    if (missing > 0) memory.grow(missing);
    const scales = new Float32Array(this.#capacity);
    scales.set(this.#scales.subarray(0, Math.min(this.#scales.length, this.#capacity)));
    this.#scales = scales;
    const fine = new Uint8Array(this.#capacity * fineBytes(this.dimensions));
    fine.set(this.#fine);
    this.#fine = fine;
  }
}
