import type { Caller } from '../../../shared/rpc.ts';
import type { TaskStatus } from '../../../shared/schemas/tasks.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import { Changes } from './changes.ts';
import type { Effect, PoolEvent } from './events.ts';
import { evolve } from './evolve.ts';
import type { BlobKind, LeaseRecord, RevocationRecord, TaskRecord } from './records.ts';
import type { PoolState } from './state.ts';

/** Everything a decision may read besides the state. Read by the shell once per command, never deeper. */
export interface Context {
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A new ULID, rising within the object. */
  readonly ulid: () => string;
  /** When the agent's socket last answered a ping by itself, or null. */
  readonly lastPongAtMs: (agentId: string) => number | null;
  /** Rows by id, as they were before this step; `Step.lease` and `Step.task` know what it has changed. */
  readonly archive: {
    readonly lease: (id: string) => LeaseRecord | null;
    readonly task: (id: string) => TaskRecord | null;
    readonly revocation: (epoch: number) => RevocationRecord | null;
    /** A stored payload, result, progress or checkpoint of a task, live or ended. */
    readonly blob: (taskId: string, kind: BlobKind) => JsonText | null;
  };
}

/**
 * One command being decided. `emit` applies an event at once, so that what follows sees it; a command that is refused
 * emits nothing but what it observed of agents' liveness.
 */
export class Step {
  readonly events: PoolEvent[] = [];
  readonly effects: Effect[] = [];
  readonly changes: Changes;
  /** Agents that may have become able to take work. */
  readonly freed = new Set<string>();
  /** Queue entries that have just arrived. */
  readonly arrived = new Set<string>();
  /** Ended tasks that others here wait for. */
  readonly ended = new Map<string, TaskStatus>();
  /** Old rows may be removed now; the shell does it, since ended things are not in memory. */
  pruneDue = false;
  /** Something has come into the queue that was not served at once. */
  came = false;
  /** The sibling's live lease under which the command is said. */
  loanId: string | null = null;
  readonly state: PoolState;
  readonly ctx: Context;
  readonly caller: Caller | null;

  constructor(state: PoolState, ctx: Context, caller: Caller | null, changes: Changes = new Changes()) {
    this.state = state;
    this.ctx = ctx;
    this.caller = caller;
    this.changes = changes;
  }

  get nowMs(): number {
    return this.ctx.nowMs;
  }

  /**
   * A lease, active or ended. What this very step has ended is no longer in the state and not yet stored: the row would
   * still call it active.
   */
  lease(id: string): LeaseRecord | null {
    return this.state.leases.get(id) ?? this.changes.leases.get(id) ?? this.ctx.archive.lease(id);
  }

  /** A task, live or ended, like `lease`. */
  task(id: string): TaskRecord | null {
    return this.state.tasks.get(id) ?? this.changes.tasks.get(id) ?? this.ctx.archive.task(id);
  }

  /** A revocation, under way or ended, like `lease`. */
  revocation(epoch: number): RevocationRecord | null {
    return this.state.revocations.get(epoch) ?? this.changes.revocations.get(epoch) ?? this.ctx.archive.revocation(epoch);
  }

  /** What has come into the queue, directly or through a gate, is to be tried. */
  welcome(): void {
    for (const id of this.state.letIn) this.arrived.add(id);
    this.state.letIn.clear();
  }

  emit(asked: PoolEvent): void {
    const event = this.#fence(asked);
    evolve(this.state, event, this.changes);
    this.events.push(event);
    this.welcome();
    if (event.type === 'agentRegistered') this.freed.add(event.agent.id);
    else if (event.type === 'agentChanged') this.freed.add(event.agentId);
    else if (event.type === 'leaseEnded' && event.status === 'revoked') this.#tellMemories(event.leaseId);
    else if (event.type === 'taskEnded') {
      this.effects.push({ type: 'taskEnded', taskId: event.taskId });
      if (this.state.dependents.has(event.taskId)) this.ended.set(event.taskId, event.status);
    } else if (event.type === 'taskSubmitted' && event.task.notBeforeMs === 0) this.arrived.add(event.task.id);
    else if (event.type === 'taskRequeued' && event.notBeforeMs === 0) this.arrived.add(event.taskId);
  }

  /** A lent task that leaves its lender otherwise than by the lender's word: the holder is fenced, the lender told. */
  #fence(event: PoolEvent): PoolEvent {
    if (event.type !== 'taskEnded' && event.type !== 'taskRequeued' && event.type !== 'taskCancelRequested') return event;
    const { loan, allocationId } = this.state.tasks.get(event.taskId) ?? {};
    if (loan === undefined || allocationId == null || allocationId === this.loanId) return event;
    const over = event.type !== 'taskCancelRequested';
    this.effects.push({
      type: 'loanOrder',
      shard: loan.shard,
      allocationId,
      over,
      reason: over ? (event.error?.code ?? 'cancelled') : 'cancelled by its owner',
      graceMs: over ? 0 : Math.max(0, event.dueAtMs - this.nowMs),
    });
    return event.type === 'taskEnded' ? { ...event, fenced: true } : event;
  }

  #tellMemories(leaseId: string): void {
    const lease = this.lease(leaseId);
    const swarms = lease === null ? [] : (this.state.agents.get(lease.agentId)?.record.spec.swarms ?? []);
    if (lease === null || swarms.length === 0) return;
    const { agentId, fencingToken } = lease;
    this.effects.push({ type: 'leaseRevoked', agentId, allocationId: leaseId, fencingToken, swarms });
  }
}
