/**
 * What crosses from Worker to Worker and from Worker to object. Types only, so that each side can be built and tested
 * against the other. Free-form values travel as JSON text: nothing between the edge and the row looks inside them.
 */
import type { FleetError } from './errors.ts';
import type { Home } from './ids.ts';
import type { EntryRef, EntryView, MemoryImportReply, MemoryRestoreReply, MemoryReply, MemoryRequest } from './memory-rpc.ts';
import type { Result } from './result.ts';
import type { Role } from './roles.ts';
import type { Agent, Assignment, Heartbeat, HeartbeatReply, Liveness, RegisterAgent, RevokedLease } from './schemas/agents.ts';
import type { ACKNOWLEDGED_BY, Allocate, Allocation, RevokeLeases, Selector } from './schemas/allocations.ts';
import type { BoosterOutcome } from './rpc-booster.ts';
import type { BoosterInstruction, BoosterReport, BoosterStatus } from './schemas/booster.ts';
import type { JsonText } from './schemas/common.ts';
import type { AgentCounts, Pool, PutPool, RegionStatus, TaskCounts } from './schemas/fleet.ts';
import type { SubmitTask, Task } from './schemas/tasks.ts';
import type { Why } from './schemas/why.ts';

/** Who calls, as the router read it from the verified token. */
export interface Caller {
  readonly fleet: string;
  readonly subject: string;
  readonly role: Role;
  /** Set exactly when `role` is `agent`. */
  readonly agentId?: string;
  /** An agent's swarms, as it was registered with them. */
  readonly swarms?: readonly string[];
  readonly requestId: string;
  /** Id of the token, with a session's upgrade: a session outlives the request that its token was checked for. */
  readonly tokenId?: string;
  /** Most live leases it may hold by allocating; absent: no such limit. */
  readonly leaseQuota?: LeaseQuota;
}

/** A caller's lease quota in one pool of one region. */
export interface LeaseQuota {
  readonly limit: number;
  /** The part of it that the shard which is asked may give: the shares of a pool's shards add up to the limit. */
  readonly share: number;
}

/** The caller's name for a request. `key` is already scoped to subject and route; `bodyHash` covers method, path and body. */
export interface IdempotencyRef {
  readonly key: string;
  readonly bodyHash: string;
  /**
   * Other candidates follow: a refusal records the key as passed on, so that a repeat skips this shard and finds the
   * grant where it was made. `forgetKeys` clears the mark when every candidate refused.
   */
  readonly passOnRefusal?: boolean;
}

export type AgentSpec = Omit<RegisterAgent, 'region' | 'metadata' | 'pool'> & { readonly metadata: JsonText };
export type AgentView = Omit<Agent, 'metadata'> & { readonly metadata: JsonText };
export type AllocateSpec = Omit<Allocate, 'pool' | 'region' | 'residency' | 'metadata'> & { readonly metadata?: JsonText };
export type AllocationView = Omit<Allocation, 'metadata'> & { readonly metadata?: JsonText };
export type TaskSpec = Omit<SubmitTask, 'pool' | 'region' | 'residency' | 'metadata' | 'payload'> & {
  readonly payload: JsonText;
  readonly metadata?: JsonText;
};
export type TaskView = Omit<Task, 'progress' | 'result' | 'metadata'> & {
  readonly progress?: JsonText;
  readonly result?: JsonText;
  readonly metadata?: JsonText;
};
export type AssignmentView = Omit<Assignment, 'payload' | 'checkpoint'> & {
  readonly payload: JsonText;
  readonly checkpoint?: JsonText;
};

export interface ReleaseOutcome {
  readonly success: boolean;
  readonly durationMs?: number;
  readonly error?: string;
  readonly data?: JsonText;
}

/** Which leases of a shard a revocation is about; empty: all of them. */
export type LeaseSelector = Pick<
  RevokeLeases,
  'agentIds' | 'allocationIds' | 'taskIds' | 'holder' | 'capabilities' | 'selectors'
>;
export type AcknowledgedBy = (typeof ACKNOWLEDGED_BY)[number];

/** What a revocation does besides ending leases. */
export interface RevokeTerms {
  readonly selector: LeaseSelector;
  readonly reason: string;
  readonly tasks: RevokeLeases['tasks'];
  readonly quarantine: boolean;
}

