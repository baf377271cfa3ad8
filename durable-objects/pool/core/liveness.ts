import { LIMITS } from '../../../shared/limits.ts';
import { SESSION_REPLACED } from '../../../shared/schemas/session.ts';
import { heard } from './acknowledge.ts';
import { endLease, removeAgent } from './leases.ts';
import type { AgentRecord } from './records.ts';
import type { LiveAgent } from './live-agent.ts';
import { isSelectable, reindex, type PoolState } from './state.ts';
import type { Context, Step } from './step.ts';
import { loseAttempt } from './task-attempts.ts';

/** What silence is judged by: the clock, and the sockets. A step has it; so has whoever only looks. */
export interface Moment {
  readonly nowMs: number;
  readonly ctx: Pick<Context, 'lastPongAtMs'>;
}

/** The last proof of life: also the automatic pong that never woke the object, and a poll that is parked now. */
export function aliveAsOfMs({ nowMs, ctx }: Moment, agent: LiveAgent): number {
  if (agent.pollRoom > 0) return nowMs;
  return agent.sessionOpen ? Math.max(agent.aliveAsOfMs, ctx.lastPongAtMs(agent.record.id) ?? 0) : agent.aliveAsOfMs;
}

/** Whether an agent that could be chosen has been silent for too long. */
export function isSilent(moment: Moment, agent: LiveAgent): boolean {
  if (agent.record.spec.liveness === 'none' && !agent.sessionOpen) return false;
  return moment.nowMs - aliveAsOfMs(moment, agent) > LIMITS.suspectAfterMs;
}

/** A sign of life: any authenticated call of the agent. Kept in memory; stored with a later commit (exempt from I4). */
export function touch(step: Step, agent: LiveAgent): void {
  const { record } = agent;
  agent.aliveAsOfMs = step.nowMs;
  record.lastSeenAtMs = step.nowMs;
  if (step.state.beatOrder.delete(record.id)) step.state.beatOrder.set(record.id, agent);
  const back = record.lifecycle === 'offline' && (record.spec.liveness !== 'session' || agent.sessionOpen);
  const well = record.suspectSinceMs !== null && (agent.sessionOpen || record.spec.liveness !== 'session');
  if (!back && !well) return;
  step.emit({
    type: 'agentChanged',
    agentId: record.id,
    why: back ? 'returned' : 'recovered',
    patch: {
      suspectSinceMs: null,
      ...(back ? { lifecycle: returningAs(record), lostAtMs: null } : {}),
      ...(agent.sessionOpen ? {} : { onSession: false }),
    },
  });
}

/** A drain is an operator's word: an agent that was lost meanwhile comes back draining. */
const returningAs = (record: AgentRecord): 'ready' | 'draining' => (record.drainDeadlineAtMs === null ? 'ready' : 'draining');

/** Judged when it matters: at the moment of choice. A silent agent is set aside instead of being granted. */
export function usable(step: Step, agent: LiveAgent): boolean {
  if (!isSelectable(agent)) return false;
  if (!isSilent(step, agent)) return true;
  if (step.nowMs - aliveAsOfMs(step, agent) < LIMITS.lostAfterMs) suspect(step, agent, 'silent');
  else lose(step, agent, 'silent');
  return false;
}

/** Takes an agent out of selection until it shows life or its time is up. What is `new` starts the time afresh. */
export function suspect(step: Step, agent: LiveAgent, why: string, isNew = false): void {
  if ((agent.record.suspectSinceMs !== null && !isNew) || agent.record.lifecycle === 'offline') return;
  step.emit({ type: 'agentChanged', agentId: agent.record.id, why: `suspect: ${why}`, patch: { suspectSinceMs: step.nowMs } });
  const closed = agent.record.onSession && !agent.sessionOpen;
  armGrace(step.state, agent, closed ? step.nowMs + LIMITS.sessionGraceMs : aliveAsOfMs(step, agent) + LIMITS.lostAfterMs);
}

/** Sets when a suspect is judged next; an earlier timer no longer counts. */
export function armGrace(state: PoolState, agent: LiveAgent, atMs: number): void {
  agent.graceDueMs = atMs;
  state.timers.push({ atMs, kind: 'suspectGrace', id: agent.record.id });
}

