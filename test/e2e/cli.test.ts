import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startLocalFleet, type LocalFleet } from '../../scripts/local/fleet.ts';
import type { Task } from '../../client/src/index.ts';
import { eventually } from '../unit/client/lib/eventually.ts';

const ROOT = join(import.meta.dirname, '../..');
const README = join(ROOT, 'README.md');
const REGION = 'eu-west-1';
/** A command that can be seen running, and goes on until it is told to stop. */
const SLOW = ['sh', '-c', 'sleep 60'];

const stateDir = mkdtempSync(join('/dev/shm', 'fleet-cli-'));
let local: LocalFleet;
const running: ChildProcessWithoutNullStreams[] = [];

beforeAll(async () => {
  local = await startLocalFleet({ stateDir, quiet: true, regions: [REGION, 'us-east-1'] });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((child) => end(child, 'SIGINT')));
});
afterAll(async () => {
  await local.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

/** The command as npm links it, finding the fleet by its state directory. */
function start(args: readonly string[], node = process.execPath): ChildProcessWithoutNullStreams {
  const { PATH = '' } = process.env;
  return spawn(node, [join(ROOT, 'node_modules/.bin/fleet'), ...args], {
    cwd: ROOT,
    env: { PATH, HOME: stateDir, FLEET_STATE_DIR: local.state.root },
  });
}

async function fleet(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = start(args);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (part) => (stdout += part));
  child.stderr.on('data', (part) => (stderr += part));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

/** An agent that is connected. */
async function agent(args: readonly string[], command: readonly string[]): Promise<ChildProcessWithoutNullStreams> {
  const child = start(['agent', '--region', REGION, ...args, '--', ...command]);
  running.push(child);
  let said = '';
  child.stderr.on('data', (part) => (said += part));
  await eventually(() => expect(said).toContain('connected'), 20_000);
  return child;
}

function end(child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise((resolve) => child.on('close', resolve));
  child.kill(signal);
  return ended;
}

const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await fleet('-o', 'json', ...args)).stdout) as T;
const task = (id: string) => json<Task>('task', 'show', id);

describe('a program as an agent', () => {
  test('wc counts the lines of the README', async () => {
    await agent(['--pool', 'coder'], ['wc', '-l']);
    const lines = readFileSync(README, 'utf8').split('\n').length - 1;
    await expect(fleet('submit', 'coder', '--payload', '@README.md', '--wait')).resolves.toEqual({
      code: 0,
      stdout: `${lines}\n`,
      stderr: '',
    });
  });

  test('cat gives back what it got, text as text and JSON as JSON', async () => {
    await agent(['--pool', 'reviewer', '--poll'], ['cat']);
    expect((await fleet('submit', 'reviewer', '--payload', 'two\nlines', '--wait')).stdout).toBe('two\nlines\n');
    expect((await fleet('submit', 'reviewer', '--payload', '{"a":[1,null]}', '--wait')).stdout).toBe(
      '{\n  "a": [\n    1,\n    null\n  ]\n}\n',
    );
  });

  test('a failing one fails its task after its tries, with what it said', async () => {
    await agent(['--pool', 'tester'], ['sh', '-c', 'echo "attempt $FLEET_TASK_ATTEMPT in $FLEET_REGION" >&2; exit 3']);
    const { code, stderr } = await fleet('submit', 'tester', '--payload', 'x', '--max-attempts', '2', '--wait');
    expect(code).toBe(1);
    expect(stderr).toMatch(/dead tsk\..*exited with code 3: attempt 2 in eu-west-1 \(agent_error\)/);
  });

  test('killed with -9 while busy, its task is done by another', async () => {
    const victim = await agent(['--pool', 'security'], SLOW);
    const { stdout } = await fleet('submit', 'security', '--payload', 'x');
    const id = stdout.trim();
    await eventually(async () => expect((await task(id)).status).toBe('running'));
    await end(victim, 'SIGKILL');
    await agent(['--pool', 'security'], ['sh', '-c', 'echo "rescued in attempt $FLEET_TASK_ATTEMPT"']);
    await eventually(
      async () => expect(await task(id)).toMatchObject({ status: 'succeeded', result: 'rescued in attempt 2', attempts: 2 }),
      30_000,
    );
  });

  test('a cancelled task ends its process', async () => {
    const worker = await agent(['--pool', 'optimizer', '--kill-grace', '500ms'], SLOW);
    let said = '';
    worker.stderr.on('data', (part) => (said += part));
    const id = (await fleet('submit', 'optimizer', '--payload', 'x')).stdout.trim();
    await eventually(async () => expect((await task(id)).status).toBe('running'));
    expect((await fleet('task', 'cancel', id)).code).toBe(0);
    await eventually(async () => expect(await task(id)).toMatchObject({ status: 'cancelled' }));
    await eventually(() => expect(said).toContain(`stop  ${id}`));
    // The slot is free again.
    const next = (await fleet('submit', 'optimizer', '--payload', 'y')).stdout.trim();
    await eventually(async () => expect((await task(next)).status).toBe('running'));
    await fleet('task', 'cancel', next);
  });

  test('SIGINT finishes the task at hand and unregisters', async () => {
    const mayEnd = join(stateDir, 'may-end');
    const worker = await agent(['--pool', 'devops'], ['sh', '-c', `until [ -e ${mayEnd} ]; do sleep 0.1; done; echo finished`]);
    const id = (await fleet('submit', 'devops', '--payload', 'x')).stdout.trim();
    await eventually(async () => expect((await task(id)).status).toBe('running'));
    const ended = end(worker, 'SIGINT');
    writeFileSync(mayEnd, '');
    await ended;
    expect(worker.exitCode).toBe(0);
    await expect(task(id)).resolves.toMatchObject({ status: 'succeeded', result: 'finished' });
    await expect(json('agents', '--pool', 'devops')).resolves.toEqual([]);
  });

  test('runs on an older Node, too', async () => {
    // The Node of this machine beside the one of the project; where both are the same, the test says the same twice.
    const older = (process.env['PATH'] ?? '')
      .split(':')
      .filter((folder) => !folder.includes('node_modules'))
      .map((folder) => join(folder, 'node'));
    const [system = process.execPath] = older.filter((file) => {
      try {
        return readFileSync(file).length > 0;
      } catch {
        return false;
      }
    });
    const child = start(['agent', '--region', REGION, '--pool', 'mobile', '--', 'wc', '-c'], system);
    running.push(child);
    const { code, stdout } = await fleet('submit', 'mobile', '--payload', 'hello', '--wait', '--wait-timeout', '30s');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '5\n' });
  });
});

