import { charsOf } from '../../shared/booster.ts';
import type { BoosterOutcome, BoosterRun } from '../../shared/rpc-booster.ts';
import { LIMITS } from '../../shared/limits.ts';
import { RecentMap } from '../../shared/recent-map.ts';
import type { BoosterInstruction, BoosterIsolate } from '../../shared/schemas/booster.ts';
import { decide, hasTurn } from './core/decide.ts';
import type { PoolCommand, PoolEvent } from './core/events.ts';
import { evolve } from './core/evolve.ts';
import { connectionsOf, EMPTY_POOL, type PoolLimits, POOL_LIMITS, type PoolState } from './core/state.ts';
import { count, newTally, type Tally } from './core/tallies.ts';
import type { CreateEngine, EngineAnswer, PooledEngine, Prepare } from './engine-port.ts';

/** What the pool is given of the world. */
export interface PoolPorts {
  readonly createEngine: CreateEngine;
  readonly prepare: Prepare;
  readonly nowMs: () => number;
  /** Lets other calls of the isolate run. */
  readonly yieldTurn: () => Promise<void>;
  readonly log: (level: 'warn' | 'error', message: string, fields: Readonly<Record<string, string | number>>) => void;
}

interface Instance {
  readonly engine: PooledEngine;
  /** Operations by fleet and region. A slot's own bound on operations bounds it. */
  readonly operations: Map<string, number>;
}

const FAULT: EngineAnswer = {
  ok: false,
  reason: 'fault',
  detail: 'The engine failed at this input and was replaced. The input was not changed.',
};

/**
 * The engines of one isolate. A slot isolates faults, not time: one thread runs them all, one operation after another, and
 * calls take turns between operations, the more important ones first.
 */
export class SlotPool {
  readonly #ports: PoolPorts;
  readonly #limits: PoolLimits;
  readonly #instances = new Map<number, Instance>();
  readonly #tallies = new RecentMap<Tally>(LIMITS.boosterFleetsCounted, newTally);
  readonly #isolate: string;
  readonly #startedAtMs: number;
  #state: PoolState = EMPTY_POOL;
  #calls = 0;

  constructor(ports: PoolPorts, isolate: string, limits: PoolLimits = POOL_LIMITS) {
    this.#ports = ports;
    this.#limits = limits;
    this.#isolate = isolate;
    this.#startedAtMs = ports.nowMs();
  }

  /** Runs the tasks one by one, the important ones first, and answers in their order. Never throws for what an engine does. */
  async run({ fleet, region, requestId, tasks }: BoosterRun): Promise<readonly BoosterOutcome[]> {
    const callId = (this.#calls += 1);
    const key = `${region}/${fleet}`;
    const outcomes: BoosterOutcome[] = Array.from({ length: tasks.length });
    const order = tasks
      .map((task, index) => ({ task, index }))
      .sort((a, b) => priorityOf(b.task) - priorityOf(a.task) || a.index - b.index);
    this.#do({ type: 'connect', callId, priority: Math.max(...tasks.map(priorityOf)) });
    try {
      const quantum = { chars: 0, operations: 0 };
      for (const { task, index } of order) {
        // Before it has a slot: while it waits, another call may bring down the instance of any.
        const pending = this.#ports.prepare(task);
        if (pending !== null) await pending;
        await this.#turn(callId, quantum);
        const answer = await this.#operate(callId, task, { key, requestId });
        quantum.chars += charsOf(task);
        quantum.operations += 1;
        count(this.#tallies.use(key), answer.ok ? null : answer.reason);
        outcomes[index] = { reason: answer.ok ? null : answer.reason, json: JSON.stringify(answer) };
      }
    } finally {
      this.#do({ type: 'disconnect', callId });
    }
    return outcomes;
  }

  /** What one fleet may know: the slots, and what was done for it from that region. */
  status(fleet: string, region: string): BoosterIsolate {
    const key = `${region}/${fleet}`;
    return {
      isolate: this.#isolate,
      startedAtMs: this.#startedAtMs,
      slotsMax: this.#limits.slots,
      slots: this.#state.slots.map(({ id, memoryBytes }) => ({
        slot: id,
        state: connectionsOf(this.#state, id) > 0 ? 'busy' : 'idle',
        memoryBytes,
        operations: this.#instances.get(id)?.operations.get(key) ?? 0,
      })),
      ...(this.#tallies.get(key) ?? newTally()),
    };
  }

  /** Waits until it is this call's turn; a call that has had its share lets others look first. */
  async #turn(callId: number, quantum: { chars: number; operations: number }): Promise<void> {
    if (quantum.chars >= LIMITS.boosterQuantumChars || quantum.operations >= LIMITS.boosterQuantumOperations) {
      quantum.chars = 0;
      quantum.operations = 0;
      await this.#ports.yieldTurn();
    }
    while (!hasTurn(this.#state, callId)) {
      this.#do({ type: 'pass', callId });
      await this.#ports.yieldTurn();
    }
  }

  async #operate(
    callId: number,
    task: BoosterInstruction,
    { key, requestId }: { readonly key: string; readonly requestId: string },
  ): Promise<EngineAnswer> {
    const slotId = this.#slotOf(callId);
    try {
      // An instance that cannot even be made is a failed one.
      const instance = this.#instances.get(slotId) ?? (await this.#start(slotId));
      instance.operations.set(key, (instance.operations.get(key) ?? 0) + 1);
      const answer = instance.engine.run(task);
      const spent = !answer.ok && answer.reason === 'budget';
      this.#do({ type: 'succeed', callId, memoryBytes: instance.engine.memoryBytes, spent }, key);
      return answer;
    } catch (error) {
      this.#ports.log('error', 'booster instance failed and is replaced', {
        requestId,
        isolate: this.#isolate,
        slot: slotId,
        operation: task.operation,
        language: task.language ?? '',
        chars: charsOf(task),
        // Never what the caller sent: an error of an engine holds no source, but nobody promises that.
        error: error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 200) : 'not an error',
      });
      this.#do({ type: 'fail', callId });
      return FAULT;
    }
  }

  #slotOf(callId: number): number {
    const call = this.#state.calls.find(({ id }) => id === callId);
    if (call === undefined) throw new Error(`call ${callId} has no slot`);
    return call.slotId;
  }

  async #start(slotId: number): Promise<Instance> {
    const instance: Instance = { engine: await this.#ports.createEngine(), operations: new Map() };
    // Another call may have given the slot up meanwhile; then the instance serves this one operation.
    if (this.#state.slots.some(({ id }) => id === slotId)) this.#instances.set(slotId, instance);
    return instance;
  }

  #do(command: PoolCommand, key?: string): void {
    for (const event of decide(this.#state, command, this.#ports.nowMs(), this.#limits)) {
      this.#state = evolve(this.#state, event);
      this.#effect(event, key);
    }
  }

  #effect(event: PoolEvent, key: string | undefined): void {
    if (event.type !== 'slotRetired' && event.type !== 'slotIsolated') return;
    this.#instances.delete(event.slotId);
    if (event.type === 'slotRetired' && key !== undefined) this.#tallies.use(key).recycled += 1;
  }
}

const priorityOf = ({ priority }: BoosterInstruction): number => priority ?? LIMITS.priorityDefault;
