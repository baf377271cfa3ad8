import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildDot } from '../../../scripts/build-vectors.ts';
import { decodeVector, encodeVector, preciseDot, VectorError } from '../../../wasm/vectors/encode.ts';
import { loadDot } from '../../../wasm/vectors/load-node.ts';
import { VectorIndex } from '../../../wasm/vectors/vector-index.ts';
import { Seeded } from '../../lib/seeded.ts';

const everyone = (index: VectorIndex): Uint8Array => new Uint8Array(index.size).fill(1);

/** Normally distributed components. */
function gaussian(random: Seeded, dimensions: number): Float32Array {
  return Float32Array.from(
    { length: dimensions },
    () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next()),
  );
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    dot += (a[i] ?? 0) * (b[i] ?? 0);
    aa += (a[i] ?? 0) ** 2;
    bb += (b[i] ?? 0) ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}

function fill(index: VectorIndex, vectors: readonly ArrayLike<number>[]): void {
  for (const [at, vector] of vectors.entries()) index.set(at + 1, encodeVector(vector));
}

describe('the kernel', () => {
  it('M41: the checked-in module is what the script makes', () => {
    expect(Buffer.from(buildDot()).equals(readFileSync('wasm/vectors/dot.wasm'))).toBe(true);
  });

  it('M41: it gives what plain JavaScript gives, at the ends of the range too', () => {
    const bytes = fc.integer({ min: -127, max: 127 });
    const sized = fc.integer({ min: 1, max: 70 }).chain((dimensions) => {
      const vector = fc.array(bytes, { minLength: dimensions, maxLength: dimensions });
      return fc.record({ query: vector, rows: fc.array(vector, { minLength: 1, maxLength: 9 }) });
    });
    const { memory, dot } = new WebAssembly.Instance(loadDot()).exports as unknown as {
      memory: WebAssembly.Memory;
      dot: (...addresses: number[]) => void;
    };
    fc.assert(
      fc.property(sized, ({ query, rows }) => {
        const rowBytes = Math.ceil(query.length / 16) * 16;
        const signed = new Int8Array(memory.buffer);
        signed.fill(0);
        signed.set(query, 0);
        for (const [at, row] of rows.entries()) signed.set(row, rowBytes * (at + 1));
        dot(0, rowBytes, rows.length, rowBytes, 32_768);
        const expected = rows.map((row) => row.reduce((sum, value, i) => sum + value * (query[i] ?? 0), 0));
        expect([...new Int32Array(memory.buffer, 32_768, rows.length)]).toEqual(expected);
      }),
    );
    const large = new Int8Array(memory.buffer);
    large.fill(-127, 0, 8_192);
    dot(0, 4_096, 1, 4_096, 32_768);
    expect(new Int32Array(memory.buffer, 32_768, 1)[0]).toBe(4_096 * 127 * 127);
  });
});

describe('encoding', () => {
  it('M42: a byte is off by less than half a step, and with its finer part by less than a sixteenth', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 }), (values) => {
        fc.pre(values.some((value) => Math.abs(value) > 1e-100));
        const decoded = decodeVector(encodeVector(values), values.length);
        if (decoded === null) throw new Error('does not decode');
        const { scale, bytes, fine } = decoded;
        const norm = Math.hypot(...values);
        for (const [i, value] of values.entries()) {
          const byte = ((bytes[i] ?? 0) << 24) >> 24;
          expect(Math.abs(byte * scale - value / norm)).toBeLessThanOrEqual(scale * 0.501);
          const axis = Float32Array.from(values, (_, at) => Number(at === i));
          const precise = preciseDot(axis, new Int8Array(bytes), fine) * scale;
          expect(Math.abs(precise - value / norm)).toBeLessThanOrEqual(scale * 0.0626);
        }
      }),
    );
  });

  it('M42: a vector that was stored without finer parts is found as before', () => {
    const old = (values: readonly number[]): Uint8Array => {
      const encoded = encodeVector(values).slice(0, 4 + values.length);
      // Its factor was above zero.
      encoded[3] = (encoded[3] ?? 0) & 127;
      return encoded;
    };
    const index = new VectorIndex(loadDot(), 3);
    expect(index.set(1, old([1, 2, 3]))).toBe(true);
    expect(index.set(2, encodeVector([3, 2, 1]))).toBe(true);
    expect(index.set(2, old([3, -2, 1]))).toBe(true);
    const [first, second] = index.search([1, 2, 3], 2, everyone(index));
    expect([first?.id, second?.id]).toEqual([1, 2]);
    expect(first?.score).toBeCloseTo(1, 2);
    expect(second?.score).toBeCloseTo(cosine([1, 2, 3], [3, -2, 1]), 2);
    expect(() => index.set(3, encodeVector([1, 2, 3]).slice(0, 8))).toThrow(VectorError);
  });

  it.each([
    [[]],
    [[0, 0]],
    [[Number.NaN]],
    [[Number.POSITIVE_INFINITY, 1]],
    [[1e300, 1e300]],
    [Array.from({ length: 4_097 }, () => 1)],
  ])('M42: %j is refused', (values) => {
    expect(() => encodeVector(values)).toThrow(VectorError);
  });
});