export interface RevokedAgent {
  readonly agentId: string;
  readonly liveness: Liveness;
  /** Of this agent, revoked by this step. */
  readonly leases: number;
}

/** One step of a revocation. */
export interface RevokeStep {
  /** 0 when nothing matched, and so nothing was done. */
  readonly epoch: number;
  /** The last token granted before the revocation: later grants are none of its business. */
  readonly fence: number;
  /** Matching leases are left for another step with this `epoch`; they are refused already. */
  readonly more: boolean;
  /** Of all steps so far. */
  readonly revoked: number;
  readonly requeued: number;
  readonly cancelled: number;
  readonly quarantined: number;
  readonly agents: readonly RevokedAgent[];
}

/** Every command of a pool shard: what it takes and what it answers. */
export interface PoolCommandMap {
  registerAgent: [input: { readonly spec: AgentSpec }, output: AgentView];
  /** Without leases the agent is gone at once (`status` offline); otherwise it drains until its last lease ends. */
  deregisterAgent: [input: { readonly agentId: string; readonly force: boolean }, output: AgentView];
  heartbeat: [input: { readonly agentId: string } & Heartbeat, output: Omit<HeartbeatReply, 'token'>];
  drainAgent: [input: { readonly agentId: string; readonly deadlineMs: number }, output: AgentView];
  quarantineAgent: [input: { readonly agentId: string; readonly reason?: string }, output: AgentView];
  /**
   * `waiterId` names the queue entry of a waiting allocate, so that it can be withdrawn when its caller leaves.
   * With `spec.waitMs` > 0 the call answers when granted or when the wait ends.
   */
  allocate: [input: { readonly spec: AllocateSpec; readonly waiterId: string }, output: readonly AllocationView[]];
  renew: [
    input: { readonly allocationId: string; readonly fencingToken: number; readonly leaseMs: number },
    output: AllocationView,
  ];
  release: [
    input: { readonly allocationId: string; readonly fencingToken: number; readonly result?: ReleaseOutcome },
    output: AllocationView,
  ];
  /** Begins a revocation (`epoch` null) or goes on with one; ends about `limit` leases. */
  revokeLeases: [input: RevokeTerms & { readonly epoch: number | null; readonly limit: number }, output: RevokeStep];
  /** The agent's process has stopped the work under leases that were revoked, up to this epoch. */
  acknowledgeRevocation: [input: { readonly agentId: string; readonly epoch: number }, output: { readonly epoch: number }];
  /** `needsAgent`: refuse with `no_capacity` when no live agent fits, so that the router can try where one does. */
  submitTask: [input: { readonly spec: TaskSpec; readonly needsAgent: boolean; readonly replayOf?: string }, output: TaskView];
  cancelTask: [input: { readonly taskId: string }, output: TaskView];
  replayTask: [input: { readonly taskId: string }, output: TaskView];
  completeTask: [input: { readonly taskId: string; readonly fencingToken: number; readonly result?: JsonText }, output: TaskView];
  failTask: [
    input: {
      readonly taskId: string;
      readonly fencingToken: number;
      readonly error: { readonly code: string; readonly message: string };
      readonly retryable: boolean;
    },
    output: TaskView,
  ];
  progressTask: [
    input: {
      readonly taskId: string;
      readonly fencingToken: number;
      readonly progress?: JsonText;
      readonly checkpoint?: JsonText;
    },
    output: { readonly taskId: string; readonly leaseExpiresAtMs: number; readonly cancelRequested: boolean },
  ];
}
export type PoolCommandType = keyof PoolCommandMap;
export type PoolCommandOf<K extends PoolCommandType> = { readonly type: K } & PoolCommandMap[K][0];
export type PoolCommand = { [K in PoolCommandType]: PoolCommandOf<K> }[PoolCommandType];
export type PoolOutput<K extends PoolCommandType = PoolCommandType> = PoolCommandMap[K][1];

export interface PoolRequest {
  readonly command: PoolCommand;
  readonly idempotency?: IdempotencyRef;
  /** The HTTP request it came with, when requests of several share a call; otherwise the caller's. */
  readonly requestId?: string;
}

