import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { isAlive, isWorkerd, startedAt } from './processes.ts';

/** The files of a state directory. Whoever may read it may act as the fleet's administrator, so it is ours alone. */
export interface StateDir {
  readonly root: string;
  /** The objects' databases: one directory per region's Worker and class, so residency is visible on disk. */
  readonly storage: string;
  readonly signingKeys: string;
  /** One file per region. */
  readonly memoryKeys: string;
  readonly adminToken: string;
  /** `{url, pid}` of the running fleet; absent when none runs. */
  readonly endpoint: string;
  readonly workerdPid: string;
  readonly lock: string;
}

/** Names the files under `root` and makes the directory. */
export function openStateDir(root: string): StateDir {
  const absolute = path.resolve(root);
  mkdirSync(absolute, { recursive: true, mode: 0o700 });
  chmodSync(absolute, 0o700);
  const file = (name: string): string => path.join(absolute, name);
  return {
    root: absolute,
    storage: file('storage'),
    signingKeys: file('signing-keys.json'),
    memoryKeys: file('memory-keys'),
    adminToken: file('admin-token'),
    endpoint: file('endpoint'),
    workerdPid: file('workerd.pid'),
    lock: file('lock'),
  };
}

/** Writes a file whole or not at all: a reader, or a kill in between, never sees half of it. */
export function writePrivately(file: string, text: string): void {
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, file);
}

/** The text of a file, `null` when there is none. */
export function readIfPresent(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Two fleets on one storage would corrupt it: the second must not start. */
export class StateDirBusyError extends Error {
  constructor(root: string, pid: number) {
    super(`Another fleet (process ${pid}) already uses ${root}. Stop it, or set FLEET_STATE_DIR to another directory.`);
  }
}

/**
 * Takes the directory for this process. A lock whose process is gone, or whose number now belongs to a later process, is
 * taken over, and a runtime left behind by it is ended first, since it still holds the storage.
 */
export function lockStateDir(dir: StateDir): { readonly id: string; release(): void } {
  // One process may hold the directory several times in its life, so the process does not name the lock.
  const id = randomUUID();
  const mine = JSON.stringify({ pid: process.pid, startedAt: startedAt(process.pid), id });
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      writeFileSync(dir.lock, mine, { flag: 'wx', mode: 0o600 });
      endOrphan(dir);
      return {
        id,
        release: () => {
          if (readIfPresent(dir.lock) === mine) rmSync(dir.lock, { force: true });
        },
      };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const text = readIfPresent(dir.lock);
    if (text === null) continue;
    const holder = lockHolder(text);
    if (holder !== null) throw new StateDirBusyError(dir.root, holder);
    // Renamed first: of two processes that find the same stale lock, only one gets to remove it.
    const stale = `${dir.lock}.stale.${process.pid}`;
    try {
      renameSync(dir.lock, stale);
    } catch {
      continue;
    }
    if (readIfPresent(stale) !== text) {
      // Somebody took the directory between our reading and our renaming: give it back.
      renameSync(stale, dir.lock);
      continue;
    }
    rmSync(stale, { force: true });
  }
  throw new Error(`Could not lock ${dir.root}: other processes keep changing ${dir.lock}.`);
}

/** The live process that a lock's text names, or `null`. */
function lockHolder(text: string): number | null {
  try {
    const held: unknown = JSON.parse(text);
    if (typeof held !== 'object' || held === null || !('pid' in held) || typeof held.pid !== 'number') return null;
    if (!isAlive(held.pid)) return null;
    const started = startedAt(held.pid);
    const same = !('startedAt' in held) || held.startedAt === null || started === null || held.startedAt === started;
    return same ? held.pid : null;
  } catch {
    return null;
  }
}

function endOrphan(dir: StateDir): void {
  const pid = Number(readIfPresent(dir.workerdPid) ?? '0');
  if (pid > 0 && isWorkerd(pid)) process.kill(pid, 'SIGKILL');
  rmSync(dir.workerdPid, { force: true });
  rmSync(dir.endpoint, { force: true });
}

/** Where clients outside the checkout look for the local fleet. */
export const userPointer = (): string =>
  path.join(process.env['XDG_CONFIG_HOME'] || path.join(homedir(), '.config'), 'fleet/local.json');

/** Tells the user's clients where the fleet is; the answer takes it back, unless another fleet has announced itself since. */
export function announce(url: string, dir: StateDir): () => void {
  const file = userPointer();
  const text = JSON.stringify({ endpoint: url, tokenFile: dir.adminToken });
  mkdirSync(path.dirname(file), { recursive: true });
  writePrivately(file, text);
  return () => {
    if (readIfPresent(file) === text) rmSync(file, { force: true });
  };
}
