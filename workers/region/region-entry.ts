import { WorkerEntrypoint } from 'cloudflare:workers';
import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type {
  AgentFilter,
  AgentView,
  AllocateSpec,
  AllocationView,
  Caller,
  IdempotencyRef,
  Page,
  Polled,
  PoolReply,
  PoolRequest,
  PoolRpc,
  PoolView,
  RegionRevocation,
  RegionRpc,
  RegionStatusBlock,
  RevokeTerms,
  TaskFilter,
  TaskView,
} from '../../shared/rpc.ts';
import type {
  EntryRef,
  EntryView,
  MemoryImportReply,
  MemoryReply,
  MemoryRequest,
  MemoryRestoreReply,
} from '../../shared/memory-rpc.ts';
import type { BoosterOutcome } from '../../shared/rpc-booster.ts';
import type { BoosterInstruction, BoosterReport, BoosterStatus } from '../../shared/schemas/booster.ts';
import type { PutPool } from '../../shared/schemas/fleet.ts';
import type { Why } from '../../shared/schemas/why.ts';
import type { RegionEnv } from '../../durable-objects/env.ts';
import { logError } from '../../durable-objects/lib/log.ts';
import type { FileStream } from '../../durable-objects/memory/memory-api.ts';
import { ownRegion } from '../../durable-objects/lib/own-region.ts';
import { memoryStub, poolStub, registryStub } from '../../durable-objects/stubs.ts';
import { RegionBooster } from './booster/region-booster.ts';
import { isOverloaded, orOverloaded, overloaded } from './faults.ts';
import { listShards } from './lists.ts';
import { purgeFleet } from './purge.ts';
import { findRoute, onAllShards, readById, type RegionPorts } from './region.ts';
import { callerAt } from '../../durable-objects/lib/lease-quota.ts';
import { revokeInRegion } from './revoke.ts';
import { RouteCache } from './route-cache.ts';
import { runCommands } from './run-commands.ts';
import { openSession } from './session.ts';
import { EntryCache } from './memory/entry-cache.ts';
import { exportMemory, importMemory, readEntry, restoreMemory, runMemory, type MemoryPorts } from './memory/region-memory.ts';
import { sharedCacheOf } from './memory/upstash-cache.ts';
import { mergeWhys, whyTask } from './why.ts';

/** Of the isolate, not of a request: an entrypoint lives for one call. */
const ROUTES = new RouteCache();
const ENTRIES = new EntryCache();
const KNOWN_SWARMS = new Set<string>();
const SHARDS = new Map<string, number>();

/**
 * One region, as the router sees it. It trusts who the router says is calling, and nothing else: every id and pool is held
 * against this region before an object is asked.
 */
export class RegionEntry extends WorkerEntrypoint<RegionEnv> implements RegionRpc {
  readonly #ports: RegionPorts;
  readonly #memory: MemoryPorts;
  readonly #booster: RegionBooster;

