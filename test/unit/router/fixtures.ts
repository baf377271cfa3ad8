import { exportJWK, generateKeyPair } from 'jose';
import { vi } from 'vitest';
import type { RegionBinding } from '../../../durable-objects/fleet/env.ts';
import type { FleetRpc, FleetSnapshot } from '../../../durable-objects/fleet/fleet-rpc.ts';
import { notFound } from '../../../shared/errors.ts';
import { err, ok } from '../../../shared/result.ts';
import type { AllocationView, PoolReply, PoolRequest, TaskView } from '../../../shared/rpc.ts';
import { loadSigningKeys, type SigningKeys } from '../../../workers/lib/signing-keys.ts';
import { signToken, type TokenSubject } from '../../../workers/lib/tokens.ts';
import { createApp } from '../../../workers/router/app.ts';

export const REGIONS = ['us-east-1', 'eu-west-1', 'ap-southeast-1'] as const;
export const ULID = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const app = createApp();

export async function newKeySet(kid = 'k1'): Promise<{ readonly keys: Record<string, unknown>[] }> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { keys: [{ ...(await exportJWK(privateKey)), kid, alg: 'EdDSA', use: 'sig' }] };
}

export async function loadedKeys(set: object): Promise<SigningKeys> {
  const loaded = await loadSigningKeys(JSON.stringify(set));
  if (!loaded.ok) throw new Error(loaded.error);
  return loaded.value;
}

/** What a region is asked, and answers. Nothing is stored: a test says what each call gets. */
export type FakeRegion = { [K in keyof RegionBinding]: ReturnType<typeof vi.fn<RegionBinding[K]>> };
/** What each request of an `execute` is answered. */
export type Answerer = (request: PoolRequest) => PoolReply;

export const noCapacity = (agents = 1, predicate = 'slots', fitting = 0): PoolReply =>
  err({
    kind: 'no_capacity',
    why: { agents, eligible: 0, fitting, failed: agents === 0 ? [] : [{ predicate, agents }], detail: 'all busy' },
    detail: 'all busy',
  });
export const poolMissing: PoolReply = err({ kind: 'pool_not_found', detail: 'No such pool.' });

export const allocationIn = (region: string): AllocationView => ({
  id: `alc.${region}.coder.0.${ULID}`,
  agentId: `agt.${region}.coder.0.${ULID}`,
  pool: 'coder',
  region,
  slots: 1,
  fencingToken: 7,
  leaseExpiresAtMs: 1,
  status: 'active',
  agent: { id: `agt.${region}.coder.0.${ULID}`, capabilities: [], labels: {} },
});

export const taskIn = (region: string): TaskView => ({
  id: `tsk.${region}.coder.0.${ULID}`,
  pool: 'coder',
  region,
  status: 'queued',
  priority: 5,
  attempts: 0,
  createdAtMs: 1,
});

export function fakeRegion(region: string, answer: Answerer = () => ok([allocationIn(region)])): FakeRegion {
  return {
    health: vi.fn(async () => ({ region })),
    execute: vi.fn(async (_caller, _pool, _shard, requests) => requests.map(answer)),
    poll: vi.fn(async () => ok({ assignments: [], revoked: [] })),
    revoke: vi.fn(async () => ({ isPoolKnown: true, shards: [], unanswered: [] })),
    withdraw: vi.fn(async () => undefined),
    forgetKeys: vi.fn(async () => undefined),
    endSessions: vi.fn(async () => undefined),
    getAgent: vi.fn(async () => err(notFound('agent'))),
    getAllocation: vi.fn(async () => err(notFound('allocation'))),
    getTask: vi.fn(async () => err(notFound('task'))),
    whyTask: vi.fn(async () => err(notFound('task'))),
    explain: vi.fn(async () => ok({ agents: 1, eligible: 1, failed: [], detail: region })),
    listAgents: vi.fn(async () => ok({ data: [] })),
    listTasks: vi.fn(async () => ok({ data: [] })),
    status: vi.fn(async () => {
      throw new Error('not asked');
    }),
    listPools: vi.fn(async () => []),
    putPool: vi.fn(async () => poolMissing as never),
    scalePool: vi.fn(async () => ok({ desired: 1 })),
    routeForKey: vi.fn(async (_caller, _key, order) => order),
    routesForKeys: vi.fn(async (_caller, keys, order) => keys.map(() => order)),
    runBooster: vi.fn(async (_caller, tasks) =>
      tasks.map(() => ({ reason: null, json: '{"ok":true,"output":"new","engine":"e","proofs":[]}' })),
    ),
    boosterStatus: vi.fn(async () => ({
      region,
      slots: { max: 4, started: 1, busy: 0 },
      operations: 0,
      done: 0,
      refused: {},
      panics: 0,
      recycled: 0,
      isolates: [],
      unreachable: 0,
    })),
    boosterReport: vi.fn(async () => ({ region, sinceMs: 1, calls: 0, timeouts: 0, durationMs: 0, operations: {} })),
    purgeFleet: vi.fn(async () => undefined),
    memory: vi.fn(async (_caller, _swarm, requests) => requests.map(() => err(notFound('entry')))),
    memoryEntry: vi.fn(async () => err(notFound('entry'))),
    memoryExport: vi.fn(async () => err(notFound('memory'))),
    memoryRestore: vi.fn(async () => err(notFound('restore point'))),
    memoryImport: vi.fn(async () => err(notFound('memory'))),
    fetch: vi.fn(async () => new Response(null, { status: 404 })),
  };
}

