import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startLocalFleet } from '../../scripts/local/fleet.ts';
import { faultyBooster } from '../../test/lib/booster-faults/plugin.ts';
import { failing, sound } from '../../test/lib/booster-faults/sources.ts';
import { Client } from '../lib/load.ts';
import { percentile, round } from '../lib/stats.ts';
import type { Table } from '../lib/report.ts';

const PANICS = 100;
const LOAD_CALLERS = 4;
/** Panics after the ones that are timed, in hundreds, for what the memory does in the long run. */
const MORE_HUNDREDS = 99;
/** Sound operations before them, in hundreds: the heaps of the isolates fill until the collector has a reason, panics or not. */
const SOUND_HUNDREDS = 40;
/** What one instance holds at the least. */
const INSTANCE_MIN_MB = 0.5;

interface Status {
  readonly panics: number;
  readonly recycled: number;
  readonly slots: { readonly started: number };
}

/**
 * A hundred real panics under load: compiled Rust that ends in `unreachable`, and overwritten memory, turn about. Each is
 * timed from the request to the agent's task; callers of sound operations beside it must notice nothing.
 */
export async function recovery(): Promise<Table> {
  const stateDir = mkdtempSync(join('/dev/shm', 'bench-recovery-'));
  const fleet = await startLocalFleet({ port: 0, stateDir, regions: ['eu-west-1'], plugins: [faultyBooster], quiet: true });
  const client = new Client(fleet.url, fleet.adminToken, LOAD_CALLERS + 1);
  const run = async (body: object): Promise<{ readonly status: number; readonly body: string }> =>
    client.call('POST', '/v1/booster/tasks', body);
  const status = async (): Promise<Status> => JSON.parse((await client.expect(200, 'GET', '/v1/booster/status')).body) as Status;
  const residentMb = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${fleet.workerdPid}/status`, 'utf8'))?.[1]) / 1024;
  try {
    // Every slot is started and warm before anything is counted, and the collector has had dropped instances to collect.
    await Promise.all(Array.from({ length: 24 }, (_, n) => run({ tasks: Array.from({ length: 40 }, (_, i) => sound(n + i)) })));
    for (let i = 0; i < 60; i += 1) await run({ ...failing(i % 2 === 0 ? 'panic' : 'memory'), fallback: { pool: 'coder' } });
    const before = await status();
    // The control: the same number of requests, and what they leave behind, without a panic among them.
    const soundMb = [residentMb()];
    for (let hundred = 0; hundred < SOUND_HUNDREDS; hundred += 1) {
      for (let i = 0; i < 100; i += 1) await run(sound(i));
      soundMb.push(residentMb());
    }
    const memoryMb = [residentMb()];
    const load = { isOn: true };
    let wrong = 0;
    const soundMs: number[] = [];
    const callers = Array.from({ length: LOAD_CALLERS }, async () => {
      for (let i = 0; load.isOn; i += 1) {
        const from = performance.now();
        const { status: code, body } = await run(sound(i));
        soundMs.push(performance.now() - from);
        if (code !== 200 || !body.startsWith('{"ok":true')) wrong += 1;
      }
    });
    const plainMs: number[] = [];
    const rerouteMs: number[] = [];
    let rerouted = 0;
    for (let i = 0; i < PANICS; i += 1) {
      // The same submission without a panic before it: what a task costs here in any case.
      let from = performance.now();
      await run({ operation: 'review', original: 'x', fallback: { pool: 'reviewer' } });
      plainMs.push(performance.now() - from);
      from = performance.now();
      const answer = await run({ ...failing(i % 2 === 0 ? 'panic' : 'memory', i), fallback: { pool: 'coder' } });
      rerouteMs.push(performance.now() - from);
      if (answer.status === 202 && (JSON.parse(answer.body) as { reason?: string }).reason === 'fault') rerouted += 1;
    }
    load.isOn = false;
    await Promise.all(callers);
    const after = await status();
    const detected = after.panics - before.panics;
    memoryMb.push(residentMb());
    for (let hundred = 0; hundred < MORE_HUNDREDS; hundred += 1) {
      // Without an agent's task each: what waits in a pool is memory too, and not the booster's.
      for (let i = 0; i < 100; i += 1) await run(failing(i % 2 === 0 ? 'panic' : 'memory', i));
      memoryMb.push(residentMb());
    }
    const [sound100, panics100] = [addedByLateHundred(soundMb), addedByLateHundred(memoryMb)];
    const everyFourth = (series: readonly number[]): string =>
      series
        .filter((_, hundred) => hundred % 4 === 0)
        .map((mb) => mb.toFixed(0))
        .join(', ');
    const over = rerouteMs.filter((ms) => ms >= 100).length;
    const verdict = (good: boolean): string => (good ? 'holds' : 'does not hold');
    return {
      title: `Recovery: ${PANICS} real panics under load`,
      columns: ['figure', 'measured', 'asked', ''],
      rows: [
        ['panics detected', String(detected), String(PANICS), verdict(detected === PANICS)],
        [
          'instances replaced: slots before → after',
          `${before.slots.started} → ${after.slots.started}`,
          'as many',
          verdict(after.slots.started >= before.slots.started),
        ],
        ['tasks given to an agent', String(rerouted), String(PANICS), verdict(rerouted === PANICS)],
        [
          'panic → agent’s task acknowledged, p50 / p99 / max ms',
          [50, 99, 100].map((p) => round(percentile(rerouteMs, p))).join(' / '),
          '< 100',
          over === 0 ? 'holds' : `${over} of ${PANICS} do not`,
        ],
        [
          'a task without a panic before it, p50 / p99 ms',
          [50, 99].map((p) => round(percentile(plainMs, p))).join(' / '),
          '–',
          '',
        ],
        ['sound operations beside it', `${soundMs.length}, ${wrong} wrong`, '0 wrong', verdict(wrong === 0)],
        ['their p50 / p99 ms', [50, 99].map((p) => round(percentile(soundMs, p))).join(' / '), '–', ''],
        [
          `memory of the runtime in MB over ${SOUND_HUNDREDS * 100} sound operations first, at the start and after each fourth hundred`,
          everyFourth(soundMb),
          'the control',
          '',
        ],
        [`the same over ${PANICS + MORE_HUNDREDS * 100} panics after them`, everyFourth(memoryMb), '', ''],
        [
          'MB that a hundred of the second half adds to the most before it: sound operations, panics',
          [sound100, panics100].map(round).join(', '),
          'panics no more',
          verdict(panics100 <= sound100),
        ],
        ['instances that this could be, of a hundred that panicked', String(Math.ceil(panics100 / INSTANCE_MIN_MB)), '–', ''],
      ],
      note: `Whole requests over HTTP with ${LOAD_CALLERS} callers of sound operations at the same time, on one thread; state on tmpfs. Panics: @ast-grep/wasm's commitEdits ending in \`unreachable\`, and memory overwritten with 0xFF, in turn.`,
    };
  } finally {
    await client.close();
    await fleet.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** Memory fills until the collector has a reason, so what counts is what goes on being added: MB a hundred, of the later half. */
function addedByLateHundred(series: readonly number[]): number {
  const half = series.length >> 1;
  return Math.max(0, Math.max(...series.slice(half)) - Math.max(...series.slice(0, half))) / (series.length - half);
}
