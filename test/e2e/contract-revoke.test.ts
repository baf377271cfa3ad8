import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { type AgentTask, FleetManager, LeaseLostError, LeaseSupersededError, runAgent } from '../../client/src/index.ts';
import { eventually } from '../unit/client/lib/eventually.ts';
import { type Answer, type Call, type ContractFleet, startContractFleet } from './lib/contract-fleet.ts';

/* The kill switch and lease quotas through the real fleet: HTTP, sockets, polls, several regions and shards. */

let fleet: ContractFleet;
let manager: FleetManager;
const post = (route: string, body: unknown, options: Call = {}): Promise<Answer> =>
  fleet.call('POST', route, { body, ...options });
const code = (answer: Answer): unknown => answer.json['code'] ?? answer.status;
const revoke = (body: object, options: Call = {}): Promise<Answer> =>
  post('/v1/allocations/revoke', { reason: 'test', waitMs: 0, ...body }, options);

let pools = 0;
async function newPool(shards = 1): Promise<string> {
  const pool = `k${pools++}`;
  const put = await fleet.call('PUT', `/v1/pools/${pool}`, { body: { minAgents: 0, maxAgents: 100, priority: 5, shards } });
  expect(put.status).toBe(201);
  return pool;
}
async function newAgent(pool: string, rest: object = {}): Promise<{ id: string; token: string }> {
  const answer = await post('/v1/agents', { pool, region: 'eu-west-1', ...rest });
  expect(answer.status, answer.text).toBe(201);
  return { id: String(answer.json['id']), token: String(answer.json['token']) };
}
interface Lease {
  readonly id: string;
  readonly agentId: string;
  readonly fencingToken: number;
  readonly region: string;
}
async function allocate(pool: string, rest: object = {}, options: Call = {}): Promise<Lease> {
  const answer = await post('/v1/allocations', { pool, leaseMs: 600_000, ...rest }, options);
  expect(answer.status, answer.text).toBe(201);
  return answer.json as unknown as Lease;
}
const renew = ({ id, fencingToken }: Lease): Promise<Answer> => post(`/v1/allocations/${id}/renew`, { fencingToken });
const release = ({ id, fencingToken }: Lease): Promise<Answer> => post(`/v1/allocations/${id}/release`, { fencingToken });
const mint = async (body: object): Promise<{ id: string; token: string }> => {
  const answer = await post('/v1/tokens', body);
  expect(answer.status, answer.text).toBe(201);
  return answer.json as unknown as { id: string; token: string };
};

beforeAll(async () => {
  fleet = await startContractFleet(['us-east-1', 'eu-west-1']);
  manager = new FleetManager({ endpoint: fleet.url, token: fleet.admin });
});
afterAll(async () => {
  expect([...fleet.seen.keys()].filter((status) => status >= 500)).toEqual([]);
  await manager.shutdown();
  await fleet.stop();
});

