import { unreachable } from '../../../shared/result.ts';
import type { PoolEvent } from './events.ts';
import type { Call, PoolState, Slot } from './state.ts';

/** The state after an event. */
export function evolve(state: PoolState, event: PoolEvent): PoolState {
  switch (event.type) {
    case 'slotStarted': {
      const slot: Slot = { id: event.slotId, operations: 0, memoryBytes: 0, usedAtMs: event.atMs };
      return { ...state, slots: [...state.slots, slot], nextSlotId: Math.max(state.nextSlotId, event.slotId + 1) };
    }
    case 'slotRetired':
    case 'slotIsolated':
      return { ...state, slots: state.slots.filter((slot) => slot.id !== event.slotId) };
    case 'callConnected': {
      const call: Call = {
        id: event.callId,
        slotId: event.slotId,
        priority: event.priority,
        passes: 0,
        seenAtMs: event.atMs,
      };
      return { ...touch(state, event.slotId, event.atMs), calls: [...state.calls, call] };
    }
    case 'callMoved':
      return { ...state, calls: change(state.calls, event.callId, (call) => ({ ...call, slotId: event.slotId })) };
    case 'callPassed':
      return {
        ...state,
        calls: change(state.calls, event.callId, (call) => ({ ...call, passes: call.passes + 1, seenAtMs: event.atMs })),
      };
    case 'callEnded': {
      const call = state.calls.find(({ id }) => id === event.callId);
      const calls = state.calls.filter(({ id }) => id !== event.callId);
      return { ...touch(state, call?.slotId ?? 0, event.atMs), calls };
    }
    case 'operationDone':
      return {
        ...state,
        slots: change(state.slots, event.slotId, (slot) => ({
          ...slot,
          operations: slot.operations + 1,
          memoryBytes: event.memoryBytes,
        })),
        // Whoever had a turn waits for the next one like everybody else.
        calls: change(state.calls, event.callId, (call) => ({ ...call, passes: 0, seenAtMs: event.atMs })),
      };
    default:
      return unreachable(event);
  }
}

const touch = (state: PoolState, slotId: number, atMs: number): PoolState => ({
  ...state,
  slots: change(state.slots, slotId, (slot) => ({ ...slot, usedAtMs: atMs })),
});

const change = <T extends { readonly id: number }>(items: readonly T[], id: number, to: (item: T) => T): readonly T[] =>
  items.map((item) => (item.id === id ? to(item) : item));
