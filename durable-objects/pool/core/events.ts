import type { TaskError } from '../../../shared/schemas/tasks.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import type { RevokedLease } from '../../../shared/schemas/agents.ts';
import type { LoanReturn, LoanTerms } from '../../../shared/loan-rpc.ts';
import type { AllocationView } from '../../../shared/rpc.ts';
import type { Waiter } from './state.ts';
import type { AgentRecord, BlobKind, Lifecycle, LeaseRecord, RevocationRecord, TaskRecord } from './records.ts';

/** The fields of an agent that change after registration. */
export type AgentPatch = Partial<
  Pick<
    AgentRecord,
    | 'lifecycle'
    | 'onSession'
    | 'suspectSinceMs'
    | 'zombieSinceMs'
    | 'lostAtMs'
    | 'drainDeadlineAtMs'
    | 'removeWhenFree'
    | 'lastSeenAtMs'
    | 'completed'
    | 'failed'
    | 'totalDurationMs'
  >
> & { readonly lifecycle?: Lifecycle };

/** What happened, in the past tense. Applying events in order to the state before gives the state after. */
export type PoolEvent =
  | { readonly type: 'agentRegistered'; readonly agent: AgentRecord }
  | { readonly type: 'agentChanged'; readonly agentId: string; readonly why: string; readonly patch: AgentPatch }
  | { readonly type: 'agentRemoved'; readonly agentId: string; readonly why: string }
  | { readonly type: 'leaseGranted'; readonly lease: LeaseRecord }
  | { readonly type: 'leaseExtended'; readonly leaseId: string; readonly expiresAtMs: number }
  | { readonly type: 'leaseAccepted'; readonly leaseId: string }
  | {
      readonly type: 'leaseEnded';
      readonly leaseId: string;
      readonly status: 'released' | 'expired' | 'revoked';
      readonly atMs: number;
    }
  | {
      readonly type: 'loanHeld';
      readonly leaseId: string;
      readonly terms: LoanTerms;
      readonly expiresAtMs: number;
      readonly atMs: number;
    }
  | { readonly type: 'loanCancelRequested'; readonly leaseId: string }
  | { readonly type: 'loanCheckpointed'; readonly leaseId: string; readonly checkpoint: JsonText }
  | { readonly type: 'loanReturning'; readonly lease: LeaseRecord; readonly returned: LoanReturn }
  | { readonly type: 'loanReturned'; readonly leaseId: string; readonly atMs: number }
  | { readonly type: 'taskSubmitted'; readonly task: TaskRecord; readonly payload: JsonText }
  | {
      readonly type: 'taskAssigned';
      readonly taskId: string;
      readonly leaseId: string;
      readonly agentId: string;
      readonly fencingToken: number;
    }
  | {
      readonly type: 'taskLent';
      readonly taskId: string;
      readonly leaseId: string;
      readonly agentId: string;
      readonly fencingToken: number;
      readonly shard: number;
      readonly timeoutAtMs: number;
      readonly atMs: number;
    }
  | { readonly type: 'taskLoanConfirmed'; readonly taskId: string }
  | { readonly type: 'taskStarted'; readonly taskId: string; readonly atMs: number }
  | { readonly type: 'taskProgressed'; readonly taskId: string; readonly blobs: Readonly<Partial<Record<BlobKind, JsonText>>> }
  | { readonly type: 'taskDependencyMet'; readonly taskId: string; readonly dependencyId: string; readonly atMs: number }
  | { readonly type: 'taskCancelRequested'; readonly taskId: string; readonly dueAtMs: number }
  | {
      readonly type: 'taskRequeued';
      readonly taskId: string;
      readonly notBeforeMs: number;
      /** False when the attempt was lost to a drain, which is not the task's doing. */
      readonly counted: boolean;
      readonly error: TaskError;
    }
  | {
      readonly type: 'taskEnded';
      readonly taskId: string;
      readonly status: 'succeeded' | 'failed' | 'cancelled' | 'dead';
      readonly atMs: number;
      readonly error: TaskError | null;
      readonly result?: JsonText;
      /** Ended under a loan and not by its holder, whose token is worth nothing from here. */
      readonly fenced?: true;
    }
  | { readonly type: 'revocationBegun'; readonly revocation: RevocationRecord; readonly why: string }
  | {
      readonly type: 'revocationAdvanced';
      readonly epoch: number;
      readonly counts: Pick<RevocationRecord, 'revoked' | 'requeued' | 'cancelled' | 'quarantined'>;
      /** Null while there is more to revoke. */
      readonly endedAtMs: number | null;
    }
  | {
      readonly type: 'configured';
      readonly version: number;
      readonly maxAgents: number;
      readonly priority: number;
      readonly shards?: number;
    };