/** The agent is gone: its leases are revoked (so that its late writes are refused) and its tasks go to others. */
export function lose(step: Step, agent: LiveAgent, why: string): void {
  const { record } = agent;
  if (record.lifecycle === 'offline') return;
  const wasSession = agent.sessionOpen;
  if (record.lifecycle !== 'quarantined') {
    step.emit({
      type: 'agentChanged',
      agentId: record.id,
      why: `lost: ${why}`,
      patch: { lifecycle: 'offline', lostAtMs: step.nowMs, suspectSinceMs: null, onSession: false },
    });
  }
  if (wasSession) step.effects.push({ type: 'closeSession', agentId: record.id, code: SESSION_REPLACED + 1, reason: 'lost' });
  agent.sessionOpen = false;
  agent.pollRoom = 0;
  revokeAll(step, agent, 'agent_lost', 'The agent stopped answering.', true);
  if (!step.state.agents.has(record.id)) return;
  if (record.removeWhenFree && agent.leases.size === 0) removeAgent(step, agent, 'lost while draining');
  else {
    reindex(step.state, agent);
    step.state.timers.push({ atMs: step.nowMs + LIMITS.offlineRetentionMs, kind: 'removeOffline', id: record.id });
  }
}

/** Puts an agent into quarantine; what it holds must be revoked in the same step. */
export function takeOut(step: Step, agent: LiveAgent, reason: string | undefined): void {
  step.emit({
    type: 'agentChanged',
    agentId: agent.record.id,
    why: `quarantined${reason === undefined ? '' : `: ${reason}`}`,
    patch: { lifecycle: 'quarantined', suspectSinceMs: null },
  });
}

/** Revokes every lease of an agent. `counted`: whether the tasks' attempts count against them. */
export function revokeAll(step: Step, agent: LiveAgent, code: string, message: string, counted: boolean): void {
  for (const id of agent.leases) {
    const lease = step.state.leases.get(id);
    if (lease === undefined) continue;
    endLease(step, lease, 'revoked');
    if (lease.kind === 'dispatched') loseAttempt(step, lease, { code, message }, { counted, backoff: false });
  }
}

/** The agent shows that it works, not only that it lives. */
export function notZombie(step: Step, agent: LiveAgent): void {
  if (agent.record.zombieSinceMs === null) return;
  step.emit({ type: 'agentChanged', agentId: agent.record.id, why: 'works again', patch: { zombieSinceMs: null } });
}

/** A socket opened: the session's rules apply from here. */
export function sessionOpened(step: Step, agent: LiveAgent): void {
  agent.sessionOpen = true;
  agent.aliveAsOfMs = step.nowMs;
  const { record } = agent;
  const patch = {
    onSession: true,
    suspectSinceMs: null,
    zombieSinceMs: null,
    lastSeenAtMs: step.nowMs,
    ...(record.lifecycle === 'starting' || record.lifecycle === 'offline'
      ? { lifecycle: returningAs(record), lostAtMs: null }
      : {}),
  };
  step.emit({ type: 'agentChanged', agentId: record.id, why: 'session opened', patch });
  // It is told what it holds, so what it is not told of is gone.
  heard(step, agent);
}

/**
 * What a wake learns before anything is judged: which sockets are still there. Those that hibernated are, with the pongs
 * they gave meanwhile; those that a crash took are not, and their agents get the grace to come back.
 */
export function awaken(step: Step, openSessions: ReadonlySet<string>): void {
  for (const agent of step.state.agents.values()) {
    const { record } = agent;
    const open = openSessions.has(record.id);
    if (open && record.onSession) {
      agent.sessionOpen = true;
      agent.aliveAsOfMs = Math.min(step.nowMs, Math.max(record.lastSeenAtMs, step.ctx.lastPongAtMs(record.id) ?? step.nowMs));
      reindex(step.state, agent);
      // What fell due during the sleep is served in this very step.
      step.freed.add(record.id);
    } else if (open) {
      // Lost, and the closing of its socket was lost too.
      step.effects.push({ type: 'closeSession', agentId: record.id, code: SESSION_REPLACED + 1, reason: 'lost' });
    } else if (record.onSession) suspect(step, agent, 'its socket was gone after a wake', true);
    else if (
      (record.lifecycle === 'ready' || record.lifecycle === 'draining') &&
      record.spec.liveness !== 'none' &&
      step.nowMs - record.lastSeenAtMs > LIMITS.staleAfterWakeMs
    ) {
      suspect(step, agent, 'not seen for long before a wake');
    }
  }
  sweep(step);
}

