import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startLocalFleet } from '../../scripts/local/fleet.ts';
import { isAlive, parentOf } from '../../scripts/local/processes.ts';

/*
 * `npm start` as a process: what is left when any part of it is killed must be nothing, and what was stored must be there
 * again. The Workers are whatever they are; only /healthz is asked.
 */

const ROOT = path.resolve(import.meta.dirname, '../..');
/** Every commit waits for the disk, so state is in memory where the system offers that. */
const BASE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

interface Started {
  readonly child: ChildProcess;
  readonly npm: number;
  readonly node: number;
  readonly workerd: number;
  readonly url: string;
  readonly out: () => string;
  readonly err: () => string;
  readonly exit: Promise<number | null>;
}

let home: string;
let running: Started[];
beforeEach(() => {
  home = mkdtempSync(path.join(BASE, 'fleet-e2e-'));
  running = [];
});
afterEach(async () => {
  // The runtime may be another one by now, and the watchdog finds it by what is removed here.
  const pids = running.flatMap(({ node, workerd }) => [node, workerd]);
  if (existsSync(stateFile('workerd.pid'))) pids.push(workerdPid());
  for (const pid of pids) if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGKILL');
  await pause(50);
  rmSync(home, { recursive: true, force: true });
});

const stateFile = (name: string): string => path.join(home, 'state', name);
const pointer = (): string => path.join(home, 'config/fleet/local.json');
const workerdPid = (): number => Number(readFileSync(stateFile('workerd.pid'), 'utf8'));

