import { LIMITS } from '../../../shared/limits.ts';
import type { Changes } from './changes.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import { entryOfTask } from './demand.ts';
import type { PoolEvent } from './events.ts';
import type { AgentRecord, LeaseRecord, RevocationRecord, TaskRecord } from './records.ts';
import { addLent, addLoan } from './loan-ends.ts';
import type { LiveAgent } from './live-agent.ts';
import { reindex, type PoolState } from './state.ts';

/**
 * Applies one event to the state and notes the rows it touched. The only place where the state changes: replaying the
 * same events gives the same state, and what is not an event is not remembered.
 */
export function evolve(state: PoolState, event: PoolEvent, changes: Changes): void {
  switch (event.type) {
    case 'agentRegistered':
      changes.newAgents.set(event.agent.id, event.agent);
      addAgent(state, event.agent);
      return;
    case 'agentChanged': {
      const agent = agentOf(state, event.agentId);
      Object.assign(agent.record, event.patch);
      changes.agents.set(event.agentId, agent.record);
      reindex(state, agent);
      return;
    }
    case 'agentRemoved': {
      const agent = agentOf(state, event.agentId);
      state.agents.delete(event.agentId);
      changes.removedAgents.add(event.agentId);
      changes.agents.delete(event.agentId);
      changes.newAgents.delete(event.agentId);
      reindex(state, agent, true);
      return;
    }
    case 'leaseGranted':
      leaseGranted(state, event.lease, changes);
      return;
    case 'leaseExtended': {
      const lease = leaseOf(state, event.leaseId);
      lease.expiresAtMs = event.expiresAtMs;
      // A longer lease is seen when the timer that is set fires; a shorter one ends before it.
      if (lease.expiresAtMs < (state.leaseDueMs.get(lease.id) ?? 0)) armLease(state, lease.id, lease.expiresAtMs);
      changes.leases.set(lease.id, lease);
      return;
    }
    case 'leaseAccepted': {
      const lease = leaseOf(state, event.leaseId);
      lease.accepted = true;
      changes.leases.set(lease.id, lease);
      return;
    }
    case 'leaseEnded': {
      const lease = leaseOf(state, event.leaseId);
      lease.status = event.status;
      lease.endedAtMs = event.atMs;
      state.leases.delete(lease.id);
      state.leaseDueMs.delete(lease.id);
      state.loans.delete(lease.id);
      state.loanTokens.delete(lease.fencingToken);
      state.spoken.delete(lease.id);
      changes.leases.set(lease.id, lease);
      if (lease.loan !== undefined && lease.taskId !== null) setLoanBlobs(changes, lease.taskId, null, null);
      const agent = state.agents.get(lease.agentId);
      if (agent?.leases.delete(lease.id) === true) {
        agent.slotsUsed -= lease.slots;
        reindex(state, agent);
      }
      if (lease.holder == null) return;
      for (const entry of state.holdings.ended(lease.holder)) {
        state.queue.add(entry);
        state.letIn.add(entry.id);
      }
      return;
    }
    case 'revocationBegun': {
      const { revocation } = event;
      state.epoch = revocation.epoch;
      changes.revocations.set(revocation.epoch, revocation);
      addRevocation(state, revocation, revocation.atMs + LIMITS.revokeResumeMs);
      return;
    }
    case 'revocationAdvanced': {
      const revocation = state.revocations.get(event.epoch);
      if (revocation === undefined) throw new Error(`event for a revocation that is not under way: ${event.epoch}`);
      Object.assign(revocation, event.counts);
      revocation.endedAtMs = event.endedAtMs;
      if (event.endedAtMs !== null) state.revocations.delete(event.epoch);
      changes.revocations.set(event.epoch, revocation);
      return;
    }
    case 'loanHeld': {
      const lease = leaseOf(state, event.leaseId);
      const { taskId, attempt, timeoutMs, timeoutAtMs, payload, checkpoint } = event.terms;
      lease.taskId = taskId;
      lease.timeoutAtMs = timeoutAtMs;
      lease.expiresAtMs = event.expiresAtMs;
      lease.loan = { attempt, timeoutMs, cancelRequested: false, returned: null };
      addLoan(state, lease, event.atMs);
      armLease(state, lease.id, lease.expiresAtMs);
      changes.leases.set(lease.id, lease);
      setLoanBlobs(changes, taskId, payload, checkpoint ?? null);
      return;
    }
    case 'loanCancelRequested': {
      const lease = leaseOf(state, event.leaseId);
      if (lease.loan !== undefined) lease.loan = { ...lease.loan, cancelRequested: true };
      changes.leases.set(lease.id, lease);
      return;
    }
    case 'loanCheckpointed': {
      const { taskId } = leaseOf(state, event.leaseId);
      if (taskId !== null) changes.blobs.push({ taskId, kind: 'checkpoint', json: event.checkpoint });
      return;
    }
    case 'loanReturning': {
      const { lease, returned } = event;
      lease.endedAtMs = null;
      if (lease.loan !== undefined) lease.loan = { ...lease.loan, returned };
      state.returns.set(lease.id, lease);
      changes.leases.set(lease.id, lease);
      return;
    }
    case 'loanReturned': {
      const lease = state.returns.get(event.leaseId);
      if (lease === undefined) throw new Error(`event for a loan that was not taken back: ${event.leaseId}`);
      lease.endedAtMs = event.atMs;
      state.returns.delete(lease.id);
      changes.leases.set(lease.id, lease);
      return;
    }
    case 'configured':
      state.config = {
        version: event.version,
        maxAgents: event.maxAgents,
        priority: event.priority,
        ...(event.shards === undefined ? {} : { shards: event.shards }),
      };
      changes.config = state.config;
      return;
    default:
      taskEvent(state, event, changes);
  }
}

