import { unreachable } from '../../../shared/result.ts';
import type { PoolCommand, PoolEvent, RetiredFor } from './events.ts';
import { evolve } from './evolve.ts';
import { connectionsOf, type Call, type PoolLimits, type PoolState, type Slot } from './state.ts';

/**
 * What a command comes to. Nothing here waits or reads a clock; nothing may depend on how long an operation took, as clocks
 * stand still while a Worker computes.
 */
export function decide(state: PoolState, command: PoolCommand, nowMs: number, limits: PoolLimits): readonly PoolEvent[] {
  switch (command.type) {
    case 'connect':
      return connect(state, command, nowMs, limits);
    case 'pass':
      return callOf(state, command.callId) === undefined ? [] : [{ type: 'callPassed', callId: command.callId, atMs: nowMs }];
    case 'succeed': {
      const call = callOf(state, command.callId);
      if (call === undefined) return [];
      const done: PoolEvent = {
        type: 'operationDone',
        slotId: call.slotId,
        callId: call.id,
        memoryBytes: command.memoryBytes,
        atMs: nowMs,
      };
      const slot = evolve(state, done).slots.find(({ id }) => id === call.slotId);
      const why = slot === undefined ? null : worn(slot, command.spent, limits);
      if (why === null) return [done];
      return [done, ...replace(evolve(state, done), { type: 'slotRetired', slotId: call.slotId, why }, nowMs)];
    }
    case 'fail': {
      const call = callOf(state, command.callId);
      return call === undefined ? [] : replace(state, { type: 'slotIsolated', slotId: call.slotId }, nowMs);
    }
    case 'disconnect':
      return callOf(state, command.callId) === undefined ? [] : [{ type: 'callEnded', callId: command.callId, atMs: nowMs }];
    default:
      return unreachable(command);
  }
}

const callOf = (state: PoolState, callId: number): Call | undefined => state.calls.find(({ id }) => id === callId);

function connect(
  state: PoolState,
  { callId, priority }: { readonly callId: number; readonly priority: number },
  nowMs: number,
  limits: PoolLimits,
): readonly PoolEvent[] {
  const events: PoolEvent[] = [];
  let at = state;
  const happen = (event: PoolEvent): void => {
    events.push(event);
    at = evolve(at, event);
  };
  for (const call of at.calls)
    if (nowMs - call.seenAtMs > limits.callMs) happen({ type: 'callEnded', callId: call.id, atMs: nowMs });
  // Quiet times give memory back; the one used last stays, warm.
  for (const slot of [...at.slots].sort((a, b) => a.usedAtMs - b.usedAtMs).slice(0, -1)) {
    if (nowMs - slot.usedAtMs > limits.slotIdleMs && connectionsOf(at, slot.id) === 0)
      happen({ type: 'slotRetired', slotId: slot.id, why: 'idle' });
  }
  const free = leastConnected(at);
  if ((free === null || connectionsOf(at, free.id) > 0) && at.slots.length < limits.slots)
    happen({ type: 'slotStarted', slotId: at.nextSlotId, atMs: nowMs });
  const slot = leastConnected(at);
  if (slot === null) throw new Error('a pool without slots');
  happen({ type: 'callConnected', callId, slotId: slot.id, priority, atMs: nowMs });
  return events;
}

/** Fewest calls; among those the smallest memory, so that the next replacement is far away. */
function leastConnected(state: PoolState): Slot | null {
  const order = (a: Slot, b: Slot): number =>
    connectionsOf(state, a.id) - connectionsOf(state, b.id) || a.memoryBytes - b.memoryBytes || a.id - b.id;
  return [...state.slots].sort(order)[0] ?? null;
}

function worn(slot: Slot, spent: boolean, limits: PoolLimits): RetiredFor | null {
  if (spent) return 'budget';
  if (slot.memoryBytes > limits.slotBytes) return 'memory';
  return slot.operations >= limits.slotOperations ? 'operations' : null;
}

/** An instance goes, a fresh one takes its calls. The number of slots does not change. */
function replace(
  state: PoolState,
  gone: Extract<PoolEvent, { readonly type: 'slotRetired' | 'slotIsolated' }>,
  nowMs: number,
): readonly PoolEvent[] {
  const slotId = state.nextSlotId;
  const moved = state.calls.filter((call) => call.slotId === gone.slotId);
  return [
    gone,
    { type: 'slotStarted', slotId, atMs: nowMs },
    ...moved.map(({ id }): PoolEvent => ({ type: 'callMoved', callId: id, slotId })),
  ];
}

/** Whether the call may run its next operation: nobody that counts for more waits. */
export function hasTurn(state: PoolState, callId: number): boolean {
  const own = callOf(state, callId);
  return own === undefined || state.calls.every((call) => call.id === callId || weight(call) <= weight(own));
}

const weight = ({ priority, passes }: Call): number => priority + passes;
