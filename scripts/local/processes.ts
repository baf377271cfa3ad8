import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/*
 * What must be known of other processes. Linux tells through /proc; elsewhere `ps` does, which costs a process a call and
 * is therefore only used at start.
 */

/** State, parent and start of a process as /proc tells it; `null` if it is gone or there is no /proc. */
function procStat(pid: number): { state: string; parent: number; started: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in parentheses and may hold anything: the fields after it begin at the last one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', parent: Number(fields[1]), started: fields[19] ?? '' };
  } catch {
    return null;
  }
}

const ps = (pid: number, field: string): string =>
  process.platform === 'linux'
    ? ''
    : (spawnSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).stdout ?? '').trim();

/** Whether the process runs. One that has ended but was not yet collected by its parent does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  const state = procStat(pid)?.state;
  return state !== 'Z' && state !== 'X';
}

/** A mark that differs between two processes of the same number; `null` where the system does not tell. */
export const startedAt = (pid: number): string | null => procStat(pid)?.started ?? (ps(pid, 'lstart') || null);

/** The parent of a process; 0 if unknown. */
export const parentOf = (pid: number): number => procStat(pid)?.parent ?? (Number(ps(pid, 'ppid')) || 0);

/** The command line of a process, as far as it can be read. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return ps(pid, 'command');
  }
}

/** Whether the process is a Workers runtime: asked before killing by a number that was written down earlier. */
export const isWorkerd = (pid: number): boolean => isAlive(pid) && commandOf(pid).includes('workerd');

const PACKAGE_MANAGER = /(^|[/\s])(npm|npx|pnpm|yarn|bun)([\s.-]|$)/;

/**
 * The processes between us and the package manager that runs us, it included; empty when none does. Its shell may or may
 * not stand between, because some shells become the command they run.
 */
export function packageManagerChain(): readonly number[] {
  if (process.env['npm_lifecycle_event'] === undefined) return [];
  const chain: number[] = [];
  for (let pid = process.ppid; pid > 1 && chain.length < 3; pid = parentOf(pid)) {
    chain.push(pid);
    if (PACKAGE_MANAGER.test(commandOf(pid)) && !/^\S*sh(\s|$)/.test(commandOf(pid))) return chain;
  }
  return [];
}
