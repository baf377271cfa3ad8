import { cpus } from 'node:os';
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of `/proc/<pid>/stat` are hundredths of a second on every Linux that Node runs on. */
const TICK_US = 10_000;

interface Stat {
  readonly parent: number;
  readonly cpuUs: number;
}

function statOf(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in parentheses and may hold anything: the fields after it begin at the last one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { parent: Number(fields[1]), cpuUs: (Number(fields[11]) + Number(fields[12])) * TICK_US };
  } catch {
    return null;
  }
}

/**
 * Processor time that the processes and their children have used, in microseconds; NaN where the system does not tell. On
 * a machine that others use too, it says more than the clock.
 */
export function cpuUsOf(pids: readonly number[]): number {
  if (process.platform !== 'linux') return Number.NaN;
  const wanted = new Set(pids);
  let sum = 0;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? statOf(pid) : null;
    if (stat !== null && (wanted.has(pid) || wanted.has(stat.parent))) sum += stat.cpuUs;
  }
  return sum;
}

const SETTLED_WITHIN_MS = 3_000;
const SETTLED_BELOW = 0.1;

/** Resolves when the machine's processors do next to nothing, or after three seconds. */
export async function settled(): Promise<void> {
  const deadline = performance.now() + SETTLED_WITHIN_MS;
  for (let before = machineTimes(); performance.now() < deadline;) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    const now = machineTimes();
    if ((now.busyMs - before.busyMs) / (now.allMs - before.allMs) < SETTLED_BELOW) return;
    before = now;
  }
}

function machineTimes(): { readonly busyMs: number; readonly allMs: number } {
  let [busyMs, allMs] = [0, 0];
  for (const { times } of cpus()) {
    const { user, nice, sys, irq, idle } = times;
    busyMs += user + nice + sys + irq;
    allMs += user + nice + sys + irq + idle;
  }
  return { busyMs, allMs };
}
