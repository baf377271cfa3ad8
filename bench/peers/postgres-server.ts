import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort, startServer, type OwnServer } from './process.ts';

const DEBIAN = '/usr/lib/postgresql';

/** Where Debian keeps the newest version; its programs are not on the path. */
function binaries(): readonly string[] {
  if (!existsSync(DEBIAN)) return [];
  return readdirSync(DEBIAN)
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN, version, 'bin'));
}

/** PostgreSQL refuses to run as root, so root lends it the user that the package made. */
function owner(): { readonly uid: number; readonly gid: number } | null | 'none' {
  if (process.getuid?.() !== 0) return null;
  try {
    const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: 'pipe' }));
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return 'none';
  }
}

export const hasPostgres = (): boolean => findProgram('initdb', binaries()) !== null && owner() !== 'none';

/** A PostgreSQL of our own with its defaults for durability: a commit answers after its fsync. */
export async function startPostgres(parent: string): Promise<OwnServer> {
  const initdb = findProgram('initdb', binaries());
  const postgres = findProgram('postgres', binaries());
  const user = owner();
  if (initdb === null || postgres === null || user === 'none') throw new Error('postgres is not installed');
  const dir = mkdtempSync(join(parent, 'bench-postgres-'));
  const as = user === null ? {} : user;
  if (user !== null) chownSync(dir, user.uid, user.gid);
  const data = join(dir, 'data');
  execFileSync(initdb, ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync'], { stdio: 'ignore', cwd: dir, ...as });
  const port = await freePort();
  const settings = {
    listen_addresses: "'127.0.0.1'",
    port: String(port),
    unix_socket_directories: "''",
    fsync: 'on',
    synchronous_commit: 'on',
    shared_buffers: "'256MB'",
    max_connections: '100',
    autovacuum_naptime: "'5s'",
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  writeFileSync(join(data, 'postgresql.auto.conf'), lines.join(''));
  // SIGINT is its fast shutdown: clients are not waited for.
  const server = await startServer(postgres, ['-D', data], { port, signal: 'SIGINT', spawn: { cwd: dir, ...as } });
  return {
    port,
    pid: server.pid,
    async stop() {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