/** What the shell does after the commit. */
export type Effect =
  | { readonly type: 'assign'; readonly agentId: string; readonly leaseId: string }
  | {
      readonly type: 'cancel';
      readonly agentId: string;
      readonly taskId: string;
      readonly reason: string;
      readonly graceMs: number;
    }
  | { readonly type: 'revoke'; readonly agentId: string; readonly epoch: number; readonly leases: readonly RevokedLease[] }
  | { readonly type: 'acknowledged'; readonly agentId: string }
  | { readonly type: 'drain'; readonly agentId: string; readonly deadlineMs: number }
  | { readonly type: 'closeSession'; readonly agentId: string; readonly code: number; readonly reason: string }
  | { readonly type: 'waiterGranted'; readonly waiter: Waiter; readonly leaseIds: readonly string[] }
  | { readonly type: 'waiterTimedOut'; readonly waiter: Waiter; readonly atQuota: boolean }
  | { readonly type: 'waiterServed'; readonly waiter: Waiter; readonly views: readonly AllocationView[] }
  | { readonly type: 'pollReady'; readonly agentId: string }
  | { readonly type: 'taskEnded'; readonly taskId: string }
  | { readonly type: 'watch'; readonly dependencyId: string }
  | LoanEffect
  | MemoryEffect;

/** What shards of a pool tell each other. All of it is said again by a timer until it is answered, or heals by itself. */
export type LoanEffect =
  /** Something waits that nobody here can take. */
  | { readonly type: 'borrow' }
  | {
      readonly type: 'confirmLoans';
      readonly shard: number;
      readonly taskIds: readonly string[];
      readonly unused: readonly string[];
    }
  /** `all`: every loan; otherwise those that were taken back. */
  | { readonly type: 'loanNews'; readonly all: boolean }
  | {
      readonly type: 'loanOrder';
      readonly shard: number;
      readonly allocationId: string;
      readonly over: boolean;
      readonly reason: string;
      readonly graceMs: number;
    }
  | { readonly type: 'hasRoom'; readonly shard: number };

/** What a shard tells the memories of a swarm. */
export type MemoryEffect = {
  /** The memories of the agent's swarms must refuse what it writes under this lease. */
  readonly type: 'leaseRevoked';
  readonly agentId: string;
  readonly allocationId: string;
  readonly fencingToken: number;
  readonly swarms: readonly string[];
};

/** The thing an event is about, for the audit row. */
export function subjectOf(event: PoolEvent): string {
  switch (event.type) {
    case 'agentRegistered':
      return event.agent.id;
    case 'agentChanged':
    case 'agentRemoved':
      return event.agentId;
    case 'leaseGranted':
      return event.lease.id;
    case 'leaseExtended':
    case 'leaseAccepted':
    case 'leaseEnded':
    case 'loanHeld':
    case 'loanCancelRequested':
    case 'loanCheckpointed':
    case 'loanReturned':
      return event.leaseId;
    case 'loanReturning':
      return event.lease.id;
    case 'taskSubmitted':
      return event.task.id;
    case 'taskAssigned':
    case 'taskLent':
    case 'taskLoanConfirmed':
    case 'taskStarted':
    case 'taskProgressed':
    case 'taskDependencyMet':
    case 'taskCancelRequested':
    case 'taskRequeued':
    case 'taskEnded':
      return event.taskId;
    case 'revocationBegun':
      return `epoch ${event.revocation.epoch}`;
    case 'revocationAdvanced':
      return `epoch ${event.epoch}`;
    case 'configured':
      return 'config';
  }
}