  constructor(ctx: ExecutionContext, env: RegionEnv) {
    super(ctx, env);
    const region = ownRegion(env).id;
    this.#ports = {
      region,
      pool: (fleet, home) => poolStub(env, fleet, home),
      registry: (fleet) => registryStub(env, fleet, region),
      routes: ROUTES,
      nowMs: () => Date.now(),
      random: () => Math.random(),
      logError,
      maxAgents: parseMaxAgents(env.REGION_MAX_AGENTS),
    };
    this.#memory = {
      region,
      memory: (fleet, home) => memoryStub(env, fleet, home),
      registry: this.#ports.registry,
      cache: ENTRIES,
      shared: sharedCacheOf(env.MEMORY_CACHE, region),
      knownSwarms: KNOWN_SWARMS,
      shards: SHARDS,
      nowMs: this.#ports.nowMs,
      logError,
    };
    this.#booster = new RegionBooster(env, region, logError);
  }

  async health(): Promise<{ readonly region: string }> {
    return { region: this.#ports.region };
  }

  async execute(
    caller: Caller,
    pool: string,
    shard: number | null,
    requests: readonly PoolRequest[],
  ): Promise<readonly PoolReply[]> {
    try {
      return await runCommands(this.#ports, caller, pool, shard, requests);
    } catch (error) {
      // A registry that has too many calls; shards that do have answered for themselves. Nothing was carried out.
      if (isOverloaded(error)) return requests.map(() => err(overloaded()));
      throw error;
    }
  }

  async poll(
    caller: Caller,
    agentId: string,
    input: { readonly waiterId: string; readonly max: number; readonly waitMs: number },
  ): Promise<Result<Polled, FleetError>> {
    return orOverloaded(
      readById(this.#ports, caller, 'agent', agentId, (pool, { home }) =>
        pool.poll(caller.fleet, home, caller, { agentId, ...input }),
      ),
    );
  }

  async revoke(
    caller: Caller,
    input: RevokeTerms & { readonly pool?: string; readonly waitMs: number },
    idempotency: IdempotencyRef | null,
  ): Promise<RegionRevocation> {
    return revokeInRegion(this.#ports, caller, input, idempotency);
  }

  async withdraw(caller: Caller, pool: string, shard: number | null, waiterId: string): Promise<void> {
    const route = await findRoute(this.#ports, caller.fleet, pool);
    if (route === null || (shard !== null && shard >= route.shards)) return;
    if (shard === null) await onAllShards(this.#ports, caller, pool, (stub) => stub.withdraw(waiterId));
    else await this.#ports.pool(caller.fleet, { region: this.#ports.region, pool, shard }).withdraw(waiterId);
  }

  async forgetKeys(caller: Caller, pool: string, keys: readonly string[]): Promise<void> {
    await onAllShards(this.#ports, caller, pool, (stub) => stub.forgetKeys(keys));
  }

  async endSessions(caller: Caller, agentId: string, tokenId: string): Promise<void> {
    await readById(this.#ports, caller, 'agent', agentId, async (pool) => ok(await pool.endSessions(agentId, tokenId)));
  }

  async getAgent(caller: Caller, id: string): Promise<Result<AgentView, FleetError>> {
    return orOverloaded(readById(this.#ports, caller, 'agent', id, (pool) => pool.getAgent(id)));
  }

  async getAllocation(caller: Caller, id: string): Promise<Result<AllocationView, FleetError>> {
    return orOverloaded(readById(this.#ports, caller, 'allocation', id, (pool) => pool.getAllocation(id)));
  }

  async getTask(caller: Caller, id: string, waitMs: number): Promise<Result<TaskView, FleetError>> {
    return orOverloaded(readById(this.#ports, caller, 'task', id, (pool) => pool.getTask(id, waitMs)));
  }

  async whyTask(caller: Caller, id: string): Promise<Result<Why, FleetError>> {
    return orOverloaded(whyTask(this.#ports, caller, id));
  }

  async explain(caller: Caller, pool: string, spec: AllocateSpec): Promise<Result<Why, FleetError>> {
    const whys = await orOverloaded(
      onAllShards(this.#ports, caller, pool, (stub, shard, shards) => stub.explain(callerAt(caller, shard, shards), spec)),
    );
    if (!whys.ok) return whys;
    const why = mergeWhys(whys.value);
    return why === undefined ? err({ kind: 'internal', detail: 'A pool without shards.' }) : ok(why);
  }

  async listAgents(
    caller: Caller,
    filter: AgentFilter,
    after: string | null,
    limit: number,
  ): Promise<Result<Page<AgentView>, FleetError>> {
    return this.#list(caller, 'agent', filter.pool, { after, limit }, (pool, from, count) =>
      pool.listAgents(filter, from, count),
    );
  }

  async listTasks(
    caller: Caller,
    filter: TaskFilter,
    after: string | null,
    limit: number,
  ): Promise<Result<Page<TaskView>, FleetError>> {
    return this.#list(caller, 'task', filter.pool, { after, limit }, (pool, from, count) => pool.listTasks(filter, from, count));
  }

  async #list<T extends { readonly id: string }>(
    { fleet }: Caller,
    kind: 'agent' | 'task',
    pool: string | undefined,
    page: { readonly after: string | null; readonly limit: number },
    ask: (pool: PoolRpc, after: string | null, limit: number) => Promise<Page<T>>,
  ): Promise<Result<Page<T>, FleetError>> {
    const { region } = this.#ports;
    const list = async (): Promise<Result<Page<T>, FleetError>> => {
      const occupied = await this.#ports.registry(fleet).occupied(fleet, region, kind === 'agent' ? 'agents' : 'tasks');
      const shards = pool === undefined ? occupied : occupied.filter((ref) => ref.pool === pool);
      return listShards({ kind, region, shards, ...page }, (ref, from, count) =>
        ask(this.#ports.pool(fleet, { region, ...ref }), from, count),
      );
    };
    return orOverloaded(list());
  }

  async status(caller: Caller): Promise<RegionStatusBlock> {
    return this.#ports.registry(caller.fleet).status(caller.fleet, this.#ports.region);
  }

  async listPools(caller: Caller): Promise<readonly PoolView[]> {
    return this.#ports.registry(caller.fleet).listPools(caller.fleet, this.#ports.region);
  }

  async putPool(
    caller: Caller,
    pool: string,
    spec: PutPool,
  ): Promise<Result<{ readonly pool: PoolView; readonly created: boolean }, FleetError>> {
    const registry = this.#ports.registry(caller.fleet);
    const result = await orOverloaded(registry.putPool(caller.fleet, this.#ports.region, caller, pool, spec));
    this.#ports.routes.forget(caller.fleet);
    return result;
  }

  async scalePool(
    caller: Caller,
    pool: string,
    input: { readonly targetSize: number; readonly reason?: string },
  ): Promise<Result<{ readonly desired: number; readonly limitedBy?: 'min' | 'max' }, FleetError>> {
    return orOverloaded(this.#ports.registry(caller.fleet).scalePool(caller.fleet, this.#ports.region, caller, pool, input));
  }

  async routeForKey(caller: Caller, key: string, order: readonly string[]): Promise<readonly string[]> {
    return this.#ports.registry(caller.fleet).routeForKey(caller.fleet, this.#ports.region, key, order);
  }

  async routesForKeys(
    caller: Caller,
    keys: readonly string[],
    order: readonly string[],
  ): Promise<readonly (readonly string[])[]> {
    return this.#ports.registry(caller.fleet).routesForKeys(caller.fleet, this.#ports.region, keys, order);
  }

  async runBooster(caller: Caller, tasks: readonly BoosterInstruction[]): Promise<readonly BoosterOutcome[]> {
    return this.#booster.run(caller, tasks);
  }

  async boosterStatus(caller: Caller): Promise<BoosterStatus> {
    return this.#booster.status(caller);
  }

  async boosterReport(caller: Caller): Promise<BoosterReport> {
    return this.#booster.report(caller);
  }

  async purgeFleet(caller: Caller): Promise<void> {
    await purgeFleet(this.#ports, caller, this.#memory);
  }

  async memory(caller: Caller, swarm: string, requests: readonly MemoryRequest[]): Promise<readonly MemoryReply[]> {
    try {
      return await runMemory(this.#memory, caller, swarm, requests);
    } catch (error) {
      if (isOverloaded(error)) return requests.map(() => err(overloaded()));
      throw error;
    }
  }

  async memoryExport(caller: Caller, swarm: string, shard: number | null): Promise<Result<FileStream, FleetError>> {
    return orOverloaded(exportMemory(this.#memory, caller, swarm, shard));
  }

  async memoryImport(
    caller: Caller,
    swarm: string,
    file: ArrayBuffer,
    idempotency: IdempotencyRef | null,
  ): Promise<MemoryImportReply> {
    return orOverloaded(importMemory(this.#memory, caller, swarm, file, idempotency));
  }

  async memoryRestore(
    caller: Caller,
    swarm: string,
    restorePoint: string,
    idempotency: IdempotencyRef | null,
  ): Promise<MemoryRestoreReply> {
    return orOverloaded(restoreMemory(this.#memory, caller, swarm, restorePoint, idempotency));
  }

  async memoryEntry(caller: Caller, swarm: string, ref: EntryRef, maxStaleMs: number): Promise<Result<EntryView, FleetError>> {
    return orOverloaded(readEntry(this.#memory, caller, swarm, ref, maxStaleMs));
  }

  override async fetch(request: Request): Promise<Response> {
    return openSession(this.#ports, (fleet, home, upgrade) => poolStub(this.env, fleet, home).fetch(upgrade), request);
  }
}

/** A value that is no number is a mistake of the deployment: no limit would be a guess, and so would any other. */
function parseMaxAgents(text: string | undefined): number | null {
  if (text === undefined || text === '') return null;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`REGION_MAX_AGENTS is not a number of agents: ${text}`);
  return value;
}
