import type { Granted, Recorder } from '../../test/lib/history.ts';
import { Seeded } from '../../test/lib/seeded.ts';
import { Calls } from './calls.ts';
import type { Http } from './http.ts';

export interface WorldOptions {
  readonly http: Http;
  readonly recorder: Recorder;
  readonly seed: number;
  readonly regions: readonly string[];
  readonly faultsEndAtMs: number;
}

/** Every pool has agents of all kinds; `TIGHT_POOL` is full most of the time. */
export const POOLS = ['coder', 'tester'] as const;
export const TIGHT_POOL = 'architect';
export const TIGHT_POOL_MAX = 5;
/** Only its leases live: they must end although nobody asks the pool for anything. */
export const QUIET_POOL = 'researcher';
/** Only its settings are written. */
export const SETTINGS_POOL = { pool: 'analyst', minAgents: 0, maxAgents: 1_000, priority: 5 } as const;
/** Some agents have it and some work asks for it. */
export const CAPABILITY = 'gpu';
/** No lease and no attempt outlives the faults by more. */
export const LEASE_MS_MAX = 3_000;
export const TASK_TIMEOUT_MS_MAX = 5_000;

const REMEMBERED = 300;

/** `faults`: everything at once, with crashes. `calm`: no new work, agents finish what there is. `over`: all stop. */
export type Phase = 'faults' | 'calm' | 'over';

/** What the clients of one run share: the fleet, the history, and what they know of each other's doings. */
export class World {
  readonly http: Http;
  readonly recorder: Recorder;
  readonly regions: readonly string[];
  /** Leases of direct allocations seen lately, of all clients: whoever wants a token that is not its own finds one here. */
  readonly leases: Granted[] = [];
  /** Tasks seen lately. */
  readonly taskIds: string[] = [];
  /** Agents that clients run themselves, by pool. */
  readonly agents = new Map<string, string>();
  readonly #seed: number;
  readonly #faultsEndAtMs: number;
  #phase: Phase = 'faults';
  #clients = 0;
  #names = 0;

  constructor({ http, recorder, seed, regions, faultsEndAtMs }: WorldOptions) {
    this.http = http;
    this.recorder = recorder;
    this.regions = regions;
    this.#seed = seed;
    this.#faultsEndAtMs = faultsEndAtMs;
  }

  isIn(phase: Phase): boolean {
    return this.#phase === phase;
  }

  enter(phase: Phase): void {
    this.#phase = phase;
  }

  /** Whether there is time enough for a client to be away for so long, and for the fleet to get over it. */
  hasTimeFor(ms: number): boolean {
    return this.#phase === 'faults' && Date.now() + ms < this.#faultsEndAtMs;
  }

  /** What one client needs; each has its own random series, so that their timing does not change their choices. */
  client(role: string): { readonly calls: Calls; readonly random: Seeded } {
    this.#clients += 1;
    const calls = new Calls(`${role}-${this.#clients}`, this.http, this.recorder);
    return { calls, random: new Seeded(this.#seed * 1_000 + this.#clients) };
  }

  /** A name nobody else has, for keys and payloads. */
  name(prefix: string): string {
    this.#names += 1;
    return `${prefix}-${this.#names}`;
  }

  noteLeases(leases: readonly Granted[]): void {
    this.leases.push(...leases);
    if (this.leases.length > REMEMBERED) this.leases.splice(0, this.leases.length - REMEMBERED);
  }

  noteTask(id: string): void {
    this.taskIds.push(id);
    if (this.taskIds.length > REMEMBERED) this.taskIds.shift();
  }

  /** A region to name, or none: then the fleet chooses. */
  region(random: Seeded): { readonly region?: string } {
    return this.regions.length === 1 || random.chance(0.7) ? { region: random.pick(this.regions) } : {};
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The rest a client takes between two operations, which bounds the load; longer where nobody listens. */
export const rest = (random: Seeded, isServing = true): Promise<void> =>
  pause(isServing ? random.int(0, 25) : random.int(20, 60));
