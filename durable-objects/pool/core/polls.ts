import { invalidState, notFound, type FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { RevokedLease } from '../../../shared/schemas/agents.ts';
import { settle } from './dispatch.ts';
import { heard } from './acknowledge.ts';
import { notZombie, touch } from './liveness.ts';
import type { LiveAgent } from './live-agent.ts';
import { reindex, type PoolState } from './state.ts';
import type { Step } from './step.ts';

/** Dispatched leases that the agent has not shown to have: they are given again until it does. */
export function unaccepted(step: Step, agent: LiveAgent): string[] {
  return [...agent.leases].filter((id) => {
    const lease = step.state.leases.get(id);
    return lease?.kind === 'dispatched' && lease.taskId !== null && !lease.accepted;
  });
}

/** What a poll brings; when both are empty it may be parked. */
export interface PolledLeases {
  readonly leaseIds: readonly string[];
  readonly revoked: readonly RevokedLease[];
}

export const isEmpty = ({ leaseIds, revoked }: PolledLeases): boolean => leaseIds.length === 0 && revoked.length === 0;

/**
 * A long poll of an agent without a socket. While it is parked the agent takes tasks, up to `max`; when none is there
 * now the answer is empty and, if `park`, the agent stays ready until `endPoll`.
 */
export function poll(step: Step, agentId: string, max: number, park: boolean): Result<PolledLeases, FleetError> {
  const agent = step.state.agents.get(agentId);
  if (agent === undefined) return err(notFound('agent'));
  touch(step, agent);
  if (agent.record.spec.liveness === 'none')
    return err(invalidState('none', 'An agent without liveness is handed out directly; it takes no tasks.'));
  // Who asks for work means to do it.
  notZombie(step, agent);
  const revoked = heard(step, agent);
  const again = unaccepted(step, agent);
  if (again.length > 0) {
    endPoll(step.state, agentId, step.nowMs);
    return ok({ leaseIds: again.slice(0, max), revoked });
  }
  agent.pollRoom = max;
  reindex(step.state, agent);
  step.freed.add(agentId);
  settle(step);
  const leaseIds = unaccepted(step, agent);
  if (leaseIds.length > 0 || revoked.length > 0 || !park) endPoll(step.state, agentId, step.nowMs);
  return ok({ leaseIds, revoked });
}

/** The poll was answered, timed out, or its caller left. */
export function endPoll(state: PoolState, agentId: string, nowMs: number): void {
  const agent = state.agents.get(agentId);
  if (agent === undefined || agent.pollRoom === 0) return;
  agent.pollRoom = 0;
  // The agent held the line until now.
  agent.aliveAsOfMs = Math.max(agent.aliveAsOfMs, nowMs);
  reindex(state, agent);
}

/** The caller of a waiting allocation left: nothing may be granted to nobody. */
export function withdrawWaiter(state: PoolState, waiterId: string): boolean {
  state.queue.remove(waiterId);
  state.holdings.forget(waiterId);
  return state.waiters.delete(waiterId);
}
