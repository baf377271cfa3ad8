import { LIMITS } from '../../shared/limits.ts';
import * as agentApi from './api/agents.ts';
import * as allocationApi from './api/allocations.ts';
import * as fleetApi from './api/fleet.ts';
import { collect, pages } from './api/pages.ts';
import * as taskApi from './api/tasks.ts';
import { Allocation, type AllocationCalls } from './allocation.ts';
import type { BatchResult } from './batch.ts';
import { AgentBeats } from './beats.ts';
import { type FleetManagerConfig, checkConfig } from './config.ts';
import { ConfigurationError, TaskFailedError } from './errors.ts';
import { FencingTokens } from './fencing-tokens.ts';
import { type CallOptions, HttpClient } from './http.ts';
import { agentInput, agentQuery, allocateInput, submitInput } from './input.ts';
import { applyConfig } from './initialize.ts';
import { nodeTransport } from './node-fetch.ts';
import { nodeSide } from './node-side.ts';
import { Pipelines, isPlain } from './pipelines.ts';
import { type Target, resolveTarget } from './target.ts';
import type {
  Agent,
  AgentConfig,
  AgentFilter,
  AllocationInfo,
  BatchTaskInput,
  FleetSettings,
  FleetStatus,
  HeartbeatInput,
  HeartbeatItem,
  HeartbeatReply,
  MintedToken,
  Pool,
  PoolAnswer,
  PoolInput,
  ProgressReply,
  RegisteredAgent,
  Revocation,
  RevokeInput,
  ScaledPool,
  SubmitInput,
  Task,
  TaskFilter,
  TaskReport,
  TaskRequirements,
  TaskResult,
  TokenInput,
  Why,
} from './types.ts';

/** What exists once the fleet has been found. */
interface Connection {
  readonly target: Target;
  readonly http: HttpClient;
  readonly piped: Pipelines;
  readonly beats: AgentBeats;
}

/**
 * A fleet of agents, through its API. Every method takes `{signal, timeoutMs, idempotencyKey, retries}` as its last
 * argument and throws an {@link ApiError} of the class that belongs to the problem's code.
 *
 * ```ts
 * const fleet = new FleetManager({ endpoint, token }); // with neither: the local fleet
 * const task = await fleet.submitTask({ pool: 'coder', payload: 'hello' });
 * console.log((await fleet.waitForTask(task.id)).result);
 * ```
 */
export class FleetManager {
  readonly #config: FleetManagerConfig;
  readonly #tokens = new FencingTokens();
  readonly #calls: AllocationCalls = {
    renew: (id, token, leaseMs, options) =>
      isPlain(options)
        ? this.#piped.allocation({ op: 'renew', id, fencingToken: token, leaseMs })
        : allocationApi.renewAllocation(this.#http, id, token, leaseMs, options),
    release: (id, token, result, options) => this.#release(id, token, result, options),
  };
  #connection: Connection | null = null;

  constructor(config: FleetManagerConfig = {}) {
    checkConfig(config);
    this.#config = config;
  }

