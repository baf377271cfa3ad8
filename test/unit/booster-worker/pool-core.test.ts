import { describe, expect, it } from 'vitest';
import { decide, hasTurn } from '../../../workers/booster/core/decide.ts';
import type { PoolCommand, PoolEvent } from '../../../workers/booster/core/events.ts';
import { evolve } from '../../../workers/booster/core/evolve.ts';
import { connectionsOf, EMPTY_POOL, POOL_LIMITS, type PoolState } from '../../../workers/booster/core/state.ts';

const LIMITS = { ...POOL_LIMITS, slots: 3, slotBytes: 1_000, slotOperations: 5, callMs: 600_000 };

/** A pool that remembers what happened. */
function pool() {
  let state: PoolState = EMPTY_POOL;
  return {
    get state() {
      return state;
    },
    do(command: PoolCommand, nowMs = 1_000): readonly PoolEvent[] {
      const events = decide(state, command, nowMs, LIMITS);
      for (const event of events) state = evolve(state, event);
      return events;
    },
    connect(callId: number, priority = 5, nowMs = 1_000) {
      return this.do({ type: 'connect', callId, priority }, nowMs);
    },
    succeed(callId: number, memoryBytes = 10, spent = false) {
      return this.do({ type: 'succeed', callId, memoryBytes, spent });
    },
    slotOf: (callId: number) => state.calls.find(({ id }) => id === callId)?.slotId,
  };
}
const types = (events: readonly PoolEvent[]): string[] => events.map(({ type }) => type);

describe('slots', () => {
  it('B210: the first call starts a slot; while all are taken a further one starts, up to the bound', () => {
    const p = pool();
    expect(types(p.connect(1))).toEqual(['slotStarted', 'callConnected']);
    p.connect(2);
    p.connect(3);
    expect(types(p.connect(4))).toEqual(['callConnected']);
    expect(p.state.slots.map(({ id }) => connectionsOf(p.state, id))).toEqual([2, 1, 1]);
  });

  it('B211: a call goes to the slot with the fewest calls, of those to the smallest', () => {
    const p = pool();
    for (const id of [1, 2, 3]) p.connect(id);
    p.succeed(2, 500);
    p.succeed(3, 100);
    p.do({ type: 'disconnect', callId: 2 });
    p.do({ type: 'disconnect', callId: 3 });
    p.connect(4);
    expect(p.slotOf(4)).toBe(3);
    p.connect(5);
    expect(p.slotOf(5)).toBe(2);
  });

  it('B212: an idle slot is used before another one starts', () => {
    const p = pool();
    p.connect(1);
    p.do({ type: 'disconnect', callId: 1 });
    expect(types(p.connect(2))).toEqual(['callConnected']);
  });

  it('B213: slots that nobody used for a minute are given up, all but the one used last', () => {
    const p = pool();
    for (const id of [1, 2, 3]) p.connect(id);
    for (const id of [2, 3, 1]) p.do({ type: 'disconnect', callId: id }, 1_000 + id);
    expect(types(p.connect(4, 5, 1_010 + LIMITS.slotIdleMs))).toEqual(['slotRetired', 'slotRetired', 'callConnected']);
    expect(p.state.slots).toHaveLength(1);
    expect(p.slotOf(4)).toBe(3);
  });

  it('B213: a slot with a call is never given up for being idle', () => {
    const p = pool();
    p.connect(1);
    p.connect(2);
    p.do({ type: 'disconnect', callId: 2 }, 2_000);
    expect(types(p.connect(3, 5, 1_500 + LIMITS.slotIdleMs))).toEqual(['callConnected']);
    expect(p.slotOf(1)).toBe(1);
  });
});

describe('replacement', () => {
  it('B220: a slot is replaced after so many operations, and its calls go on with the new one', () => {
    const p = pool();
    p.connect(1);
    for (let i = 1; i < LIMITS.slotOperations; i += 1) expect(types(p.succeed(1))).toEqual(['operationDone']);
    expect(types(p.succeed(1))).toEqual(['operationDone', 'slotRetired', 'slotStarted', 'callMoved']);
    expect(p.state.slots).toMatchObject([{ id: 2, operations: 0 }]);
    expect(p.slotOf(1)).toBe(2);
  });

  it('B221: a slot above its memory is replaced, one at it is not', () => {
    const p = pool();
    p.connect(1);
    expect(types(p.succeed(1, LIMITS.slotBytes))).toEqual(['operationDone']);
    expect(p.succeed(1, LIMITS.slotBytes + 1)).toContainEqual({ type: 'slotRetired', slotId: 1, why: 'memory' });
  });

  it('B222: a slot whose operation ran out of budget is replaced', () => {
    const p = pool();
    p.connect(1);
    expect(p.succeed(1, 10, true)).toContainEqual({ type: 'slotRetired', slotId: 1, why: 'budget' });
  });

  it('B223: a slot that failed is isolated, replaced at once, and leaves the others alone', () => {
    const p = pool();
    for (const id of [1, 2, 3, 4]) p.connect(id);
    const others = p.state.slots.slice(1);
    expect(types(p.do({ type: 'fail', callId: 1 }))).toEqual(['slotIsolated', 'slotStarted', 'callMoved', 'callMoved']);
    expect(p.state.slots).toEqual([...others, { id: 4, operations: 0, memoryBytes: 0, usedAtMs: 1_000 }]);
    expect([1, 2, 3, 4].map(p.slotOf)).toEqual([4, 2, 3, 4]);
  });

  it('B224: a slot number is never used twice', () => {
    const p = pool();
    p.connect(1);
    for (let i = 0; i < 20; i += 1) p.do({ type: 'fail', callId: 1 });
    expect(p.slotOf(1)).toBe(21);
  });
});

describe('turns', () => {
  it('B230: the more important call goes first', () => {
    const p = pool();
    p.connect(1, 5);
    p.connect(2, 9);
    expect([hasTurn(p.state, 1), hasTurn(p.state, 2)]).toEqual([false, true]);
  });

  it('B231: each turn given away counts, so the least important waits nine at most', () => {
    const p = pool();
    p.connect(1, 1);
    p.connect(2, 10);
    let passes = 0;
    while (!hasTurn(p.state, 1)) {
      p.do({ type: 'pass', callId: 1 });
      passes += 1;
    }
    expect(passes).toBe(9);
    p.succeed(1);
    expect(hasTurn(p.state, 1)).toBe(false);
  });

  it('B232: a call that was never heard of again is forgotten when the next one comes', () => {
    const p = pool();
    p.connect(1, 10);
    expect(types(p.connect(2, 1, 1_001 + LIMITS.callMs))).toEqual(['callEnded', 'callConnected']);
    expect(hasTurn(p.state, 2)).toBe(true);
  });
});

describe('every state against every command', () => {
  it('B233: what is said of a call that is not there changes nothing', () => {
    for (const command of [
      { type: 'pass', callId: 9 },
      { type: 'succeed', callId: 9, memoryBytes: 1, spent: true },
      { type: 'fail', callId: 9 },
      { type: 'disconnect', callId: 9 },
    ] as const) {
      const p = pool();
      expect(p.do(command)).toEqual([]);
      p.connect(1);
      expect(p.do(command)).toEqual([]);
    }
  });
});
