import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const BIN = path.resolve(import.meta.dirname, '../../../../client/bin/fleet.mjs');

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly input?: string;
}

/** An empty directory, so that no fleet of this machine is found by accident. */
export const emptyDirectory = (): string => mkdtempSync(path.join(tmpdir(), 'fleet-cli-'));

/** Starts `fleet` with nothing of this machine's configuration. */
export function start(
  args: readonly string[],
  { env = {}, cwd = emptyDirectory() }: RunOptions = {},
): ChildProcessWithoutNullStreams {
  const { PATH = '' } = process.env;
  return spawn(process.execPath, [BIN, ...args], { cwd, env: { PATH, HOME: cwd, ...env } });
}

/** Runs `fleet` to its end. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = start(args, options);
  child.stdin.end(options.input ?? '');
  return ended(child);
}

/** Collects what a running `fleet` prints until it ends. */
export function ended(child: ChildProcessWithoutNullStreams): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (part) => (stdout += part));
  child.stderr.on('data', (part) => (stderr += part));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
