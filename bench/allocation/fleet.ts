import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type LocalFleet, startLocalFleet } from '../../scripts/local/fleet.ts';
import { Client } from '../lib/load.ts';
import { agents, POOL, REGION } from './agents.ts';

export interface BenchFleet {
  readonly fleet: LocalFleet;
  stop(): Promise<void>;
}

/** A local fleet of its own under `parent`, with `pools` of serverless agents: they beat nothing, so only allocation is measured. */
export async function startBenchFleet(
  parent: string,
  pools: Readonly<Record<string, number>> = { [POOL]: 1_000 },
): Promise<BenchFleet> {
  const stateDir = mkdtempSync(join(parent, 'bench-fleet-'));
  const removeState = (): void => rmSync(stateDir, { recursive: true, force: true });
  try {
    const fleet = await startLocalFleet({ port: 0, stateDir, quiet: true, boosters: 0 });
    await fill(fleet, pools);
    return {
      fleet,
      async stop() {
        await fleet.stop();
        removeState();
      },
    };
  } catch (error) {
    removeState();
    throw error;
  }
}

async function fill(fleet: LocalFleet, pools: Readonly<Record<string, number>>): Promise<void> {
  const client = new Client(fleet.url, fleet.adminToken, 1);
  try {
    for (const [pool, count] of Object.entries(pools)) {
      const put = await client.call('PUT', `/v1/pools/${pool}`, { minAgents: 0, maxAgents: 20_000, priority: 5 });
      if (put.status >= 300) throw new Error(`pool ${pool}: ${put.status} ${put.body}`);
      await register(client, pool, count);
    }
  } finally {
    await client.close();
  }
}

async function register(client: Client, pool: string, count: number): Promise<void> {
  const all = agents(count, pool).map(({ capabilities, labels }) => ({
    pool,
    capabilities,
    labels,
    region: REGION,
    liveness: 'none',
    endpoint: 'https://agents.example/run',
  }));
  for (let from = 0; from < count; from += 1_000) {
    const { body } = await client.expect(200, 'POST', '/v1/agents/batch', { agents: all.slice(from, from + 1_000) });
    const { results } = JSON.parse(body) as { readonly results: readonly { readonly status: number }[] };
    const refused = results.find((result) => result.status !== 201);
    if (refused !== undefined) throw new Error(`a registration failed: ${JSON.stringify(refused).slice(0, 300)}`);
  }
}
