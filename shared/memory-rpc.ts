/**
 * What crosses from Worker to Worker and from Worker to a MemoryObject. Types only. Values travel as JSON text, as stored.
 */
import type { FleetError } from './errors.ts';
import type { Result } from './result.ts';
import type { Caller, IdempotencyRef, Page } from './rpc.ts';
import type { JsonText } from './schemas/common.ts';
import type {
  AddDependencies,
  Artifact,
  Claim,
  ClaimInput,
  Consensus,
  CreateArtifact,
  Dependency,
  EraseInput,
  Erasure,
  MemoryConflict,
  MemoryEntry,
  MemoryEvent,
  MemoryLease,
  MemoryLevel,
  MemorySettings,
  MemoryStatus,
  Permissions,
  Quarantined,
  QuarantineInput,
  VoteInput,
  MemoryAuditRow,
} from './schemas/memory.ts';

/** One shard of one swarm's memory in one region: one object. */
export interface MemoryHome {
  readonly region: string;
  readonly swarm: string;
  readonly shard: number;
  /** How many the caller takes this memory to have; absent: one. A memory that has others refuses. */
  readonly shards?: number;
}

export type EntryView = Omit<MemoryEntry, 'value'> & { readonly value?: JsonText };
export type VersionView = Omit<EntryView, 'createdAtMs' | 'updatedAtMs' | 'expiresAtMs'> & { readonly writtenAtMs: number };

export interface WriteGuards {
  /** Refused with `version_conflict` unless the entry has this version; 0: unless there is none. */
  readonly ifVersion?: number;
  readonly lease?: MemoryLease;
}
export interface StoreInput extends WriteGuards {
  readonly key: string;
  readonly value: JsonText;
  readonly level?: MemoryLevel;
  readonly ttlMs?: number;
  readonly tags?: readonly string[];
  readonly vector?: readonly number[];
}
export interface Stored {
  readonly created: boolean;
  readonly entry: EntryView;
}
/** Which entry a key means when several may be seen: by default the caller's own, then its team's, then the swarm's. */
export interface EntryRef {
  readonly key: string;
  readonly owner?: string;
  readonly level?: MemoryLevel;
}
export type EntryFilter = {
  readonly prefix?: string;
  readonly owner?: string;
  readonly level?: MemoryLevel;
  readonly tag?: string;
  readonly updatedAfterMs?: number;
  readonly updatedBeforeMs?: number;
};
export interface Paging {
  readonly after: string | null;
  readonly limit: number;
}
export type TransactionOperation =
  | ({ readonly op: 'put' } & Omit<StoreInput, 'lease'>)
  | ({ readonly op: 'delete'; readonly ifVersion?: number } & EntryRef)
  | ({ readonly op: 'check'; readonly ifVersion: number } & EntryRef);

