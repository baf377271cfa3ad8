import { LIMITS } from '../../../shared/limits.ts';
import type { LoanAsk, LoanNews, LoanOffer, LoanOutcome, LoanStanding } from '../../../shared/loan-rpc.ts';
import type { AllocationView } from '../../../shared/rpc.ts';
import { armLent } from './loan-ends.ts';
import { withdrawWaiter } from './polls.ts';
import { ENDED, type TaskRecord } from './records.ts';
import { goesBefore, type Candidate, type Demand } from './queue.ts';
import { classFitsAny, type Traits } from './predicates.ts';
import { hasSiblings, type PoolState, type Waiter } from './state.ts';
import type { Step } from './step.ts';
import { attemptLost } from './task-attempts.ts';

/*
 * The home's side: tasks of this shard that agents of a sibling work on. Whether an attempt counts is decided here and
 * nowhere else; the sibling's lease is checked there first.
 */

/** Kinds of agents named in one question. Those beyond come in the next one. */
const WANTS_MAX = 32;

/** What waits here and nobody here can take, the best first; `turn` moves on when there is more than one question may hold. */
export function loanAsk(state: PoolState, nowMs: number, turn: number): LoanAsk {
  const heads = [...state.queue.groups()].flatMap((group) => {
    const head = group.demand.connected ? state.queue.head(group, nowMs) : undefined;
    return head === undefined ? [] : [head];
  });
  heads.sort((a, b) => (goesBefore(a, b) ? -1 : 1));
  const from = heads.length <= WANTS_MAX ? 0 : (turn * WANTS_MAX) % heads.length;
  return {
    fence: state.lastFence,
    wants: heads.slice(from, from + WANTS_MAX).map(({ group }) => ({
      capabilities: group.demand.capabilities,
      selectors: group.demand.selectors,
      count: Math.min(group.size, LIMITS.loanBatch),
    })),
  };
}

/** Gives offered agents the best that waits for such, by the rules of any dispatch. Offers that nothing fits are not used. */
export function takeLoans(step: Step, shard: number, offers: readonly LoanOffer[]): number {
  const taskIds: string[] = [];
  const unused: string[] = [];
  for (const offer of offers) {
    const task = bestFor(step, offer);
    if (task === null) {
      unused.push(offer.allocationId);
      continue;
    }
    step.emit({
      type: 'taskLent',
      taskId: task.id,
      leaseId: offer.allocationId,
      agentId: offer.agentId,
      fencingToken: offer.fencingToken,
      shard,
      timeoutAtMs: step.nowMs + task.timeoutMs,
      atMs: step.nowMs,
    });
    taskIds.push(task.id);
  }
  if (offers.length > 0) step.effects.push({ type: 'confirmLoans', shard, taskIds, unused });
  return taskIds.length;
}

function bestFor(step: Step, offer: LoanOffer): TaskRecord | null {
  const { queue, tasks } = step.state;
  const klass = { capabilities: new Set(offer.capabilities), labels: offer.labels };
  let best: Candidate | undefined;
  for (const group of queue.groups()) {
    if (!fits(klass, group.demand)) continue;
    const head = queue.head(group, step.nowMs);
    if (head !== undefined && (best === undefined || goesBefore(head, best))) best = head;
  }
  const task = best === undefined ? undefined : tasks.get(best.entry.id);
  // The tokens of a task rise: an offer that was made before its last attempt cannot carry the next one.
  return task === undefined || (task.fencingToken ?? 0) >= offer.fencingToken ? null : task;
}

const fits = (klass: Traits, demand: Demand): boolean => demand.connected && classFitsAny(klass, demand);

/** What the lender made of our confirmation. */
export function loansConfirmed(
  step: Step,
  answers: readonly { readonly taskId: string; readonly allocationId: string; readonly outcome: LoanOutcome }[],
): void {
  for (const { taskId, allocationId, outcome } of answers) {
    const task = lentUnder(step.state, taskId, allocationId);
    if (task === null) continue;
    heard(step, task);
    if (outcome === 'gone') lost(step, task, 'loan_lost', 'The agent of another shard was no longer free.', false);
    else if (task.loan?.confirmed === false) step.emit({ type: 'taskLoanConfirmed', taskId });
  }
}

