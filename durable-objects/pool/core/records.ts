import type { Retry, SubmitTask, TaskError, TaskStatus } from '../../../shared/schemas/tasks.ts';
import type { AllocationStatus, Selector } from '../../../shared/schemas/allocations.ts';
import type { Liveness } from '../../../shared/schemas/agents.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import type { AgentSpec, RevokeTerms } from '../../../shared/rpc.ts';
import type { LoanReturn } from '../../../shared/loan-rpc.ts';

/** What an agent may be asked to do. `offline`: lost, kept for a while so that it can be seen and can come back. */
export type Lifecycle = 'starting' | 'ready' | 'draining' | 'quarantined' | 'offline';

/** An agent as stored. What can be derived from leases and sockets is in `LiveAgent`. */
export interface AgentRecord {
  readonly id: string;
  readonly spec: AgentSpec;
  readonly createdAtMs: number;
  lifecycle: Lifecycle;
  /** Rules of the session apply: a socket is open, or closed so lately that its grace still runs. */
  onSession: boolean;
  /** Since when the agent is suspect (not selectable), or null. */
  suspectSinceMs: number | null;
  /** It lives, but let an assignment lie until it was taken back: out of selection until it shows that it works. */
  zombieSinceMs: number | null;
  lostAtMs: number | null;
  drainDeadlineAtMs: number | null;
  /** Deregistered: gone when its last lease ends. */
  removeWhenFree: boolean;
  lastSeenAtMs: number;
  completed: number;
  failed: number;
  totalDurationMs: number;
}

/** A lease as stored. `direct`: a caller drives the agent and renews. `dispatched`: the object extends while the agent lives. */
export interface LeaseRecord {
  readonly id: string;
  readonly agentId: string;
  readonly kind: 'direct' | 'dispatched';
  taskId: string | null;
  readonly slots: number;
  readonly fencingToken: number;
  readonly grantedAtMs: number;
  readonly metadata: JsonText | null;
  /** Direct only: subject of the token that allocated. Rows of before it was kept have none. */
  readonly holder?: string | null;
  expiresAtMs: number;
  /** Dispatched only: the attempt ends here whatever the agent says. */
  timeoutAtMs: number | null;
  /** Dispatched only: the agent has shown that it took the task. */
  accepted: boolean;
  status: AllocationStatus;
  /** A loan that was taken back has ended when its home knows: until then it is kept as one that has not. */
  endedAtMs: number | null;
  /** Dispatched for a task of a sibling shard. Without a task it is an offer still. */
  loan?: LoanRecord;
}

/** The lender's side of a loan. */
export interface LoanRecord {
  readonly attempt: number;
  readonly timeoutMs: number;
  readonly cancelRequested: boolean;
  /** Taken back, and the home has not said that it knows. */
  readonly returned: LoanReturn | null;
}

/** The home's side of a loan. */
export interface LentRecord {
  readonly shard: number;
  readonly timeoutAtMs: number;
  /** The lender has said that the agent has the task. */
  readonly confirmed: boolean;
}

/** A task as stored; payload, result, progress and checkpoint are blobs beside it and never in memory for long. */
export interface TaskRecord {
  readonly id: string;
  readonly seq: number;
  readonly priority: number;
  readonly capabilities: readonly string[];
  readonly selectors: readonly Selector[];
  readonly concurrency: NonNullable<SubmitTask['concurrency']> | null;
  readonly fairnessKey: string;
  readonly fairnessWeight: number;
  readonly maxAttempts: number;
  readonly retry: Retry;
  readonly timeoutMs: number;
  readonly deadlineAtMs: number | null;
  readonly resultTtlMs: number;
  readonly createdAtMs: number;
  /** When it could first run: neither a delay asked for nor the wait for other tasks is waiting for an agent. */
  readyAtMs: number;
  readonly replayOf: string | null;
  readonly metadata: JsonText | null;
  status: TaskStatus;
  attempts: number;
  notBeforeMs: number;
  /** Tasks that must succeed before this one may run. */
  waitsFor: string[];
  agentId: string | null;
  allocationId: string | null;
  /** Token of the latest lease: what completes again with it gets the same answer. */
  fencingToken: number | null;
  startedAtMs: number | null;
  completedAtMs: number | null;
  cancelDueAtMs: number | null;
  error: TaskError | null;
  /** The attempt is under way with an agent of a sibling shard; agent, allocation and token are that shard's. */
  loan?: LentRecord;
}

export type BlobKind = 'payload' | 'result' | 'progress' | 'checkpoint';
export type { Liveness };

export const ENDED: ReadonlySet<TaskStatus> = new Set(['succeeded', 'failed', 'cancelled', 'dead']);

/** A revocation as stored: until it has ended, what it has not reached yet is refused by it. */
export interface RevocationRecord {
  /** Rises by one with each revocation of the shard. */
  readonly epoch: number;
  /** The last token that was granted before. */
  readonly fence: number;
  readonly terms: RevokeTerms;
  readonly atMs: number;
  endedAtMs: number | null;
  revoked: number;
  requeued: number;
  cancelled: number;
  quarantined: number;
}
