import type { Mirror } from './sim-storage.ts';
import { Violation } from './must.ts';
import type { Mutant } from './mutants.ts';
import { FIRST_WEIGHTS, OPERATIONS, WEIGHTS } from './operations.ts';
import { finish } from './quiet-end.ts';
import { Run } from './run.ts';
import { World } from './world.ts';

export interface SimResult {
  readonly steps: number;
  readonly crashes: number;
  readonly failure: string | null;
}

const STEPS = 140;

/** Runs one seed: random operations under faults, every invariant after every step, then the quiet end. */
export function simulate(
  seed: number,
  options: {
    readonly mutant?: Mutant;
    readonly mirror?: Mirror;
    readonly trace?: (line: string) => void;
    /** Without what came into the simulation later: a seed then means what it did when it found something. */
    readonly asFound?: boolean;
  } = {},
): SimResult {
  const { mutant = null, mirror = null, trace = null, asFound = false } = options;
  const world = new World(seed, { mutant, mirror, trace, hasQuotas: !asFound });
  const run = new Run(world);
  // Each seed has its own habits: what is rare over all may be what this run is about.
  const weights = Object.fromEntries(
    Object.entries(asFound ? FIRST_WEIGHTS : WEIGHTS).map(([name, weight]) => [
      name,
      weight * world.random.pick([0.2, 0.6, 1, 1, 1, 2.5]),
    ]),
  ) as typeof FIRST_WEIGHTS & Partial<typeof WEIGHTS>;
  let steps = 0;
  try {
    for (; steps < STEPS; steps += 1) OPERATIONS[world.random.weighted<keyof typeof OPERATIONS>(weights as typeof WEIGHTS)](run);
    finish(run);
    if (mirror !== null) world.storage.compare();
  } catch (error) {
    const what =
      error instanceof Violation ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
    options.trace?.(`! ${what}`);
    return { steps, crashes: world.crashes, failure: what };
  }
  return { steps, crashes: world.crashes, failure: null };
}
