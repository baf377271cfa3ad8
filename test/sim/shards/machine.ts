import { PoolEngine } from '../../../durable-objects/pool/engine.ts';
import type { Outcome } from '../../../durable-objects/pool/outcomes.ts';
import type { ShardConfig } from '../../../shared/rpc.ts';
import { FLEET, HOME } from '../../lib/pool-harness.ts';
import { poolViolations } from '../../lib/pool-invariants.ts';
import { SeededUlids, type Seeded } from '../../lib/seeded.ts';
import { History } from '../lib/history.ts';
import { checkMemory } from '../lib/memory-check.ts';
import { must } from '../lib/must.ts';
import { InjectedCrash, SimStorage } from '../lib/sim-storage.ts';

export interface Done<T> {
  readonly value: T;
  readonly outcomes: readonly Outcome[];
}

/** What a machine needs of the world around it. */
export interface Surroundings {
  readonly random: Seeded;
  readonly clock: { nowMs: number; latestMs: number };
  readonly faults: { crashInside: number; crashAfter: number };
  readonly config: ShardConfig;
  readonly engineOf?: (engine: PoolEngine) => PoolEngine;
  /** What the shell does after a commit. */
  readonly deliver: (machine: Machine, outcome: Outcome) => void;
  /** Looks at what a transaction has committed. */
  readonly committed: (machine: Machine) => void;
}

/** One shard with its storage, its sockets and its alarm; it may die at any write. */
export class Machine {
  readonly shard: number;
  readonly storage = new SimStorage(null);
  readonly history = new History();
  readonly sockets = new Set<string>();
  readonly pongs = new Map<string, number>();
  readonly polling = new Set<string>();
  /** Which life of the machine this is: what a call of an earlier one was answered reaches nobody. */
  life = 0;
  alarmAtMs: number | null = null;
  engine: PoolEngine;
  readonly #around: Surroundings;

  constructor(shard: number, around: Surroundings) {
    this.shard = shard;
    this.#around = around;
    this.engine = this.#start();
  }

  get latestMs(): number {
    return this.#around.clock.latestMs;
  }

  readonly lastPongAtMs = (agentId: string): number | null => this.pongs.get(agentId) ?? null;

  #start(): PoolEngine {
    const { random, clock, config, engineOf } = this.#around;
    const engine = new PoolEngine(
      this.storage,
      {
        nowMs: () => clock.nowMs,
        random: random.next,
        ulid: new SeededUlids(random.next, () => clock.nowMs).next,
        lastPongAtMs: this.lastPongAtMs,
      },
      FLEET,
      { ...HOME, shard: this.shard },
      config,
    );
    return engineOf?.(engine) ?? engine;
  }

  /** One transaction and what follows it; null when the machine died on the way. */
  call<T>(body: (engine: PoolEngine) => Done<T>): { readonly value: T } | null {
    const { random, faults, clock, deliver, committed } = this.#around;
    const crash = random.chance(faults.crashInside) ? { write: random.int(1, 4), after: random.chance(0.5) } : null;
    this.storage.begin(crash);
    let done: Done<T>;
    try {
      done = body(this.engine);
    } catch (error) {
      if (!(error instanceof InjectedCrash)) throw error;
      this.storage.rollback();
      this.restart(false);
      return null;
    }
    this.history.commit(this.storage.commit(), this.storage.rows);
    committed(this);
    const dueAtMs = this.engine.nextAlarmMs();
    if (dueAtMs !== null && (this.alarmAtMs === null || dueAtMs < this.alarmAtMs)) this.alarmAtMs = dueAtMs;
    const found = poolViolations(this.engine.state, {
      nowMs: clock.nowMs,
      latestMs: clock.latestMs,
      stepped: false,
      lastPongAtMs: this.lastPongAtMs,
      ended: this.history.ended,
    });
    must(found.length === 0, `shard ${this.shard}: ${found.join('\n')}`);
    checkMemory(this);
    if (random.chance(faults.crashAfter)) {
      this.restart(false);
      return null;
    }
    const { life } = this;
    for (const outcome of done.outcomes) if (this.life === life) deliver(this, outcome);
    return { value: done.value };
  }

  /** Memory is gone, and what was waited for; sockets survive hibernation only. */
  restart(hibernated: boolean): void {
    this.life += 1;
    if (!hibernated) {
      this.sockets.clear();
      this.pongs.clear();
    }
    this.polling.clear();
    this.engine = this.#start();
    if (this.storage.rows.meta === null) return;
    this.call((engine) => ({ value: undefined, outcomes: engine.wake(new Set(this.sockets)) }));
  }

  alarm(): void {
    this.alarmAtMs = null;
    this.call((engine) => ({ value: undefined, outcomes: engine.alarm() }));
  }
}
