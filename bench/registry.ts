import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalFleet } from '../scripts/local/fleet.ts';
import { Client, paced } from './lib/load.ts';
import { report, type Table } from './lib/report.ts';
import { percentile, round } from './lib/stats.ts';

const REGION = 'eu-west-1';
const agent = (pool: string, i: number): Record<string, unknown> => ({
  pool,
  region: REGION,
  capabilities: [`cap${i % 20}`],
  liveness: 'none',
  endpoint: 'https://agents.example/run',
});

/** Registration of 1,000 agents and fleet status over all regions, with the path that does no work beside it. */
export async function run(): Promise<void> {
  const tables: Table[] = [];
  for (const [where, parent] of [
    ['disk', tmpdir()],
    ['tmpfs', '/dev/shm'],
  ] as const)
    tables.push(...(await measure(where, parent)));
  report('registry', 'npm run bench -- registry', tables);
}

async function measure(where: string, parent: string): Promise<readonly Table[]> {
  const stateDir = mkdtempSync(join(parent, 'fleet-bench-'));
  const fleet = await startLocalFleet({ port: 0, stateDir, quiet: true, boosters: 0 });
  const admin = new Client(fleet.url, fleet.adminToken, 16);
  const one = new Client(fleet.url, fleet.adminToken, 1);
  try {
    for (const pool of ['coder', 'tester', 'analyst']) {
      await admin.expect(200, 'PUT', `/v1/pools/${pool}`, { minAgents: 1, maxAgents: 20_000, priority: 5 });
    }
    const registration: string[][] = [];
    registration.push(['1,000 one by one, 16 connections', ...(await oneByOne(admin, 1_000))]);
    const status: string[][] = [];
    status.push(await statusRow(one, fleet.url, fleet.adminToken, 1_000));
    registration.push(['1,000 in one batch call', ...(await inBatch(one, 'tester', 1_000))]);
    for (let n = 2_000; n < 10_000; n += 1_000) await inBatch(one, 'analyst', 1_000);
    status.push(await statusRow(one, fleet.url, fleet.adminToken, 10_000));
    return [
      { title: `Registration, state on ${where}`, columns: ['job', 'total ms', 'p50 ms', 'p99 ms'], rows: registration },
      {
        title: `Fleet status over all regions at 100/s, state on ${where}`,
        columns: ['agents', 'status p50 ms', 'status p99 ms', 'no-op p50 ms', 'no-op p99 ms', 'p50 ratio'],
        rows: status,
        note: 'No-op: the same router, verified token and region, and one object call that writes nothing (a look-up of an allocation that does not exist).',
      },
    ];
  } finally {
    await one.close();
    await admin.close();
    await fleet.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function oneByOne(client: Client, count: number): Promise<readonly string[]> {
  const samples: number[] = [];
  let next = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < count) {
        const i = next;
        next += 1;
        const from = performance.now();
        await client.expect(201, 'POST', '/v1/agents', agent('coder', i));
        samples.push(performance.now() - from);
      }
    }),
  );
  return [performance.now() - start, percentile(samples, 50), percentile(samples, 99)].map(round);
}

async function inBatch(client: Client, pool: string, count: number): Promise<readonly string[]> {
  const start = performance.now();
  const reply = await client.expect(200, 'POST', '/v1/agents/batch', {
    agents: Array.from({ length: count }, (_, i) => agent(pool, i)),
  });
  const ms = performance.now() - start;
  const { results } = JSON.parse(reply.body) as { results: { status: number }[] };
  const refused = results.find((r) => r.status !== 201);
  if (refused !== undefined) throw new Error(`a registration of the batch failed: ${JSON.stringify(refused).slice(0, 300)}`);
  return [round(ms), '–', '–'];
}

async function statusRow(client: Client, url: string, token: string, agents: number): Promise<string[]> {
  await waitForTotal(client, agents);
  const noopClient = new Client(url, token, 1);
  const missing = `/v1/allocations/alc.${REGION}.coder.0.01ARZ3NDEKTSV4RRFFQ69G5FAV`;
  try {
    const noop = await paced(100, 8, async () => void (await noopClient.expect(404, 'GET', missing)));
    const status = await paced(100, 8, async () => void (await client.expect(200, 'GET', '/v1/fleet/status')));
    return [
      agents.toLocaleString('en'),
      ...[
        percentile(status, 50),
        percentile(status, 99),
        percentile(noop, 50),
        percentile(noop, 99),
        percentile(status, 50) / percentile(noop, 50),
      ].map(round),
    ];
  } finally {
    await noopClient.close();
  }
}

async function waitForTotal(client: Client, agents: number): Promise<void> {
  const until = performance.now() + 5_000;
  for (;;) {
    const { body } = await client.expect(200, 'GET', '/v1/fleet/status');
    const { total } = (JSON.parse(body) as { agents: { total: number } }).agents;
    if (total === agents) return;
    if (performance.now() > until) throw new Error(`status shows ${total} agents, expected ${agents}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