export interface Harness {
  readonly env: Record<string, unknown>;
  readonly regions: Readonly<Record<(typeof REGIONS)[number], FakeRegion>>;
  readonly snapshot: { value: FleetSnapshot };
  readonly fleet: { [K in keyof FleetRpc]: ReturnType<typeof vi.fn<FleetRpc[K]>> };
  token(subject?: Partial<TokenSubject>, lifeMs?: number): Promise<string>;
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
}
interface CallOptions {
  readonly token?: string | null;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

let fleets = 0;

/** The real app over fake regions and a fake fleet object. Every harness has a fleet of its own: isolates remember. */
export async function harness(vars: Readonly<Record<string, string>> = {}): Promise<Harness> {
  const set = await newKeySet();
  const keys = await loadedKeys(set);
  const name = `fleet${fleets++}`;
  const regions = {
    'us-east-1': fakeRegion('us-east-1'),
    'eu-west-1': fakeRegion('eu-west-1'),
    'ap-southeast-1': fakeRegion('ap-southeast-1'),
  };
  const snapshot = { value: { fleet: name, exists: true, generation: 0, settings: {}, revoked: [] } as FleetSnapshot };
  const fleet: Harness['fleet'] = {
    snapshot: vi.fn(async () => snapshot.value),
    create: vi.fn(async () => snapshot.value),
    putSettings: vi.fn(async (_fleet, _caller, settings) => (snapshot.value = { ...snapshot.value, settings })),
    mintToken: vi.fn(async (_fleet, _caller, record) => ok({ record, replayed: false, generation: 0 })),
    revokeToken: vi.fn(async () => ok(snapshot.value)),
    beginKey: vi.fn(async () => ok(null)),
    finishKey: vi.fn(async () => undefined),
    admit: vi.fn(async (_fleet, _caller, { wanted }) => ok({ ticket: 1, admitted: wanted, known: [] })),
    settle: vi.fn(async () => undefined),
    noteRemoved: vi.fn(async () => undefined),
    deleteFleet: vi.fn(async () => ({ snapshot: snapshot.value, pending: [] })),
  };
  const env = {
    REGIONS: REGIONS.join(','),
    LOCAL: 'true',
    CORS_ORIGINS: '',
    FLEET_SIGNING_KEYS: JSON.stringify(set),
    FLEET: { getByName: () => fleet },
    US_EAST_1: regions['us-east-1'],
    EU_WEST_1: regions['eu-west-1'],
    AP_SOUTHEAST_1: regions['ap-southeast-1'],
    ...vars,
  };
  const token: Harness['token'] = (subject = {}, lifeMs = 600_000) => {
    const nowMs = Date.now();
    const full: TokenSubject = { sub: 's', jti: `j${Math.random()}`, fleet: name, gen: 0, role: 'admin', ...subject };
    return signToken(keys, full, { nowMs, expiresAtMs: nowMs + lifeMs });
  };
  const admin = await token();
  return {
    env,
    regions,
    snapshot,
    fleet,
    token,
    async call(method, path, { token: own, body, headers, signal } = {}) {
      const init: RequestInit = {
        method,
        headers: {
          ...(own === null ? {} : { authorization: `Bearer ${own ?? admin}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      };
      return app.request(path, init, env);
    },
  };
}

export const bodyOf = async (response: Response): Promise<Record<string, unknown>> =>
  (await response.json()) as Record<string, unknown>;
