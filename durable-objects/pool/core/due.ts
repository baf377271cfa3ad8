import { LIMITS } from '../../../shared/limits.ts';
import { endLease, extendDispatched, removeAgent } from './leases.ts';
import { aliveAsOfMs, lose, revokeAll, suspectDue, sweep } from './liveness.ts';
import { withdrawWaiter } from './polls.ts';
import { lentDue } from './lent.ts';
import { loanDue } from './loans.ts';
import type { LeaseRecord } from './records.ts';
import { advance } from './revocations.ts';
import type { Step } from './step.ts';
import { loseAttempt } from './task-attempts.ts';
import { armLease, becomeReady } from './evolve.ts';
import type { PoolState } from './state.ts';
import type { Timer } from './timers.ts';

/** Timers handled in one step; the alarm comes back at once for the rest. Bounds the length of one transaction. */
export const DUE_PER_STEP = 500;

/** What the agent of a loan has just said is with the loan's home for some milliseconds; then the loan is judged. */
const SPOKEN_MS = 50;
/** A home that takes longer is treated as one that was not asked. */
const SPOKEN_MS_MAX = 2_000;

/** Stale timers that are not worth the trimming. */
const STALE_TIMERS_MAX = 1_024;

/** Whether a timer still means anything: renewals and ends leave stale entries behind. */
function isLive(state: PoolState, timer: Timer): boolean {
  switch (timer.kind) {
    case 'leaseEnd':
      return state.leaseDueMs.get(timer.id) === timer.atMs;
    case 'taskDue':
      return state.tasks.get(timer.id)?.notBeforeMs === timer.atMs;
    case 'taskDeadline':
      return state.tasks.has(timer.id);
    case 'cancelDue':
      return state.tasks.get(timer.id)?.cancelDueAtMs === timer.atMs;
    case 'suspectGrace': {
      const agent = state.agents.get(timer.id);
      return agent !== undefined && agent.graceDueMs === timer.atMs && agent.record.suspectSinceMs !== null;
    }
    case 'drainDeadline':
      return state.agents.get(timer.id)?.record.drainDeadlineAtMs === timer.atMs;
    case 'waiterEnd':
      return state.waiters.get(timer.id)?.endsAtMs === timer.atMs;
    case 'removeOffline': {
      const record = state.agents.get(timer.id)?.record;
      return record?.lifecycle === 'offline' && timer.atMs === (record.lostAtMs ?? 0) + LIMITS.offlineRetentionMs;
    }
    case 'revocation':
      return state.revocations.has(Number(timer.id));
    case 'loanDue':
      return state.lent.get(timer.id)?.dueAtMs === timer.atMs;
    case 'loanBeat':
      return state.loanBeatAtMs === timer.atMs;
    case 'borrow':
      return state.borrowAtMs === timer.atMs;
    case 'sweep':
      return true;
    case 'prune':
      return state.pruneDueMs === timer.atMs;
  }
}

/** When the object must wake next, or null. Stale timers at the top are dropped, so an idle shard sleeps. */
export function nextAlarmMs(state: PoolState): number | null {
  for (let top = state.timers.peek(); top !== undefined; top = state.timers.peek()) {
    if (isLive(state, top)) return top.atMs;
    state.timers.pop();
  }
  return null;
}

/**
 * Drops timers that no longer count once they outnumber those that can: leases released long before their end, and tasks
 * done long before their deadline, would fill the memory until then. Each thing has at most three timers that count.
 */
export function trimTimers(state: PoolState): void {
  const things = state.leases.size + state.tasks.size + state.agents.size + state.waiters.size;
  if (state.timers.size > STALE_TIMERS_MAX + 4 * things) state.timers.keep((timer) => isLive(state, timer));
}

/** Does what is due by now, at most `DUE_PER_STEP` of it. Safe to run twice, early or late. Answers what else fell due for the shell. */
export function runDue(step: Step): { readonly prune: boolean } {
  const { timers } = step.state;
  let prune = false;
  for (let handled = 0; handled < DUE_PER_STEP; handled += 1) {
    const top = timers.peek();
    if (top === undefined || top.atMs > step.nowMs) break;
    timers.pop();
    if (!isLive(step.state, top)) continue;
    if (top.kind !== 'prune') {
      fire(step, top);
      continue;
    }
    step.state.pruneDueMs = null;
    prune = true;
  }
  return { prune };
}

