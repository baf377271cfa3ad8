import { afterEach, describe, expect, it, vi } from 'vitest';
import { err, ok } from '../../../shared/result.ts';
import type { RegionRevocation } from '../../../shared/rpc.ts';
import type { Revocation } from '../../../shared/schemas/allocations.ts';
import { bodyOf, harness, noCapacity, allocationIn, ULID } from './fixtures.ts';

afterEach(() => vi.restoreAllMocks());

const done = (region: string, by: 'session' | null = 'session'): RegionRevocation => ({
  isPoolKnown: true,
  unanswered: [],
  shards: [
    {
      pool: 'coder',
      shard: 0,
      epoch: 1,
      fence: 4,
      revoked: 2,
      requeued: 1,
      cancelled: 0,
      quarantined: 0,
      agents: [{ agentId: `agt.${region}.coder.0.${ULID}`, liveness: 'session', leases: 2, by }],
    },
  ],
});
const ALL = { all: true, reason: 'stop' };
const post = (h: Awaited<ReturnType<typeof harness>>, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  h.call('POST', '/v1/allocations/revoke', { body, headers });

describe('POST /v1/allocations/revoke', () => {
  it('asks every region, whatever the fleet’s rule allows now, and adds up what they did', async () => {
    const h = await harness();
    h.snapshot.value = { ...h.snapshot.value, settings: { residency: { allowed: ['eu'], enforcement: 'strict' } } };
    h.regions['us-east-1'].revoke.mockResolvedValue(done('us-east-1'));
    h.regions['eu-west-1'].revoke.mockResolvedValue(done('eu-west-1', null));
    const response = await post(h, ALL);
    const body = (await bodyOf(response)) as unknown as Revocation;
    expect(response.status).toBe(200);
    expect(body).toMatchObject({ complete: true, unanswered: [], revoked: 4, requeued: 2, acknowledged: 1, unacknowledged: 1 });
    expect(body.agents.map(({ region, acknowledged, by }) => [region, acknowledged, by])).toEqual([
      ['eu-west-1', false, undefined],
      ['us-east-1', true, 'session'],
    ]);
    expect(body.shards).toContainEqual({ region: 'eu-west-1', pool: 'coder', shard: 0, epoch: 1, fence: 4, revoked: 2 });
    for (const region of Object.values(h.regions)) {
      expect(region.revoke.mock.calls[0]?.[1]).toEqual({
        selector: {},
        reason: 'stop',
        waitMs: 6_000,
        tasks: 'requeue',
        quarantine: false,
      });
    }
  });

  it('a region or shard that does not answer is a failure that names it, with all that was done', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const h = await harness();
    h.regions['us-east-1'].revoke.mockResolvedValue(done('us-east-1'));
    h.regions['eu-west-1'].revoke.mockRejectedValue(new Error('down'));
    h.regions['ap-southeast-1'].revoke.mockResolvedValue({
      isPoolKnown: true,
      shards: [],
      unanswered: [{ pool: 'coder', shard: 2 }],
    });
    const response = await post(h, ALL, { 'idempotency-key': 'k' });
    const problem = await bodyOf(response);
    expect([response.status, problem['code'], response.headers.get('retry-after')]).toEqual([503, 'revoke_incomplete', '1']);
    expect(problem['detail']).toContain('eu-west-1, ap-southeast-1/coder/2');
    expect(problem['revocation']).toMatchObject({
      complete: false,
      unanswered: [{ region: 'eu-west-1' }, { region: 'ap-southeast-1', pool: 'coder', shard: 2 }],
      revoked: 2,
    });
    // The key is free again: the repeat goes on, and the shards know what they have done.
    expect(h.fleet.finishKey.mock.calls.at(-1)?.[2]).toBeNull();
    expect(h.regions['us-east-1'].revoke.mock.calls[0]?.[2]?.key).toMatch(/\nk$/);
  });

  it('a complete answer is kept for its key', async () => {
    const h = await harness();
    await post(h, ALL, { 'idempotency-key': 'k' });
    const kept = h.fleet.finishKey.mock.calls.at(-1)?.[2] ?? '';
    h.fleet.beginKey.mockResolvedValue(ok(kept));
    const again = await post(h, ALL, { 'idempotency-key': 'k' });
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
    expect(h.regions['us-east-1'].revoke).toHaveBeenCalledTimes(1);
  });

  it('asks only the regions that it names, by itself or by ids', async () => {
    const h = await harness();
    const asked = (): number[] => Object.values(h.regions).map((region) => region.revoke.mock.calls.length);
    await post(h, { region: 'eu-west-1', reason: 'stop' });
    expect(asked()).toEqual([0, 1, 0]);
    await post(h, {
      agentIds: [`agt.us-east-1.coder.0.${ULID}`, 'nonsense', `agt.eu-central-1.coder.0.${ULID}`],
      reason: 'stop',
    });
    expect(asked()).toEqual([1, 1, 0]);
    const nowhere = await post(h, { allocationIds: ['nonsense'], reason: 'stop' });
    expect([nowhere.status, (await bodyOf(nowhere))['revoked']]).toEqual([200, 0]);
    expect(asked()).toEqual([1, 1, 0]);
  });

  it('a pool that no region has is not found', async () => {
    const h = await harness();
    for (const region of Object.values(h.regions))
      region.revoke.mockResolvedValue({ isPoolKnown: false, shards: [], unanswered: [] });
    expect((await post(h, { pool: 'nope', reason: 'stop' })).status).toBe(404);
  });

  const bad: readonly [string, object][] = [
    ['nothing at all', {}],
    ['no selector', { reason: 'stop' }],
    ['no reason', { all: true }],
    ['an empty reason', { all: true, reason: '' }],
    ['all: false', { all: false, reason: 'stop' }],
    ['all with a selector', { all: true, pool: 'coder', reason: 'stop' }],
    ['an empty list', { agentIds: [], reason: 'stop' }],
    ['no capability', { capabilities: [], reason: 'stop' }],
    ['a label selector without a condition', { selectors: [{}], reason: 'stop' }],
    ['one with empty labels', { selectors: [{ matchLabels: {} }], reason: 'stop' }],
    ['one among others', { selectors: [{ matchLabels: { a: 'b' } }, { matchExpressions: [] }], reason: 'stop' }],
    ['a prototype as the only label', { selectors: [JSON.parse('{"matchLabels":{"__proto__":"x"}}') as object], reason: 'stop' }],
    ['a wait that is too long', { all: true, reason: 'stop', waitMs: 30_001 }],
    ['a region that is none', { region: 'mars', reason: 'stop' }],
    ['another member', { all: true, reason: 'stop', everything: true }],
    ['too many ids', { taskIds: Array.from({ length: 1_001 }, (_, i) => `t${i}`), reason: 'stop' }],
  ];
  it.each(bad)('422, and nobody is asked: %s', async (_, body) => {
    const h = await harness();
    expect((await post(h, body)).status).toBe(422);
    for (const region of Object.values(h.regions)) expect(region.revoke).not.toHaveBeenCalled();
  });
});

