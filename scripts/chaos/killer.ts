import type { LocalFleet } from '../local/fleet.ts';
import { isAlive } from '../local/processes.ts';
import type { Entry, Recorder } from '../../test/lib/history.ts';
import { Seeded } from '../../test/lib/seeded.ts';
import { pause } from './world.ts';

export interface KillerOptions {
  readonly fleet: LocalFleet;
  readonly recorder: Recorder;
  readonly kills: number;
  /** The kills are spread over about this time. */
  readonly seconds: number;
  readonly seed: number;
  readonly onKill: (kill: { readonly n: number; readonly servingAfterMs: number }) => void;
}

/** Acknowledgements that are the most to wait for before a kill at one of them. */
const ACKNOWLEDGEMENTS_MAX = 40;

/** Kills the runtime with SIGKILL, again and again: at any moment, at the very moment of an acknowledgement, and soon after a start. */
export async function killer({ fleet, recorder, kills, seconds, seed, onKill }: KillerOptions): Promise<void> {
  const random = new Seeded(seed);
  const untilMs = Date.now() + seconds * 1_000;
  for (let n = 1; n <= kills; n += 1) {
    // What is left of the time, shared by the kills that are left.
    const shareMs = Math.max(0, untilMs - Date.now()) / (kills - n + 1);
    const how = random.weighted({ anyMoment: 45, acknowledgement: 45, soon: 10 });
    if (how === 'soon') await pause(random.int(0, 60));
    else await pause(Math.min(shareMs, random.int(50, Math.max(100, Math.round(shareMs * 1.5)))));
    if (how === 'acknowledgement') await acknowledgement(recorder, random.int(1, ACKNOWLEDGEMENTS_MAX));
    const startedAtMs = Date.now();
    await kill(fleet, recorder);
    onKill({ n, servingAfterMs: Date.now() - startedAtMs });
  }
  await pause(Math.max(0, untilMs - Date.now()));
}

async function kill(fleet: LocalFleet, recorder: Recorder): Promise<void> {
  const pid = fleet.workerdPid;
  const done = recorder.begin('killer', 'kill', { pid });
  const dead = (async () => {
    while (isAlive(pid)) await pause(2);
    done({ kind: 'ok', value: {} });
  })();
  await Promise.all([fleet.killWorkerd(), dead]);
}

/** Resolves while the n-th success from now is being written down: the kill follows in the same turn. */
function acknowledgement(recorder: Recorder, n: number): Promise<void> {
  let left = n;
  return new Promise((resolve) => {
    const timer = setTimeout(end, 1_000);
    function end(): void {
      clearTimeout(timer);
      recorder.onEntry = null;
      resolve();
    }
    recorder.onEntry = (entry: Entry) => {
      if (entry.answer.kind !== 'ok' || !CHANGES.has(entry.op)) return;
      left -= 1;
      if (left === 0) end();
    };
  });
}

const CHANGES: ReadonlySet<string> = new Set([
  'register',
  'allocate',
  'renew',
  'release',
  'submit',
  'complete',
  'fail',
  'cancel',
  'drain',
]);
