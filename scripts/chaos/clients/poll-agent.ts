import type { Assignment } from '../../../shared/schemas/agents.ts';
import { pause, rest, type World } from '../world.ts';
import { AgentLife, type Identity } from './agent.ts';
import { work, type Reports } from './work.ts';

/** Longer than an agent may be silent: the fleet gives it up. */
const VANISHED_MS = 17_000;

/** An agent without a socket: it polls for work and reports over HTTP. */
export async function pollAgent(world: World, index: number): Promise<void> {
  const life = new AgentLife(world, 'poller', 'heartbeat', index);
  const running = new Set<Promise<void>>();
  while (!world.isIn('over')) {
    const identity = await life.identity();
    if (identity === null) break;
    const { id, token } = identity;
    const waitMs = life.random.int(0, 400);
    const reply = await world.http.call('POST', `/v1/agents/${id}/poll`, { token, body: { waitMs, max: life.random.int(1, 3) } });
    if (reply.kind === 'answered' && reply.status === 200) {
      const { assignments } = reply.body as { readonly assignments: readonly Assignment[] };
      for (const assignment of assignments) {
        const done = life.take(assignment, 'poll', id, () => work(world, life.random, assignment, overHttp(life, identity)));
        running.add(done);
        void done.finally(() => running.delete(done));
      }
    } else if (reply.kind !== 'answered' || reply.status !== 204) await rest(life.random, false);
    if (life.busy > 0) await rest(life.random);
    if (life.random.chance(0.02)) await renewOwnLeases(world, life, identity);
    if (life.random.chance(0.003) && world.hasTimeFor(VANISHED_MS)) await pause(VANISHED_MS);
  }
  await Promise.all(running);
}

/** A beat may renew the direct leases that others hold on the agent. */
async function renewOwnLeases(world: World, life: AgentLife, { id, token }: Identity): Promise<void> {
  const leases = world.leases.filter((lease) => lease.agentId === id).slice(-2);
  const begun = leases.map((lease) => {
    const leaseMs = life.random.int(1_000, 2_000);
    const { allocationId, token: fencingToken } = lease;
    const done = world.recorder.begin(life.calls.client, 'renew', { allocationId, token: fencingToken, leaseMs });
    return { beat: { allocationId, fencingToken, leaseMs }, done };
  });
  const body = { leases: begun.map(({ beat }) => beat) };
  const reply = await world.http.call('POST', `/v1/agents/${id}/heartbeat`, { token, body });
  const results =
    reply.kind === 'answered' && reply.status === 200
      ? (reply.body as { leases: { allocationId: string; ok: boolean; leaseExpiresAtMs?: number; code?: string }[] }).leases
      : null;
  for (const { beat, done } of begun) {
    const result = results?.find(({ allocationId }) => allocationId === beat.allocationId);
    if (reply.kind !== 'answered') done(reply);
    // Refused as a whole: the agent is gone, and nothing was renewed.
    else if (results === null)
      done(reply.status >= 500 ? { kind: 'open', why: `${reply.status} heartbeat` } : { kind: 'unsent' });
    else if (result === undefined) done({ kind: 'open', why: '500 a lease without an answer' });
    else if (result.ok) done({ kind: 'ok', value: { endsAtMs: result.leaseExpiresAtMs ?? 0 } });
    else done({ kind: 'refused', status: 409, code: result.code ?? 'unknown' });
  }
}

export const overHttp = ({ calls }: AgentLife, { id, token }: Identity): Reports => ({
  progress: (taskId, fencingToken) => calls.progress(taskId, fencingToken, id, token),
  complete: (taskId, fencingToken, result) => calls.complete(taskId, fencingToken, id, result, token),
  fail: (taskId, fencingToken, isRetryable) => calls.fail(taskId, fencingToken, id, isRetryable, token),
});
