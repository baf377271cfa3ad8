import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ok } from '../../../shared/result.ts';
import type { PoolReply, PoolRequest } from '../../../shared/rpc.ts';
import { SharedCalls, type Send } from '../../../workers/router/shared-calls.ts';
import { allocationIn } from './fixtures.ts';

const place = {};
const named = (n: number): PoolRequest => ({
  command: { type: 'release', allocationId: `a${n}`, fencingToken: n },
  requestId: `r${n}`,
});
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Calls that end when the test says so. */
function setUp() {
  const shared = new SharedCalls();
  const calls: { readonly ids: readonly string[]; readonly end: (error?: Error) => void }[] = [];
  const kept: Promise<unknown>[] = [];
  const send: Send = (requests) =>
    new Promise((resolve, reject) => {
      const ids = requests.map(({ requestId }) => requestId ?? '');
      const replies = ids.map((id): PoolReply => ok({ ...allocationIn('eu-west-1'), id }));
      calls.push({ ids, end: (error) => (error === undefined ? resolve(replies) : reject(error)) });
    });
  const execution = { waitUntil: (work: Promise<unknown>) => void kept.push(work.catch(() => undefined)) };
  const run = (n: number, lane = 'one', via: Send = send) => {
    const answer = shared.run({ place, lane }, named(n), via, execution);
    answer.catch(() => undefined);
    return answer;
  };
  return { calls, kept, run, sent: () => calls.map(({ ids }) => ids) };
}
const idOf = async (answer: Promise<PoolReply>): Promise<unknown> => {
  const reply = await answer;
  return reply.ok && 'id' in reply.value ? reply.value.id : reply;
};

describe('requests of one caller to one place', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
  afterEach(() => void vi.useRealTimers());

  it('go at once while few calls are under way, then share the next one, each with its own answer', async () => {
    const { calls, run, sent } = setUp();
    const answers = [1, 2, 3, 4, 5].map((n) => run(n));
    await turn();
    expect(sent()).toEqual([['r1'], ['r2']]);
    calls[0]?.end();
    await turn();
    expect(sent()).toEqual([['r1'], ['r2'], ['r3', 'r4', 'r5']]);
    calls[2]?.end();
    calls[1]?.end();
    expect(await Promise.all(answers.map(idOf))).toEqual(['r1', 'r2', 'r3', 'r4', 'r5']);
  });

  it('keep each call that others may come to depend on alive beyond the request that makes it', async () => {
    const { calls, kept, run } = setUp();
    const answers = [1, 2, 3].map((n) => run(n));
    // The first had nobody beside it when it went.
    expect(kept).toHaveLength(2);
    for (let i = 0; i < 3; i += 1) {
      await turn();
      calls[i]?.end();
    }
    await Promise.all([...kept, ...answers]);
  });

  it('do not wait for those of another lane', async () => {
    const { run, sent } = setUp();
    for (const n of [1, 2, 3]) void run(n);
    void run(4, 'another');
    await turn();
    expect(sent()).toEqual([['r1'], ['r2'], ['r4']]);
  });

  it('fail together when their call fails, and the next call goes on', async () => {
    const { calls, run, sent } = setUp();
    const answers = [1, 2, 3, 4].map((n) => run(n));
    await turn();
    calls[0]?.end(new Error('lost'));
    await expect(answers[0]).rejects.toThrow('lost');
    await turn();
    expect(sent()[2]).toEqual(['r3', 'r4']);
    calls[2]?.end(new Error('lost, too'));
    await expect(answers[2]).rejects.toThrow('lost, too');
    await expect(answers[3]).rejects.toThrow('lost, too');
    const next = run(5);
    await turn();
    calls[3]?.end();
    expect(await idOf(next)).toBe('r5');
  });

  it('fail where the answer is too short', async () => {
    const { run } = setUp();
    await expect(run(1, 'short', async () => [])).rejects.toThrow('no answer');
  });

  it('wait behind no call that takes long, and take along those that do', async () => {
    const { calls, run, sent } = setUp();
    for (const n of [1, 2, 3]) void run(n);
    await turn();
    vi.setSystemTime(Date.now() + 1_000);
    const answer = run(4);
    await turn();
    expect(sent()).toEqual([['r1'], ['r2'], ['r3', 'r4']]);
    calls[2]?.end();
    expect(await idOf(answer)).toBe('r4');
  });

  it('wait for nobody who was to make the next call and is gone', async () => {
    const { calls, run, sent } = setUp();
    for (const n of [1, 2]) void run(n);
    // Its request was cancelled together with what it had been told to do next.
    const lost = run(3, 'one', () => new Promise(() => undefined));
    void lost;
    await turn();
    calls[0]?.end();
    await turn();
    expect(sent()).toEqual([['r1'], ['r2']]);
    calls[1]?.end();
    await turn();
    const answer = run(4);
    await turn();
    expect(sent()).toEqual([['r1'], ['r2'], ['r4']]);
    calls[2]?.end();
    expect(await idOf(answer)).toBe('r4');
  });

  it('use the second place while the first is held by one that left alone', async () => {
    const { calls, run, sent } = setUp();
    void run(1, 'one', () => new Promise(() => undefined));
    const answers = [2, 3].map((n) => run(n));
    await turn();
    calls[0]?.end();
    await turn();
    calls[1]?.end();
    expect(await Promise.all(answers.map(idOf))).toEqual(['r2', 'r3']);
    expect(sent()).toEqual([['r2'], ['r3']]);
  });

  it('go in several calls when more have gathered than one takes', async () => {
    const { calls, run, sent } = setUp();
    const answers = Array.from({ length: 602 }, (_, i) => run(i + 1));
    for (let i = 0; i < 5; i += 1) {
      await turn();
      calls[i]?.end();
    }
    expect(sent().map((ids) => ids.length)).toEqual([1, 1, 256, 256, 88]);
    expect(await idOf(answers.at(-1) as Promise<PoolReply>)).toBe('r602');
  });
});
