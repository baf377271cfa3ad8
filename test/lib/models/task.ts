import type { TaskStatus } from '../../../shared/schemas/tasks.ts';
import type { Model } from '../linearizability.ts';

/** What is done to one task. Results are told apart by name. */
export type TaskOperation =
  | { readonly type: 'submit' }
  /** An agent was given the task; `after` is the token of the assignment before this one among those known. */
  | { readonly type: 'assign'; readonly token: number; readonly after: number }
  | { readonly type: 'progress'; readonly token: number }
  | { readonly type: 'complete'; readonly token: number; readonly result: string }
  | { readonly type: 'fail'; readonly token: number; readonly isRetryable: boolean }
  /** Refused as superseded or expired. */
  | { readonly type: 'lost'; readonly token: number }
  | { readonly type: 'cancel'; readonly status: TaskStatus }
  /** Refused because the task has ended already. */
  | { readonly type: 'tooLate' }
  /** A cancel without an answer. */
  | { readonly type: 'cancelUnknown' }
  | {
      readonly type: 'get';
      readonly status: TaskStatus;
      readonly result: string | null;
      readonly errorCode: string | null;
      /** Whether its attempts are used up. */
      readonly isExhausted: boolean;
    };

const ENDED = ['succeeded', 'failed', 'cancelled', 'dead'] as const;
type Ended = (typeof ENDED)[number];
const isEnded = (status: TaskStatus): status is Ended => (ENDED as readonly string[]).includes(status);

export interface TaskState {
  readonly phase: 'absent' | 'live' | Ended;
  /** Of the last assignment known. */
  readonly token: number;
  /** The attempt under `token` was given back by its holder. */
  readonly isGivenBack: boolean;
  readonly isCancelRequested: boolean;
  readonly result: string | null;
}

/** Errors with which the fleet itself may fail a task that nobody failed. */
const OWN_FAILURES: ReadonlySet<string> = new Set(['deadline_exceeded', 'dependency_failed']);

/** A task (H8): it is completed at most once, by the holder of its last token; what has ended stays as it is. */
export const TASK_MODEL: Model<TaskState, TaskOperation> = {
  initial: { phase: 'absent', token: 0, isGivenBack: false, isCancelRequested: false, result: null },
  step(state, operation) {
    if (operation.type === 'submit') return state.phase === 'absent' ? [{ ...state, phase: 'live' }] : [];
    if (state.phase === 'absent') return [];
    const isLive = state.phase === 'live';
    switch (operation.type) {
      case 'assign':
        if (!isLive || operation.token <= operation.after || state.token !== operation.after) return [];
        return [{ ...state, token: operation.token, isGivenBack: false }];
      case 'progress':
        return isLive && operation.token === state.token && !state.isGivenBack ? [state] : [];
      case 'complete':
        if (operation.token !== state.token) return [];
        if (state.phase === 'succeeded') return [state];
        return isLive && !state.isGivenBack ? [{ ...state, phase: 'succeeded', result: operation.result }] : [];
      case 'fail':
        return failed(state, operation.token, operation.isRetryable);
      case 'lost':
        // The fleet may have taken any attempt away; only who has completed the task is never told so.
        return state.phase === 'succeeded' && operation.token === state.token ? [] : [state];
      case 'cancel':
        if (!isLive) return [];
        return [operation.status === 'cancelled' ? { ...state, phase: 'cancelled' } : { ...state, isCancelRequested: true }];
      case 'tooLate':
        if (!isLive) return [state];
        // The fleet has ended it by itself; which way, a later look tells.
        return (['failed', 'dead', 'cancelled'] as const)
          .filter((phase) => phase !== 'cancelled' || state.isCancelRequested)
          .map((phase) => ({ ...state, phase }));
      case 'cancelUnknown':
        return isLive ? [{ ...state, isCancelRequested: true }] : [state];
      case 'get': {
        const { status, result } = operation;
        if (!isEnded(status)) return isLive ? [state] : [];
        if (status === 'succeeded') return state.phase === status && state.result === result ? [state] : [];
        if (state.phase === status) return [state];
        return isLive && mayEnd(state, status, operation.errorCode, operation.isExhausted) ? [{ ...state, phase: status }] : [];
      }
    }
  },
  key: ({ phase, token, isGivenBack, isCancelRequested, result }) =>
    `${phase} ${token} ${isGivenBack} ${isCancelRequested} ${result}`,
};

function failed(state: TaskState, token: number, isRetryable: boolean): readonly TaskState[] {
  if (token !== state.token) return [];
  // Again with the same token is the same.
  if (state.phase !== 'live') return state.phase === 'succeeded' ? [] : [state];
  if (state.isGivenBack) return [];
  if (state.isCancelRequested) return [{ ...state, phase: 'cancelled' }];
  if (!isRetryable) return [{ ...state, phase: 'failed' }];
  return [
    { ...state, isGivenBack: true },
    { ...state, phase: 'dead' },
  ];
}

/** Ends that the fleet brings about by itself. */
function mayEnd(state: TaskState, status: Ended, errorCode: string | null, isExhausted: boolean): boolean {
  switch (status) {
    case 'succeeded':
      return false;
    case 'cancelled':
      return state.isCancelRequested;
    case 'dead':
      return isExhausted;
    case 'failed':
      return errorCode !== null && OWN_FAILURES.has(errorCode);
  }
}
