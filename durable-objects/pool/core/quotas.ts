import type { FleetError } from '../../../shared/errors.ts';
import type { LeaseQuota } from '../../../shared/rpc.ts';
import type { Why } from '../../../shared/schemas/why.ts';
import type { QueueEntry } from './queue.ts';
import type { PoolState, Waiter } from './state.ts';

/** Whether a caller may take `count` leases more. Exact: one object knows all that it holds here. */
export const hasRoom = (state: PoolState, subject: string, quota: LeaseQuota, count: number): boolean =>
  state.holdings.of(subject) + count <= quota.share;

/** Takes a wait out of everybody's way until its caller gives something back. */
export function keepOut(state: PoolState, waiter: Waiter, quota: LeaseQuota, entry: QueueEntry): void {
  state.holdings.keepOut(waiter.callerSubject, entry, quota.share - waiter.spec.count);
}

/** The refusal of a caller that holds as many leases as it may. */
export const quotaExceeded = (quota: LeaseQuota, why: Why): FleetError => ({
  kind: 'quota_exceeded',
  scope: 'caller',
  limit: quota.limit,
  why,
  detail: `This caller may hold ${quota.limit} leases in a pool of one region at a time.`,
});
