import { monotonicFactory } from 'ulid';
import { describe, expect, it } from 'vitest';
import { bufferedRandom } from '../../../durable-objects/lib/buffered-random.ts';

describe('randomness drawn many bytes at a time', () => {
  it('is spread evenly over its 256 steps, never 1', () => {
    const random = bufferedRandom();
    const counts = new Map<number, number>();
    for (let n = 0; n < 256_000; n += 1) {
      const value = random();
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    expect([...counts.keys()].every((value) => value >= 0 && value < 1 && Number.isInteger(value * 256))).toBe(true);
    expect(counts.size).toBe(256);
    // Twelve standard deviations of a count of 1,000.
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(380);
  });

  it('makes other ULIDs in each object, also of the same moment', () => {
    const made = Array.from({ length: 500 }, () => monotonicFactory(bufferedRandom())(1_700_000_000_000));
    expect(new Set(made).size).toBe(500);
    const one = monotonicFactory(bufferedRandom());
    const here = Array.from({ length: 500 }, () => one(1_700_000_000_000));
    expect(here.toSorted()).toEqual(here);
    expect(new Set(here).size).toBe(500);
  });
});
