import { err, ok, type Result } from '../../../shared/result.ts';
import { makeId, parseIdOf } from '../../../shared/ids.ts';
import { notFound, type FleetError } from '../../../shared/errors.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import { covers } from './lease-selector.ts';
import { isOffer } from './loan-ends.ts';
import type { LeaseRecord, LoanRecord } from './records.ts';
import type { LiveAgent } from './live-agent.ts';
import type { PoolState } from './state.ts';
import type { Step } from './step.ts';
import { LIMITS } from '../../../shared/limits.ts';

export interface GrantTerms {
  readonly kind: LeaseRecord['kind'];
  readonly taskId: string | null;
  readonly slots: number;
  readonly leaseMs: number;
  readonly timeoutAtMs: number | null;
  readonly metadata: JsonText | null;
  /** Subject of the caller that gets it; null with a dispatched one, which is nobody's. */
  readonly holder: string | null;
  /** The token is above this, too. */
  readonly fenceAbove?: number;
  readonly loan?: LoanRecord;
}

/**
 * Gives slots of an agent to a holder. The token is one above the shard's last (I2); free slots are checked here again,
 * whatever the selection believed (I1).
 */
export function grant(step: Step, agent: LiveAgent, terms: GrantTerms): LeaseRecord {
  if (agent.slotsUsed + terms.slots > agent.record.spec.slots) throw new Error('grant beyond the slots of an agent');
  const lease: LeaseRecord = {
    id: makeId('allocation', step.state.home, step.ctx.ulid()),
    agentId: agent.record.id,
    kind: terms.kind,
    taskId: terms.taskId,
    slots: terms.slots,
    fencingToken: Math.max(step.state.lastFence, terms.fenceAbove ?? 0) + 1,
    grantedAtMs: step.nowMs,
    metadata: terms.metadata,
    holder: terms.holder,
    expiresAtMs: step.nowMs + terms.leaseMs,
    timeoutAtMs: terms.timeoutAtMs,
    accepted: false,
    status: 'active',
    endedAtMs: null,
    ...(terms.loan === undefined ? {} : { loan: terms.loan }),
  };
  step.emit({ type: 'leaseGranted', lease });
  return lease;
}

/** Ends a lease; its slots are free at once, and a draining agent that was waiting for it leaves. */
export function endLease(step: Step, lease: LeaseRecord, status: 'released' | 'expired' | 'revoked'): void {
  step.emit({ type: 'leaseEnded', leaseId: lease.id, status, atMs: step.nowMs });
  const agent = step.state.agents.get(lease.agentId);
  if (agent === undefined) return;
  if (agent.leases.size === 0 && agent.record.removeWhenFree) removeAgent(step, agent, 'drained');
  else step.freed.add(lease.agentId);
}

/** Removes an agent that holds nothing. */
export function removeAgent(step: Step, agent: LiveAgent, why: string): void {
  if (agent.leases.size > 0) throw new Error('removing an agent that holds leases');
  step.emit({ type: 'agentRemoved', agentId: agent.record.id, why });
  step.effects.push({ type: 'closeSession', agentId: agent.record.id, code: 1000, reason: why });
}

/** Finds a lease of this shard, active or ended. */
export function findLease(step: Step, allocationId: string): LeaseRecord | null {
  if (parseIdOf('allocation', allocationId) === null) return null;
  return step.lease(allocationId);
}

/** Whether a revocation that is under way covers the lease and has only not reached it yet. */
export function isBeingRevoked(state: PoolState, lease: LeaseRecord): boolean {
  if (state.revocations.size === 0 || lease.status !== 'active') return false;
  const agent = state.agents.get(lease.agentId);
  for (const { fence, terms } of state.revocations.values())
    if (lease.fencingToken <= fence && agent !== undefined && covers(terms.selector, agent, lease)) return true;
  return false;
}

/** Leases of dispatched tasks live with their agent, up to the attempt's timeout. */
export function extendDispatched(step: Step, lease: LeaseRecord): void {
  if (isOffer(lease)) return;
  // A loan also lives with its home: without a word from there it ends before the home gives the task to another.
  const heardAtMs = step.state.loans.get(lease.id);
  const untilMs = Math.min(
    step.nowMs + LIMITS.dispatchLeaseMs,
    lease.timeoutAtMs ?? Number.MAX_SAFE_INTEGER,
    heardAtMs === undefined ? Number.MAX_SAFE_INTEGER : heardAtMs + LIMITS.loanSilentMs,
  );
  if (untilMs > lease.expiresAtMs) step.emit({ type: 'leaseExtended', leaseId: lease.id, expiresAtMs: untilMs });
}

/**
 * Whether an active lease is over by the clock, swept or not. A dispatched one is extended whenever it comes due while its
 * agent lives, so what its holder does before that happened is in time until the attempt's timeout.
 */
export const hasEnded = (lease: LeaseRecord, nowMs: number): boolean =>
  (lease.kind === 'dispatched' ? (lease.timeoutAtMs ?? lease.expiresAtMs) : lease.expiresAtMs) <= nowMs;

/**
 * The one check that every operation under a lease passes (I3). Token first: what carries another token is superseded
 * whatever the lease's state. Expiry is judged by the object's clock, even when the alarm has not swept the lease yet.
 */
export function holdLease(step: Step, allocationId: string, fencingToken: number): Result<LeaseRecord, FleetError> {
  const lease = findLease(step, allocationId);
  if (lease === null) return err(notFound('allocation'));
  if (lease.fencingToken !== fencingToken || lease.status === 'revoked' || isBeingRevoked(step.state, lease)) {
    return err({
      kind: 'lease_superseded',
      detail: 'The fencing token is not this lease’s, or the lease was revoked. Drop the work.',
    });
  }
  if (lease.status === 'expired' || (lease.status === 'active' && hasEnded(lease, step.nowMs))) {
    return err({ kind: 'lease_expired', detail: 'The lease ended before this call. Drop the work.' });
  }
  return ok(lease);
}
