/** The shapes of the wire, as the schemas in `shared/` define them, under the names the methods use. */
import type * as z from 'zod';
import type { HeartbeatItemSchema, HeartbeatSchema, RegisterAgentSchema } from '../../shared/schemas/agents.ts';
import type { AllocateSchema, ReleaseSchema, RevokeLeasesSchema } from '../../shared/schemas/allocations.ts';
import type {
  FleetSettingsSchema,
  MintTokenSchema,
  MintedTokenSchema,
  PutPoolSchema,
  ScalePoolSchema,
  ScaledPoolSchema,
} from '../../shared/schemas/fleet.ts';
import type {
  BatchTaskSchema,
  ProgressReplySchema,
  SubmitTaskSchema,
  TaskResultSchema,
  TaskStatus,
} from '../../shared/schemas/tasks.ts';
import type {
  PutEntrySchema,
  TransactionSchema,
  ClaimSchema,
  SearchSchema,
  VectorSearchSchema,
  PermissionsSchema,
  MemorySettingsSchema,
  EraseSchema,
} from '../../shared/schemas/memory.ts';
import type { MemoryEntry, MemoryLevel, MemoryVersionSchema } from '../../shared/schemas/memory.ts';
import type { AgentStatus } from '../../shared/schemas/agents.ts';
import type { Problem } from '../../shared/schemas/problem.ts';
import type { Pool } from '../../shared/schemas/fleet.ts';

export type {
  Agent,
  AgentStatus,
  Assignment,
  HeartbeatReply,
  Liveness,
  RegisteredAgent,
  RevokedLease,
} from '../../shared/schemas/agents.ts';
export type { Allocation as AllocationInfo, AllocationStatus, Revocation, Selector } from '../../shared/schemas/allocations.ts';
export type { AgentCounts, FleetStatus, Pool, PoolStatus, RegionStatus, TaskCounts } from '../../shared/schemas/fleet.ts';
export type { Problem } from '../../shared/schemas/problem.ts';
export type { Task, TaskError, TaskStatus } from '../../shared/schemas/tasks.ts';
export type { Why } from '../../shared/schemas/why.ts';
export type { Residency } from '../../shared/schemas/common.ts';
export type { Role } from '../../shared/roles.ts';

export type {
  Artifact,
  Claim as ClaimInfo,
  Consensus,
  Dependency,
  Erasure,
  MemoryAuditRow,
  MemoryConflict,
  MemoryEntry,
  MemoryEvent,
  MemoryLease,
  MemoryLevel,
  MemorySettings,
  MemoryStatus,
  Quarantined,
} from '../../shared/schemas/memory.ts';
export type MemoryVersion = z.infer<typeof MemoryVersionSchema>;
/** SPECIFICATION §5.2. */
export type ACLPermissions = z.input<typeof PermissionsSchema>;
/** `ttl` is the specification's name for `ttlMs`. */
export type StoreOptions = Omit<z.input<typeof PutEntrySchema>, 'value'> & { readonly ttl?: number | undefined };
export interface RetrieveOptions {
  /** Chooses among entries of one key: by default the caller's own comes first. */
  readonly owner?: string | undefined;
  readonly level?: MemoryLevel | undefined;
  /** How old an answer may be that the memory is not asked about again; 0 by default. */
  readonly maxStaleMs?: number | undefined;
}
export interface MemoryFilter {
  readonly prefix?: string | undefined;
  readonly owner?: string | undefined;
  readonly level?: MemoryLevel | undefined;
  readonly tag?: string | undefined;
  readonly updatedAfterMs?: number | undefined;
  readonly updatedBeforeMs?: number | undefined;
  /** False: entries without their values. */
  readonly values?: boolean | undefined;
  readonly quarantined?: boolean | undefined;
}
export type MemoryOperation = z.input<typeof TransactionSchema>['operations'][number];
export type SearchInput = Omit<z.input<typeof SearchSchema>, 'query'>;
export type NearestInput = Omit<z.input<typeof VectorSearchSchema>, 'vector'>;
export type ScoredEntry = MemoryEntry & { readonly score: number };
export type ClaimOptions = Omit<z.input<typeof ClaimSchema>, 'paths'>;
export type MemorySettingsInput = z.input<typeof MemorySettingsSchema>;
export type EraseRequest = z.input<typeof EraseSchema>;

export type AgentInput = z.input<typeof RegisterAgentSchema>;
export type AllocateInput = z.input<typeof AllocateSchema>;
/** Which leases to revoke, why, and what else to do. */
export type RevokeInput = z.input<typeof RevokeLeasesSchema>;
export type SubmitInput = z.input<typeof SubmitTaskSchema>;
/** A task of a batch: others of it may name its `ref` in `dependsOn`. */
export type BatchTaskInput = z.input<typeof BatchTaskSchema>;
/** `{op: 'complete' | 'fail' | 'progress', id, fencingToken, …}` */
export type TaskReport = z.input<typeof TaskResultSchema>;
export type ProgressReply = z.infer<typeof ProgressReplySchema>;
export type HeartbeatInput = z.input<typeof HeartbeatSchema>;
export type HeartbeatItem = z.input<typeof HeartbeatItemSchema>;
export type PoolInput = z.input<typeof PutPoolSchema>;
export type ScaleInput = z.input<typeof ScalePoolSchema>;
/** Without a region: the first region's answer, with every region's beside it. */
export type ScaledPool = z.infer<typeof ScaledPoolSchema> & {
  readonly regions?: Readonly<Record<string, z.infer<typeof ScaledPoolSchema>>>;
};
/** Without a region: the pool as its first region has it, with every region's beside it. */
export type PoolAnswer = Pool & { readonly regions?: readonly Pool[] };
export type FleetSettings = z.input<typeof FleetSettingsSchema>;
export type TokenInput = z.input<typeof MintTokenSchema>;
export type MintedToken = z.infer<typeof MintedTokenSchema>;
/** How the work under an allocation went. */
export type TaskResult = NonNullable<z.input<typeof ReleaseSchema>['result']>;

/** SPECIFICATION §2.1: an agent named by its type, memory in MiB. */
export interface TypedAgentConfig {
  readonly type: string;
  readonly priority?: number | undefined;
  readonly capabilities?: string[] | undefined;
  readonly resources?: { readonly memory: number; readonly cpu: number } | undefined;
}
export type AgentConfig = AgentInput | (TypedAgentConfig & Omit<Partial<AgentInput>, 'pool' | 'resources'>);

/** `poolType` is the specification's name for `pool`. */
export type TaskRequirements = AllocateInput | (Omit<AllocateInput, 'pool'> & { readonly poolType: string });

export interface AgentFilter {
  readonly pool?: string | undefined;
  /** The specification's name for `pool`. */
  readonly type?: string | undefined;
  readonly status?: AgentStatus | undefined;
  readonly region?: string | undefined;
  readonly capability?: string | undefined;
}
export interface TaskFilter {
  readonly pool?: string | undefined;
  readonly status?: TaskStatus | undefined;
  readonly region?: string | undefined;
}

export interface Page<T> {
  readonly data: T[];
  readonly nextCursor?: string;
}
/** One answer of a batch, in the order of its items. */
export type BatchItem<T> = { readonly status: number; readonly body: T } | { readonly status: number; readonly problem: Problem };
