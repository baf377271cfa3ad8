import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FleetManager } from '../../client/src/index.ts';
import { startLocalFleet, type LocalFleet } from '../../scripts/local/fleet.ts';

const ROOT = join(import.meta.dirname, '../..');
const stateDir = mkdtempSync(join('/dev/shm', 'fleet-examples-'));
let local: LocalFleet;
let fleet: FleetManager;

beforeAll(async () => {
  local = await startLocalFleet({ stateDir, quiet: true, regions: ['eu-west-1'], boosters: 0 });
  fleet = new FleetManager({ endpoint: local.url, token: local.adminToken });
});
afterAll(async () => {
  await local.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

/** The examples as a reader runs them: from the checkout, finding the fleet by themselves. */
function example(
  name: string,
  ...args: string[]
): { stdout: () => string; stderr: () => string; stop: () => void; code: Promise<number | null> } {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, [join(ROOT, 'examples/client', name), ...args], {
    cwd: ROOT,
    env: { PATH, HOME: stateDir, FLEET_STATE_DIR: local.state.root },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (part) => (stdout += part));
  child.stderr.on('data', (part) => (stderr += part));
  const code = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { stdout: () => stdout, stderr: () => stderr, stop: () => void child.kill('SIGINT'), code };
}

test('quickstart', async () => {
  const run = example('quickstart.ts');
  expect(await run.code, run.stderr()).toBe(0);
  expect(run.stdout()).toMatch(
    /^agent agt\.eu-west-1\.reviewer\..*\nresult \{ lines: 2 \}\nholding agt\..*\n\d+ agents, \d+ tasks done\n$/,
  );
});

test('an agent that resumes from its checkpoint', async () => {
  const first = example('resumable-agent.ts');
  const { id } = await fleet.submitTask({ pool: 'researcher', payload: { pages: 15 } });
  await expect
    .poll(async () => ((await fleet.getTask(id)).progress as { page: number } | undefined)?.page ?? 0, { timeout: 20_000 })
    .toBeGreaterThan(3);
  first.stop();
  await first.code;
  const second = example('resumable-agent.ts');
  const task = await fleet.waitForTask(id, { timeoutMs: 30_000 });
  expect(task.status).toBe('succeeded');
  const { read, startedAt } = task.result as { read: number; startedAt: number };
  expect(startedAt).toBeGreaterThan(3);
  expect(read + startedAt).toBe(15);
  const refused = await fleet.submitTask({ pool: 'researcher', payload: 'what?' });
  await expect(fleet.waitForTask(refused.id, { timeoutMs: 30_000 })).resolves.toMatchObject({
    status: 'failed',
    error: { code: 'bad_payload' },
  });
  second.stop();
  await second.code;
});

test('an allocation kept alive, and the refusal without agents', async () => {
  const none = example('allocate-with-keepalive.ts', 'network');
  await expect(none.code).resolves.toBe(1);
  await fleet.registerAgent({ pool: 'architect' }, { keepAlive: true });
  const run = example('allocate-with-keepalive.ts', 'architect');
  expect(await run.code, run.stderr()).toBe(0);
  expect(run.stdout()).toMatch(/^holding agt\..*\nreleased\n$/);
  await fleet.shutdown();
});
