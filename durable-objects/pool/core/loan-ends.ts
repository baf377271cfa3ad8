import { parseIdOf } from '../../../shared/ids.ts';
import type { LoanReturn } from '../../../shared/loan-rpc.ts';
import type { LeaseRecord } from './records.ts';
import type { PoolState } from './state.ts';
import type { Step } from './step.ts';

/** An agent is kept free for a task of a sibling; the sibling has not said for which. */
export const isOffer = (lease: LeaseRecord): boolean => lease.loan !== undefined && lease.taskId === null;

/** The shard that a lent task lives on. */
export function homeOfLoan(lease: LeaseRecord): number {
  const home = lease.taskId === null ? null : parseIdOf('task', lease.taskId);
  if (home === null) throw new Error(`a loan without a task: ${lease.id}`);
  return home.shard;
}

/** A loan ended from our side: its home hears of it until it has answered. An offer was nobody's yet. */
export function returnLoan(step: Step, lease: LeaseRecord, returned: LoanReturn): void {
  if (isOffer(lease)) return;
  step.emit({ type: 'loanReturning', lease, returned });
  step.effects.push({ type: 'loanNews', all: false });
}

/** Brings a loan whose agent has the task into memory, new or loaded. */
export function addLoan(state: PoolState, lease: LeaseRecord, heardAtMs: number): void {
  state.loans.set(lease.id, heardAtMs);
  state.loanTokens.set(lease.fencingToken, lease.id);
}

/** Sets the timer of a lent task; an earlier one no longer counts. */
export function armLent(state: PoolState, taskId: string, atMs: number): void {
  const lent = state.lent.get(taskId);
  if (lent === undefined) return;
  lent.dueAtMs = atMs;
  state.timers.push({ atMs, kind: 'loanDue', id: taskId });
}

/** Brings a lent task into memory, new or loaded: it is confirmed, or confirmed again, soon. */
export function addLent(state: PoolState, taskId: string, heardAtMs: number, dueAtMs: number): void {
  state.lent.set(taskId, { heardAtMs, dueAtMs });
  armLent(state, taskId, dueAtMs);
}
