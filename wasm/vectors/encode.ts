/** Dimensions that an index takes. */
export const DIMENSIONS_MAX = 4_096;
const SCALE_BYTES = 4;
const LEVELS = 127;

/** A vector that cannot be compared: the message says why, for the caller who sent it. */
export class VectorError extends Error {
  override readonly name = 'VectorError';
}

/** A step of a byte has so many finer ones. */
const FINE = 16;

/**
 * A vector as it is stored and searched: brought to length one, then a factor (float32, little endian), one signed byte for each
 * dimension, and half a byte for each that says where within the byte's step the component lies. The bytes are what all rows
 * are compared by; the halves decide among the best of them, to within 1/32 of a step. A factor below zero says that they are there.
 */
export function encodeVector(values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const dimensions = values.length;
  const { norm, largest } = measured(values);
  const encoded = new Uint8Array(SCALE_BYTES + dimensions + fineBytes(dimensions));
  new DataView(encoded.buffer).setFloat32(0, -largest / norm / LEVELS, true);
  for (let i = 0; i < dimensions; i += 1) {
    const exact = ((values[i] ?? 0) / largest) * LEVELS;
    const byte = Math.round(exact);
    encoded[SCALE_BYTES + i] = byte & 255;
    const fine = Math.max(-8, Math.min(7, Math.round((exact - byte) * FINE)));
    const at = SCALE_BYTES + dimensions + (i >> 1);
    encoded[at] = (encoded[at] ?? 0) | ((fine & 15) << ((i & 1) * 4));
  }
  return encoded;
}

/** Throws for what has no direction or cannot be measured. */
function measured(values: ArrayLike<number>): { readonly norm: number; readonly largest: number } {
  const dimensions = values.length;
  if (dimensions === 0 || dimensions > DIMENSIONS_MAX) throw new VectorError(`a vector has 1 to ${DIMENSIONS_MAX} dimensions`);
  let [squares, largest] = [0, 0];
  for (let i = 0; i < dimensions; i += 1) {
    const value = Math.abs(values[i] ?? Number.NaN);
    squares += value * value;
    if (value > largest) largest = value;
  }
  const norm = Math.sqrt(squares);
  if (!Number.isFinite(norm))
    throw new VectorError('a vector holds finite numbers only, and none so large that its length is not');
  if (norm === 0) throw new VectorError('a vector of zeros has no direction');
  return { norm, largest };
}

/** The vector itself, of length one. */
export function unitVector(values: ArrayLike<number>): Float32Array {
  const { norm } = measured(values);
  return Float32Array.from(values, (value) => value / norm);
}

export const fineBytes = (dimensions: number): number => Math.ceil(dimensions / 2);

export interface EncodedVector {
  readonly scale: number;
  readonly bytes: Uint8Array;
  /** Two dimensions a byte, the first one in its lower half; empty in vectors that were stored before there were any. */
  readonly fine: Uint8Array;
}

/** Null for what is no vector of so many dimensions. */
export function decodeVector(encoded: Uint8Array, dimensions: number): EncodedVector | null {
  if (encoded.length <= SCALE_BYTES) return null;
  const factor = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength).getFloat32(0, true);
  const end = SCALE_BYTES + dimensions;
  if (encoded.length !== end + (factor < 0 ? fineBytes(dimensions) : 0)) return null;
  return { scale: Math.abs(factor), bytes: encoded.subarray(SCALE_BYTES, end), fine: encoded.subarray(end) };
}

/** The scalar product of a query with a row as precise as it is stored, but for the row's scale. */
export function preciseDot(query: Float32Array, bytes: Int8Array, fine: Uint8Array): number {
  let [sum, rest] = [0, 0];
  for (let i = 0; i < query.length; i += 1) {
    const of = query[i] ?? 0;
    sum += of * (bytes[i] ?? 0);
    // The half byte, with its sign.
    rest += of * (((fine[i >> 1] ?? 0) << (28 - (i & 1) * 4)) >> 28);
  }
  return sum + rest / FINE;
}
