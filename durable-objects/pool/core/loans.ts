import { LIMITS } from '../../../shared/limits.ts';
import type {
  LoanAsk,
  LoanConfirmation,
  LoanNews,
  LoanOffer,
  LoanOrder,
  LoanOutcome,
  LoanStanding,
} from '../../../shared/loan-rpc.ts';
import { unreachable } from '../../../shared/result.ts';
import type { PoolCommand, PoolReply } from '../../../shared/rpc.ts';
import { recordOutcome } from './allocations.ts';
import { armLease } from './evolve.ts';
import { endLease, extendDispatched, grant, hasEnded, isBeingRevoked } from './leases.ts';
import { notZombie, usable } from './liveness.ts';
import { homeOfLoan, isOffer, returnLoan } from './loan-ends.ts';
import type { LeaseRecord } from './records.ts';
import { choose, DEFAULT_PREFERENCE } from './selection.ts';
import { isSelectable, reindex, type PoolState } from './state.ts';
import type { Step } from './step.ts';

/*
 * The lender's side: agents of this shard that work on tasks of a sibling. The lease is ours and lives like any dispatched
 * one; whether the attempt still counts is the home's to say.
 */

/** Offers agents that nothing here waits for. A step ends settled, so whoever is free now is wanted by nobody here. */
export function lend(step: Step, ask: LoanAsk): LoanOffer[] {
  const offers: LoanOffer[] = [];
  for (const { capabilities, selectors, count } of ask.wants) {
    for (let left = count; left > 0 && offers.length < LIMITS.loanBatch; left -= 1) {
      const demand = { capabilities, selectors, slots: 1, count: 1, connected: true };
      const [agent] = choose(step.state, demand, DEFAULT_PREFERENCE, (a) => usable(step, a)) ?? [];
      if (agent === undefined) break;
      const lease = grant(step, agent, {
        kind: 'dispatched',
        taskId: null,
        slots: 1,
        leaseMs: LIMITS.loanOfferMs,
        timeoutAtMs: null,
        metadata: null,
        holder: null,
        fenceAbove: ask.fence,
        loan: { attempt: 0, timeoutMs: 0, cancelRequested: false, returned: null },
      });
      const { spec } = agent.record;
      offers.push({
        allocationId: lease.id,
        fencingToken: lease.fencingToken,
        agentId: agent.record.id,
        capabilities: spec.capabilities,
        labels: spec.labels,
      });
    }
  }
  return offers;
}

/** The home has written which task each offer is for: now its agent is told. Said again, it is the same answer. */
export function confirmLoans(step: Step, { terms, unused }: LoanConfirmation): LoanOutcome[] {
  for (const id of unused) {
    const lease = step.state.leases.get(id);
    if (lease !== undefined && isOffer(lease)) endLease(step, lease, 'released');
  }
  return terms.map((term): LoanOutcome => {
    const lease = step.state.leases.get(term.allocationId);
    if (lease?.loan === undefined || isBeingRevoked(step.state, lease)) return 'gone';
    if (lease.taskId !== null) return lease.taskId === term.taskId ? 'held' : 'gone';
    const expiresAtMs = Math.min(step.nowMs + LIMITS.loanSilentMs, term.timeoutAtMs);
    step.emit({ type: 'loanHeld', leaseId: lease.id, terms: term, expiresAtMs, atMs: step.nowMs });
    const agent = step.state.agents.get(lease.agentId);
    if (agent?.sessionOpen === true) step.effects.push({ type: 'assign', agentId: lease.agentId, leaseId: lease.id });
    else if (agent !== undefined && agent.pollRoom > 0) {
      agent.pollRoom -= 1;
      agent.aliveAsOfMs = step.nowMs;
      reindex(step.state, agent);
      step.effects.push({ type: 'pollReady', agentId: lease.agentId });
    }
    return 'held';
  });
}

/** The end of an offer that nobody took up, or of the patience with a silent home. True when there is nothing more to judge. */
export function loanDue(step: Step, lease: LeaseRecord): boolean {
  if (lease.loan === undefined) return false;
  if (isOffer(lease)) {
    endLease(step, lease, 'expired');
    return true;
  }
  const heardAtMs = step.state.loans.get(lease.id) ?? step.nowMs;
  if (step.nowMs - heardAtMs < LIMITS.loanSilentMs) return false;
  takeBackLoan(step, lease, 'home_silent');
  returnLoan(step, lease, {
    code: 'home_silent',
    message: 'The shard of the task did not answer its lender.',
    counted: false,
    backoff: false,
  });
  return true;
}

function takeBackLoan(step: Step, lease: LeaseRecord, reason: string): void {
  endLease(step, lease, 'revoked');
  if (lease.taskId !== null)
    step.effects.push({ type: 'cancel', agentId: lease.agentId, taskId: lease.taskId, reason, graceMs: 0 });
}

/** What a home is told: all loans of its tasks, or those that were taken back. */
export function newsFor(state: PoolState, all: boolean): ReadonlyMap<number, readonly LoanNews[]> {
  const news = new Map<number, LoanNews[]>();
  const add = (lease: LeaseRecord): void => {
    const item: LoanNews = {
      allocationId: lease.id,
      taskId: lease.taskId ?? '',
      ...(lease.loan?.returned == null ? {} : { returned: lease.loan.returned }),
    };
    const home = homeOfLoan(lease);
    news.set(home, [...(news.get(home) ?? []), item]);
  };
  for (const lease of state.returns.values()) add(lease);
  if (!all) return news;
  for (const id of state.loans.keys()) {
    const lease = state.leases.get(id);
    if (lease !== undefined) add(lease);
  }
  return news;
}