/** The socket closed: suspect at once, lost after a short grace unless it comes back. */
export function sessionClosed(step: Step, agent: LiveAgent): void {
  if (!agent.sessionOpen) return;
  agent.sessionOpen = false;
  reindex(step.state, agent);
  suspect(step, agent, 'socket closed', true);
}

/** The grace of a suspect is over: it has recovered, or it is lost. */
export function suspectDue(step: Step, agent: LiveAgent): void {
  const { record } = agent;
  if (record.suspectSinceMs === null) return;
  const closed = record.onSession && !agent.sessionOpen;
  const endAtMs = closed ? record.suspectSinceMs + LIMITS.sessionGraceMs : aliveAsOfMs(step, agent) + LIMITS.lostAfterMs;
  if (step.nowMs < endAtMs) {
    if (!closed && step.nowMs - aliveAsOfMs(step, agent) <= LIMITS.suspectAfterMs) {
      step.emit({ type: 'agentChanged', agentId: record.id, why: 'recovered', patch: { suspectSinceMs: null } });
    } else armGrace(step.state, agent, endAtMs);
    return;
  }
  lose(step, agent, closed ? 'socket closed' : 'silent');
}

/**
 * While the object is awake anyway: agents whose beats are overdue are set aside without waiting for the sweep.
 * A clock that went back must not hide anybody's silence behind a beat that is still to come: such a beat counts as of now.
 */
export function judgeOverdue(step: Step): void {
  const { state, nowMs } = step;
  if (nowMs < state.judgedAtMs) {
    for (const agent of state.beatOrder.values()) agent.aliveAsOfMs = Math.min(agent.aliveAsOfMs, nowMs);
  }
  state.judgedAtMs = nowMs;
  for (const agent of step.state.beatOrder.values()) {
    if (step.nowMs - agent.aliveAsOfMs < LIMITS.lostAfterMs) return;
    lose(step, agent, 'silent');
  }
}

/** Whether somebody who must beat has been silent so long that a look at the agents would show what is no longer so. */
export function isAnyoneSilent(state: PoolState, nowMs: number): boolean {
  const longest = state.beatOrder.values().next().value;
  return longest !== undefined && nowMs - longest.aliveAsOfMs > LIMITS.suspectAfterMs;
}

/** Before agents are shown: who must beat and is silent is suspect or lost, though nobody wanted to choose it. */
export function judgeSilent(step: Step): void {
  for (const agent of step.state.beatOrder.values()) {
    const silentMs = step.nowMs - agent.aliveAsOfMs;
    if (silentMs <= LIMITS.suspectAfterMs) return;
    if (silentMs < LIMITS.lostAfterMs) suspect(step, agent, 'silent');
    else lose(step, agent, 'silent');
  }
}

/** The sweep of agents without leases: judges everyone by the last sign of life. */
export function sweep(step: Step): void {
  for (const agent of step.state.agents.values()) {
    const { record } = agent;
    if (record.lifecycle === 'offline' || record.lifecycle === 'quarantined') continue;
    if (record.spec.liveness === 'none' && !agent.sessionOpen) continue;
    const silentMs = step.nowMs - aliveAsOfMs(step, agent);
    if (silentMs >= LIMITS.lostAfterMs && !(record.onSession && !agent.sessionOpen)) lose(step, agent, 'silent');
    // One more chance: an agent that nothing is given to cannot show that it works.
    else if (record.zombieSinceMs !== null && step.nowMs - record.zombieSinceMs >= LIMITS.sweepIntervalMs) notZombie(step, agent);
  }
}

/** Keeps one sweep ahead while anyone is there to be judged; a shard without such agents sleeps on. */
export function armSweep(step: Step): void {
  const { agentCounts: counts, timers, sweepArmed } = step.state;
  if (sweepArmed || counts.total === counts.offline + counts.quarantined) return;
  timers.push({ atMs: step.nowMs + LIMITS.sweepIntervalMs, kind: 'sweep', id: '' });
  step.state.sweepArmed = true;
}
