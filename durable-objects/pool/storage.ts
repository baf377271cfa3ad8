import type { JsonText } from '../../shared/schemas/common.ts';
import type { Home } from '../../shared/ids.ts';
import type { ShardConfig } from '../../shared/rpc.ts';
import type { TaskCounts } from '../../shared/schemas/fleet.ts';
import type { TaskStatus } from '../../shared/schemas/tasks.ts';
import type { Changes } from './core/changes.ts';
import type { AgentRecord, BlobKind, LeaseRecord, RevocationRecord, TaskRecord } from './core/records.ts';

/** What a shard remembers besides its agents, leases and tasks. */
export interface ShardMeta {
  readonly fleet: string;
  readonly home: Home;
  readonly config: ShardConfig;
  readonly lastFence: number;
  /** The latest revocation. Shards of before there were any have none. */
  readonly epoch?: number;
  readonly nextTaskSeq: number;
  /** Rises with every commit that may have changed a counter; the registry keeps the highest it saw. */
  readonly summaryVersion: number;
  /** When rows past their time were last removed. */
  readonly prunedAtMs: number;
}

/** What memory is rebuilt from: live things only, and how many ended ones there are. */
export interface Snapshot {
  readonly meta: ShardMeta;
  readonly agents: readonly AgentRecord[];
  readonly leases: readonly LeaseRecord[];
  readonly tasks: readonly TaskRecord[];
  /** Under way. */
  readonly revocations: readonly RevocationRecord[];
  readonly ended: Partial<TaskCounts>;
}

/** The answer kept for an idempotency key. `passed`: refused here, and the caller went on to another shard. */
export interface StoredAnswer {
  readonly bodyHash: string;
  readonly state: 'done' | 'passed';
  readonly answer: JsonText;
  readonly atMs: number;
}

export interface AuditRow {
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly requestId: string;
  /** `[event, subject, note?]` of everything the step changed. */
  readonly entries: readonly (readonly [string, string, string?])[];
}

export interface Pruned {
  /** Ended tasks removed, by status, so that counters stay equal to a recount. */
  readonly tasks: Partial<Record<TaskStatus, number>>;
  readonly rows: number;
  /** A step's worth was removed of some kind, so there may be more of it. */
  readonly more: boolean;
  /** When the next row becomes removable, or null. */
  readonly nextAtMs: number | null;
}

/**
 * The rows of one shard. Two implementations, in memory and SQLite, pass one contract suite. Writes happen inside the
 * transaction of the caller, but for what `load` and `tasks` move to where they read; nothing here is asynchronous.
 */
export interface PoolStorage {
  /** Null when the shard has never been written. */
  load(): Snapshot | null;
  write(changes: Changes, meta: ShardMeta): void;
  lease(id: string): LeaseRecord | null;
  task(id: string): TaskRecord | null;
  revocation(epoch: number): RevocationRecord | null;
  blob(taskId: string, kind: BlobKind): JsonText | null;
  /** Tasks with an id above `after`, ascending, live and ended. */
  tasks(status: TaskStatus | null, after: string | null, limit: number): readonly TaskRecord[];
  /** The kept answers among these keys. */
  answers(keys: readonly string[]): ReadonlyMap<string, StoredAnswer>;
  /** `answer.answer` is JSON text. */
  putAnswer(key: string, answer: StoredAnswer): void;
  forgetAnswers(keys: readonly string[]): void;
  audit(row: AuditRow): void;
  /** Removes at most `step` rows of each kind that are past their age or number. */
  prune(nowMs: number, step: number): Pruned;
}
