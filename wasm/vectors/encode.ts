/** Dimensions that an index takes. */
export const DIMENSIONS_MAX = 4_096;
const SCALE_BYTES = 4;
const LEVELS = 127;

/** A vector that cannot be compared: the message says why, for the caller who sent it. */
export class VectorError extends Error {
  override readonly name = 'VectorError';
}

/**
 * A vector as it is stored and searched: brought to length one, then a factor (float32, little endian) and one signed byte for
 * each dimension. A byte is within 1/254 of the largest component.
 */
export function encodeVector(values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
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
  const encoded = new Uint8Array(SCALE_BYTES + dimensions);
  new DataView(encoded.buffer).setFloat32(0, largest / norm / LEVELS, true);
  for (let i = 0; i < dimensions; i += 1) encoded[SCALE_BYTES + i] = Math.round(((values[i] ?? 0) / largest) * LEVELS) & 255;
  return encoded;
}

export interface EncodedVector {
  readonly scale: number;
  readonly bytes: Uint8Array;
}

export function decodeVector(encoded: Uint8Array): EncodedVector {
  if (encoded.length <= SCALE_BYTES) throw new VectorError('too short for an encoded vector');
  const scale = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength).getFloat32(0, true);
  return { scale, bytes: encoded.subarray(SCALE_BYTES) };
}
