import { describe, expect, test, vi } from 'vitest';
import { apiErrorOf } from '../../../client/src/errors.ts';
import type { BatchResult } from '../../../client/src/batch.ts';
import { batchResult, chunk } from '../../../client/src/batch.ts';
import { Pipeline } from '../../../client/src/pipeline.ts';
import { problem } from './lib/fake-fleet.ts';

const refusal = apiErrorOf(problem(409, 'quota_exceeded').body as Parameters<typeof apiErrorOf>[0]);

/** Routes whose requests end when the test says so. */
function routes(maxItems = 100) {
  const gates: (() => void)[] = [];
  const gate = () => new Promise<void>((resolve) => gates.push(resolve));
  const one = vi.fn(async (item: number) => {
    await gate();
    return item * 10;
  });
  const many = vi.fn(async (items: readonly number[]): Promise<BatchResult<number>[]> => {
    await gate();
    return items.map((item) => (item < 0 ? { ok: false, error: refusal } : { ok: true, value: item * 10 }));
  });
  const open = async () => {
    for (const resolve of gates.splice(0)) resolve();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { one, many, open, pipeline: new Pipeline<number, number>({ one, many, maxItems }) };
}

describe('pipeline', () => {
  test('a lone call travels alone and at once', async () => {
    const { one, many, open, pipeline } = routes();
    const answer = pipeline.run(1);
    expect(one).toHaveBeenCalledWith(1);
    await open();
    await expect(answer).resolves.toBe(10);
    expect(many).not.toHaveBeenCalled();
  });

  test('what comes while the line is busy leaves together, in order', async () => {
    const { one, many, open, pipeline } = routes();
    const answers = Promise.all([1, 2, 3, 4, 5].map((item) => pipeline.run(item)));
    expect(one).toHaveBeenCalledTimes(2);
    await open();
    expect(many).toHaveBeenCalledExactlyOnceWith([3, 4, 5]);
    await open();
    await expect(answers).resolves.toEqual([10, 20, 30, 40, 50]);
  });

  test('a failed item fails alone', async () => {
    const { open, pipeline } = routes();
    const answers = Promise.allSettled([1, 2, 3, -1, 5].map((item) => pipeline.run(item)));
    await open();
    await open();
    const settled = await answers;
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(settled[3]).toMatchObject({ reason: refusal });
  });

  test('a failed request fails its items, and the line goes on', async () => {
    const pipeline = new Pipeline<number, number>({
      one: async (item) => item,
      many: () => Promise.reject(new Error('broken')),
      maxItems: 100,
    });
    const settled = await Promise.allSettled([1, 2, 3, 4].map((item) => pipeline.run(item)));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    await expect(pipeline.run(9)).resolves.toBe(9);
  });

  test('batches keep to the number of items', async () => {
    const { many, open, pipeline } = routes(2);
    const answers = Promise.all([1, 2, 3, 4, 5].map((item) => pipeline.run(item)));
    await open();
    await open();
    await open();
    await answers;
    expect(many.mock.calls.map(([items]) => items)).toEqual([[3, 4]]);
  });

  test('chunks keep to numbers and bytes, and an oversized item goes alone', () => {
    expect(chunk([1, 2, 3, 4, 5], 2, 1_000_000)).toEqual([[1, 2], [3, 4], [5]]);
    expect(chunk(['a'.repeat(400), 'b'.repeat(400), 'c'.repeat(2_000), 'd'], 100, 1_000).map((part) => part.length)).toEqual([
      1, 1, 1, 1,
    ]);
    expect(chunk(['ä'.repeat(300), 'b'], 100, 1_000).map((part) => part.length)).toEqual([2]);
    expect(chunk([], 10, 10)).toEqual([]);
  });

  test('a batch item’s problem is the error a single call would throw', () => {
    const item = batchResult({ status: 409, problem: problem(409, 'no_capacity').body as never });
    expect(item).toMatchObject({ ok: false, error: { name: 'NoCapacityError', code: 'no_capacity' } });
  });
});
