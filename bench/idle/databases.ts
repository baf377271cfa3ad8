import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Every file of the objects' storage, with when it was last written. */
export function filesOf(storage: string): ReadonlyMap<string, number> {
  const files = readdirSync(storage, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(files.map(({ parentPath, name }) => join(parentPath, name)).map((file) => [file, statSync(file).mtimeMs]));
}

/** How often the object of a pool shard has been started: read from a copy of its database, so that it is not started by that. */
export function wakesOf(storage: string, agents: number): number {
  for (const file of filesOf(storage).keys()) {
    if (!file.endsWith('.sqlite')) continue;
    const found = look(file, agents);
    if (found !== null) return found;
  }
  throw new Error(`no object under ${storage} has ${agents} agents`);
}

function look(file: string, agents: number): number | null {
  const dir = mkdtempSync(join(tmpdir(), 'bench-copy-'));
  try {
    const copy = join(dir, 'copy.sqlite');
    for (const part of ['', '-wal', '-shm']) if (existsSync(file + part)) cpSync(file + part, copy + part);
    const database = new DatabaseSync(copy);
    try {
      const tables = database.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name IN ('agents', 'wakes')").get();
      if (tables?.['n'] !== 2) return null;
      if (database.prepare('SELECT count(*) AS n FROM agents').get()?.['n'] !== agents) return null;
      return Number(database.prepare('SELECT count FROM wakes').get()?.['count']);
    } finally {
      database.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
