import { expect, it } from 'vitest';
import { decide, hasTurn } from '../../workers/booster/core/decide.ts';
import type { PoolCommand } from '../../workers/booster/core/events.ts';
import { evolve } from '../../workers/booster/core/evolve.ts';
import { connectionsOf, EMPTY_POOL, type PoolLimits, type PoolState } from '../../workers/booster/core/state.ts';
import { Seeded } from '../lib/seeded.ts';

const LIMITS: PoolLimits = { slots: 4, slotBytes: 1_000, slotOperations: 20, slotIdleMs: 500, callMs: 5_000 };
const SEEDS =
  Number(process.env['SEED'] ?? 0) === 0 ? Array.from({ length: 200 }, (_, i) => i + 1) : [Number(process.env['SEED'])];

/** Hundreds of calls that come, work, fail, are lost and go, in any order; what must hold is looked at after each step. */
function run(seed: number): void {
  const random = new Seeded(seed).next;
  const pick = (below: number): number => Math.floor(random() * below);
  let state: PoolState = EMPTY_POOL;
  let nowMs = 1_000;
  let nextCall = 1;
  const dead = new Set<number>();
  const operations = new Map<number, number>();

  const act = (command: PoolCommand): void => {
    const before = state;
    for (const event of decide(state, command, nowMs, LIMITS)) {
      state = evolve(state, event);
      if (event.type === 'slotIsolated' || event.type === 'slotRetired') {
        expect(before.slots.map(({ id }) => id)).toContain(event.slotId);
        dead.add(event.slotId);
      }
      if (event.type === 'slotStarted') {
        expect(dead.has(event.slotId)).toBe(false);
        operations.set(event.slotId, 0);
      }
      if (event.type === 'operationDone') operations.set(event.slotId, (operations.get(event.slotId) ?? 0) + 1);
    }
    if (command.type === 'fail') {
      // Nobody else's instance is touched.
      const failed = before.calls.find(({ id }) => id === command.callId)?.slotId;
      const kept = before.slots.filter(({ id }) => id !== failed);
      expect(state.slots.filter(({ id }) => kept.some((slot) => slot.id === id))).toEqual(kept);
      expect(state.slots).toHaveLength(before.slots.length);
    }
  };

  for (let step = 0; step < 600; step += 1) {
    nowMs += pick(40) === 0 ? 2_000 : pick(5);
    const call = state.calls[pick(Math.max(1, state.calls.length))];
    const dice = pick(10);
    if (call === undefined || dice < 2) act({ type: 'connect', callId: nextCall++, priority: 1 + pick(10) });
    else if (dice < 6) act({ type: 'succeed', callId: call.id, memoryBytes: pick(1_050), spent: pick(50) === 0 });
    else if (dice < 7) act({ type: 'fail', callId: call.id });
    else if (dice < 8) act({ type: 'pass', callId: call.id });
    else act({ type: 'disconnect', callId: call.id });

    expect(state.slots.length).toBeLessThanOrEqual(LIMITS.slots);
    const ids = state.slots.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { slotId } of state.calls) expect(ids).toContain(slotId);
    for (const slot of state.slots) {
      expect(dead.has(slot.id)).toBe(false);
      expect(slot.operations).toBe(operations.get(slot.id));
      expect(slot.operations).toBeLessThan(LIMITS.slotOperations);
      expect(slot.memoryBytes).toBeLessThanOrEqual(LIMITS.slotBytes);
    }
    // Somebody may always go on, so nothing stands still.
    if (state.calls.length > 0) expect(state.calls.some(({ id }) => hasTurn(state, id))).toBe(true);
    const connected = state.slots.reduce((sum, { id }) => sum + connectionsOf(state, id), 0);
    expect(connected).toBe(state.calls.length);
  }
}

it.each(SEEDS)('B234: the pool keeps its promises under any order of events (seed %i)', run);
