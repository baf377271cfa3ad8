import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FleetManager, type RunningAgent, runAgent } from '../../client/src/index.ts';
import { startLocalFleet, type LocalFleet } from '../../scripts/local/fleet.ts';

const REGIONS = ['eu-west-1', 'us-east-1'] as const;
const TASKS = 400;
const CRASHES = 2;
const stateDir = mkdtempSync(join('/dev/shm', 'fleet-chaos-'));
let local: LocalFleet;
let fleet: FleetManager;

beforeAll(async () => {
  local = await startLocalFleet({ stateDir, quiet: true, regions: REGIONS, boosters: 0 });
  fleet = new FleetManager({ endpoint: local.url, token: local.adminToken, retries: 8 });
});
afterAll(async () => {
  await fleet.shutdown();
  await local.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('through crashes of the fleet every task ends once, with its own result, and no attempt is unaccounted for', async () => {
  let starts = 0;
  const handler = async (task: { readonly payload: unknown }) => {
    starts++;
    await pause(20 + Math.random() * 100);
    if (Math.random() < 0.05) throw new Error('a bad day');
    return task.payload;
  };
  const agents: RunningAgent[] = Array.from({ length: 8 }, (_, n) =>
    runAgent({
      fleet,
      pool: 'coder',
      region: REGIONS[n % 2],
      mode: n % 4 === 3 ? 'poll' : 'session',
      concurrency: 3,
      handleSignals: false,
      handler,
    }),
  );
  await Promise.all(agents.map((agent) => agent.ready));

  const crashing = (async () => {
    for (let crash = 0; crash < CRASHES; crash++) {
      await pause(1_000);
      await local.killWorkerd();
    }
  })();
  const ids: string[] = [];
  while (ids.length < TASKS) {
    const first = ids.length;
    const submitted = Array.from({ length: 40 }, (_, n) =>
      fleet.submitTask({ pool: 'coder', payload: first + n, region: REGIONS[n % 2], maxAttempts: 20, retry: { baseMs: 50 } }),
    );
    ids.push(...(await Promise.all(submitted)).map(({ id }) => id));
    await pause(150);
  }
  await crashing;

  const tasks = await Promise.all(ids.map((id) => fleet.waitForTask(id, { timeoutMs: 60_000 })));
  expect(new Set(ids).size).toBe(TASKS);
  expect(tasks.map(({ status, result }) => ({ status, result }))).toEqual(
    tasks.map((_, n) => ({ status: 'succeeded', result: n })),
  );
  expect(starts).toBe(tasks.reduce((sum, { attempts }) => sum + attempts, 0));
  await Promise.all(agents.map((agent) => agent.stop()));
  await expect(fleet.listAgents({ pool: 'coder' })).resolves.toEqual([]);
}, 120_000);