/** Every command of a memory: what it takes and what it answers. */
export interface MemoryCommandMap {
  store: [input: StoreInput, output: Stored];
  /** With `known`, the tag of an answer the caller still has: `entry` is absent when that answer still holds. */
  retrieve: [input: EntryRef & { readonly known?: string }, output: { readonly tag: string; readonly entry?: EntryView }];
  delete: [input: EntryRef & WriteGuards, output: { readonly version: number }];
  list: [input: EntryFilter & Paging & { readonly values: boolean; readonly quarantined: boolean }, output: Page<EntryView>];
  getPermissions: [input: EntryRef, output: Permissions];
  setPermissions: [input: EntryRef & { readonly permissions: Permissions; readonly lease?: MemoryLease }, output: Permissions];
  history: [input: EntryRef & Paging, output: Page<VersionView>];
  rollback: [input: EntryRef & WriteGuards & { readonly version: number }, output: Stored];
  search: [
    input: EntryFilter & { readonly query: string; readonly limit: number },
    output: { readonly data: readonly (EntryView & { readonly score: number })[]; readonly complete: boolean },
  ];
  vectorSearch: [
    input: EntryFilter & { readonly vector: readonly number[]; readonly limit: number },
    output: { readonly data: readonly (EntryView & { readonly score: number })[]; readonly complete: boolean },
  ];
  transaction: [
    input: { readonly operations: readonly TransactionOperation[]; readonly lease?: MemoryLease },
    output: { readonly versions: readonly { readonly key: string; readonly version: number }[] },
  ];
  quarantine: [input: QuarantineInput, output: Quarantined];
  erase: [input: EraseInput, output: Erasure];
  claim: [input: ClaimInput, output: Claim];
  renewClaim: [input: { readonly claimId: string; readonly fencingToken: number; readonly leaseMs: number }, output: Claim];
  releaseClaim: [input: { readonly claimId: string; readonly fencingToken: number }, output: null];
  listClaims: [input: { readonly path?: string } & Paging, output: Page<Claim>];
  vote: [input: VoteInput & { readonly taskId: string }, output: Consensus];
  getConsensus: [input: { readonly taskId: string }, output: Consensus];
  addDependencies: [input: Omit<AddDependencies, 'lease'> & { readonly lease?: MemoryLease }, output: { readonly added: number }];
  listDependencies: [input: { readonly taskId?: string } & Paging, output: Page<Dependency>];
  createArtifact: [input: CreateArtifact, output: Artifact];
  putChunk: [input: { readonly artifactId: string; readonly number: number; readonly data: ArrayBuffer }, output: Artifact];
  getArtifact: [input: { readonly artifactId: string }, output: Artifact];
  getChunk: [input: { readonly artifactId: string; readonly number: number }, output: ArrayBuffer];
  listArtifacts: [input: { readonly name?: string; readonly taskId?: string } & Paging, output: Page<Artifact>];
  deleteArtifact: [input: { readonly artifactId: string }, output: null];
  listEvents: [input: Paging, output: Page<MemoryEvent>];
  listConflicts: [input: Paging, output: Page<MemoryConflict>];
  listAudit: [input: Paging, output: Page<MemoryAuditRow>];
  getSettings: [input: unknown, output: MemorySettings];
  putSettings: [input: { readonly settings: MemorySettings }, output: MemorySettings];
  memoryStatus: [input: unknown, output: MemoryStatus];
}
export type MemoryCommandType = keyof MemoryCommandMap;
export type MemoryCommandOf<K extends MemoryCommandType> = { readonly type: K } & MemoryCommandMap[K][0];
export type MemoryCommand = { [K in MemoryCommandType]: MemoryCommandOf<K> }[MemoryCommandType];
export type MemoryOutput<K extends MemoryCommandType = MemoryCommandType> = MemoryCommandMap[K][1];

export interface MemoryRequest {
  readonly command: MemoryCommand;
  readonly idempotency?: IdempotencyRef;
}
/** One answer, in the order of the requests. */
export type MemoryReply<K extends MemoryCommandType = MemoryCommandType> = Result<MemoryOutput<K>, FleetError> & {
  readonly replayed?: boolean;
};

/** What a pool says when a lease ends before its holder gave it back. */
export interface LeaseRevocation {
  readonly agentId: string;
  readonly allocationId: string;
  readonly fencingToken: number;
}

export interface ImportSummary {
  readonly restorePoint: string;
  readonly entries: number;
  readonly skipped: number;
}

/** RPC methods of MemoryObject. Every call names the object's home: an object never trusts that it was addressed rightly. */
export interface MemoryRpc {
  execute(fleet: string, home: MemoryHome, caller: Caller, requests: readonly MemoryRequest[]): Promise<readonly MemoryReply[]>;
  /** Takes over the entries of a SQLite file. */
  importFile(
    fleet: string,
    home: MemoryHome,
    caller: Caller,
    file: ArrayBuffer,
    idempotency: IdempotencyRef | null,
  ): Promise<MemoryImportReply>;
  /** Goes back to the state of a restore point; answers the one that the present state became. */
  restore(
    fleet: string,
    home: MemoryHome,
    caller: Caller,
    restorePoint: number,
    idempotency: IdempotencyRef | null,
  ): Promise<MemoryRestoreReply>;
  /** Whether `restore` would find its point, or has been done under this key: asked of all shards before the first one goes back. */
  mayRestore(fleet: string, home: MemoryHome, restorePoint: number, idempotency: IdempotencyRef | null): Promise<boolean>;
  leasesRevoked(fleet: string, home: MemoryHome, revoked: readonly LeaseRevocation[]): Promise<void>;
  /** How many shards the memory has; null: nothing was ever written. */
  shardCount(fleet: string, home: MemoryHome): Promise<number | null>;
  /** Removes everything this shard holds. */
  purge(): Promise<void>;
}
export interface Restored {
  readonly restorePoint: string;
}
export type MemoryRestoreReply = Result<Restored, FleetError> & { readonly replayed?: boolean };
export type MemoryImportReply = Result<ImportSummary, FleetError> & { readonly replayed?: boolean };
