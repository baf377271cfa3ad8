import { encodeVector } from '../../wasm/vectors/encode.ts';
import { loadDot } from '../../wasm/vectors/load-node.ts';
import { VectorIndex } from '../../wasm/vectors/vector-index.ts';

const QUERIES = 50;
const CENTRES = 200;
const K = 10;

export interface Recall {
  readonly data: string;
  readonly recall: number;
}

/** How many of the ten nearest by exact float search are among the ten that the index finds. */
export function measureRecall(count: number, dimensions: number): readonly Recall[] {
  const centres = Array.from({ length: CENTRES }, () => gaussian(dimensions));
  const clustered = (spread: number) => (): Float32Array => {
    const centre = centres[Math.floor(Math.random() * CENTRES)] ?? new Float32Array(dimensions);
    return gaussian(dimensions).map((value, i) => spread * value + (centre[i] ?? 0));
  };
  return [
    { data: 'unrelated directions', recall: recallOf(count, dimensions, () => gaussian(dimensions)) },
    { data: `${CENTRES} clusters`, recall: recallOf(count, dimensions, clustered(0.5)) },
    { data: `${CENTRES} tighter clusters`, recall: recallOf(count, dimensions, clustered(0.3)) },
  ];
}

function recallOf(count: number, dimensions: number, draw: () => Float32Array): number {
  const index = new VectorIndex(loadDot(), dimensions);
  const matrix = new Float32Array(count * dimensions);
  for (let row = 0; row < count; row += 1) {
    const vector = unit(draw());
    matrix.set(vector, row * dimensions);
    index.set(row + 1, encodeVector(vector));
  }
  const everyone = new Uint8Array(count).fill(1);
  let found = 0;
  for (let q = 0; q < QUERIES; q += 1) {
    const query = unit(draw());
    const scores = new Float32Array(count);
    for (let row = 0; row < count; row += 1) {
      let sum = 0;
      const at = row * dimensions;
      for (let i = 0; i < dimensions; i += 1) sum += (matrix[at + i] ?? 0) * (query[i] ?? 0);
      scores[row] = sum;
    }
    const least = scores.toSorted().at(-K) ?? 0;
    found += index.search(query, K, everyone).filter(({ id }) => (scores[id - 1] ?? 0) >= least).length;
  }
  return found / (QUERIES * K);
}

function gaussian(dimensions: number): Float32Array {
  return Float32Array.from(
    { length: dimensions },
    () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );
}

function unit(vector: Float32Array): Float32Array {
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}
