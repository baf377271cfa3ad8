import { NotFoundError } from '../../client/src/errors.ts';
import { FleetManager } from '../../client/src/fleet-manager.ts';
import type { LocalFleet } from '../../scripts/local/fleet.ts';
import { LEASE_MS, nextCapability, POOL, REGION } from './agents.ts';
import { type Connections, ConnectionSets } from './http.ts';
import type { Contender } from './measure.ts';

export const OURS_HTTP = 'ours, HTTP single calls';
export const OURS_SDK = 'ours, SDK pipelining';
export const OURS_BATCH = 'ours, explicit batches of 256';
export const FLOOR = 'floor: router, token, region, one object call that writes nothing';

export const FLOOR_POST = 'the floor with a body: a release of nothing';

/** What the SDK itself adds is in it, so that a wait of the pipeline would show; with a body, as an allocate has one. */
export const PING = 'the floor with a body through the SDK';

const BATCH = 256;

const MISSING = `alc.${REGION}.${POOL}.0.01ARZ3NDEKTSV4RRFFQ69G5FAV`;

interface Grant {
  readonly id: string;
  readonly fencingToken: number;
}

export interface Ours {
  readonly contenders: readonly Contender[];
  readonly servers: Contender['servers'];
  /** One allocate and release over HTTP in `pool`, and the time of the allocate. */
  pair(concurrency: number, pool: string, asked?: object): Promise<number>;
  /** The floor's one request. */
  floor(concurrency: number): Promise<number>;
  close(): Promise<void>;
}

/** Our own contenders over one fleet. */
export function ours(fleet: LocalFleet): Ours {
  const connections = new ConnectionSets(fleet.url, fleet.adminToken);
  const manager = new FleetManager({ endpoint: fleet.url, token: fleet.adminToken, region: REGION });
  const servers = () => [fleet.workerdPid];

  const pair = async (concurrency: number, pool: string, asked?: object): Promise<number> => {
    const client = connections.of(concurrency);
    const from = performance.now();
    const reply = await client.expect(201, 'POST', '/v1/allocations', allocation(pool, asked));
    const ms = performance.now() - from;
    const { id, fencingToken } = JSON.parse(reply.body) as Grant;
    await client.expect(200, 'POST', `/v1/allocations/${id}/release`, { fencingToken });
    return ms;
  };
  const floor = async (concurrency: number): Promise<number> => {
    const from = performance.now();
    await connections.of(concurrency).expect(404, 'GET', `/v1/allocations/${MISSING}`);
    return performance.now() - from;
  };

  const floorPost = async (concurrency: number): Promise<number> => {
    const from = performance.now();
    await connections.of(concurrency).expect(404, 'POST', `/v1/allocations/${MISSING}/release`, { fencingToken: 1 });
    return performance.now() - from;
  };

  return {
    servers,
    pair,
    floor,
    contenders: [
      { name: FLOOR, servers, concurrency: [1, 16, 64], turn: async (c, note) => (note(await floor(c)), 1) },
      { name: FLOOR_POST, servers, concurrency: [1, 16, 64], turn: async (c, note) => (note(await floorPost(c)), 1) },
      {
        name: PING,
        servers,
        concurrency: [1],
        async turn(_, note) {
          const from = performance.now();
          await manager.releaseAgent(MISSING, undefined, { fencingToken: 1 }).catch((error: unknown) => {
            if (!(error instanceof NotFoundError)) throw error;
          });
          note(performance.now() - from);
          return 1;
        },
      },
      { name: OURS_HTTP, servers, concurrency: [1, 16, 64], turn: async (c, note) => (note(await pair(c, POOL)), 1) },
      {
        name: OURS_SDK,
        servers,
        concurrency: [1, 16, 64, 256],
        async turn(_, note) {
          const from = performance.now();
          const held = await manager.allocateAgent({ pool: POOL, capabilities: [nextCapability()], leaseMs: LEASE_MS });
          note(performance.now() - from);
          await held.release();
          return 1;
        },
      },
      { name: OURS_BATCH, servers, concurrency: [1, 2], turn: async (c, note) => batch(connections.of(c), note) },
    ],
    async close() {
      await manager.shutdown();
      connections.close();
    },
  };
}

const allocation = (pool: string, asked: object = { capabilities: [nextCapability()] }) => ({
  pool,
  ...asked,
  leaseMs: LEASE_MS,
  region: REGION,
});

async function batch(client: Connections, note: (ms: number) => void): Promise<number> {
  const from = performance.now();
  const granted = await operate<Grant>(
    client,
    201,
    Array.from({ length: BATCH }, () => ({ op: 'allocate', ...allocation(POOL) })),
  );
  note(performance.now() - from);
  await operate(
    client,
    200,
    granted.map(({ id, fencingToken }) => ({ op: 'release', id, fencingToken })),
  );
  return BATCH;
}

async function operate<T>(client: Connections, status: number, operations: readonly object[]): Promise<readonly T[]> {
  const { body } = await client.expect(200, 'POST', '/v1/allocations/batch', { operations });
  const { results } = JSON.parse(body) as { readonly results: readonly { readonly status: number; readonly body: T }[] };
  const refused = results.find((result) => result.status !== status);
  if (refused !== undefined) throw new Error(`an operation of a batch failed: ${JSON.stringify(refused).slice(0, 300)}`);
  return results.map((result) => result.body);
}