/** One answer of a batch, in the order of the requests. `replayed`: the stored answer of an earlier call with the same key. */
export type PoolReply = Result<PoolOutput, FleetError> & { readonly replayed?: boolean };

/** Pool configuration as a shard needs it: `maxAgents` is this shard's share, so the pool's maximum holds without asking. */
export interface ShardConfig {
  readonly version: number;
  readonly maxAgents: number;
  readonly priority: number;
  /** Shards of the pool; absent in what was stored before shards lent each other agents, and means one. */
  readonly shards?: number;
}

/** Absolute counters of one shard; a higher `version` replaces a lower one, so a lost or repeated report does no harm. */
export interface ShardSummary {
  readonly pool: string;
  readonly shard: number;
  readonly version: number;
  readonly asOfMs: number;
  readonly agents: AgentCounts;
  readonly tasks: TaskCounts;
  /** Free slots of selectable agents: what "emptiest" and "has capacity" are judged by. */
  readonly slotsFree: number;
}

export interface Page<T> {
  readonly data: readonly T[];
  /** Last id of the page when more follow. */
  readonly nextAfter?: string;
}
export interface AgentFilter {
  readonly pool?: string;
  readonly status?: Agent['status'];
  readonly capability?: string;
}
export interface TaskFilter {
  readonly pool?: string;
  readonly status?: Task['status'];
}

/** What a poll brings. An empty one means that its time was up. */
export interface Polled {
  readonly assignments: readonly AssignmentView[];
  readonly revoked: readonly RevokedLease[];
}

/** What a revocation did in one shard, all steps together. */
export type ShardRevocation = Omit<RevokeStep, 'more'>;

/** An agent whose leases were revoked, as things stand when the answer leaves. */
export interface AgentRevocation extends RevokedAgent {
  readonly by: AcknowledgedBy | null;
}

/** What a revocation did in one region. */
export interface RegionRevocation {
  /** Whether the region has the pool that was named, if one was. */
  readonly isPoolKnown: boolean;
  readonly shards: readonly (Omit<ShardRevocation, 'agents'> & {
    readonly pool: string;
    readonly shard: number;
    readonly agents: readonly AgentRevocation[];
  })[];
  /** Shards that did not answer: what they held may live on. */
  readonly unanswered: readonly { readonly pool: string; readonly shard: number }[];
}

/** What a task or an allocation asks of agents. */
export interface DemandSpec {
  readonly capabilities: readonly string[];
  readonly selectors: readonly Selector[];
  readonly slots: number;
  readonly count: number;
  /** Tasks need an agent that is connected; an allocation takes any live one. */
  readonly connected: boolean;
}

export interface WhyTask {
  readonly why: Why;
  /** What the task waits for agents with; null when it waits for nothing. */
  readonly demand: DemandSpec | null;
}

/** RPC methods of PoolObject. Every call names the object's home: an object never trusts that it was addressed rightly. */
export interface PoolRpc {
  execute(
    fleet: string,
    home: Home,
    config: ShardConfig,
    caller: Caller,
    requests: readonly PoolRequest[],
  ): Promise<readonly PoolReply[]>;
  /** Takes effect when `config.version` is newer than what the shard holds. Answers the shard's summary. */
  configure(fleet: string, home: Home, config: ShardConfig, caller: Caller): Promise<ShardSummary>;
  /** Assignments for an agent without a socket; waits up to `waitMs`. An empty answer means none came. */
  poll(
    fleet: string,
    home: Home,
    caller: Caller,
    input: { readonly agentId: string; readonly waiterId: string; readonly max: number; readonly waitMs: number },
  ): Promise<Result<Polled, FleetError>>;
  /** Revokes every matching lease there is, in as many transactions as it takes. The steps share the key. */
  revoke(
    fleet: string,
    home: Home,
    config: ShardConfig,
    caller: Caller,
    terms: RevokeTerms,
    idempotency: IdempotencyRef | null,
  ): Promise<Result<ShardRevocation, FleetError>>;
  /** How these agents have acknowledged the revocation, after at most `waitMs`, or sooner when all who can have. */
  acknowledged(epoch: number, agentIds: readonly string[], waitMs: number): Promise<readonly (AcknowledgedBy | null)[]>;
  /** The caller of a waiting allocate or poll has left. */
  withdraw(waiterId: string): Promise<void>;
  forgetKeys(keys: readonly string[]): Promise<void>;
  /** Closes the sessions that were opened with a token which is refused now. */
  endSessions(agentId: string, tokenId: string): Promise<void>;
  getAgent(id: string): Promise<Result<AgentView, FleetError>>;
  getAllocation(id: string): Promise<Result<AllocationView, FleetError>>;
  /** With `waitMs` > 0 answers when the task ends or the wait does. */
  getTask(id: string, waitMs: number): Promise<Result<TaskView, FleetError>>;
  whyTask(id: string): Promise<Result<WhyTask, FleetError>>;
  /** What an allocation of this caller would find; changes nothing. */
  explain(caller: Caller, spec: AllocateSpec): Promise<Why>;
  /** How a demand that waits elsewhere fares with the agents of this shard. */
  explainDemand(demand: DemandSpec): Promise<Why>;
  /** Items with an id above `after`, ascending. */
  listAgents(filter: AgentFilter, after: string | null, limit: number): Promise<Page<AgentView>>;
  listTasks(filter: TaskFilter, after: string | null, limit: number): Promise<Page<TaskView>>;
  summary(): Promise<ShardSummary>;
  /** Removes everything this shard holds, sockets included. */
  purge(): Promise<void>;
}

