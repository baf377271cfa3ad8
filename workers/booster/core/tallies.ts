import type { BoosterReason } from '../../../shared/booster.ts';

/** What was done for one fleet from one region. */
export interface Tally {
  operations: number;
  done: number;
  refused: Partial<Record<BoosterReason, number>>;
  panics: number;
  recycled: number;
}

export const newTally = (): Tally => ({ operations: 0, done: 0, refused: {}, panics: 0, recycled: 0 });

/** One operation more; `reason` null: it was done. */
export function count(tally: Tally, reason: BoosterReason | null): void {
  tally.operations += 1;
  if (reason === null) tally.done += 1;
  else tally.refused[reason] = (tally.refused[reason] ?? 0) + 1;
  if (reason === 'fault') tally.panics += 1;
}
