import type { AgentStatus } from '../../../shared/schemas/agents.ts';
import { AGENT_STATUSES } from '../../../shared/schemas/agents.ts';
import type { AgentCounts, TaskCounts } from '../../../shared/schemas/fleet.ts';
import { TASK_STATUSES } from '../../../shared/schemas/tasks.ts';
import type { Home } from '../../../shared/ids.ts';
import type { AllocateSpec, IdempotencyRef, LeaseQuota, ShardConfig } from '../../../shared/rpc.ts';
import { AgentIndex } from './agent-index.ts';
import type { LiveAgent } from './live-agent.ts';
import { Gates } from './gates.ts';
import { isConnected, outOfService } from './predicates.ts';
import { WaitQueue } from './queue.ts';
import { Holdings } from './holdings.ts';
import type { LeaseRecord, RevocationRecord, TaskRecord } from './records.ts';
import { TimerHeap } from './timers.ts';

/** A caller waiting for an allocation; lives in memory only, it was promised nothing yet. */
export interface Waiter {
  readonly id: string;
  readonly spec: AllocateSpec;
  readonly callerSubject: string;
  readonly requestId: string;
  readonly idempotency: IdempotencyRef | null;
  readonly endsAtMs: number;
  readonly quota: LeaseQuota | null;
}

export interface PoolState {
  readonly fleet: string;
  readonly home: Home;
  config: ShardConfig;
  readonly agents: Map<string, LiveAgent>;
  /** Active leases only; ended ones are in storage. */
  readonly leases: Map<string, LeaseRecord>;
  /** Tasks that have not ended; ended ones are in storage. */
  readonly tasks: Map<string, TaskRecord>;
  readonly waiters: Map<string, Waiter>;
  /** Who holds how many direct leases, and which waits stand outside the queue because their caller holds its quota. */
  readonly holdings: Holdings;
  /** Revocations under way: leases that they have not reached yet are refused already. */
  readonly revocations: Map<number, RevocationRecord>;
  /** The latest revocation; rises by one with each. */
  epoch: number;
  /** Agents that can be granted directly. */
  readonly selectable: AgentIndex;
  /** Of those, the ones that take tasks: socket open or poll parked. */
  readonly taskReady: AgentIndex;
  readonly queue: WaitQueue;
  /** Concurrency keys; a task that waits at its gate is queued, but not in the wait queue. */
  readonly gates: Gates;
  /** Lender: loans whose agent has the task, and when their home was last heard of. */
  readonly loans: Map<string, number>;
  /** Lender: token → loan. */
  readonly loanTokens: Map<number, string>;
  /** Lender: loans that were taken back and whose home has not answered yet. */
  readonly returns: Map<string, LeaseRecord>;
  /** Lender: loans of which the agent has said something that its home is deciding, and since when; memory only. */
  readonly spoken: Map<string, number>;
  /** Home: tasks with an agent of a sibling, when that was last heard of, and the one timer of each that counts. */
  readonly lent: Map<string, { heardAtMs: number; dueAtMs: number }>;
  /** The one timer of each kind that counts, or null. */
  borrowAtMs: number | null;
  loanBeatAtMs: number | null;
  /** Task → tasks of this shard that wait for its success. */
  readonly dependents: Map<string, Set<string>>;
  /** Tasks that a gate has just let into the queue; drained by the step that caused it. */
  readonly letIn: Set<string>;
  readonly timers: TimerHeap;
  /** The one timer of each lease that counts, never later than its end: renewals leave others behind. */
  readonly leaseDueMs: Map<string, number>;
  /** Agents that must beat, in the order of their last beat: the head tells whether anyone is overdue. A parked poll is a beat that lasts. */
  readonly beatOrder: Map<string, LiveAgent>;
  /** When the head was last looked at. */
  judgedAtMs: number;
  readonly agentCounts: AgentCounts;
  readonly taskCounts: TaskCounts;
  slotsFree: number;
  nextTaskSeq: number;
  nextGrantSeq: number;
  /** Last fencing token of the shard. One series for all agents: a token of one agent can never pass for another's. */
  lastFence: number;
  sweepArmed: boolean;
  /** When old rows are next removed, or null. */
  pruneDueMs: number | null;
}