export type PoolView = Pool;
export interface RegionStatusBlock {
  readonly region: string;
  readonly status: RegionStatus;
  /** `PoolStatus[]` as text: it is asked for often, changes seldom, and goes to the caller as it is. */
  readonly pools: JsonText;
}

/** What a region needs to know of a pool to route to it. */
export interface PoolRoute {
  readonly pool: string;
  readonly shards: number;
  readonly version: number;
  readonly maxAgents: number;
  readonly priority: number;
}

/** RPC methods of RegistryObject, one per fleet and region. */
export interface RegistryRpc {
  routes(fleet: string, region: string): Promise<readonly PoolRoute[]>;
  listPools(fleet: string, region: string): Promise<readonly PoolView[]>;
  putPool(
    fleet: string,
    region: string,
    caller: Caller,
    pool: string,
    spec: PutPool,
  ): Promise<Result<{ readonly pool: PoolView; readonly created: boolean }, FleetError>>;
  scalePool(
    fleet: string,
    region: string,
    caller: Caller,
    pool: string,
    input: { readonly targetSize: number; readonly reason?: string },
  ): Promise<Result<{ readonly desired: number; readonly limitedBy?: 'min' | 'max' }, FleetError>>;
  status(fleet: string, region: string): Promise<RegionStatusBlock>;
  /** A shard's counters; answers the shard's current configuration so that a shard heals from a missed push. */
  report(fleet: string, region: string, summary: ShardSummary): Promise<ShardConfig | null>;
  /** Shards that have ever held something, for lists: those without any agent or task are left out. */
  occupied(
    fleet: string,
    region: string,
    what: 'agents' | 'tasks',
  ): Promise<readonly { readonly pool: string; readonly shard: number }[]>;
  /** Remembers the first order of regions tried for an idempotency key, and answers the remembered one. */
  routeForKey(fleet: string, region: string, key: string, order: readonly string[]): Promise<readonly string[]>;
  /** The same for many keys of a batch in one commit; answers in their order. */
  routesForKeys(
    fleet: string,
    region: string,
    keys: readonly string[],
    order: readonly string[],
  ): Promise<readonly (readonly string[])[]>;
  purge(): Promise<void>;
}