function fire(step: Step, timer: Timer): void {
  const { state } = step;
  switch (timer.kind) {
    case 'leaseEnd': {
      const lease = state.leases.get(timer.id);
      if (lease !== undefined) leaseDue(step, lease);
      return;
    }
    case 'taskDue': {
      const task = state.tasks.get(timer.id);
      if (task === undefined || task.status !== 'queued') return;
      becomeReady(state, task);
      step.welcome();
      return;
    }
    case 'taskDeadline':
      deadlineDue(step, timer.id);
      return;
    case 'cancelDue':
      cancelDue(step, timer.id);
      return;
    case 'suspectGrace': {
      const agent = state.agents.get(timer.id);
      if (agent !== undefined) suspectDue(step, agent);
      return;
    }
    case 'drainDeadline': {
      const agent = state.agents.get(timer.id);
      if (agent === undefined || agent.record.lifecycle === 'ready') return;
      revokeAll(step, agent, 'agent_drained', 'The agent’s drain deadline came.', false);
      return;
    }
    case 'waiterEnd': {
      const waiter = state.waiters.get(timer.id);
      if (waiter === undefined) return;
      const atQuota = state.holdings.isOutside(timer.id);
      withdrawWaiter(state, timer.id);
      step.effects.push({ type: 'waiterTimedOut', waiter, atQuota });
      return;
    }
    case 'removeOffline': {
      const agent = state.agents.get(timer.id);
      if (agent !== undefined) removeAgent(step, agent, 'lost for too long');
      return;
    }
    case 'revocation': {
      const revocation = state.revocations.get(Number(timer.id));
      if (revocation === undefined) return;
      if (advance(step, revocation, LIMITS.revokeStep).more) state.timers.push({ ...timer, atMs: step.nowMs + 1 });
      return;
    }
    case 'loanDue':
      lentDue(step, timer.id);
      return;
    case 'loanBeat':
      state.loanBeatAtMs = null;
      if (state.loans.size > 0 || state.returns.size > 0) step.effects.push({ type: 'loanNews', all: true });
      return;
    case 'borrow':
      state.borrowAtMs = null;
      if (state.queue.size > 0) step.effects.push({ type: 'borrow' });
      return;
    case 'sweep':
      state.sweepArmed = false;
      sweep(step);
      return;
    case 'prune':
      return;
  }
}

function leaseDue(step: Step, lease: LeaseRecord): void {
  const again = (atMs: number): void => armLease(step.state, lease.id, atMs);
  if (lease.expiresAtMs > step.nowMs) {
    again(lease.expiresAtMs);
    return;
  }
  if (lease.kind === 'direct') {
    endLease(step, lease, 'expired');
    return;
  }
  const spokenAtMs = step.state.spoken.get(lease.id);
  if (spokenAtMs !== undefined && Math.abs(step.nowMs - spokenAtMs) < SPOKEN_MS_MAX) {
    again(step.nowMs + SPOKEN_MS);
    return;
  }
  if (loanDue(step, lease)) return;
  const agent = step.state.agents.get(lease.agentId);
  if (agent === undefined) throw new Error('a dispatched lease without its agent');
  if (lease.timeoutAtMs !== null && lease.timeoutAtMs <= step.nowMs) {
    takeBack(step, lease, 'timeout', 'The attempt ran into its timeout.', true);
    return;
  }
  const silentMs = step.nowMs - aliveAsOfMs(step, agent);
  // Within its grace a closed socket may still come back and keep what it held.
  const mayReturn =
    agent.record.onSession &&
    !agent.sessionOpen &&
    agent.record.suspectSinceMs !== null &&
    step.nowMs - agent.record.suspectSinceMs < LIMITS.sessionGraceMs;
  if (silentMs >= LIMITS.lostAfterMs && !mayReturn) {
    lose(step, agent, 'silent at the end of its lease');
    return;
  }
  if (!lease.accepted && step.nowMs - lease.grantedAtMs >= LIMITS.acceptTimeoutMs) {
    step.emit({
      type: 'agentChanged',
      agentId: lease.agentId,
      why: 'zombie: lives, but did not take its task',
      patch: { zombieSinceMs: step.nowMs },
    });
    takeBack(step, lease, 'not_accepted', 'The agent lives but did not take the task.', false);
    return;
  }
  extendDispatched(step, lease);
  again(Math.max(lease.expiresAtMs, step.nowMs + 1));
}

/** Ends a dispatched lease from our side: the token is fenced first, then the task moves on and the agent is told. */
function takeBack(step: Step, lease: LeaseRecord, code: string, message: string, backoff: boolean): void {
  endLease(step, lease, 'revoked');
  loseAttempt(step, lease, { code, message }, { counted: true, backoff });
  if (lease.taskId !== null)
    step.effects.push({ type: 'cancel', agentId: lease.agentId, taskId: lease.taskId, reason: code, graceMs: 0 });
}

function deadlineDue(step: Step, taskId: string): void {
  const task = step.state.tasks.get(taskId);
  if (task === undefined) return;
  const lease = task.allocationId === null ? undefined : step.state.leases.get(task.allocationId);
  step.emit({
    type: 'taskEnded',
    taskId,
    status: 'failed',
    atMs: step.nowMs,
    error: { code: 'deadline_exceeded', message: 'The task did not end before its deadline.' },
  });
  if (lease === undefined) return;
  endLease(step, lease, 'revoked');
  step.effects.push({ type: 'cancel', agentId: lease.agentId, taskId, reason: 'deadline_exceeded', graceMs: 0 });
}

function cancelDue(step: Step, taskId: string): void {
  const task = step.state.tasks.get(taskId);
  if (task === undefined || task.cancelDueAtMs === null) return;
  if (task.cancelDueAtMs > step.nowMs) return;
  const lease = task.allocationId === null ? undefined : step.state.leases.get(task.allocationId);
  step.emit({ type: 'taskEnded', taskId, status: 'cancelled', atMs: step.nowMs, error: null });
  if (lease === undefined) return;
  endLease(step, lease, 'revoked');
  step.effects.push({ type: 'cancel', agentId: lease.agentId, taskId, reason: 'cancelled', graceMs: 0 });
}