function launch(env: Record<string, string> = {}, command: readonly [string, ...string[]] = ['npm', 'start']) {
  const [file, ...args] = command;
  const child = spawn(file, args, {
    cwd: ROOT,
    env: {
      ...process.env,
      PORT: '0',
      FLEET_STATE_DIR: path.join(home, 'state'),
      FLEET_REGIONS: 'eu-west-1',
      XDG_CONFIG_HOME: path.join(home, 'config'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const exit = new Promise<number | null>((resolve) => child.on('exit', resolve));
  return { child, exit, out: () => out, err: () => err };
}

async function start(env: Record<string, string> = {}, command?: readonly [string, ...string[]]): Promise<Started> {
  const launched = launch(env, command);
  await until(() => /^ready http/m.test(launched.out()) || launched.child.exitCode !== null, 30_000);
  const url = /^ready (http\S+)$/m.exec(launched.out())?.[1];
  if (url === undefined) throw new Error(`npm start did not become ready:\n${launched.out()}${launched.err()}`);
  const { pid } = JSON.parse(readFileSync(stateFile('endpoint'), 'utf8')) as { pid: number };
  const started = { ...launched, npm: launched.child.pid!, node: pid, workerd: workerdPid(), url };
  running.push(started);
  return started;
}

async function until(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadlineAtMs = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadlineAtMs) throw new Error(`not within ${withinMs} ms: ${String(condition)}`);
    await pause(20);
  }
}

const serves = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.status === 200,
    () => false,
  );

const gone = (...pids: number[]): Promise<void> => until(() => !pids.some(isAlive));

describe('a start', () => {
  it('says where it is, writes what clients need, and gives it all back on Ctrl-C', async () => {
    const fleet = await start();
    expect(await serves(fleet.url)).toBe(true);
    expect(fleet.out().trimEnd().split('\n').at(-1)).toBe(`ready ${fleet.url}`);
    expect(fleet.out().match(/^ready /gm)).toHaveLength(1);

    const token = readFileSync(stateFile('admin-token'), 'utf8').trim();
    expect(fleet.out()).toContain(token);
    for (const name of ['admin-token', 'signing-keys.json']) expect(statSync(stateFile(name)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(stateFile('endpoint'), 'utf8'))).toEqual({ url: fleet.url, pid: fleet.node });
    expect(JSON.parse(readFileSync(pointer(), 'utf8'))).toEqual({ endpoint: fleet.url, tokenFile: stateFile('admin-token') });

    // As a terminal does it: to the whole group.
    process.kill(-fleet.npm, 'SIGINT');
    expect(await fleet.exit).toBe(0);
    await gone(fleet.node, fleet.workerd);
    for (const file of [stateFile('endpoint'), stateFile('lock'), stateFile('workerd.pid'), pointer()]) {
      expect(existsSync(file)).toBe(false);
    }
    expect(fleet.err()).not.toContain('died');
    expect(readFileSync(stateFile('admin-token'), 'utf8').trim()).toBe(token);
  });

  it('refuses settings it does not understand', async () => {
    for (const [env, message] of [
      [{ FLEET_REGIONS: 'eu-west-1,mars-1' }, "'mars-1' is not a region"],
      [{ PORT: 'eighty' }, 'PORT must be a port number'],
    ] as const) {
      const refused = launch(env);
      expect(await refused.exit).not.toBe(0);
      expect(refused.err()).toContain(message);
    }
  });

  it('refuses a busy port and a busy state directory, and leaves the running fleet alone', async () => {
    const first = await start();
    const samePort = launch({ PORT: new URL(first.url).port, FLEET_STATE_DIR: path.join(home, 'other') });
    expect(await samePort.exit).toBe(1);
    expect(samePort.err()).toContain(`Port ${new URL(first.url).port} is busy`);
    const sameState = launch();
    expect(await sameState.exit).toBe(1);
    expect(sameState.err()).toContain(`process ${first.node}`);

    expect(await serves(first.url)).toBe(true);
    expect(workerdPid()).toBe(first.workerd);
    expect(JSON.parse(readFileSync(pointer(), 'utf8'))).toMatchObject({ endpoint: first.url });
  });
});

describe('whatever is killed outright, nothing stays behind', () => {
  it('npm', async () => {
    const fleet = await start();
    process.kill(fleet.npm, 'SIGKILL');
    await gone(fleet.node, fleet.workerd);
    expect(await serves(fleet.url)).toBe(false);
  });

  it('the Node parent, after which the next start takes over the state directory', async () => {
    const fleet = await start();
    process.kill(fleet.node, 'SIGKILL');
    await gone(fleet.node, fleet.workerd);
    expect(await serves(fleet.url)).toBe(false);

    const next = await start({ PORT: new URL(fleet.url).port });
    expect(next.url).toBe(fleet.url);
  });

  it('the shell between npm and Node', async () => {
    // A shell that stays, unlike the one of the start script, which becomes Node.
    const fleet = await start({}, ['npm', 'exec', '--no', '-c', 'node scripts/start.ts; true']);
    const shell = parentOf(fleet.node);
    expect(shell).not.toBe(fleet.npm);
    process.kill(shell, 'SIGKILL');
    await gone(fleet.node, fleet.workerd);
  });

  it('the whole group', async () => {
    const fleet = await start();
    process.kill(-fleet.npm, 'SIGKILL');
    await gone(fleet.node, fleet.workerd);
  });
});

describe('the runtime', () => {
  it('is restarted within about a second, on the same port, and says so', async () => {
    const fleet = await start();
    process.kill(fleet.workerd, 'SIGKILL');
    // A second on an idle machine; the bound is for one that is not.
    await until(async () => workerdPid() !== fleet.workerd && (await serves(fleet.url)), 15_000);
    await until(() => fleet.err().includes('serving again'), 15_000);
    expect(fleet.err()).toContain(`the runtime (process ${fleet.workerd}) died`);
  });

  it('that keeps dying is given up, with a reason', async () => {
    const reasons: string[] = [];
    const fleet = await startLocalFleet({
      stateDir: path.join(home, 'state'),
      regions: ['eu-west-1'],
      quiet: true,
      restartsMax: 1,
      onFailure: (reason) => reasons.push(reason),
    });
    const first = fleet.workerdPid;
    await fleet.killWorkerd();
    expect(fleet.workerdPid).not.toBe(first);
    expect(await serves(fleet.url)).toBe(true);
    await fleet.killWorkerd();
    expect(await serves(fleet.url)).toBe(false);
    expect(reasons).toEqual(['the runtime died 2 times within a minute']);
    expect(existsSync(stateFile('lock'))).toBe(false);
  });

  it('started by a program is stopped by it, and its state can be used again', async () => {
    const options = { stateDir: path.join(home, 'state'), regions: ['eu-west-1', 'us-east-1'], quiet: true } as const;
    const first = await startLocalFleet(options);
    expect(first.regions).toEqual(['eu-west-1', 'us-east-1']);
    await expect(startLocalFleet(options)).rejects.toThrow(`process ${process.pid}`);
    await first.stop();
    await first.stop();
    expect(isAlive(first.workerdPid)).toBe(false);

    const second = await startLocalFleet(options);
    expect(second.adminToken).toBe(first.adminToken);
    await second.stop();
  });
});
