import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AgentBooster, FleetManager, runAgent } from '../../client/src/index.ts';
import { type LocalFleet, startLocalFleet } from '../../scripts/local/fleet.ts';
import { cpuUsOf } from '../lib/cpu.ts';
import { Client } from '../lib/load.ts';
import type { Table } from '../lib/report.ts';
import { percentile, round } from '../lib/stats.ts';
import { blockOf, mergedOf, sourceOf } from './sources.ts';

const FILES = 1_000;
const BYTES = 1_000;
const EDITS = 200;

const task = (i: number): object => {
  const original = `// file ${i}\n${sourceOf(BYTES)}`;
  return { operation: 'apply', path: 'a.js', original, edit: blockOf(original) };
};

/** The booster as its callers have it: through router, region and service binding of a local fleet. */
export async function throughTheFleet(): Promise<readonly Table[]> {
  const stateDir = mkdtempSync(join('/dev/shm', 'bench-booster-'));
  const fleet = await startLocalFleet({ port: 0, stateDir, regions: ['eu-west-1'], quiet: true });
  const client = new Client(fleet.url, fleet.adminToken, 16);
  try {
    await client.expect(200, 'POST', '/v1/booster/tasks', { tasks: Array.from({ length: 200 }, (_, i) => task(i)) });
    return [await batches(client, fleet), await concurrency(client), await againstAgent(fleet)];
  } finally {
    await client.close();
    await fleet.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** A thousand applies in one call, and one by one; time and processor time of the runtime. */
async function batches(client: Client, fleet: LocalFleet): Promise<Table> {
  const tasks = Array.from({ length: FILES }, (_, i) => task(i));
  const timed = async (work: () => Promise<void>): Promise<{ readonly ms: number; readonly cpuMs: number }> => {
    const cpu = cpuUsOf([fleet.workerdPid]);
    const from = performance.now();
    await work();
    return { ms: performance.now() - from, cpuMs: (cpuUsOf([fleet.workerdPid]) - cpu) / 1_000 };
  };
  const single = await timed(async () => {
    for (const one of tasks) await client.expect(200, 'POST', '/v1/booster/tasks', one);
  });
  const batch = await timed(async () => {
    const { body } = await client.expect(200, 'POST', '/v1/booster/tasks', { tasks });
    const { results } = JSON.parse(body) as { readonly results: readonly { readonly body: { readonly ok?: boolean } }[] };
    if (!results.every((result) => result.body.ok === true)) throw new Error('a file of the batch was not done');
  });
  const ratio = batch.ms / single.ms;
  return {
    title: `${FILES} applies with proofs, files of ${BYTES / 1_000} KB`,
    columns: ['way', 'ms', 'runtime’s CPU ms', 'to the sum of single ones', 'asked', ''],
    rows: [
      ['one by one', round(single.ms), round(single.cpuMs), '1', '', ''],
      ['in one call', round(batch.ms), round(batch.cpuMs), round(ratio), '≤ 1.2', ratio <= 1.2 ? 'holds' : 'does not hold'],
    ],
  };
}

/** Ten callers at once, each on a slot of its own. One thread runs them all, so the rate is that of one. */
async function concurrency(client: Client): Promise<Table> {
  const rows: string[][] = [];
  for (const callers of [1, 10]) {
    const samples: number[] = [];
    const each = EDITS / callers;
    const from = performance.now();
    await Promise.all(
      Array.from({ length: callers }, async (_, caller) => {
        for (let i = 0; i < each; i += 1) {
          const at = performance.now();
          await client.expect(200, 'POST', '/v1/booster/tasks', {
            tasks: Array.from({ length: 20 }, (_one, n) => task(caller * 1_000 + i * 20 + n)),
          });
          samples.push((performance.now() - at) / 20);
        }
      }),
    );
    const perSecond = (EDITS * 20 * 1_000) / (performance.now() - from);
    const { body } = await client.expect(200, 'GET', '/v1/booster/status');
    const { slots } = JSON.parse(body) as { readonly slots: { readonly started: number; readonly max: number } };
    rows.push([
      String(callers),
      round(perSecond),
      round(percentile(samples, 50)),
      round(percentile(samples, 99)),
      `${slots.started} of ${slots.max}`,
    ]);
  }
  return {
    title: 'Callers at once, calls of twenty applies',
    columns: ['callers', 'applies/s', 'p50 ms per apply', 'p99 ms per apply', 'slots started'],
    rows,
    note: 'A slot isolates faults, not time: the local fleet runs all slots on one thread, so ten callers share the rate of one.',
  };
}

/** The same edit by the booster and as a task of an agent. */
async function againstAgent(fleet: LocalFleet): Promise<Table> {
  const options = { endpoint: fleet.url, token: fleet.adminToken };
  const booster = new AgentBooster({ ...options, cacheEntries: 0 });
  const manager = new FleetManager(options);
  const agent = runAgent({
    ...options,
    pool: 'coder',
    handler: async ({ payload }) => ({ output: mergedOf((payload as { readonly original: string }).original) }),
  });
  const original = sourceOf(BYTES);
  const expected = mergedOf(original);
  const byBooster: number[] = [];
  const byAgent: number[] = [];
  try {
    for (let i = 0; i < EDITS + 20; i += 1) {
      let from = performance.now();
      const done = await booster.executeTask({ operation: 'apply', path: 'a.js', original, edit: blockOf(original) });
      if (i >= 20) byBooster.push(performance.now() - from);
      from = performance.now();
      const result = (await manager.runTask({ pool: 'coder', payload: { original } })) as { readonly output: string };
      if (i >= 20) byAgent.push(performance.now() - from);
      if (!done.ok || done.output !== expected || result.output !== expected) throw new Error('an edit went wrong');
    }
  } finally {
    await booster.shutdown();
    await agent.stop();
    await manager.shutdown();
  }
  const [ours, theirs] = [percentile(byBooster, 50), percentile(byAgent, 50)];
  return {
    title: 'The same edit by the booster and by an agent',
    columns: ['who', 'p50 ms', 'p99 ms', 'booster is faster by'],
    rows: [
      ['booster, HTTP through the SDK', round(ours), round(percentile(byBooster, 99)), ''],
      ['agent without a model, as a task', round(theirs), round(percentile(byAgent, 99)), `${round(theirs / ours)}×`],
    ],
    note: `One edit of a ${BYTES / 1_000} KB file at a time, from the same process, state on tmpfs. The agent is the SDK’s runner over a WebSocket in that process; it makes the edit by replacing a string, in microseconds, and proves nothing. So this is the cost of handing work to any agent at all. What a model takes comes on top and is not measured here.`,
  };
}
