import type { Model } from '../linearizability.ts';

/** A value that is written and read. */
export interface RegisterOperation {
  readonly type: 'write' | 'read';
  readonly value: number;
}

export const registerModel = (initial: number): Model<number, RegisterOperation> => ({
  initial,
  step: (state, { type, value }) => (type === 'write' ? [value] : state === value ? [state] : []),
  key: String,
});
