import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort, startServer, type OwnServer } from './process.ts';

export const hasRedis = (): boolean => findProgram('redis-server') !== null;

/** A Redis of our own that answers a write after its fsync, as our objects do. Its log is never rewritten meanwhile. */
export async function startRedis(parent: string): Promise<OwnServer> {
  const program = findProgram('redis-server');
  if (program === null) throw new Error('redis-server is not installed');
  const dir = mkdtempSync(join(parent, 'bench-redis-'));
  const port = await freePort();
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0', '--save', ''];
  const server = await startServer(
    program,
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--daemonize', 'no', '--loglevel', 'warning', ...durable],
    { port },
  );
  return {
    port,
    pid: server.pid,
    async stop() {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
