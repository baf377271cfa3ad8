import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

const UP_WITHIN_MS = 15_000;
const DOWN_WITHIN_MS = 5_000;

/** A server of the benchmark's own, on loopback, which ends with the benchmark whatever happens to it. */
export interface OwnServer {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** The first of the program's places that exists, or null: then it is not installed. */
export function findProgram(name: string, places: readonly string[] = []): string | null {
  const directories = [
    ...places,
    ...(process.env['PATH'] ?? '').split(path.delimiter),
    '/usr/bin',
    '/usr/local/bin',
    '/usr/sbin',
  ];
  return directories.map((directory) => path.join(directory, name)).find((file) => existsSync(file)) ?? null;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as net.AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

/** Starts a program that listens on `port`; `signal` is what ends it in good order. */
export async function startServer(
  program: string,
  args: readonly string[],
  options: { readonly port: number; readonly signal?: NodeJS.Signals; readonly spawn?: SpawnOptions },
): Promise<OwnServer> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options.spawn });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2_000);
  });
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  const stop = async (): Promise<void> => {
    await end(child, options.signal ?? 'SIGTERM');
    process.removeListener('exit', onExit);
  };
  try {
    await untilListening(options.port, () => hasEnded(child));
  } catch (error) {
    await stop();
    throw new Error(`${path.basename(program)} did not start: ${said.trim() || String(error)}`, { cause: error });
  }
  return { port: options.port, pid: child.pid ?? 0, stop };
}

const hasEnded = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null || child.pid === undefined;

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const kill = setTimeout(() => child.kill('SIGKILL'), DOWN_WITHIN_MS);
  await ended;
  clearTimeout(kill);
}

async function untilListening(port: number, ended: () => boolean): Promise<void> {
  const untilMs = performance.now() + UP_WITHIN_MS;
  while (!(await accepts(port))) {
    if (ended()) throw new Error('it ended');
    if (performance.now() > untilMs) throw new Error(`nothing listens on ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