export const emptyAgentCounts = (): AgentCounts =>
  Object.fromEntries(['total', ...AGENT_STATUSES].map((k) => [k, 0])) as AgentCounts;
export const emptyTaskCounts = (): TaskCounts => Object.fromEntries(TASK_STATUSES.map((k) => [k, 0])) as TaskCounts;

/** A shard with nothing in it. */
export function createState(fleet: string, home: Home, config: ShardConfig): PoolState {
  return {
    fleet,
    home,
    config,
    agents: new Map(),
    leases: new Map(),
    tasks: new Map(),
    waiters: new Map(),
    holdings: new Holdings(),
    revocations: new Map(),
    epoch: 0,
    selectable: new AgentIndex(),
    taskReady: new AgentIndex(),
    queue: new WaitQueue(),
    gates: new Gates(),
    loans: new Map(),
    loanTokens: new Map(),
    returns: new Map(),
    spoken: new Map(),
    lent: new Map(),
    borrowAtMs: null,
    loanBeatAtMs: null,
    dependents: new Map(),
    letIn: new Set(),
    timers: new TimerHeap(),
    leaseDueMs: new Map(),
    beatOrder: new Map(),
    judgedAtMs: 0,
    agentCounts: emptyAgentCounts(),
    taskCounts: emptyTaskCounts(),
    slotsFree: 0,
    nextTaskSeq: 1,
    nextGrantSeq: 1,
    lastFence: 0,
    sweepArmed: false,
    pruneDueMs: null,
  };
}

/** The one status a caller sees: what keeps it out of service first, then whether it works. */
export function statusOf(agent: LiveAgent): AgentStatus {
  const out = outOfService(agent);
  if (out !== null && out !== 'starting') return out;
  return agent.slotsUsed > 0 ? 'busy' : (out ?? 'idle');
}

/** Whether the pool has other shards, which may have agents for what waits here. */
export const hasSiblings = (state: PoolState): boolean => (state.config.shards ?? 1) > 1;

/** Everything that waits here, also behind a delay, a backoff, a concurrency limit or another task. */
export const waitingCount = (state: PoolState): number => state.taskCounts.queued + state.waiters.size;

/** Whether the agent takes tasks, now or when it is back and free. */
const takesTasks = ({ record, sessionOpen }: LiveAgent): boolean =>
  (record.lifecycle === 'ready' || record.lifecycle === 'starting') && (record.spec.liveness !== 'none' || sessionOpen);

/** Structural selectability; whether the agent is still alive is asked when it is chosen. */
export const isSelectable = (agent: LiveAgent): boolean =>
  outOfService(agent) === null && agent.slotsUsed < agent.record.spec.slots;

/**
 * Brings counters and indexes in line with one agent. Called after every change of it, so that status is read, never
 * scanned, and equals a recount (I8).
 */
export function reindex(state: PoolState, agent: LiveAgent, removed = false): void {
  const status = removed ? null : statusOf(agent);
  const inService = !removed && outOfService(agent) === null;
  const selectable = inService && agent.slotsUsed < agent.record.spec.slots;
  const connected = isConnected(agent);
  const free = selectable ? agent.record.spec.slots - agent.slotsUsed : 0;
  if (agent.countedAs !== status) {
    if (agent.countedAs !== null) {
      state.agentCounts[agent.countedAs] -= 1;
      state.agentCounts.total -= 1;
    }
    if (status !== null) {
      state.agentCounts[status] += 1;
      state.agentCounts.total += 1;
    }
    agent.countedAs = status;
  }
  state.slotsFree += free - agent.countedFree;
  agent.countedFree = free;
  state.selectable.place(agent, selectable);
  state.taskReady.place(agent, selectable && connected);
  state.selectable.count(agent, { member: !removed, inService, connected: inService && connected });
  state.taskReady.count(agent, { member: !removed && takesTasks(agent), inService: false, connected: false });
  const beats =
    !removed &&
    agent.record.spec.liveness === 'heartbeat' &&
    !agent.sessionOpen &&
    !agent.record.onSession &&
    agent.pollRoom === 0 &&
    (agent.record.lifecycle === 'ready' || agent.record.lifecycle === 'draining');
  if (!beats) state.beatOrder.delete(agent.record.id);
  else if (!state.beatOrder.has(agent.record.id)) state.beatOrder.set(agent.record.id, agent);
}
