import { LIMITS } from '../../../shared/limits.ts';
import { RecentMap } from '../../../shared/recent-map.ts';
import type { BoosterOutcome, BoosterRpc } from '../../../shared/rpc-booster.ts';
import type { BoosterInstruction, BoosterReport, BoosterStatus } from '../../../shared/schemas/booster.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { type Connections, isolatesOf, LATE, type LinePorts, runOnBoosters } from './line.ts';
import { BoosterStatistics } from './statistics.ts';

/** Of the isolate, not of a request. */
const CONNECTIONS: Connections = [];
const STATISTICS = new RecentMap(LIMITS.boosterFleetsCounted, () => new BoosterStatistics(Date.now()));

type LogError = LinePorts['logError'];

/** `BOOSTER`, and where there are several isolates to spread over, `BOOSTER_2`, `BOOSTER_3`, … */
export function boundBoosters(env: object): readonly BoosterRpc[] {
  const bound = env as Readonly<Record<string, BoosterRpc | undefined>>;
  const found: BoosterRpc[] = [];
  for (let i = 1; ; i += 1) {
    const booster = bound[i === 1 ? 'BOOSTER' : `BOOSTER_${i}`];
    if (booster === undefined) return found;
    found.push(booster);
  }
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T | typeof LATE> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

const portsOf = (env: object, logError: LogError): LinePorts => ({
  boosters: boundBoosters(env),
  nowMs: () => Date.now(),
  within,
  logError,
});

/** One region's way to the booster Workers that it is bound to. They run where it runs, so source code stays in the region. */
export class RegionBooster {
  readonly #ports: LinePorts;
  readonly #region: string;

  constructor(env: object, region: string, logError: LogError) {
    this.#ports = portsOf(env, logError);
    this.#region = region;
  }

  run(caller: Caller, tasks: readonly BoosterInstruction[]): Promise<readonly BoosterOutcome[]> {
    const statistics = STATISTICS.use(caller.fleet);
    return runOnBoosters(this.#ports, CONNECTIONS, this.#asker(caller), tasks, (facts) => statistics.note(facts));
  }

  async status(caller: Caller): Promise<BoosterStatus> {
    const answers = await isolatesOf(this.#ports, this.#asker(caller));
    const isolates = answers.flatMap((isolate) => isolate ?? []);
    const sum = (of: (isolate: (typeof isolates)[number]) => number): number =>
      isolates.reduce((total, isolate) => total + of(isolate), 0);
    const refused: Record<string, number> = {};
    for (const isolate of isolates)
      for (const [reason, times] of Object.entries(isolate.refused)) refused[reason] = (refused[reason] ?? 0) + times;
    return {
      region: this.#region,
      slots: {
        max: sum(({ slotsMax }) => slotsMax),
        started: sum(({ slots }) => slots.length),
        busy: sum(({ slots }) => slots.filter(({ state }) => state === 'busy').length),
      },
      operations: sum(({ operations }) => operations),
      done: sum(({ done }) => done),
      refused,
      panics: sum(({ panics }) => panics),
      recycled: sum(({ recycled }) => recycled),
      isolates: [...isolates],
      unreachable: answers.length - isolates.length,
    };
  }

  report(caller: Caller): BoosterReport {
    return (STATISTICS.get(caller.fleet) ?? new BoosterStatistics(Date.now())).report(this.#region);
  }

  #asker({ fleet, requestId }: Caller): { readonly fleet: string; readonly region: string; readonly requestId: string } {
    return { fleet, region: this.#region, requestId };
  }
}