type TaskEvent = Extract<PoolEvent, { readonly type: `task${string}` }>;

function taskEvent(state: PoolState, event: TaskEvent, changes: Changes): void {
  if (event.type === 'taskSubmitted') {
    changes.blobs.push({ taskId: event.task.id, kind: 'payload', json: event.payload });
    changes.tasks.set(event.task.id, event.task);
    state.nextTaskSeq = Math.max(state.nextTaskSeq, event.task.seq + 1);
    addTask(state, event.task);
    return;
  }
  const task = taskOf(state, event.taskId);
  changes.tasks.set(task.id, task);
  const before = task.status;
  switch (event.type) {
    case 'taskAssigned':
      state.queue.serve(task.id);
      task.status = 'assigned';
      task.attempts += 1;
      task.agentId = event.agentId;
      task.allocationId = event.leaseId;
      task.fencingToken = event.fencingToken;
      break;
    case 'taskLent':
      state.queue.serve(task.id);
      task.status = 'assigned';
      task.attempts += 1;
      task.agentId = event.agentId;
      task.allocationId = event.leaseId;
      task.fencingToken = event.fencingToken;
      task.loan = { shard: event.shard, timeoutAtMs: event.timeoutAtMs, confirmed: false };
      state.lastFence = Math.max(state.lastFence, event.fencingToken);
      addLent(state, task.id, event.atMs, Math.min(event.timeoutAtMs, event.atMs + 2 * LIMITS.loanRetryMs));
      break;
    case 'taskLoanConfirmed': {
      const { loan } = task;
      if (loan !== undefined) task.loan = { ...loan, confirmed: true };
      break;
    }
    case 'taskStarted':
      task.status = 'running';
      task.startedAtMs = event.atMs;
      break;
    case 'taskProgressed':
      for (const [kind, json] of Object.entries(event.blobs) as ['progress' | 'checkpoint', string][]) {
        changes.blobs.push({ taskId: task.id, kind, json });
      }
      break;
    case 'taskDependencyMet':
      task.waitsFor = task.waitsFor.filter((id) => id !== event.dependencyId);
      forget(state, task.id, event.dependencyId);
      if (task.waitsFor.length === 0) {
        task.readyAtMs = Math.max(task.readyAtMs, event.atMs);
        if (task.notBeforeMs <= event.atMs) task.notBeforeMs = 0;
        enqueue(state, task);
        state.letIn.add(task.id);
      }
      break;
    case 'taskCancelRequested':
      task.cancelDueAtMs = event.dueAtMs;
      state.timers.push({ atMs: event.dueAtMs, kind: 'cancelDue', id: task.id });
      break;
    case 'taskRequeued':
      task.status = 'queued';
      if (!event.counted) task.attempts -= 1;
      task.agentId = null;
      task.allocationId = null;
      task.notBeforeMs = event.notBeforeMs;
      task.error = event.error;
      unlend(state, task);
      enqueue(state, task);
      break;
    case 'taskEnded':
      state.queue.remove(task.id);
      state.tasks.delete(task.id);
      task.status = event.status;
      task.completedAtMs = event.atMs;
      task.error = event.error;
      if (event.fenced === true) task.allocationId = null;
      unlend(state, task);
      leaveGate(state, task);
      for (const id of task.waitsFor) forget(state, task.id, id);
      if (event.result !== undefined) changes.blobs.push({ taskId: task.id, kind: 'result', json: event.result });
      break;
  }
  state.taskCounts[before] -= 1;
  state.taskCounts[task.status] += 1;
}

/** Brings an agent into memory, new or loaded. */
export function addAgent(state: PoolState, record: AgentRecord): LiveAgent {
  const agent: LiveAgent = {
    record,
    leases: new Set(),
    slotsUsed: 0,
    sessionOpen: false,
    pollRoom: 0,
    aliveAsOfMs: record.lastSeenAtMs,
    seenStoredAtMs: record.lastSeenAtMs,
    graceDueMs: null,
    grantSeq: 0,
    countedAs: null,
    countedFree: 0,
    revoked: [],
    acknowledgedEpoch: 0,
    acknowledgedBy: 'call',
  };
  state.agents.set(record.id, agent);
  reindex(state, agent);
  return agent;
}