describe('looking and steering', () => {
  test('status, agents, pools, tasks and watch tell one story', async () => {
    await agent(['--pool', 'ui', '--capability', 'css', '--label', 'os=linux', '--concurrency', '3'], ['cat']);
    const [listed] = await json<{ id: string; slots: number; labels: unknown; status: string }[]>(
      'agents',
      '--pool',
      'ui',
      '--capability',
      'css',
    );
    expect(listed).toMatchObject({ slots: 3, labels: { os: 'linux' }, status: 'idle' });
    await eventually(async () => expect((await fleet('status')).stdout).toMatch(/\nui +eu-west-1 +1 +1 +0 /));
    expect((await fleet('pools', '--region', REGION)).stdout).toMatch(/\nui +eu-west-1 +1 +2–50/);
    const { code, stdout } = await fleet('watch', '--count', '2', '--interval', '200ms', '-o', 'json');
    expect(code).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { fleet: string }).fleet),
    ).toEqual(['default', 'default']);
    expect((await fleet('agents', 'show', listed?.id ?? '')).stdout).toMatch(/labels +\{"os":"linux"\}/);
  });

  test('allocate and release', async () => {
    await agent(['--pool', 'architect'], ['cat']);
    const held = await json<{ id: string; fencingToken: number }>('allocate', 'architect', '--lease', '1m');
    const refused = await fleet('allocate', 'architect');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('code no_capacity');
    await expect(fleet('release', held.id)).resolves.toMatchObject({ code: 0, stdout: `${held.id} released\n` });
    expect((await fleet('allocate', 'architect')).code).toBe(0);
  });

  test('a task that waits says why', async () => {
    const id = (await fleet('submit', 'database', '--payload', 'x', '--capability', 'cobol', '--region', REGION)).stdout.trim();
    const { code, stdout } = await fleet('why', id);
    expect(code).toBe(0);
    expect(stdout).toMatch(/agents +0 in the pool, .*1 needed/);
    expect((await fleet('task', 'cancel', id)).code).toBe(0);
    const replayed = (await fleet('task', 'replay', id)).stdout.trim();
    await expect(task(replayed)).resolves.toMatchObject({ replayOf: id, status: 'queued' });
    await fleet('task', 'cancel', replayed);
  });

  test('scale, pools set and tokens', async () => {
    expect((await fleet('pools', 'set', 'gpu', '--min', '0', '--max', '3')).code).toBe(0);
    const { stdout: scaled } = await fleet('scale', 'gpu', '50');
    for (const region of [REGION, 'us-east-1'])
      expect(scaled).toContain(`gpu ${region}: 3 desired (held by the pool's maximum)\n`);
    const minted = await json<{ id: string; token: string }>('token', 'create', '--role', 'viewer');
    expect((await fleet('status', '--token', minted.token)).code).toBe(0);
    const forbidden = await fleet('scale', 'gpu', '1', '--token', minted.token, '-o', 'json');
    expect(forbidden.code).toBe(1);
    expect(JSON.parse(forbidden.stderr)).toMatchObject({ code: 'forbidden', status: 403 });
    expect((await fleet('token', 'revoke', minted.id)).code).toBe(0);
    await eventually(async () => expect((await fleet('status', '--token', minted.token)).stderr).toContain('code unauthorized'));
  });

  test('doctor finds everything well', async () => {
    const { code, stdout } = await fleet('doctor');
    expect(stdout).not.toMatch(/^bad/m);
    expect(stdout).toMatch(/^ok +token +admin of fleet default/m);
    expect(code).toBe(0);
  });
});
