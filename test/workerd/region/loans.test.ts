import { exports } from 'cloudflare:workers';
import { describe, expect, it, vi } from 'vitest';
import {
  SESSION_HEADERS,
  type AgentView,
  type AllocationView,
  type Caller,
  type PoolReply,
  type PoolRequest,
  type TaskView,
} from '../../../shared/rpc.ts';
import type { ServerFrame } from '../../../shared/schemas/session.ts';
import { agentSpec, allocateSpec, taskSpec } from '../../lib/pool-harness.ts';

const region = exports.RegionEntry;
const POOL = 'coder';
const WITHIN = { timeout: 10_000, interval: 10 };

type Assign = Extract<ServerFrame, { readonly type: 'assign' }>;

let fleets = 0;

/** A pool of two shards, with one connected agent, and it is on the second. */
async function pool() {
  fleets += 1;
  const caller: Caller = { fleet: `loans-${fleets}`, subject: 'tok-1', role: 'admin', requestId: 'req-1' };
  await region.putPool(caller, POOL, { minAgents: 0, maxAgents: 10, priority: 5, shards: 2 });
  const one = async <T>(shard: number | null, command: PoolRequest['command'], as = caller): Promise<T> => {
    const [reply] = (await region.execute(as, POOL, shard, [{ command }])) as readonly PoolReply[];
    if (reply?.ok !== true) throw new Error(`${command.type}: ${JSON.stringify(reply)}`);
    return reply.value as T;
  };
  // The other shard is in use, too: its only agent never opens its socket.
  await one<AgentView>(0, { type: 'registerAgent', spec: agentSpec({ liveness: 'session' }) });
  const agent = await one<AgentView>(1, { type: 'registerAgent', spec: agentSpec({ liveness: 'session' }) });
  const self: Caller = { ...caller, subject: agent.id, role: 'agent', agentId: agent.id };
  const response = await region.fetch(
    new Request(`https://region/v1/agents/${agent.id}/session`, {
      headers: {
        upgrade: 'websocket',
        'sec-websocket-protocol': 'fleet.v1',
        [SESSION_HEADERS.caller]: JSON.stringify(self),
        [SESSION_HEADERS.agentId]: agent.id,
      },
    }),
  );
  const socket = response.webSocket;
  if (socket === null) throw new Error('no session');
  const frames: ServerFrame[] = [];
  socket.addEventListener('message', ({ data }) => {
    frames.push(JSON.parse(String(data)) as ServerFrame);
  });
  socket.accept();
  const submit = (): Promise<TaskView> =>
    one(0, { type: 'submitTask', spec: taskSpec({ payload: '{"n":1}' }), needsAgent: false });
  const assigned = (taskId: string): Promise<Assign> =>
    vi.waitFor(() => {
      const found = frames.find((frame): frame is Assign => frame.type === 'assign' && frame.taskId === taskId);
      if (found === undefined) throw new Error('not assigned yet');
      return found;
    }, WITHIN);
  const acknowledged = (id: string): Promise<void> =>
    vi.waitFor(() => expect(frames).toContainEqual(expect.objectContaining({ type: 'ack', id })), WITHIN);
  const send = (frame: object): void => socket.send(JSON.stringify(frame));
  return { caller, self, agent, one, submit, assigned, acknowledged, send, close: () => socket.close(1000, 'done') };
}

describe('agents on loan', () => {
  it('a task of one shard is done by the agent of the other, over its socket', async () => {
    const { caller, agent, submit, assigned, acknowledged, send, close } = await pool();
    const task = await submit();
    expect(task.id).toContain('.coder.0.');
    const { fencingToken, payload, allocationId, attempt } = await assigned(task.id);
    expect([payload, attempt]).toEqual([{ n: 1 }, 1]);
    expect(allocationId).toContain('.coder.1.');
    send({ type: 'progress', id: 'p', taskId: task.id, fencingToken, progress: 50 });
    await acknowledged('p');
    send({ type: 'complete', id: 'c', taskId: task.id, fencingToken, result: 'done' });
    await acknowledged('c');
    const read = await region.getTask(caller, task.id, 0);
    expect(read).toMatchObject({ ok: true, value: { status: 'succeeded', result: '"done"', agentId: agent.id, attempts: 1 } });
    expect(await region.getAllocation(caller, allocationId)).toMatchObject({ value: { status: 'released', taskId: task.id } });
    // The lender has just said that it has room, and nothing waits: the home goes on serving.
    const next = await submit();
    await assigned(next.id);
    close();
  });

  it('what is said at the task’s home is held against the lease of the other shard', async () => {
    const { caller, self, agent, one, submit, assigned, close } = await pool();
    const task = await submit();
    const { fencingToken } = await assigned(task.id);
    const complete = { type: 'completeTask' as const, taskId: task.id, fencingToken };
    const [wrong] = await region.execute(self, POOL, 0, [{ command: { ...complete, fencingToken: fencingToken + 1 } }]);
    expect(wrong).toMatchObject({ ok: false, error: { kind: 'lease_superseded' } });
    const idempotency = { key: 'k', bodyHash: 'h' };
    const [done] = await region.execute(self, POOL, 0, [{ command: complete, idempotency }]);
    expect(done).toMatchObject({ ok: true, value: { status: 'succeeded' } });
    const [again] = await region.execute(self, POOL, 0, [{ command: complete, idempotency }]);
    expect(again).toMatchObject({ ok: true, replayed: true });
    expect(await region.getAgent(caller, agent.id)).toMatchObject({ value: { status: 'idle', stats: { completed: 1 } } });
    const lost = await submit();
    const held = await assigned(lost.id);
    await one(1, { type: 'quarantineAgent', agentId: agent.id });
    const late = { type: 'completeTask' as const, taskId: lost.id, fencingToken: held.fencingToken };
    const [refused] = await region.execute(self, POOL, 0, [{ command: late }]);
    expect(refused).toMatchObject({ ok: false, error: { kind: 'lease_superseded' } });
    await vi.waitFor(async () => {
      const read = await region.getTask(caller, lost.id, 0);
      expect(read).toMatchObject({ value: { status: 'queued', attempts: 0 } });
    }, WITHIN);
    close();
  });

  it('a caller that waits at one shard gets the agent that becomes free at the other', async () => {
    const { caller, agent, one, close } = await pool();
    const [first] = await one<readonly AllocationView[]>(1, { type: 'allocate', spec: allocateSpec(), waiterId: 'w1' });
    expect(first?.agentId).toBe(agent.id);
    const waiting = one<readonly AllocationView[]>(0, {
      type: 'allocate',
      spec: allocateSpec({ waitMs: 20_000 }),
      waiterId: 'w2',
    });
    const { id, fencingToken } = first as AllocationView;
    await one(1, { type: 'release', allocationId: id, fencingToken });
    const [second] = await waiting;
    expect(second).toMatchObject({ agentId: agent.id, status: 'active' });
    expect(await region.getAllocation(caller, second?.id ?? '')).toMatchObject({ ok: true });
    close();
  });
});
