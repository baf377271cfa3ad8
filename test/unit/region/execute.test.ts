import { describe, expect, it } from 'vitest';
import { err } from '../../../shared/result.ts';
import type { PoolReply, PoolRequest } from '../../../shared/rpc.ts';
import { OverloadedError } from '../../../durable-objects/lib/group-commit.ts';
import { executeOnShards } from '../../../workers/region/execute.ts';
import { candidateShards, notePlaced } from '../../../workers/region/placement.ts';
import { allocate, done, FakeShards, idIn, noCapacity, poolFull, REGION, register, routeOf, submit } from './fixtures.ts';

const ANYWHERE = { region: REGION, shard: null };
const half = (): number => 0.5;
const run = (
  shards: FakeShards,
  requests: readonly PoolRequest[],
  route = routeOf(3),
  place: { region: string; shard: number | null } = ANYWHERE,
) => executeOnShards(route, place, requests, shards, half);
const release = (allocationId: string): PoolRequest => ({ command: { type: 'release', allocationId, fencingToken: 1 } });
const kinds = (replies: readonly PoolReply[]): string[] => replies.map((reply) => (reply.ok ? 'ok' : reply.error.kind));

describe('where a command goes', () => {
  it('a pool of one shard gets each request as it is, in one call', async () => {
    const shards = new FakeShards();
    const requests = [register(), allocate('k', 5_000), submit()];
    expect(await run(shards, requests, routeOf(1))).toEqual([done(0), done(0), done(0)]);
    expect(shards.calls).toEqual([{ shard: 0, requests }]);
  });

  it('an id decides, and one that is not of this place is not asked about', async () => {
    const shards = new FakeShards();
    const replies = await run(shards, [
      release(idIn('alc', 'coder', 2)),
      release(idIn('alc', 'coder', 3)),
      release(idIn('alc', 'tester', 0)),
      release(idIn('alc', 'coder', 0, 'us-east-1')),
      release(idIn('tsk', 'coder', 0)),
      release('nonsense'),
      release(idIn('alc', 'coder', 1)),
    ]);
    expect(kinds(replies)).toEqual(['ok', 'not_found', 'not_found', 'not_found', 'not_found', 'not_found', 'ok']);
    expect(new Set(shards.order)).toEqual(new Set([1, 2]));
  });

  it('a call that names a shard takes only ids of that shard', async () => {
    const shards = new FakeShards();
    const replies = await run(
      shards,
      [release(idIn('alc', 'coder', 1)), release(idIn('alc', 'coder', 2)), register()],
      routeOf(3),
      { region: REGION, shard: 1 },
    );
    expect(kinds(replies)).toEqual(['ok', 'not_found', 'ok']);
    expect(shards.order).toEqual([1]);
  });

  it('registrations fill the emptiest shards, counting those just placed', async () => {
    const shards = new FakeShards();
    await run(
      shards,
      Array.from({ length: 7 }, () => register()),
      routeOf(3, { agents: [4, 0, 2] }),
    );
    expect(Object.fromEntries(shards.calls.map((call) => [call.shard, call.requests.length]))).toEqual({ 0: 1, 1: 4, 2: 2 });
    const route = routeOf(2, { agents: [10, 3], shares: [10, 3] });
    expect(candidateShards(route, register(), half)).toEqual([1, 0]);
  });

  it('allocations take the better of two random shards, then the others, and end where most agents are', () => {
    const route = routeOf(4, { slotsFree: [1, 5, 3, 0], agents: [1, 6, 3, 9] });
    const picks = [0.26, 0.51];
    expect(candidateShards(route, allocate(), () => picks.shift() ?? 0)).toEqual([1, 2, 0, 3]);
    notePlaced(route, 1, allocate());
    expect(route.slotsFree).toEqual([1, 4, 3, 0]);
  });

  it('a key decides the order, whatever the loads; keys spread evenly, and a shard more moves few of them', () => {
    const first = new Map<number, number>();
    let moved = 0;
    for (let i = 0; i < 3_000; i += 1) {
      const request = allocate(`key-${i}`);
      const order = candidateShards(routeOf(3), request, Math.random);
      expect(candidateShards(routeOf(3, { slotsFree: [9, 0, 4], agents: [0, 9, 9] }), request, Math.random)).toEqual(order);
      expect(new Set(order)).toEqual(new Set([0, 1, 2]));
      const now = order[0] ?? -1;
      first.set(now, (first.get(now) ?? 0) + 1);
      const later = candidateShards(routeOf(4), request, Math.random)[0];
      if (later !== now) {
        moved += 1;
        expect(later).toBe(3);
      }
    }
    for (const count of first.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
    expect(Math.abs(moved - 750)).toBeLessThan(150);
  });
});

describe('what a shard refused', () => {
  it('goes to the next, without waiting or queueing before the last', async () => {
    const shards = new FakeShards((shard) => (shard === 0 ? done(0) : noCapacity()));
    const route = routeOf(3, { slotsFree: [0, 9, 5], agents: [9, 1, 1] });
    expect(await run(shards, [allocate(undefined, 5_000), submit()], route)).toEqual([done(0), done(0)]);
    expect(shards.order).toEqual([1, 2, 0]);
    const seen = shards.calls.map((call) =>
      call.requests.map(({ command }) =>
        command.type === 'allocate' ? command.spec.waitMs : command.type === 'submitTask' && command.needsAgent,
      ),
    );
    expect(seen).toEqual([
      [0, true],
      [0, true],
      [5_000, false],
    ]);
  });

  it('stays refused when all refuse, with the reasons of all and the maximum of the pool', async () => {
    const shards = new FakeShards((shard, request) =>
      request.command.type === 'registerAgent' ? poolFull(10) : noCapacity(shard + 1),
    );
    const [allocation, registration] = await run(shards, [allocate(), register()]);
    expect(allocation).toMatchObject({
      ok: false,
      error: { kind: 'no_capacity', why: { agents: 6, failed: [{ predicate: 'busy', agents: 6 }] } },
    });
    expect(registration).toMatchObject({ ok: false, error: { kind: 'quota_exceeded', scope: 'pool', limit: 30 } });
    expect(shards.calls.flatMap((call) => call.requests)).toHaveLength(6);
  });

  it('is final when it is about the command and not about room', async () => {
    const shards = new FakeShards(() => err({ kind: 'idempotency_mismatch', detail: 'x' }));
    expect(kinds(await run(shards, [allocate('k')]))).toEqual(['idempotency_mismatch']);
    expect(shards.calls).toHaveLength(1);
  });

  it('keeps the order of a batch, item by item', async () => {
    const shards = new FakeShards((shard, request) =>
      request.idempotency?.key === `only-${shard}` ? done(shard) : noCapacity(),
    );
    const replies = await run(
      shards,
      ['only-2', 'only-0', 'none', 'only-1'].map((key) => allocate(key)),
    );
    expect(replies.map((reply) => (reply.ok ? reply : 'refused'))).toEqual([done(2), done(0), 'refused', done(1)]);
  });
});

describe('idempotency keys', () => {
  it('are marked as passed on by all but the last, and cleared when all refused', async () => {
    const shards = new FakeShards(() => noCapacity());
    await run(shards, [allocate('k')]);
    expect(shards.calls.map((call) => call.requests[0]?.idempotency?.passOnRefusal ?? false)).toEqual([true, true, false]);
    expect(new Set(shards.forgotten.map((entry) => entry.shard))).toEqual(new Set(shards.order.slice(0, 2)));
    expect(shards.forgotten.every((entry) => entry.keys[0] === 'k')).toBe(true);
  });

  it('stay marked everywhere while the router has other regions to try', async () => {
    const shards = new FakeShards(() => noCapacity());
    await run(shards, [{ ...allocate('k'), idempotency: { key: 'k', bodyHash: 'h', passOnRefusal: true } }]);
    expect(shards.calls.map((call) => call.requests[0]?.idempotency?.passOnRefusal)).toEqual([true, true, true]);
    expect(shards.forgotten).toEqual([]);
  });

  it('stay marked where they were granted after a refusal, so that a repeat finds the grant', async () => {
    const granted = new FakeShards();
    let refusals = 1;
    const shards = new FakeShards((shard) => (refusals-- > 0 ? noCapacity() : done(shard)));
    await run(granted, [allocate('k')]);
    expect(kinds(await run(shards, [allocate('k')]))).toEqual(['ok']);
    expect(shards.order[0]).toBe(granted.order[0]);
    expect(shards.forgotten).toEqual([]);
  });
});

describe('shards in trouble', () => {
  const throwing = (error: Error, when: (shard: number) => boolean): FakeShards =>
    new FakeShards((shard) => {
      if (when(shard)) throw error;
      return done(shard);
    });

  it('overload is an answer, and is not carried to another shard', async () => {
    const shards = throwing(new OverloadedError(9), () => true);
    expect(await run(shards, [allocate(), register()])).toMatchObject([
      { ok: false, error: { kind: 'overloaded', retryAfterMs: 1_000 } },
      { ok: false, error: { kind: 'overloaded' } },
    ]);
    expect(shards.calls.flatMap((call) => call.requests)).toHaveLength(2);
  });

  it('one that is lost fails its own items only', async () => {
    const shards = throwing(new Error('network'), (shard) => shard === 1);
    const replies = await run(shards, [release(idIn('alc', 'coder', 0)), release(idIn('alc', 'coder', 1))]);
    expect(kinds(replies)).toEqual(['ok', 'region_unavailable']);
  });

  it('all lost is the region’s trouble, for the router to see', async () => {
    await expect(
      run(
        throwing(new Error('network'), () => true),
        [register(), register()],
      ),
    ).rejects.toThrow('network');
  });

  it('nothing to do asks nobody', async () => {
    const shards = new FakeShards();
    expect(await run(shards, [])).toEqual([]);
    expect(kinds(await run(shards, [release('nonsense')]))).toEqual(['not_found']);
    expect(shards.calls).toEqual([]);
  });
});