describe('the kill switch', () => {
  it('revokes in every region, pool and shard, and refuses what holders do afterwards', async () => {
    const [wide, other] = [await newPool(3), await newPool()];
    for (const region of ['us-east-1', 'eu-west-1']) {
      for (let i = 0; i < 6; i += 1) await newAgent(wide, { region });
      await newAgent(other, { region });
    }
    const leases: Lease[] = [];
    for (const region of ['us-east-1', 'eu-west-1']) {
      for (let i = 0; i < 6; i += 1) leases.push(await allocate(wide, { region }));
      leases.push(await allocate(other, { region }));
    }
    expect(new Set(leases.map(({ id }) => id.split('.').slice(1, 4).join('.'))).size).toBe(8);
    const answer = await revoke({ all: true });
    expect(answer.status, answer.text).toBe(200);
    expect(answer.json).toMatchObject({ complete: true, unanswered: [], revoked: 14, unacknowledged: 14 });
    for (const lease of leases) {
      expect(code(await renew(lease))).toBe('lease_superseded');
      expect(code(await release(lease))).toBe('lease_superseded');
      expect((await fleet.call('GET', `/v1/allocations/${lease.id}`)).json['status']).toBe('revoked');
    }
    // The agents are free again, and what they are given now is not touched.
    const after = await allocate(wide);
    expect((await renew(after)).status).toBe(200);
    expect((await revoke({ allocationIds: leases.map(({ id }) => id) })).json).toMatchObject({ revoked: 0, shards: [] });
    expect((await renew(after)).status).toBe(200);
    await release(after);
  });

  it('revokes what one token allocated, and nothing else', async () => {
    const pool = await newPool();
    await newAgent(pool, { slots: 3 });
    const { id, token } = await mint({ role: 'operator' });
    const theirs = await allocate(pool, {}, { token });
    const ours = await allocate(pool);
    expect((await revoke({ holder: id })).json).toMatchObject({ revoked: 1, agents: [{ pool, leases: 1, acknowledged: false }] });
    expect([code(await renew(theirs)), (await renew(ours)).status]).toEqual(['lease_superseded', 200]);
    expect((await revoke({ pool })).json['revoked']).toBe(1);
  });

  it('an agent over its socket is told at once: an older one by its cancel, a newer one by the frame it acknowledges', async () => {
    const pool = await newPool();
    const agent = await newAgent(pool, { liveness: 'session', slots: 2 });
    const socket = new WebSocket(`${fleet.url.replace('http', 'ws')}/v1/agents/${agent.id}/session`, [
      'fleet.v1',
      `bearer.${agent.token}`,
    ]);
    const frames: Record<string, unknown>[] = [];
    socket.on('message', (data) => frames.push(JSON.parse((data as Buffer).toString()) as Record<string, unknown>));
    const frame = (type: string): Promise<Record<string, unknown>> =>
      eventually(() => frames.find((f) => f['type'] === type) ?? Promise.reject(new Error(`no ${type} yet`)));
    await frame('welcome');
    const task = await post('/v1/tasks', { pool, payload: 1, region: 'eu-west-1' });
    const { fencingToken, taskId, allocationId } = await frame('assign');
    const direct = await allocate(pool);
    const revoking = revoke({ pool, waitMs: 20_000, tasks: 'cancel', reason: 'leaked key' });
    const told = await frame('revoke');
    expect(told).toMatchObject({ reason: 'leaked key', epoch: 1 });
    expect(told['leases']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ allocationId, taskId, fencingToken }),
        expect.objectContaining({ allocationId: direct.id }),
      ]),
    );
    expect(await frame('cancel')).toMatchObject({ taskId, reason: 'revoked', graceMs: 0 });
    socket.send(JSON.stringify({ type: 'complete', id: 1, taskId, fencingToken }));
    expect(await frame('error')).toMatchObject({ id: 1, problem: { code: 'lease_superseded' } });
    socket.send(JSON.stringify({ type: 'revoked', id: 2, epoch: told['epoch'] }));
    expect(await frame('ack')).toMatchObject({ id: 2 });
    const answer = await revoking;
    expect(answer.json).toMatchObject({ revoked: 2, cancelled: 1, acknowledged: 1, unacknowledged: 0 });
    expect(answer.json['agents']).toMatchObject([{ agentId: agent.id, leases: 2, acknowledged: true, by: 'session' }]);
    expect((await fleet.call('GET', `/v1/tasks/${String(task.json['id'])}`)).json).toMatchObject({
      status: 'cancelled',
      error: { code: 'lease_revoked', message: 'leaked key' },
    });
    socket.close();
  });

  it('an agent that beats is told by its next beat, and one that polls by its poll', async () => {
    const pool = await newPool();
    const [beating, polling] = [await newAgent(pool), await newAgent(pool, { slots: 2 })];
    const leases = [await allocate(pool), await allocate(pool)];
    expect(new Set(leases.map(({ agentId }) => agentId)).size).toBe(2);
    const parked = post(`/v1/agents/${polling.id}/poll`, { waitMs: 20_000 }, { token: polling.token });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const revoking = revoke({ pool, waitMs: 20_000 });
    expect((await parked).json).toMatchObject({ assignments: [], revoked: [{ reason: 'test', epoch: 1 }] });
    const mine = leases.find(({ agentId }) => agentId === beating.id);
    const beat = await post(
      `/v1/agents/${beating.id}/heartbeat`,
      { leases: [{ allocationId: mine?.id, fencingToken: mine?.fencingToken }] },
      { token: beating.token },
    );
    expect(beat.json).toMatchObject({
      leases: [{ allocationId: mine?.id, ok: false, code: 'lease_superseded' }],
      revoked: [{ allocationId: mine?.id }],
    });
    await post(`/v1/agents/${polling.id}/poll`, {}, { token: polling.token });
    const answer = await revoking;
    expect(answer.json).toMatchObject({ revoked: 2, acknowledged: 2, unacknowledged: 0 });
    expect((answer.json['agents'] as { by: string }[]).map(({ by }) => by)).toEqual(['call', 'call']);
  });

  it('does not wait for a serverless agent', async () => {
    const pool = await newPool();
    await newAgent(pool, { liveness: 'none', endpoint: 'https://agent.example/' });
    await allocate(pool);
    const answer = await revoke({ pool, waitMs: 30_000 });
    expect(answer.json).toMatchObject({ revoked: 1, unacknowledged: 1, agents: [{ liveness: 'none', acknowledged: false }] });
  });

  it('quarantine keeps the agents out', async () => {
    const pool = await newPool();
    const [busy, idle] = [await newAgent(pool), await newAgent(pool)];
    await allocate(pool);
    expect((await revoke({ pool, quarantine: true })).json).toMatchObject({ revoked: 1, quarantined: 2 });
    for (const { id } of [busy, idle]) expect((await fleet.call('GET', `/v1/agents/${id}`)).json['status']).toBe('quarantined');
    expect(code(await post('/v1/allocations', { pool }))).toBe('no_capacity');
  });

  it('the same key is the same revocation', async () => {
    const pool = await newPool();
    await newAgent(pool);
    await allocate(pool);
    const headers = { 'idempotency-key': 'once' };
    const first = await revoke({ pool }, { headers });
    const later = await allocate(pool);
    const again = await revoke({ pool }, { headers });
    expect([again.headers.get('idempotency-replayed'), again.json]).toEqual(['true', first.json]);
    expect((await renew(later)).status).toBe(200);
    expect(code(await revoke({ pool, quarantine: true }, { headers }))).toBe('idempotency_mismatch');
  });

  it('another fleet’s leases are out of reach, by any selector', async () => {
    const pool = await newPool();
    const agent = await newAgent(pool);
    const lease = await allocate(pool);
    const { token } = await mint({ role: 'admin', fleet: 'stranger' });
    for (const body of [{ all: true }, { agentIds: [agent.id] }, { allocationIds: [lease.id] }]) {
      const answer = await revoke(body, { token });
      expect([answer.status, answer.json['revoked']]).toEqual([200, 0]);
    }
    expect(code(await revoke({ pool }, { token }))).toBe('pool_not_found');
    expect((await renew(lease)).status).toBe(200);
    const viewer = await mint({ role: 'viewer' });
    expect(code(await revoke({ all: true }, { token: viewer.token }))).toBe('forbidden');
    expect(code(await revoke({ all: true }, { token: agent.token }))).toBe('forbidden');
  });

  it('stops what an agent of the SDK does, and the SDK’s own holds', async () => {
    const pool = await newPool();
    const tasks: AgentTask[] = [];
    const agent = runAgent({
      fleet: manager,
      pool,
      slots: 2,
      region: 'eu-west-1',
      handleSignals: false,
      handler: (task) => {
        tasks.push(task);
        return new Promise((_, reject) => task.signal.addEventListener('abort', () => reject(task.signal.reason as Error)));
      },
    });
    const { id } = await agent.ready;
    const { id: taskId } = await manager.submitTask({ pool, payload: 1 });
    await eventually(() => expect(tasks).toHaveLength(1));
    const held = await manager.allocateAgent({ pool });
    const done = await manager.revokeLeases({ agentIds: [id], reason: 'leaked key', tasks: 'cancel', waitMs: 20_000 });
    expect(done).toMatchObject({ revoked: 2, acknowledged: 1, unacknowledged: 0, agents: [{ agentId: id, by: 'session' }] });
    // It has acknowledged, so it has stopped.
    expect(tasks[0]?.signal.reason).toBeInstanceOf(LeaseLostError);
    await expect(held.renew()).rejects.toBeInstanceOf(LeaseSupersededError);
    expect(held.signal.aborted).toBe(true);
    expect((await manager.getTask(taskId)).status).toBe('cancelled');
    await agent.stop({ now: true });
  });

  it('no lease that was granted before the answer of an allocation in flight survives unseen', async () => {
    const pool = await newPool(2);
    for (let i = 0; i < 20; i += 1) await newAgent(pool, { liveness: 'none', endpoint: 'https://agent.example/', slots: 5 });
    const granted: Promise<Lease>[] = [];
    for (let i = 0; i < 40; i += 1) granted.push(allocate(pool, { region: 'eu-west-1' }));
    const answer = await revoke({ pool });
    const leases = await Promise.all(granted);
    const fences = new Map(
      (answer.json['shards'] as { shard: number; fence: number }[]).map(({ shard, fence }) => [String(shard), fence]),
    );
    for (const lease of leases) {
      const isOld = lease.fencingToken <= (fences.get(lease.id.split('.')[3] ?? '') ?? 0);
      expect(code(await renew(lease))).toBe(isOld ? 'lease_superseded' : 200);
    }
  });
});