describe('lease quotas on their way', () => {
  const allocate = (h: Awaited<ReturnType<typeof harness>>, body: object = {}, options: object = {}): Promise<Response> =>
    h.call('POST', '/v1/allocations', { body: { pool: 'coder', ...body }, ...options });
  const full = err({ kind: 'quota_exceeded', scope: 'caller', limit: 2, detail: 'enough' } as const);

  it('go with the caller: the token’s before the fleet’s, and none where there is none', async () => {
    const h = await harness();
    await allocate(h);
    h.snapshot.value = { ...h.snapshot.value, settings: { leaseQuota: { perCaller: 5 } } };
    const other = await harness();
    other.snapshot.value = { ...other.snapshot.value, settings: { leaseQuota: { perCaller: 5 } } };
    await allocate(other);
    await allocate(other, {}, { token: await other.token({ maxLeases: 9 }) });
    const quotas = [h, other].flatMap(({ regions }) =>
      regions['us-east-1'].execute.mock.calls.map(([caller]) => caller.leaseQuota),
    );
    expect(quotas).toEqual([undefined, { limit: 5, share: 5 }, { limit: 9, share: 9 }]);
  });

  it('end the journey: the next region is not asked, and the key is not left marked', async () => {
    const h = await harness();
    h.regions['us-east-1'].execute.mockResolvedValue([noCapacity()]);
    h.regions['eu-west-1'].execute.mockResolvedValue([full]);
    const response = await allocate(h, {}, { headers: { 'idempotency-key': 'k' } });
    const problem = await bodyOf(response);
    expect([response.status, problem['code'], problem['scope'], problem['limit']]).toEqual([409, 'quota_exceeded', 'caller', 2]);
    expect(h.regions['ap-southeast-1'].execute).not.toHaveBeenCalled();
    expect(h.regions['us-east-1'].forgetKeys).toHaveBeenCalled();
    expect(h.regions['eu-west-1'].forgetKeys).toHaveBeenCalled();
  });

  it('with a wait it waits where the quota is held', async () => {
    const h = await harness();
    h.regions['us-east-1'].execute.mockResolvedValueOnce([full]).mockResolvedValueOnce([ok([allocationIn('us-east-1')])]);
    expect((await allocate(h, { waitMs: 1_000 })).status).toBe(201);
    const waits = h.regions['us-east-1'].execute.mock.calls.map(([, , , [request]]) =>
      request?.command.type === 'allocate' ? request.command.spec.waitMs : null,
    );
    expect(waits).toEqual([0, 1_000]);
    expect(h.regions['eu-west-1'].execute).not.toHaveBeenCalled();
  });
});