/** A lender's word on its loans: whether each still stands here. */
export function hearLoans(step: Step, lender: number, news: readonly LoanNews[]): LoanStanding[] {
  return news.map(({ taskId, allocationId, returned }): LoanStanding => {
    const task = lentUnder(step.state, taskId, allocationId);
    if (task?.loan?.shard !== lender) {
      const ended = step.task(taskId);
      const byHolder = ended !== null && ENDED.has(ended.status) && ended.allocationId === allocationId;
      return { standing: false, status: byHolder ? 'released' : 'revoked' };
    }
    if (returned?.cancel === true) {
      const error = { code: returned.code, message: returned.message };
      step.emit({ type: 'taskEnded', taskId, status: 'cancelled', atMs: step.nowMs, error });
      return { standing: false, status: 'revoked' };
    }
    if (returned !== undefined) {
      attemptLost(step, task, { code: returned.code, message: returned.message }, returned);
      return { standing: false, status: 'revoked' };
    }
    heard(step, task);
    if (!task.loan.confirmed) step.emit({ type: 'taskLoanConfirmed', taskId });
    return { standing: true, cancelRequested: task.cancelDueAtMs !== null };
  });
}

function lentUnder(state: PoolState, taskId: string, allocationId: string): TaskRecord | null {
  const task = state.tasks.get(taskId);
  return task?.loan !== undefined && task.allocationId === allocationId ? task : null;
}

function heard(step: Step, task: TaskRecord): void {
  const lent = step.state.lent.get(task.id);
  if (lent !== undefined) lent.heardAtMs = step.nowMs;
}

/** The attempt's timeout, a lender that is silent, or a confirmation that was not answered. */
export function lentDue(step: Step, taskId: string): void {
  const task = step.state.tasks.get(taskId);
  const lent = step.state.lent.get(taskId);
  if (task?.loan === undefined || lent === undefined) return;
  const { confirmed, timeoutAtMs, shard } = task.loan;
  if (timeoutAtMs <= step.nowMs) {
    attemptLost(step, task, { code: 'timeout', message: 'The attempt ran into its timeout.' }, { counted: true, backoff: true });
    return;
  }
  const silentAtMs = lent.heardAtMs + LIMITS.lostAfterMs;
  if (silentAtMs <= step.nowMs) {
    lost(step, task, 'agent_lost', 'The shard of the agent stopped answering.', confirmed);
    return;
  }
  if (!confirmed) step.effects.push({ type: 'confirmLoans', shard, taskIds: [taskId], unused: [] });
  armLent(step.state, taskId, Math.min(timeoutAtMs, silentAtMs, confirmed ? silentAtMs : step.nowMs + LIMITS.loanRetryMs));
}

function lost(step: Step, task: TaskRecord, code: string, message: string, counted: boolean): void {
  attemptLost(step, task, { code, message }, { counted, backoff: false });
}

/** Keeps the next question to the siblings ahead while something waits. What has just come and found nobody asks at once. */
export function armBorrow(step: Step): void {
  const { state } = step;
  if (!hasSiblings(state) || state.queue.size === 0) return;
  if (step.came) step.effects.push({ type: 'borrow' });
  if (state.borrowAtMs !== null && state.borrowAtMs <= step.nowMs + LIMITS.borrowEveryMs) return;
  state.borrowAtMs = step.nowMs + LIMITS.borrowEveryMs;
  state.timers.push({ atMs: state.borrowAtMs, kind: 'borrow', id: '' });
}

/** Callers that wait here for an allocation, the best first: a sibling may have for them what this shard has not. */
export function waitersToPlace(state: PoolState, nowMs: number, limit: number): readonly Waiter[] {
  return state.queue.best([...state.waiters.keys()], nowMs, limit).flatMap((id) => state.waiters.get(id) ?? []);
}

/** A sibling granted what a caller waits for here. False: nobody waits any more, and the grant is to be given back. */
export function serveWaiter(step: Step, waiterId: string, views: readonly AllocationView[]): boolean {
  const waiter = step.state.waiters.get(waiterId);
  if (waiter === undefined) return false;
  step.state.queue.serve(waiterId);
  withdrawWaiter(step.state, waiterId);
  step.effects.push({ type: 'waiterServed', waiter, views });
  return true;
}