describe('lease quotas', () => {
  it('a token may hold so many leases in a pool of a region; what it gives back it may take again', async () => {
    const [pool, other] = [await newPool(), await newPool()];
    for (const name of [pool, other]) await newAgent(name, { slots: 5 });
    const { token } = await mint({ role: 'operator', maxLeases: 2 });
    const held = [await allocate(pool, {}, { token }), await allocate(pool, {}, { token })];
    const refused = await post('/v1/allocations', { pool }, { token });
    expect(refused.status).toBe(409);
    expect(refused.json).toMatchObject({
      code: 'quota_exceeded',
      scope: 'caller',
      limit: 2,
      why: { limitedBy: { scope: 'caller', limit: 2 }, eligible: 1 },
    });
    const explained = await post('/v1/allocations/explain', { pool, region: 'eu-west-1' }, { token });
    expect(explained.json).toMatchObject({ limitedBy: { scope: 'caller', limit: 2 } });
    await allocate(pool);
    await allocate(other, {}, { token });
    await release(held[0] as Lease);
    await allocate(pool, {}, { token });
    const batch = await post('/v1/allocations/batch', { operations: [{ op: 'allocate', pool }] }, { token });
    expect(batch.json['results']).toMatchObject([{ status: 409, problem: { code: 'quota_exceeded', scope: 'caller' } }]);
  });

  it('a wait at the quota ends when the caller gives a lease back, and holds up nobody', async () => {
    const pool = await newPool();
    await newAgent(pool, { slots: 2 });
    const { token } = await mint({ role: 'operator', maxLeases: 1 });
    const held = await allocate(pool, {}, { token });
    const waiting = post('/v1/allocations', { pool, waitMs: 20_000, priority: 10 }, { token });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await release(await allocate(pool, { waitMs: 5_000, priority: 1 }));
    await release(held);
    expect((await waiting).status).toBe(201);
    const late = await post('/v1/allocations', { pool, waitMs: 300 }, { token });
    expect(late.json).toMatchObject({ code: 'quota_exceeded', scope: 'caller', limit: 1 });
  });

  it('the fleet’s quota holds for whoever has none of their own, exactly under concurrency, over shards too', async () => {
    const root = await mint({ role: 'admin', fleet: 'bounded' });
    const call = (method: string, route: string, body: unknown, token = root.token): Promise<Answer> =>
      fleet.call(method, route, { body, token });
    const settings = { leaseQuota: { perCaller: 5 } };
    expect((await call('PUT', '/v1/fleet', settings)).json).toEqual(settings);
    await call('PUT', '/v1/pools/wide', { minAgents: 0, maxAgents: 10, priority: 5, shards: 2 });
    for (let i = 0; i < 4; i += 1)
      await call('POST', '/v1/agents', {
        pool: 'wide',
        region: 'eu-west-1',
        slots: 10,
        liveness: 'none',
        endpoint: 'https://a.example/',
      });
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => call('POST', '/v1/allocations', { pool: 'wide', region: 'eu-west-1' })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(5);
    expect(new Set(answers.filter(({ status }) => status !== 201).map(code))).toEqual(new Set(['quota_exceeded']));
    const free = (await call('POST', '/v1/tokens', { role: 'operator', maxLeases: 9 })).json['token'];
    const theirs = await Promise.all(
      Array.from({ length: 12 }, () => call('POST', '/v1/allocations', { pool: 'wide', region: 'eu-west-1' }, String(free))),
    );
    expect(theirs.filter(({ status }) => status === 201)).toHaveLength(9);
    expect((await call('PUT', '/v1/fleet', {})).json).toEqual({});
    expect((await call('POST', '/v1/allocations', { pool: 'wide', region: 'eu-west-1' })).status).toBe(201);
  });

  it('the same key finds the grant once there is room', async () => {
    const pool = await newPool();
    await newAgent(pool, { slots: 3 });
    const { token } = await mint({ role: 'operator', maxLeases: 1 });
    const held = await allocate(pool, {}, { token });
    const headers = { 'idempotency-key': 'again' };
    expect(code(await post('/v1/allocations', { pool }, { token, headers }))).toBe('quota_exceeded');
    await release(held);
    expect((await post('/v1/allocations', { pool }, { token, headers })).status).toBe(201);
  });

  it('only who may allocate gets a quota', async () => {
    expect((await post('/v1/tokens', { role: 'viewer', maxLeases: 1 })).status).toBe(422);
    expect((await post('/v1/tokens', { role: 'operator', maxLeases: -1 })).status).toBe(422);
  });
});
