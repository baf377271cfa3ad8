import { invalidState, type FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { AllocationView, IdempotencyRef, PoolCommandOf } from '../../../shared/rpc.ts';
import { demandOfAllocate, entryOfWaiter } from './demand.ts';
import { explainAllocation, REFUSED } from './explain.ts';
import { endLease, extendDispatched, grant, holdLease } from './leases.ts';
import type { LiveAgent } from './live-agent.ts';
import { isSilent, usable } from './liveness.ts';
import { hasRoom, keepOut, quotaExceeded } from './quotas.ts';
import type { LeaseRecord } from './records.ts';
import { choose } from './selection.ts';
import { waitingCount } from './state.ts';
import type { Step } from './step.ts';
import { allocationView } from './views.ts';

/** The answer of an allocate: granted, or parked until an agent comes or the wait ends. */
export type AllocateOutcome = { readonly parked: false; readonly views: readonly AllocationView[] } | { readonly parked: true };

/** Grants all of what is asked, or nothing; with `waitMs` the request waits in the queue by its priority. */
export function allocate(
  step: Step,
  { spec, waiterId }: PoolCommandOf<'allocate'>,
  idempotency: IdempotencyRef | null,
): Result<AllocateOutcome, FleetError> {
  const { state } = step;
  const demand = demandOfAllocate(spec);
  const subject = step.caller?.subject ?? 'system';
  const quota = step.caller?.leaseQuota ?? null;
  const atQuota = quota !== null && !hasRoom(state, subject, quota, spec.count);
  if (atQuota && (spec.waitMs === 0 || spec.count > quota.share)) {
    // Nobody has been chosen from, so who is silent is still to be asked.
    const look = { nowMs: step.nowMs, isSilent: (agent: LiveAgent) => isSilent(step, agent), most: REFUSED };
    return err(quotaExceeded(quota, explainAllocation(state, spec, look, { subject, quota })));
  }
  const agents = atQuota ? null : choose(state, demand, spec, (agent) => usable(step, agent));
  if (agents !== null) {
    const leases = agents.map((agent) =>
      grant(step, agent, {
        kind: 'direct',
        taskId: spec.taskId ?? null,
        slots: spec.slots,
        leaseMs: spec.leaseMs,
        timeoutAtMs: null,
        metadata: spec.metadata ?? null,
        holder: subject,
      }),
    );
    return ok({ parked: false, views: leases.map((lease) => viewOf(step, lease)) });
  }
  if (spec.waitMs === 0) {
    const why = explainAllocation(state, spec, { nowMs: step.nowMs, isSilent: null, most: REFUSED }, { subject, quota });
    return err({ kind: 'no_capacity', why, detail: why.detail });
  }
  if (state.waiters.has(waiterId)) return err(invalidState('waiting', 'This wait is under way already.'));
  if (waitingCount(state) >= LIMITS.queuePerShard) {
    return err({
      kind: 'queue_full',
      limit: LIMITS.queuePerShard,
      retryAfterMs: 1_000,
      detail: 'Too much already waits for this pool.',
    });
  }
  const endsAtMs = step.nowMs + spec.waitMs;
  const waiter = {
    id: waiterId,
    spec,
    callerSubject: subject,
    requestId: step.caller?.requestId ?? '',
    idempotency,
    endsAtMs,
    quota,
  };
  state.waiters.set(waiterId, waiter);
  const entry = entryOfWaiter(waiter, state.nextTaskSeq, step.nowMs);
  if (atQuota) keepOut(state, waiter, quota, entry);
  else state.queue.add(entry);
  state.nextTaskSeq += 1;
  state.timers.push({ atMs: endsAtMs, kind: 'waiterEnd', id: waiterId });
  return ok({ parked: true });
}

export const viewOf = (step: Step, lease: LeaseRecord): AllocationView =>
  allocationView(lease, step.state.agents.get(lease.agentId)?.record ?? null, step.state.home, step.nowMs);

/** Renewal checks the lease like every other operation, then counts from now: a length is never added to a length. */
export function renewLease(
  step: Step,
  allocationId: string,
  fencingToken: number,
  leaseMs: number,
): Result<LeaseRecord, FleetError> {
  const held = holdLease(step, allocationId, fencingToken);
  if (!held.ok) return held;
  const lease = held.value;
  if (lease.status === 'released')
    return err({ kind: 'lease_released', detail: 'The lease was released and cannot be renewed.' });
  // A dispatched lease is short on purpose, so that a silent agent is noticed: nobody makes it longer than we do.
  if (lease.kind === 'dispatched') extendDispatched(step, lease);
  else step.emit({ type: 'leaseExtended', leaseId: lease.id, expiresAtMs: step.nowMs + leaseMs });
  return ok(lease);
}

export function renew(
  step: Step,
  { allocationId, fencingToken, leaseMs }: PoolCommandOf<'renew'>,
): Result<AllocationView, FleetError> {
  const renewed = renewLease(step, allocationId, fencingToken, leaseMs);
  return renewed.ok ? ok(viewOf(step, renewed.value)) : renewed;
}

/** Frees exactly this lease, once (I6); again with its token is the same success. A dispatched task's lease ends with the task. */
export function release(
  step: Step,
  { allocationId, fencingToken, result }: PoolCommandOf<'release'>,
): Result<AllocationView, FleetError> {
  const held = holdLease(step, allocationId, fencingToken);
  if (!held.ok) return held;
  const lease = held.value;
  if (lease.status === 'released') return ok(viewOf(step, lease));
  if (lease.kind === 'dispatched') {
    return err({
      kind: 'invalid_state',
      state: 'dispatched',
      detail: 'This lease belongs to a dispatched task: complete, fail or cancel the task.',
    });
  }
  if (result !== undefined) recordOutcome(step, lease, result.success, result.durationMs ?? step.nowMs - lease.grantedAtMs);
  endLease(step, lease, 'released');
  return ok(viewOf(step, lease));
}

/** Adds one finished piece of work to the agent's statistics. */
export function recordOutcome(step: Step, lease: LeaseRecord, success: boolean, durationMs: number): void {
  const record = step.state.agents.get(lease.agentId)?.record;
  if (record === undefined) return;
  step.emit({
    type: 'agentChanged',
    agentId: record.id,
    why: success ? 'completed' : 'failed',
    patch: {
      completed: record.completed + (success ? 1 : 0),
      failed: record.failed + (success ? 0 : 1),
      // Measured by a clock that may have been set back.
      totalDurationMs: record.totalDurationMs + Math.max(0, durationMs),
    },
  });
}