/** Brings an active lease into memory, new or loaded. */
export function addLease(state: PoolState, lease: LeaseRecord): void {
  const agent = agentOf(state, lease.agentId);
  state.leases.set(lease.id, lease);
  agent.leases.add(lease.id);
  agent.slotsUsed += lease.slots;
  if (lease.holder != null) state.holdings.granted(lease.holder);
  armLease(state, lease.id, lease.expiresAtMs);
  reindex(state, agent);
}

function unlend(state: PoolState, task: TaskRecord): void {
  delete task.loan;
  state.lent.delete(task.id);
}

/** The lender's copy of what the agent is to do, as long as it is to do it. */
function setLoanBlobs(changes: Changes, taskId: string, payload: JsonText | null, checkpoint: JsonText | null): void {
  changes.blobs.push({ taskId, kind: 'payload', json: payload }, { taskId, kind: 'checkpoint', json: checkpoint });
}

/** Sets the timer of a lease; an earlier one, if there is one, no longer counts. */
export function armLease(state: PoolState, leaseId: string, atMs: number): void {
  state.leaseDueMs.set(leaseId, atMs);
  state.timers.push({ atMs, kind: 'leaseEnd', id: leaseId });
}

/** Brings a revocation that is under way into memory, new or loaded. The shard goes on with it by itself at `resumeAtMs`. */
export function addRevocation(state: PoolState, revocation: RevocationRecord, resumeAtMs: number): void {
  state.revocations.set(revocation.epoch, revocation);
  state.timers.push({ atMs: resumeAtMs, kind: 'revocation', id: String(revocation.epoch) });
}

/** Brings a task that has not ended into memory, new or loaded. */
export function addTask(state: PoolState, task: TaskRecord): void {
  state.tasks.set(task.id, task);
  state.taskCounts[task.status] += 1;
  if (task.deadlineAtMs !== null) state.timers.push({ atMs: task.deadlineAtMs, kind: 'taskDeadline', id: task.id });
  if (task.cancelDueAtMs !== null) state.timers.push({ atMs: task.cancelDueAtMs, kind: 'cancelDue', id: task.id });
  for (const id of task.waitsFor) {
    const dependents = state.dependents.get(id) ?? new Set();
    state.dependents.set(id, dependents.add(task.id));
  }
  if (task.status === 'queued') enqueue(state, task);
  else state.gates.enter(task);
}

/** A task whose time has come stands in the queue; another waits for its timer. `taskDue` moves it over. */
function enqueue(state: PoolState, task: TaskRecord): void {
  if (task.waitsFor.length > 0) return;
  if (task.notBeforeMs > 0) {
    state.timers.push({ atMs: task.notBeforeMs, kind: 'taskDue', id: task.id });
    leaveGate(state, task);
  } else letIn(state, state.gates.enter(task));
}

/** The wait of a delayed or backed-off task is over. Not an event: the row already says when. */
export function becomeReady(state: PoolState, task: TaskRecord): void {
  task.notBeforeMs = 0;
  enqueue(state, task);
}

function forget(state: PoolState, taskId: string, dependencyId: string): void {
  const dependents = state.dependents.get(dependencyId);
  dependents?.delete(taskId);
  if (dependents?.size === 0) state.dependents.delete(dependencyId);
}

const leaveGate = (state: PoolState, task: TaskRecord): void => letIn(state, state.gates.leave(task));

function letIn(state: PoolState, tasks: readonly TaskRecord[]): void {
  for (const task of tasks) {
    state.queue.add(entryOfTask(task));
    state.letIn.add(task.id);
  }
}

function leaseGranted(state: PoolState, lease: LeaseRecord, changes: Changes): void {
  const agent = agentOf(state, lease.agentId);
  state.lastFence = lease.fencingToken;
  agent.grantSeq = state.nextGrantSeq;
  state.nextGrantSeq += 1;
  addLease(state, lease);
  // The agent's own row stays as it is: what it holds follows from its leases.
  changes.leases.set(lease.id, lease);
}

export function agentOf(state: PoolState, id: string): LiveAgent {
  const agent = state.agents.get(id);
  if (agent === undefined) throw new Error(`event for an agent that is not here: ${id}`);
  return agent;
}

function leaseOf(state: PoolState, id: string): LeaseRecord {
  const lease = state.leases.get(id);
  if (lease === undefined) throw new Error(`event for a lease that is not active: ${id}`);
  return lease;
}

function taskOf(state: PoolState, id: string): TaskRecord {
  const task = state.tasks.get(id);
  if (task === undefined) throw new Error(`event for a task that is not live: ${id}`);
  return task;
}