describe('the index', () => {
  it('M43: the nearest come first, equal ones by id, and k is a bound', () => {
    const index = new VectorIndex(loadDot(), 3);
    fill(index, [
      [1, 0, 0],
      [0, 1, 0],
      [1, 1, 0],
      [-1, 0, 0],
      [2, 0, 0],
    ]);
    const found = index.search([1, 0, 0], 3, everyone(index));
    expect(found.map(({ id }) => id)).toEqual([1, 5, 3]);
    expect(found[0]?.score).toBeCloseTo(1, 2);
    expect(index.search([1, 0, 0], 100, everyone(index))).toHaveLength(5);
    expect(index.search([1, 0, 0], 0, everyone(index))).toEqual([]);
    expect(() => index.search([1, 0], 3, everyone(index))).toThrow(VectorError);
    expect(() => index.set(9, encodeVector([1, 2]))).toThrow(VectorError);
  });

  it('M44: what the mask forbids is not found and takes no place of what it allows', () => {
    const random = new Seeded(4);
    const vectors = Array.from({ length: 500 }, () => gaussian(random, 40));
    const index = new VectorIndex(loadDot(), 40);
    fill(index, vectors);
    const query = gaussian(random, 40);
    const allowed = vectors.map((_, at) => at + 1).filter((id) => id % 7 === 0);
    const found = index.search(query, 10, index.mask([...allowed, 99_999])).map(({ id }) => id);
    expect(found).toHaveLength(10);
    expect(found.every((id) => id % 7 === 0)).toBe(true);
    const exact = allowed
      .toSorted((a, b) => cosine(vectors[b - 1] ?? [], query) - cosine(vectors[a - 1] ?? [], query))
      .slice(0, 10);
    expect(found.filter((id) => exact.includes(id)).length).toBeGreaterThanOrEqual(9);
    expect(index.search(query, 10, index.mask([]))).toEqual([]);
    index.delete(7);
    expect(() => index.search(query, 10, new Uint8Array(500))).toThrow(VectorError);
  });

  it('M43: any sequence of changes leaves what a plain list would hold', () => {
    const random = new Seeded(8);
    const index = new VectorIndex(loadDot(), 8);
    const plain = new Map<number, Float32Array>();
    for (let step = 0; step < 3_000; step += 1) {
      const id = random.int(1, 600);
      if (random.chance(0.4)) expect(index.delete(id)).toBe(plain.delete(id));
      else {
        const vector = gaussian(random, 8);
        expect(index.set(id, encodeVector(vector))).toBe(true);
        plain.set(id, vector);
      }
      expect(index.size).toBe(plain.size);
    }
    for (let i = 0; i < 20; i += 1) {
      const query = gaussian(random, 8);
      const [nearest] = index.search(query, 1, everyone(index));
      const best = Math.max(...[...plain.values()].map((vector) => cosine(vector, query)));
      expect(cosine(plain.get(nearest?.id ?? 0) ?? [], query)).toBeGreaterThan(best - 0.02);
      expect(nearest?.score).toBeCloseTo(cosine(plain.get(nearest?.id ?? 0) ?? [], query), 1);
    }
  });

  it('M45: a full index says so', () => {
    const index = new VectorIndex(loadDot(), 4_096);
    const encoded = encodeVector(Array.from({ length: 4_096 }, (_, i) => i + 1));
    for (let id = 0; id < index.limit; id += 1) expect(index.set(id, encoded)).toBe(true);
    expect(index.set(-1, encoded)).toBe(false);
    expect(index.set(5, encoded)).toBe(true);
    index.delete(5);
    expect(index.set(-1, encoded)).toBe(true);
  });

  it.each([0.6, 0.1])(
    'M45: ten of the nearest are found nearly always (recall at 10 against exact search, spread %d)',
    (spread) => {
      const random = new Seeded(12);
      const centres = Array.from({ length: 40 }, () => gaussian(random, 384));
      const near = (): Float32Array => {
        const centre = random.pick(centres);
        return gaussian(random, 384).map((value, i) => value * spread + (centre[i] ?? 0));
      };
      const vectors = Array.from({ length: 4_000 }, near);
      const index = new VectorIndex(loadDot(), 384);
      fill(index, vectors);
      let found = 0;
      for (let q = 0; q < 20; q += 1) {
        const query = near();
        const exact = vectors
          .map((vector, at) => ({ id: at + 1, score: cosine(vector, query) }))
          .toSorted((a, b) => b.score - a.score)
          .slice(0, 10)
          .map(({ id }) => id);
        found += index.search(query, 10, everyone(index)).filter(({ id }) => exact.includes(id)).length;
      }
      expect(found / 200).toBeGreaterThanOrEqual(spread < 0.2 ? 0.95 : 0.98);
    },
  );
});
