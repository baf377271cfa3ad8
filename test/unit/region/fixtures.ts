import { err, ok } from '../../../shared/result.ts';
import type { AgentSpec, Caller, PoolReply, PoolRequest } from '../../../shared/rpc.ts';
import type { PlacementRoute } from '../../../durable-objects/registry/core/routes.ts';
import type { Shards } from '../../../workers/region/execute.ts';
import { liveRoute, type LiveRoute } from '../../../workers/region/placement.ts';

export const REGION = 'eu-west-1';
export const CALLER: Caller = { fleet: 'acme', subject: 'tok-1', role: 'operator', requestId: 'req-1' };
const ULID = '01JZZZZZZZZZZZZZZZZZZZZZZZ';
export const idIn = (kind: 'agt' | 'alc' | 'tsk', pool: string, shard: number, region = REGION): string =>
  `${kind}.${region}.${pool}.${shard}.${ULID}`;

export const placementRoute = (shards: number, over: Partial<PlacementRoute> = {}): PlacementRoute => ({
  pool: 'coder',
  shards,
  version: 1,
  maxAgents: 10 * shards,
  priority: 5,
  shares: Array.from({ length: shards }, () => 10),
  agents: Array.from({ length: shards }, () => 0),
  slotsFree: Array.from({ length: shards }, () => 0),
  inUse: Array.from({ length: shards }, () => true),
  ...over,
});
export const routeOf = (shards: number, over: Partial<PlacementRoute> = {}): LiveRoute => liveRoute(placementRoute(shards, over));

const AGENT: AgentSpec = { capabilities: [], labels: {}, slots: 1, liveness: 'heartbeat', swarms: [], metadata: '{}' };
const keyed = (key: string | undefined): Pick<PoolRequest, 'idempotency'> =>
  key === undefined ? {} : { idempotency: { key, bodyHash: 'h' } };

export const register = (key?: string): PoolRequest => ({ command: { type: 'registerAgent', spec: AGENT }, ...keyed(key) });
export const allocate = (key?: string, waitMs = 0): PoolRequest => ({
  command: {
    type: 'allocate',
    waiterId: 'w',
    spec: {
      capabilities: [],
      selectors: [],
      slots: 1,
      count: 1,
      priority: 5,
      leaseMs: 30_000,
      waitMs,
      strategy: 'least_loaded',
      packing: 'spread',
    },
  },
  ...keyed(key),
});
export const submit = (key?: string): PoolRequest => ({
  command: {
    type: 'submitTask',
    needsAgent: false,
    spec: {
      payload: '1',
      capabilities: [],
      selectors: [],
      priority: 5,
      maxAttempts: 3,
      retry: { baseMs: 1, factor: 1, maxMs: 1, jitter: 0 },
      timeoutMs: 1_000,
    },
  },
  ...keyed(key),
});

/** An answer that tells who gave it; the algorithm looks at nothing in it. */
export const done = (shard: number): PoolReply => ok({ taskId: `done by ${shard}`, leaseExpiresAtMs: 0, cancelRequested: false });
export const noCapacity = (agents = 1): PoolReply =>
  err({
    kind: 'no_capacity',
    detail: 'none',
    why: { agents, eligible: 0, failed: [{ predicate: 'busy', agents }], detail: 'none' },
  });
export const poolFull = (limit: number): PoolReply => err({ kind: 'quota_exceeded', scope: 'pool', limit, detail: 'full' });

export interface Call {
  readonly shard: number;
  readonly requests: readonly PoolRequest[];
}
/** Shards that answer as told and remember what they were asked. */
export class FakeShards implements Shards {
  readonly calls: Call[] = [];
  readonly forgotten: { readonly shard: number; readonly keys: readonly string[] }[] = [];
  readonly #answer: (shard: number, request: PoolRequest) => PoolReply;
  constructor(answer: (shard: number, request: PoolRequest) => PoolReply = done) {
    this.#answer = answer;
  }
  async execute(shard: number, requests: readonly PoolRequest[]): Promise<readonly PoolReply[]> {
    this.calls.push({ shard, requests });
    return requests.map((request) => this.#answer(shard, request));
  }
  async forgetKeys(shard: number, keys: readonly string[]): Promise<void> {
    this.forgotten.push({ shard, keys });
  }
  get order(): number[] {
    return this.calls.map((call) => call.shard);
  }
}
