import { invalidState, notFound, type FleetError } from '../../../shared/errors.ts';
import { makeId } from '../../../shared/ids.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { AgentView, PoolCommandOf, PoolOutput } from '../../../shared/rpc.ts';
import { heard } from './acknowledge.ts';
import { findLease, removeAgent } from './leases.ts';
import { renewLease } from './allocations.ts';
import { revokeAll, takeOut, touch } from './liveness.ts';
import type { LiveAgent } from './live-agent.ts';
import type { Step } from './step.ts';
import { agentView } from './views.ts';

/** Registers an agent. A pool at its maximum makes room only by forgetting an agent that is lost already (I9). */
export function registerAgent(step: Step, { spec }: PoolCommandOf<'registerAgent'>): Result<AgentView, FleetError> {
  const { state } = step;
  const { maxAgents } = state.config;
  if (state.agentCounts.total >= maxAgents && !forgetLongestLost(step)) {
    return err({
      kind: 'quota_exceeded',
      scope: 'pool',
      limit: maxAgents,
      detail: `The pool already has its maximum of ${maxAgents} agents in this region.`,
    });
  }
  const id = makeId('agent', state.home, step.ctx.ulid());
  step.emit({
    type: 'agentRegistered',
    agent: {
      id,
      spec: { ...spec, capabilities: [...new Set(spec.capabilities)], swarms: [...new Set(spec.swarms)] },
      createdAtMs: step.nowMs,
      lifecycle: spec.liveness === 'session' ? 'starting' : 'ready',
      onSession: false,
      suspectSinceMs: null,
      zombieSinceMs: null,
      lostAtMs: null,
      drainDeadlineAtMs: null,
      removeWhenFree: false,
      lastSeenAtMs: step.nowMs,
      completed: 0,
      failed: 0,
      totalDurationMs: 0,
    },
  });
  return ok(agentView(agentHere(step, id) as LiveAgent, state.home));
}

function forgetLongestLost(step: Step): boolean {
  if (step.state.agentCounts.offline === 0) return false;
  let oldest: LiveAgent | null = null;
  for (const agent of step.state.agents.values()) {
    if (agent.record.lifecycle !== 'offline' || agent.leases.size > 0) continue;
    if (oldest === null || (agent.record.lostAtMs ?? 0) < (oldest.record.lostAtMs ?? 0)) oldest = agent;
  }
  if (oldest === null) return false;
  removeAgent(step, oldest, 'lost, and its place was needed');
  return true;
}

const agentHere = (step: Step, id: string): LiveAgent | undefined => step.state.agents.get(id);

/** Without leases the agent is gone at once; otherwise it drains until its last lease ends, its deadline, or `force`. */
export function deregisterAgent(step: Step, { agentId, force }: PoolCommandOf<'deregisterAgent'>): Result<AgentView, FleetError> {
  const agent = agentHere(step, agentId);
  if (agent === undefined) return err(notFound('agent'));
  if (agent.leases.size > 0 && !force) {
    // Asked again, or drained before, it does not get longer.
    const untilMs = agent.record.drainDeadlineAtMs ?? Number.MAX_SAFE_INTEGER;
    beginDrain(step, agent, Math.min(untilMs, step.nowMs + LIMITS.drainDeadlineMs), true);
    return ok(agentView(agent, step.state.home));
  }
  if (agent.leases.size > 0) {
    // Out of selection first: what is revoked must not be handed back to the agent that is leaving.
    step.emit({
      type: 'agentChanged',
      agentId,
      why: 'deregistered by force',
      patch: { lifecycle: 'draining', removeWhenFree: true },
    });
    revokeAll(step, agent, 'agent_removed', 'The agent was removed.', false);
  }
  if (step.state.agents.has(agentId)) removeAgent(step, agent, 'deregistered');
  return ok({ ...agentView(agent, step.state.home), status: 'offline' });
}

/** No new work; what is held may finish until the deadline. A second call moves the deadline. */
export function drainAgent(step: Step, { agentId, deadlineMs }: PoolCommandOf<'drainAgent'>): Result<AgentView, FleetError> {
  const agent = agentHere(step, agentId);
  if (agent === undefined) return err(notFound('agent'));
  if (agent.record.lifecycle === 'quarantined' || agent.record.lifecycle === 'offline') {
    return err(invalidState(agent.record.lifecycle, `An agent that is ${agent.record.lifecycle} cannot drain.`));
  }
  beginDrain(step, agent, step.nowMs + deadlineMs, agent.record.removeWhenFree);
  return ok(agentView(agent, step.state.home));
}

function beginDrain(step: Step, agent: LiveAgent, deadlineAtMs: number, removeWhenFree: boolean): void {
  const { record } = agent;
  const keep = record.lifecycle === 'quarantined' || record.lifecycle === 'offline';
  step.emit({
    type: 'agentChanged',
    agentId: record.id,
    why: 'draining',
    patch: { ...(keep ? {} : { lifecycle: 'draining' as const }), drainDeadlineAtMs: deadlineAtMs, removeWhenFree },
  });
  step.state.timers.push({ atMs: deadlineAtMs, kind: 'drainDeadline', id: record.id });
  step.effects.push({ type: 'drain', agentId: record.id, deadlineMs: Math.max(0, deadlineAtMs - step.nowMs) });
}

/** Takes the agent out at once: its leases are revoked and fenced, its tasks go elsewhere without a mark against them. */
export function quarantineAgent(
  step: Step,
  { agentId, reason }: PoolCommandOf<'quarantineAgent'>,
): Result<AgentView, FleetError> {
  const agent = agentHere(step, agentId);
  if (agent === undefined) return err(notFound('agent'));
  takeOut(step, agent, reason);
  revokeAll(step, agent, 'agent_quarantined', 'The agent was quarantined.', false);
  return ok(agentView(agent, step.state.home));
}

/** A beat of an agent, with renewals of the leases it holds. */
export function heartbeat(step: Step, command: PoolCommandOf<'heartbeat'>): Result<PoolOutput<'heartbeat'>, FleetError> {
  const agent = agentHere(step, command.agentId);
  if (agent === undefined) return err(notFound('agent'));
  touch(step, agent);
  const leases = command.leases.map((beat) => {
    // Only the agent's own leases: a beat is no road to another agent's allocation.
    const lease = findLease(step, beat.allocationId);
    const renewed =
      lease?.agentId === agent.record.id
        ? renewLease(step, beat.allocationId, beat.fencingToken, beat.leaseMs ?? LIMITS.leaseMsDefault)
        : err(notFound('allocation'));
    return renewed.ok
      ? { allocationId: beat.allocationId, ok: true, leaseExpiresAtMs: renewed.value.expiresAtMs }
      : { allocationId: beat.allocationId, ok: false, code: renewed.error.kind };
  });
  const revoked = heard(step, agent);
  return ok({
    leases,
    cancel: cancelled(step, agent),
    drain: agent.record.lifecycle === 'draining',
    ...(revoked.length === 0 ? {} : { revoked: [...revoked] }),
  });
}

function cancelled(step: Step, agent: LiveAgent): string[] {
  const ids: string[] = [];
  for (const leaseId of agent.leases) {
    const lease = step.state.leases.get(leaseId);
    if (lease === undefined || lease.taskId === null) continue;
    if (lease.loan?.cancelRequested === true || step.state.tasks.get(lease.taskId)?.cancelDueAtMs != null) ids.push(lease.taskId);
  }
  return ids;
}
