import type { BoosterOutcome, BoosterRpc } from '../../../shared/rpc-booster.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { BoosterAnswer, BoosterInstruction, BoosterIsolate } from '../../../shared/schemas/booster.ts';
import { type Chunk, chunksOf, halvesOf } from './chunks.ts';

/** What the region's Worker is given of the world. */
export interface LinePorts {
  /** The bound booster Workers; none where a deployment has none. */
  readonly boosters: readonly BoosterRpc[];
  readonly nowMs: () => number;
  /** The answer of `work`, or `LATE` when it takes longer. */
  readonly within: <T>(timeoutMs: number, work: Promise<T>) => Promise<T | typeof LATE>;
  readonly logError: (message: string, error: unknown, fields: Readonly<Record<string, string | number>>) => void;
}

export const LATE = Symbol('late');

/** Calls under way, by booster Worker: of the isolate, as entrypoints live for one call. */
export type Connections = number[];

/** Who asks. */
export interface Asker {
  readonly fleet: string;
  readonly region: string;
  readonly requestId: string;
}

/** How one call to a booster Worker went. */
export interface CallFacts {
  readonly tasks: readonly BoosterInstruction[];
  readonly outcomes: readonly BoosterOutcome[];
  readonly ms: number;
  readonly late: boolean;
}

/** Calls at once to one booster Worker: while one computes, the next is on its way. */
const CALLS_PER_BOOSTER = 2;
/** Failures in a row after which no task is to blame: the boosters are gone. One bad task in a full call makes eight. */
const FAILURES_MAX = 16;

/**
 * Runs tasks on the region's booster Workers: in calls of bounded size, each to the Worker with the fewest under way. The
 * time limit is kept here, because no timer fires in an isolate while it computes.
 */
export async function runOnBoosters(
  ports: LinePorts,
  connections: Connections,
  asker: Asker,
  tasks: readonly BoosterInstruction[],
  note: (facts: CallFacts) => void,
): Promise<readonly BoosterOutcome[]> {
  const outcomes: BoosterOutcome[] = Array.from({ length: tasks.length });
  if (ports.boosters.length === 0) return outcomes.fill(FAULT.none);
  const waiting = [...chunksOf(tasks)];
  let failures = 0;
  const work = async (): Promise<void> => {
    for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
      const answered = await callOne(ports, connections, asker, chunk, note);
      failures = answered === 'failed' ? failures + 1 : 0;
      if (answered === 'failed' && chunk.tasks.length > 1 && failures < FAILURES_MAX) {
        // One task may have brought the isolate down for all: the others get an answer of their own.
        waiting.unshift(...halvesOf(chunk));
        continue;
      }
      for (const [i, index] of chunk.indexes.entries())
        outcomes[index] = answered === 'failed' ? FAULT.lost : answered === 'late' ? FAULT.late : (answered[i] ?? FAULT.lost);
    }
  };
  const lanes = Math.min(waiting.length, ports.boosters.length * CALLS_PER_BOOSTER);
  await Promise.all(Array.from({ length: lanes }, work));
  return outcomes;
}

async function callOne(
  ports: LinePorts,
  connections: Connections,
  { fleet, region, requestId }: Asker,
  { tasks }: Chunk,
  note: (facts: CallFacts) => void,
): Promise<readonly BoosterOutcome[] | 'failed' | 'late'> {
  const at = leastConnected(ports.boosters.length, connections);
  const booster = ports.boosters[at];
  if (booster === undefined) return 'failed';
  connections[at] = (connections[at] ?? 0) + 1;
  const startedAtMs = ports.nowMs();
  const ended = (outcomes: readonly BoosterOutcome[], late: boolean): void =>
    note({ tasks, outcomes, ms: ports.nowMs() - startedAtMs, late });
  const fields = { requestId, booster: at, tasks: tasks.length };
  try {
    const outcomes = await ports.within(LIMITS.boosterTimeoutMs, booster.run({ fleet, region, requestId, tasks }));
    if (outcomes === LATE) {
      ports.logError('booster call took too long', null, fields);
      ended([], true);
      return 'late';
    }
    ended(outcomes, false);
    return outcomes;
  } catch (error) {
    ports.logError('booster call failed', error, fields);
    if (tasks.length === 1) ended([], false);
    return 'failed';
  } finally {
    connections[at] = (connections[at] ?? 1) - 1;
  }
}

/** Fewest calls under way; the first of several. */
function leastConnected(count: number, connections: Connections): number {
  let best = 0;
  for (let i = 1; i < count; i += 1) if ((connections[i] ?? 0) < (connections[best] ?? 0)) best = i;
  return best;
}

const fault = (detail: string): BoosterOutcome => {
  const answer: BoosterAnswer = { ok: false, reason: 'fault', detail };
  return { reason: 'fault', json: JSON.stringify(answer) };
};
const FAULT = {
  none: fault('This region has no booster.'),
  lost: fault('The booster did not answer; its isolate was lost.'),
  late: fault(`The booster did not answer within ${LIMITS.boosterTimeoutMs} ms.`),
};

/** What every bound booster Worker says of itself; null for one that does not answer. */
export async function isolatesOf(
  ports: LinePorts,
  { fleet, region, requestId }: Asker,
): Promise<readonly (BoosterIsolate | null)[]> {
  return Promise.all(
    ports.boosters.map(async (booster, index) => {
      try {
        const isolate = await ports.within(STATUS_WITHIN_MS, booster.status(fleet, region));
        return isolate === LATE ? null : isolate;
      } catch (error) {
        ports.logError('booster status failed', error, { requestId, booster: index });
        return null;
      }
    }),
  );
}

const STATUS_WITHIN_MS = 5_000;
