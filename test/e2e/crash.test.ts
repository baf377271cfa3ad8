import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startLocalFleet, type LocalFleet } from '../../scripts/local/fleet.ts';
import type { Agent, Assignment } from '../../shared/schemas/agents.ts';
import type { Allocation } from '../../shared/schemas/allocations.ts';
import type { Task } from '../../shared/schemas/tasks.ts';

const REGION = 'eu-west-1';
const ROUNDS = 4;
const CALLERS = 12;

let fleet: LocalFleet;
const stateDir = mkdtempSync(join('/dev/shm', 'fleet-crash-'));

beforeAll(async () => {
  fleet = await startLocalFleet({ stateDir, quiet: true, regions: [REGION], boosters: 0 });
});
afterAll(async () => {
  await fleet.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

async function call<T>(method: string, path: string, body?: unknown, token = fleet.adminToken): Promise<Answer<T>> {
  const response = await fetch(fleet.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as T };
}

/** What a caller was told, to be found again after every crash. */
interface Ledger {
  readonly agents: Map<string, string>;
  readonly held: Map<string, { agentId: string; token: number }>;
  readonly released: Set<string>;
  readonly tasks: Set<string>;
  readonly results: Map<string, number>;
  readonly tokens: Map<string, number[]>;
}

/** One caller's life until the runtime dies under it: what was acknowledged goes into the ledger, what was not is open. */
async function live(ledger: Ledger, until: () => boolean): Promise<void> {
  while (!until()) {
    try {
      const registered = await call<Agent & { token: string }>('POST', '/v1/agents', { pool: 'coder', region: REGION, slots: 2 });
      if (registered.status !== 201) throw new Error(JSON.stringify(registered));
      const { id, token } = registered.body;
      ledger.agents.set(id, token);

      const granted = await call<Allocation>('POST', '/v1/allocations', { pool: 'coder', region: REGION, leaseMs: 600_000 });
      if (granted.status === 201) {
        const { id: allocationId, agentId, fencingToken } = granted.body;
        ledger.held.set(allocationId, { agentId, token: fencingToken });
        ledger.tokens.set(agentId, [...(ledger.tokens.get(agentId) ?? []), fencingToken]);
        if (Math.random() < 0.5) {
          // From here on both outcomes are right until the answer says which: it is held by nobody's word.
          ledger.held.delete(allocationId);
          const released = await call('POST', `/v1/allocations/${allocationId}/release`, { fencingToken });
          expect(released.status).toBe(200);
          ledger.released.add(allocationId);
        }
      }
      const submitted = await call<Task>('POST', '/v1/tasks', { pool: 'coder', region: REGION, payload: Math.random() });
      expect(submitted.status).toBe(202);
      ledger.tasks.add(submitted.body.id);

      const polled = await call<{ assignments: Assignment[] }>('POST', `/v1/agents/${id}/poll`, {}, token);
      for (const assignment of polled.status === 200 ? polled.body.assignments : []) {
        const result = Math.random();
        const completed = await call(
          'POST',
          `/v1/tasks/${assignment.taskId}/complete`,
          { fencingToken: assignment.fencingToken, result },
          token,
        );
        if (completed.status === 200) ledger.results.set(assignment.taskId, result);
      }
    } catch (error) {
      // The runtime is gone: whatever was under way has no answer, and nothing may be concluded from it.
      if (error instanceof TypeError) return;
      throw error;
    }
  }
}

it('I4: what was acknowledged is there after kill -9 under load', async () => {
  await call('PUT', '/v1/pools/coder', { minAgents: 0, maxAgents: 20_000, priority: 5 });
  const ledger: Ledger = {
    agents: new Map(),
    held: new Map(),
    released: new Set(),
    tasks: new Set(),
    results: new Map(),
    tokens: new Map(),
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    let stop = false;
    const callers = Array.from({ length: CALLERS }, () => live(ledger, () => stop));
    // Kill at a moment of no meaning while all callers are busy.
    await new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 400));
    await fleet.killWorkerd();
    stop = true;
    await Promise.all(callers);
    await verify(ledger);
  }
  expect(ledger.agents.size).toBeGreaterThan(ROUNDS);
  expect(ledger.results.size).toBeGreaterThan(ROUNDS);
});

async function verify(ledger: Ledger): Promise<void> {
  const inBatches = async <T>(items: Iterable<T>, check: (item: T) => Promise<void>): Promise<void> => {
    const list = [...items];
    for (let i = 0; i < list.length; i += 32) await Promise.all(list.slice(i, i + 32).map(check));
  };
  await inBatches(ledger.agents.keys(), async (id) => expect((await call('GET', `/v1/agents/${id}`)).status, id).toBe(200));
  await inBatches(ledger.held, async ([id, { agentId, token }]) => {
    const { status, body } = await call<Allocation>('GET', `/v1/allocations/${id}`);
    expect(status).toBe(200);
    expect(body.agentId).toBe(agentId);
    expect(body.fencingToken).toBe(token);
    // A lease may have been revoked since, with its agent lost; it was never given to anybody else.
    expect(['active', 'revoked']).toContain(body.status);
  });
  await inBatches(ledger.released, async (id) =>
    expect((await call<Allocation>('GET', `/v1/allocations/${id}`)).body.status).toBe('released'),
  );
  await inBatches(ledger.tasks, async (id) => expect((await call('GET', `/v1/tasks/${id}`)).status).toBe(200));
  await inBatches(ledger.results, async ([id, result]) => {
    const { body } = await call<Task>('GET', `/v1/tasks/${id}`);
    expect(body.status).toBe('succeeded');
    expect(body.result).toBe(result);
  });
  for (const [agentId, tokens] of ledger.tokens) expect(new Set(tokens).size, agentId).toBe(tokens.length);
  const counted = await call<{ data: Agent[] }>('GET', '/v1/agents?limit=1000&pool=coder');
  for (const agent of counted.body.data) expect(agent.slotsFree).toBeGreaterThanOrEqual(0);
}
