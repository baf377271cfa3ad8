/** Who works where, and who gets which file. Pure. */

export const AGENTS_DEFAULT = 24;
/** Two in each of three lanes: a lane that loses its agent must have another. */
export const AGENTS_MIN = 6;
/** One process each; more than this and a laptop measures its own memory. */
export const AGENTS_MAX = 240;
/** Lanes with a wrapped command among their agents, if there are that many to spare. */
const COMMAND_LANES_MAX = 3;
const REGIONS_USED = 3;

/** The three kinds of work; each pool's capability names what its agents can do. */
export const WORK = [
  { pool: 'tester', capability: 'syntax', analyser: 'syntax.ts' },
  { pool: 'analyst', capability: 'size', analyser: 'size.ts' },
  { pool: 'reviewer', capability: 'review', analyser: 'review.ts' },
] as const;
export type Work = (typeof WORK)[number];
export type AnalyserName = Work['capability'];

/** The agents of one pool in one region; their tasks wait in one queue. */
export interface Lane {
  readonly region: string;
  readonly work: Work;
  readonly agents: number;
}

export interface PlannedAgent {
  readonly index: number;
  readonly lane: Lane;
  /** Whether it is the command line's wrap of an analyser, rather than a process on the SDK's `runAgent`. */
  readonly isCommand: boolean;
}

export interface Plan {
  readonly lanes: readonly Lane[];
  readonly agents: readonly PlannedAgent[];
  /** Where an agent will be killed: all its agents are ours to kill outright, without a command left behind. */
  readonly victimLane: Lane;
}

/** Regions that lie far from each other first, so that the demo is seen to span the globe. */
const PREFERRED_REGIONS = ['us-east-1', 'eu-west-1', 'ap-southeast-1', 'eu-central-1', 'us-west-1'];

/** At most three regions of those the fleet has. */
export function chooseRegions(configured: readonly string[]): readonly string[] {
  const rank = (region: string): number =>
    PREFERRED_REGIONS.includes(region) ? PREFERRED_REGIONS.indexOf(region) : PREFERRED_REGIONS.length;
  return configured.toSorted((a, b) => rank(a) - rank(b)).slice(0, REGIONS_USED);
}

/** Spreads agents over lanes: at least two to a lane, and every pool and every region in the first three lanes. */
export function planAgents(count: number, regions: readonly string[]): Plan {
  if (regions.length === 0) throw new Error('a plan needs a region');
  const laneCount = Math.min(regions.length * WORK.length, Math.max(WORK.length, Math.floor(count / 2)));
  const lanes = Array.from({ length: laneCount }, (_, index): Lane => {
    // Diagonals of the table of regions and pools: any run of three lanes has three pools.
    const work = WORK[(index + Math.floor(index / WORK.length)) % WORK.length] ?? WORK[0];
    const region =
      regions.length >= WORK.length ? regions[index % regions.length] : regions[Math.floor(index / WORK.length) % regions.length];
    return { region: region ?? '', work, agents: Math.floor(count / laneCount) + (index < count % laneCount ? 1 : 0) };
  });
  const commandLanes = Math.min(COMMAND_LANES_MAX, laneCount - 1);
  const agents = lanes.flatMap((lane, laneIndex) =>
    Array.from({ length: lane.agents }, (_, place) => ({ lane, isCommand: place === 0 && laneIndex < commandLanes })),
  );
  const victimLane = lanes.findLast((lane, index) => index >= commandLanes && lane.work.pool === 'reviewer') ?? lanes.at(-1);
  if (victimLane === undefined) throw new Error('a plan has lanes');
  return { lanes, agents: agents.map((agent, index) => ({ ...agent, index })), victimLane };
}

export interface Errand<File> {
  readonly file: File;
  readonly lane: Lane;
  /** The one errand during which an agent will be killed. */
  readonly isVictim: boolean;
}

/** One errand for each file and pool, the lanes of a pool in turn. The victim's is early enough that others come after it. */
export function planErrands<File>(files: readonly File[], { lanes, victimLane }: Plan): readonly Errand<File>[] {
  const victimFile = Math.floor(files.length / 3);
  return files.flatMap((file, index) =>
    WORK.map((work) => {
      const isVictim = index === victimFile && work === victimLane.work;
      const choice = lanes.filter((lane) => lane.work === work);
      const lane = isVictim ? victimLane : choice[index % choice.length];
      if (lane === undefined) throw new Error(`no lane of pool ${work.pool}`);
      return { file, lane, isVictim };
    }),
  );
}