/** What the home answered to our news. Whoever no longer stands there is told to stop. */
export function loansAnswered(
  step: Step,
  answers: readonly { readonly allocationId: string; readonly is: LoanStanding }[],
): void {
  for (const { allocationId, is } of answers) {
    if (step.state.returns.has(allocationId)) {
      // An answer to what was said before it was taken back: that news is still to come.
      if (!is.standing) step.emit({ type: 'loanReturned', leaseId: allocationId, atMs: step.nowMs });
      continue;
    }
    const lease = step.state.leases.get(allocationId);
    if (lease?.loan === undefined || isOffer(lease)) continue;
    if (is.standing) {
      step.state.loans.set(lease.id, step.nowMs);
      if (is.cancelRequested) passCancel(step, lease, 'cancelled by its owner', LIMITS.cancelGraceMs);
    } else if (is.status === 'released') closeLoan(step, lease);
    else {
      takeBackLoan(step, lease, 'lease_superseded');
      room(step, lease);
    }
  }
}

/** The home's word without being asked. */
export function obeyOrders(step: Step, orders: readonly LoanOrder[]): void {
  for (const { allocationId, over, reason, graceMs } of orders) {
    const lease = step.state.leases.get(allocationId);
    if (lease?.loan === undefined || isOffer(lease)) continue;
    if (over) takeBackLoan(step, lease, reason);
    else passCancel(step, lease, reason, graceMs);
  }
}

function passCancel(step: Step, lease: LeaseRecord, reason: string, graceMs: number): void {
  if (lease.loan?.cancelRequested === true || lease.taskId === null) return;
  step.emit({ type: 'loanCancelRequested', leaseId: lease.id });
  step.effects.push({ type: 'cancel', agentId: lease.agentId, taskId: lease.taskId, reason, graceMs });
}

function closeLoan(step: Step, lease: LeaseRecord): void {
  endLease(step, lease, 'released');
  room(step, lease);
}

/** The home that just had the agent may have more for it, when nobody here does. */
function room(step: Step, lease: LeaseRecord): void {
  const agent = step.state.agents.get(lease.agentId);
  if (agent !== undefined && isSelectable(agent)) step.effects.push({ type: 'hasRoom', shard: homeOfLoan(lease) });
}

/** What an agent says of a lent task. */
export type LoanCommand = Extract<PoolCommand, { readonly type: 'completeTask' | 'failTask' | 'progressTask' }>;

/**
 * The live loan under which something is said: the token is its own, the agent too, and it has not ended by the clock. Until
 * the home has decided, our own timers leave it alone.
 */
export function speaksUnder(step: Step, command: LoanCommand): LeaseRecord | null {
  const lease = step.state.leases.get(step.state.loanTokens.get(command.fencingToken) ?? '');
  if (lease?.taskId !== command.taskId || hasEnded(lease, step.nowMs) || isBeingRevoked(step.state, lease)) return null;
  const self = step.caller?.agentId;
  if (self !== undefined && self !== lease.agentId) return null;
  step.state.spoken.set(lease.id, step.nowMs);
  return lease;
}

/** The home has decided, or (null) could not be asked. */
export function spoken(step: Step, allocationId: string, command: LoanCommand, reply: PoolReply | null): void {
  step.state.spoken.delete(allocationId);
  const lease = step.state.leases.get(allocationId);
  // Its own end was put off while the home decided.
  if (lease !== undefined && (step.state.leaseDueMs.get(lease.id) ?? 0) > lease.expiresAtMs)
    armLease(step.state, lease.id, lease.expiresAtMs);
  if (reply === null || lease?.loan === undefined || isOffer(lease)) return;
  if (!reply.ok) {
    const { kind } = reply.error;
    // Ours was the present lease when it was said, so these come from the home: it has taken the task away.
    if (kind !== 'lease_superseded' && kind !== 'lease_expired' && kind !== 'invalid_state') return;
    takeBackLoan(step, lease, kind);
    room(step, lease);
    return;
  }
  step.state.loans.set(lease.id, step.nowMs);
  const agent = step.state.agents.get(lease.agentId);
  if (agent !== undefined) notZombie(step, agent);
  if (!lease.accepted) step.emit({ type: 'leaseAccepted', leaseId: lease.id });
  switch (command.type) {
    case 'progressTask':
      if (command.checkpoint !== undefined)
        step.emit({ type: 'loanCheckpointed', leaseId: lease.id, checkpoint: command.checkpoint });
      extendDispatched(step, lease);
      return;
    case 'completeTask':
    case 'failTask':
      recordOutcome(step, lease, command.type === 'completeTask', step.nowMs - lease.grantedAtMs);
      closeLoan(step, lease);
      return;
    default:
      unreachable(command);
  }
}

/** Keeps the next word to the homes ahead while there are loans. */
export function armLoanBeat(step: Step): void {
  const { state } = step;
  if (state.loans.size === 0 && state.returns.size === 0) return;
  const dueAtMs = step.nowMs + (state.returns.size > 0 ? LIMITS.loanRetryMs : LIMITS.loanBeatMs);
  if (state.loanBeatAtMs !== null && state.loanBeatAtMs <= dueAtMs && state.loanBeatAtMs > step.nowMs) return;
  state.loanBeatAtMs = dueAtMs;
  state.timers.push({ atMs: dueAtMs, kind: 'loanBeat', id: '' });
}
