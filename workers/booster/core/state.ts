import { LIMITS } from '../../../shared/limits.ts';

/** Bounds of one isolate's pool. */
export interface PoolLimits {
  readonly slots: number;
  readonly slotBytes: number;
  readonly slotOperations: number;
  readonly slotIdleMs: number;
  /** A call that has not been heard of for so long has lost its caller; it must not hold a slot for ever. */
  readonly callMs: number;
}

export const POOL_LIMITS: PoolLimits = {
  slots: LIMITS.boosterSlots,
  slotBytes: LIMITS.boosterSlotBytes,
  slotOperations: LIMITS.boosterSlotOperations,
  slotIdleMs: LIMITS.boosterSlotIdleMs,
  callMs: 2 * LIMITS.boosterTimeoutMs,
};

/** One engine instance. */
export interface Slot {
  readonly id: number;
  readonly operations: number;
  readonly memoryBytes: number;
  /** When a call last came or left. */
  readonly usedAtMs: number;
}

/** One call at work, and the slot that runs its operations. */
export interface Call {
  readonly id: number;
  readonly slotId: number;
  readonly priority: number;
  /** Turns it has let others have; each lifts it by one priority, so nobody waits for ever. */
  readonly passes: number;
  readonly seenAtMs: number;
}

export interface PoolState {
  readonly slots: readonly Slot[];
  readonly calls: readonly Call[];
  readonly nextSlotId: number;
}

export const EMPTY_POOL: PoolState = { slots: [], calls: [], nextSlotId: 1 };

export const connectionsOf = (state: PoolState, slotId: number): number =>
  state.calls.filter((call) => call.slotId === slotId).length;