/** RPC methods of a region's Worker, reached by the router through its service binding (entrypoint `RegionEntry`). */
export interface RegionRpc {
  health(): Promise<{ readonly region: string }>;
  /**
   * Runs commands on one pool of this region, in one transaction per shard. `shard` null: the region places each
   * command (registrations on the emptiest shard, allocations and tasks by two random choices, by key when one is given).
   */
  execute(caller: Caller, pool: string, shard: number | null, requests: readonly PoolRequest[]): Promise<readonly PoolReply[]>;
  poll(
    caller: Caller,
    agentId: string,
    input: { readonly waiterId: string; readonly max: number; readonly waitMs: number },
  ): Promise<Result<Polled, FleetError>>;
  /** Revokes in every shard of the pools that match, and waits for acknowledgements. Nothing is left out silently. */
  revoke(
    caller: Caller,
    input: RevokeTerms & { readonly pool?: string; readonly waitMs: number },
    idempotency: IdempotencyRef | null,
  ): Promise<RegionRevocation>;
  /** `shard` null: all shards of the pool. */
  withdraw(caller: Caller, pool: string, shard: number | null, waiterId: string): Promise<void>;
  forgetKeys(caller: Caller, pool: string, keys: readonly string[]): Promise<void>;
  endSessions(caller: Caller, agentId: string, tokenId: string): Promise<void>;
  getAgent(caller: Caller, id: string): Promise<Result<AgentView, FleetError>>;
  getAllocation(caller: Caller, id: string): Promise<Result<AllocationView, FleetError>>;
  getTask(caller: Caller, id: string, waitMs: number): Promise<Result<TaskView, FleetError>>;
  whyTask(caller: Caller, id: string): Promise<Result<Why, FleetError>>;
  explain(caller: Caller, pool: string, spec: AllocateSpec): Promise<Result<Why, FleetError>>;
  listAgents(
    caller: Caller,
    filter: AgentFilter,
    after: string | null,
    limit: number,
  ): Promise<Result<Page<AgentView>, FleetError>>;
  listTasks(caller: Caller, filter: TaskFilter, after: string | null, limit: number): Promise<Result<Page<TaskView>, FleetError>>;
  status(caller: Caller): Promise<RegionStatusBlock>;
  listPools(caller: Caller): Promise<readonly PoolView[]>;
  putPool(
    caller: Caller,
    pool: string,
    spec: PutPool,
  ): Promise<Result<{ readonly pool: PoolView; readonly created: boolean }, FleetError>>;
  scalePool(
    caller: Caller,
    pool: string,
    input: { readonly targetSize: number; readonly reason?: string },
  ): Promise<Result<{ readonly desired: number; readonly limitedBy?: 'min' | 'max' }, FleetError>>;
  routeForKey(caller: Caller, key: string, order: readonly string[]): Promise<readonly string[]>;
  routesForKeys(caller: Caller, keys: readonly string[], order: readonly string[]): Promise<readonly (readonly string[])[]>;
  /** Runs booster operations on the booster Workers that the region is bound to; answers in their order, whatever fails. */
  runBooster(caller: Caller, tasks: readonly BoosterInstruction[]): Promise<readonly BoosterOutcome[]>;
  boosterStatus(caller: Caller): Promise<BoosterStatus>;
  boosterReport(caller: Caller): Promise<BoosterReport>;
  purgeFleet(caller: Caller): Promise<void>;
  /** Takes the entries of a SQLite file into a swarm's memory. */
  memoryRestore(
    caller: Caller,
    swarm: string,
    restorePoint: string,
    idempotency: IdempotencyRef | null,
  ): Promise<MemoryRestoreReply>;
  memoryImport(caller: Caller, swarm: string, file: ArrayBuffer, idempotency: IdempotencyRef | null): Promise<MemoryImportReply>;
  /** Runs commands on a swarm's memory in this region; one answer each, in their order. */
  memory(caller: Caller, swarm: string, requests: readonly MemoryRequest[]): Promise<readonly MemoryReply[]>;
  /** One entry. An answer this region's Worker still has is used if the memory confirms it, or if it is not older than asked. */
  memoryEntry(caller: Caller, swarm: string, ref: EntryRef, maxStaleMs: number): Promise<Result<EntryView, FleetError>>;
}

/** Headers on the one request that cannot be RPC: the upgrade of an agent's session, router to region entrypoint `fetch`. */
export const SESSION_HEADERS = {
  /** JSON of `Caller`. */
  caller: 'x-fleet-caller',
  /** The agent's id (from the path, checked against the token by the router). */
  agentId: 'x-fleet-agent-id',
  /** A renewed token to hand out in `welcome`, when the current one is due. */
  token: 'x-fleet-renewed-token',
  /** JSON of `{fleet, home, config}`, set by the region. */
  home: 'x-fleet-home',
} as const;
