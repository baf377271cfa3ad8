/**
 * The little of Node that the client uses when it is there: environment, small files, process ids. Reached through
 * `process.getBuiltinModule`, so browsers and Workers neither load nor bundle anything of it.
 */
export interface NodeSide {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  /** The file's text, or `null` when it cannot be read. */
  read(path: string): string | null;
  join(...parts: string[]): string;
  isAlive(pid: number): boolean;
}

/** `null` outside Node. */
export function nodeSide(): NodeSide | null {
  const host = (globalThis as { process?: NodeJS.Process }).process;
  if (typeof host?.getBuiltinModule !== 'function' || typeof host.versions?.node !== 'string') return null;
  const fs = host.getBuiltinModule('node:fs');
  const path = host.getBuiltinModule('node:path');
  const os = host.getBuiltinModule('node:os');
  if (fs === undefined || path === undefined || os === undefined) return null;
  return {
    env: host.env,
    cwd: host.cwd(),
    home: os.homedir(),
    join: path.join,
    read: (file) => {
      try {
        return fs.readFileSync(file, 'utf8');
      } catch {
        return null;
      }
    },
    isAlive: (pid) => {
      try {
        return host.kill(pid, 0);
      } catch (error) {
        // EPERM: it lives, and is someone else's.
        return error instanceof Error && 'code' in error && error.code === 'EPERM';
      }
    },
  };
}
