import type { Model } from '../linearizability.ts';

/** A call with an idempotency key. `answer` names what it answered, whole; `isReplay` is null where the answer does not tell. */
export type KeyOperation =
  | { readonly type: 'done'; readonly body: string; readonly answer: string; readonly isReplay: boolean | null }
  /** Refused for a reason that changes nothing and is not kept, such as no capacity. */
  | { readonly type: 'refused'; readonly body: string }
  | { readonly type: 'mismatch'; readonly body: string }
  /** The first call still runs: says nothing about its outcome. */
  | { readonly type: 'inProgress' }
  /** No answer came. */
  | { readonly type: 'unknown'; readonly body: string };

interface Kept {
  readonly body: string;
  /** `null`: done by a call that was never answered; what it answered is not known yet. */
  readonly answer: string | null;
}
export type KeyState = Kept | null;

/** An idempotency key (H9): the first call that is done sets the answer, every later one reads it. */
export const KEY_MODEL: Model<KeyState, KeyOperation> = {
  initial: null,
  step(state, operation) {
    switch (operation.type) {
      case 'inProgress':
        return [state];
      case 'unknown':
        return state === null ? [{ body: operation.body, answer: null }] : [state];
      case 'refused':
        return state === null ? [state] : [];
      case 'mismatch':
        return state !== null && state.body !== operation.body ? [state] : [];
      case 'done': {
        const { body, answer, isReplay } = operation;
        if (state === null) return isReplay === true ? [] : [{ body, answer }];
        if (isReplay === false || state.body !== body) return [];
        return state.answer === null || state.answer === answer ? [{ body, answer }] : [];
      }
    }
  },
  key: (state) => (state === null ? '' : `${state.body} ${state.answer}`),
};