  /** Checks that the fleet serves and the token is good, then applies pools and settings of the configuration, if any. */
  async initialize(options?: CallOptions): Promise<void> {
    await fleetApi.ready(this.#http, options);
    const status = await fleetApi.fleetStatus(this.#http, options);
    const { fleet } = this.#config;
    if (typeof fleet === 'string' && fleet !== status.fleet) {
      throw new ConfigurationError(`The token belongs to fleet "${status.fleet}", not to "${fleet}".`);
    }
    await applyConfig(this.#http, this.#config, options);
  }

  /** Ends running calls, retries and waits; the manager cannot be used afterwards. Registered agents stay. */
  async shutdown(): Promise<void> {
    this.#connected.beats.stop();
    this.#http.close();
  }

  /** Where this manager's fleet is, and how it was found. */
  get target(): Omit<Target, 'token'> {
    const { endpoint, source } = this.#connected.target;
    return { endpoint, source };
  }

  // Agents

  /**
   * Registers an agent and answers its id. It must then show that it is alive: by `runAgent`'s session, by `heartbeat`,
   * or, for one that lives in this process, with `keepAlive` by beats that this manager sends until it shuts down.
   */
  async registerAgent(
    config: AgentConfig,
    options?: CallOptions & { readonly keepAlive?: boolean | undefined },
  ): Promise<string> {
    const { id } = await this.createAgent(config, options);
    if (options?.keepAlive) this.#connected.beats.add(id);
    return id;
  }

  /** As `registerAgent`, with the whole answer: the agent's own token above all. */
  async createAgent(config: AgentConfig, options?: CallOptions): Promise<RegisteredAgent> {
    const input = agentInput(config, this.#config);
    return isPlain(options) ? this.#piped.register(input) : agentApi.registerAgent(this.#http, input, options);
  }

  /** Registers many, in as few requests as the limits allow. */
  async registerAgents(configs: readonly AgentConfig[], options?: CallOptions): Promise<BatchResult<RegisteredAgent>[]> {
    return agentApi.registerAgents(
      this.#http,
      configs.map((config) => agentInput(config, this.#config)),
      options,
    );
  }

  /** Removes an agent: at once without leases, else after its last one; `force` takes its work away. */
  async unregisterAgent(agentId: string, options?: CallOptions & { readonly force?: boolean | undefined }): Promise<void> {
    this.#connected.beats.remove(agentId);
    await agentApi.unregisterAgent(this.#http, agentId, options?.force ?? false, options);
  }

  async getAgent(agentId: string, options?: CallOptions): Promise<Agent> {
    return agentApi.getAgent(this.#http, agentId, options);
  }

  /** All agents that match, at once; {@link agents} is for large fleets. */
  async listAgents(filter: AgentFilter = {}, options?: CallOptions): Promise<Agent[]> {
    return collect(this.agents(filter, options));
  }

  /** The agents that match, page by page as they are consumed. */
  agents(filter: AgentFilter = {}, options?: CallOptions): AsyncGenerator<Agent, void, undefined> {
    return pages<Agent>(this.#http, '/v1/agents', agentQuery(filter), options);
  }

  /** One sign of life, with the leases the agent holds; the answer says what to stop. */
  async heartbeat(agentId: string, beat: HeartbeatInput = {}, options?: CallOptions): Promise<HeartbeatReply> {
    return agentApi.heartbeat(this.#http, agentId, beat, options);
  }

  async heartbeats(beats: readonly HeartbeatItem[], options?: CallOptions): Promise<BatchResult<HeartbeatReply>[]> {
    return agentApi.heartbeats(this.#http, beats, options);
  }

  /** Lets an agent finish what it holds and gives it nothing new. */
  async drainAgent(agentId: string, options?: CallOptions & { readonly deadlineMs?: number | undefined }): Promise<Agent> {
    return agentApi.drainAgent(this.#http, agentId, options?.deadlineMs, options);
  }

  /** Takes an agent out of selection until an operator decides. */
  async quarantineAgent(agentId: string, reason?: string, options?: CallOptions): Promise<Agent> {
    return agentApi.quarantineAgent(this.#http, agentId, reason, options);
  }

  // Allocations

  /** Holds one agent. `waitMs` queues instead of refusing; `keepAlive` renews until released. */
  async allocateAgent(
    requirements: TaskRequirements,
    options?: CallOptions & { readonly keepAlive?: boolean | undefined },
  ): Promise<Allocation> {
    const input = allocateInput(requirements, this.#config);
    const askedAt = performance.now();
    const piped = isPlain(options) && (input.waitMs ?? 0) === 0 && (input.count ?? 1) === 1;
    const info = piped
      ? await this.#piped.allocation({ op: 'allocate', ...input })
      : await allocationApi.allocate(this.#http, input, options);
    const allocation = this.#granted(info, input.leaseMs, askedAt);
    return options?.keepAlive ? allocation.keepAlive() : allocation;
  }

  /** Holds `count` agents, all or none. */
  async allocateAgents(requirements: TaskRequirements & { count: number }, options?: CallOptions): Promise<Allocation[]> {
    const input = { ...allocateInput(requirements, this.#config), count: requirements.count };
    const askedAt = performance.now();
    const granted = await allocationApi.allocateMany(this.#http, input, options);
    return granted.map((info) => this.#granted(info, input.leaseMs, askedAt));
  }

  async getAllocation(allocationId: string, options?: CallOptions): Promise<AllocationInfo> {
    return allocationApi.getAllocation(this.#http, allocationId, options);
  }

  /** Gives an agent back. The fencing token of this manager's own grants is remembered; others must bring theirs. */
  async releaseAgent(
    allocationId: string,
    result?: TaskResult,
    options?: CallOptions & { readonly fencingToken?: number | undefined },
  ): Promise<void> {
    const token = options?.fencingToken ?? this.#tokens.get(allocationId);
    if (token === undefined) {
      throw new ConfigurationError(
        `Allocation ${allocationId} was not granted to this manager: pass its fencing token, {fencingToken}.`,
      );
    }
    await this.#release(allocationId, token, result, options);
  }

  /** Allocates, renews and releases in one request, in order. */
  async allocationBatch(
    operations: readonly allocationApi.AllocationOperation[],
    options?: CallOptions,
  ): Promise<BatchResult<AllocationInfo>[]> {
    const results = await allocationApi.allocationBatch(this.#http, operations, options);
    for (const result of results)
      if (result.ok && result.value.status === 'active') this.#tokens.set(result.value.id, result.value.fencingToken);
    return results;
  }

  /**
   * Revokes every lease that matches, in all regions: `{ all: true, reason }`, or any selector. Answers which agents have
   * acknowledged within `waitMs`. Throws a {@link RevokeIncompleteError} when something could not be reached, after the
   * usual retries.
   */
  async revokeLeases(selection: RevokeInput, options?: CallOptions): Promise<Revocation> {
    return allocationApi.revokeLeases(this.#http, selection, options);
  }

  /** Why such an allocation would be refused, or how many agents fit; changes nothing. */
  async explainAllocation(requirements: TaskRequirements, options?: CallOptions): Promise<Why> {
    return allocationApi.explainAllocation(this.#http, allocateInput(requirements, this.#config), options);
  }

  // Tasks

  async submitTask(task: SubmitInput, options?: CallOptions): Promise<Task> {
    const input = submitInput(task, this.#config);
    return isPlain(options) ? this.#piped.submit(input) : taskApi.submitTask(this.#http, input, options);
  }

  /**
   * Submits many, in as few requests as the limits allow. A task may have a `ref`, and others of the call may depend on it by
   * that name: a graph, in one request.
   */
  async submitTasks(tasks: readonly BatchTaskInput[], options?: CallOptions): Promise<BatchResult<Task>[]> {
    return taskApi.submitTasks(
      this.#http,
      tasks.map((task) => submitInput(task, this.#config)),
      options,
    );
  }

  /** Completes, fails or reports progress of many tasks by their fencing tokens, one transaction per pool shard. */
  async reportTasks(reports: readonly TaskReport[], options?: CallOptions): Promise<BatchResult<Task | ProgressReply>[]> {
    return taskApi.reportTasks(this.#http, reports, options);
  }

  /** Submits, waits, and answers the result; throws a {@link TaskFailedError} when the task ends without success. */
  async runTask(task: SubmitInput, options: CallOptions = {}): Promise<unknown> {
    const { timeoutMs, ...submitOptions } = options;
    const { id } = await this.submitTask(task, submitOptions);
    const ended = await this.waitForTask(id, { signal: options.signal, timeoutMs });
    if (ended.status !== 'succeeded') throw new TaskFailedError(ended);
    return ended.result;
  }

  async getTask(taskId: string, options?: CallOptions & { readonly waitMs?: number | undefined }): Promise<Task> {
    return taskApi.getTask(this.#http, taskId, options);
  }

  /** The task once it has ended, however it ended. `timeoutMs` bounds the wait; restarts of the fleet are sat out. */
  async waitForTask(taskId: string, options?: CallOptions): Promise<Task> {
    return taskApi.waitForTask(this.#http, taskId, options);
  }

  async cancelTask(taskId: string, options?: CallOptions): Promise<Task> {
    return taskApi.cancelTask(this.#http, taskId, options);
  }

  /** A new task from an ended one, with `replayOf`. */
  async replayTask(taskId: string, options?: CallOptions): Promise<Task> {
    return taskApi.replayTask(this.#http, taskId, options);
  }

  /** The tasks that match, page by page as they are consumed. */
  tasks(filter: TaskFilter = {}, options?: CallOptions): AsyncGenerator<Task, void, undefined> {
    return pages<Task>(this.#http, '/v1/tasks', { ...filter }, options);
  }

  async listTasks(filter: TaskFilter = {}, options?: CallOptions): Promise<Task[]> {
    return collect(this.tasks(filter, options));
  }

  /** Why a task waits: which agents failed which condition, its position, what limits it. */
  async whyTask(taskId: string, options?: CallOptions): Promise<Why> {
    return taskApi.whyTask(this.#http, taskId, options);
  }

  // Fleet, pools, tokens

  async getFleetStatus(options?: CallOptions): Promise<FleetStatus> {
    return fleetApi.fleetStatus(this.#http, options);
  }

  async getFleetSettings(options?: CallOptions): Promise<FleetSettings> {
    return fleetApi.getSettings(this.#http, options);
  }

  async putFleetSettings(settings: FleetSettings, options?: CallOptions): Promise<FleetSettings> {
    return fleetApi.putSettings(this.#http, settings, options);
  }

  async listPools(options?: CallOptions): Promise<Pool[]> {
    return fleetApi.listPools(this.#http, options);
  }

  /** A pool exists once per region: in one of them, or with all under `regions`. */
  async getPool(pool: string, options?: CallOptions & { readonly region?: string | undefined }): Promise<PoolAnswer> {
    return fleetApi.getPool(this.#http, pool, options?.region, options);
  }

  /** Creates or changes a pool, in one region or in all. */
  async putPool(
    pool: string,
    spec: PoolInput,
    options?: CallOptions & { readonly region?: string | undefined },
  ): Promise<PoolAnswer> {
    return fleetApi.putPool(this.#http, pool, spec, options?.region, options);
  }

  /** Sets how many agents a pool should have; the answer says when a limit held it back. */
  async scalePool(
    pool: string,
    targetSize: number,
    options?: CallOptions & { readonly region?: string | undefined; readonly reason?: string | undefined },
  ): Promise<ScaledPool> {
    return fleetApi.scalePool(this.#http, pool, { targetSize, region: options?.region, reason: options?.reason }, options);
  }

  async mintToken(token: TokenInput, options?: CallOptions): Promise<MintedToken> {
    return fleetApi.mintToken(this.#http, token, options);
  }

  async revokeToken(tokenId: string, options?: CallOptions): Promise<void> {
    return fleetApi.revokeToken(this.#http, tokenId, options);
  }

  /** The line to the fleet, for the parts of this package that are built on the manager. */
  get http(): HttpClient {
    return this.#connected.http;
  }

  #granted(info: AllocationInfo, leaseMs: number | undefined, askedAt: number): Allocation {
    this.#tokens.set(info.id, info.fencingToken);
    return new Allocation(info, this.#calls, leaseMs ?? LIMITS.leaseMsDefault, askedAt);
  }

  async #release(id: string, fencingToken: number, result?: TaskResult, options?: CallOptions): Promise<AllocationInfo> {
    const released = isPlain(options)
      ? await this.#piped.allocation({ op: 'release', id, fencingToken, ...(result === undefined ? {} : { result }) })
      : await allocationApi.releaseAllocation(this.#http, id, fencingToken, result, options);
    this.#tokens.delete(id);
    return released;
  }

  get #http(): HttpClient {
    return this.#connected.http;
  }

  get #piped(): Pipelines {
    return this.#connected.piped;
  }

  /** Connected on first use, so that a manager can be made before the fleet is started. */
  get #connected(): Connection {
    if (this.#connection !== null) return this.#connection;
    const target = resolveTarget(this.#config, nodeSide());
    const own = this.#config.fetch === undefined ? nodeTransport() : null;
    const http = new HttpClient({
      endpoint: target.endpoint,
      token: target.token,
      timeoutMs: this.#config.timeoutMs ?? 60_000,
      retries: this.#config.retries ?? 2,
      headers: this.#config.geo === undefined ? {} : { 'x-fleet-geo': this.#config.geo.join(',') },
      fetch: this.#config.fetch ?? own?.fetch ?? ((input, init) => fetch(input, init)),
      disconnect: () => own?.close(),
    });
    this.#connection = { target, http, piped: new Pipelines(http), beats: new AgentBeats(http, this.#config.onWarning) };
    return this.#connection;
  }
}
