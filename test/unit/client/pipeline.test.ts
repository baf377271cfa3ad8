import { describe, expect, test, vi } from 'vitest';
import { apiErrorOf } from '../../../client/src/errors.ts';
import type { BatchResult } from '../../../client/src/batch.ts';
import { batchResult, chunk, jsonBytes } from '../../../client/src/batch.ts';
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
  /** Ends the oldest requests, all of them by default. */
  const open = async (count = gates.length) => {
    for (const resolve of gates.splice(0, count)) resolve();
    await turn();
  };
  const sent = () => [...one.mock.calls.map(([item]) => [item]), ...many.mock.calls.map(([items]) => items)];
  return { one, many, open, sent, pipeline: new Pipeline<number, number>({ one, many, maxItems }) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('pipeline', () => {
  test('a lone call travels alone, in the turn in which it was made', async () => {
    const { one, many, open, pipeline } = routes();
    const answer = pipeline.run(1);
    for (let i = 0; i < 10; i++) await Promise.resolve();
    expect(one).toHaveBeenCalledWith(1);
    await open();
    await expect(answer).resolves.toBe(10);
    expect(many).not.toHaveBeenCalled();
  });

  test('calls of one turn leave together, in order', async () => {
    const { open, sent, pipeline } = routes();
    const answers = Promise.all([1, 2, 3].map((item) => pipeline.run(item)));
    await turn();
    expect(sent()).toEqual([[1, 2, 3]]);
    await open();
    await expect(answers).resolves.toEqual([10, 20, 30]);
  });

  test('what comes while the line is busy leaves together', async () => {
    const { open, sent, pipeline } = routes();
    const answers: Promise<number>[] = [];
    for (const item of [1, 2]) {
      answers.push(pipeline.run(item));
      await turn();
    }
    answers.push(...[3, 4, 5].map((item) => pipeline.run(item)));
    await turn();
    expect(sent()).toEqual([[1], [2]]);
    await open();
    expect(sent()).toEqual([[1], [2], [3, 4, 5]]);
    await open();
    await expect(Promise.all(answers)).resolves.toEqual([10, 20, 30, 40, 50]);
  });

  test('many are two batches at a time, and stay so', async () => {
    const { many, open, pipeline } = routes();
    const caller = async (item: number) => {
      for (let i = 0; i < 3; i++) await pipeline.run(item);
    };
    const callers = Promise.all(numbers(1, 64).map(caller));
    await turn();
    expect(many.mock.calls.map(([items]) => items.length)).toEqual([32, 32]);
    for (let i = 0; i < 4; i++) await open(1);
    expect(many.mock.calls.map(([items]) => items.length)).toEqual([32, 32, 32, 32, 32, 32]);
    await open();
    await callers;
  });

  test('a few that come beside a big batch wait for those that return from it, or for a moment', async () => {
    const { open, sent, pipeline } = routes();
    const first = Promise.all(numbers(1, 10).map((item) => pipeline.run(item)));
    await turn();
    const few = Promise.all([11, 12].map((item) => pipeline.run(item)));
    await turn();
    expect(sent()).toEqual([numbers(1, 10)]);
    await open();
    expect(sent()).toEqual([numbers(1, 10), [11, 12]]);
    await open();
    const slow = Promise.all(numbers(21, 30).map((item) => pipeline.run(item)));
    await turn();
    const late = pipeline.run(31);
    await vi.waitUntil(() => sent().some((items) => items.includes(31)), { interval: 1 });
    await open();
    await Promise.all([first, few, slow, late]);
  });

  test('a failed item fails alone', async () => {
    const { open, pipeline } = routes();
    const answers = Promise.allSettled([1, 2, 3, -1, 5].map((item) => pipeline.run(item)));
    await turn();
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
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected']);
    await expect(pipeline.run(9)).resolves.toBe(9);
  });

  test('batches keep to the number of items', async () => {
    const { open, sent, pipeline } = routes(2);
    const answers = Promise.all([1, 2, 3, 4, 5].map((item) => pipeline.run(item)));
    for (let i = 0; i < 3; i++) {
      await turn();
      await open();
    }
    await answers;
    expect(sent()).toEqual([[5], [1, 2], [3, 4]]);
  });

  test('chunks keep to numbers and bytes, and an oversized item goes alone', () => {
    expect(chunk([1, 2, 3, 4, 5], 2, 1_000_000)).toEqual([[1, 2], [3, 4], [5]]);
    expect(chunk(['a'.repeat(400), 'b'.repeat(400), 'c'.repeat(2_000), 'd'], 100, 1_000).map((part) => part.length)).toEqual([
      1, 1, 1, 1,
    ]);
    expect(chunk(['ä'.repeat(300), 'b'], 100, 1_000).map((part) => part.length)).toEqual([2]);
    expect(chunk([], 10, 10)).toEqual([]);
    for (const value of ['plain', 'ä', '\u{1F600}', { key: ['x'] }])
      expect(jsonBytes(value)).toBe(Buffer.byteLength(JSON.stringify(value)));
  });

  test('a batch item’s problem is the error a single call would throw', () => {
    const item = batchResult({ status: 409, problem: problem(409, 'no_capacity').body as never });
    expect(item).toMatchObject({ ok: false, error: { name: 'NoCapacityError', code: 'no_capacity' } });
  });
});
