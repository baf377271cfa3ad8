import { LIMITS } from '../../shared/limits.ts';
import type { TaskStatus } from '../../shared/schemas/tasks.ts';
import { addAgent, addLease, addRevocation, addTask } from './core/evolve.ts';
import { armGrace } from './core/liveness.ts';
import { addLent, addLoan } from './core/loan-ends.ts';
import type { PoolState } from './core/state.ts';
import type { Snapshot } from './storage.ts';

/** Rebuilds memory from what is stored. Sockets do not survive a crash, so an agent that was on one has the grace to come back. */
export function restore(state: PoolState, snapshot: Snapshot, nowMs: number): void {
  state.lastFence = snapshot.meta.lastFence;
  state.nextTaskSeq = snapshot.meta.nextTaskSeq;
  state.epoch = snapshot.meta.epoch ?? 0;
  // Longest silent first: that is the order of beats which `judgeOverdue` reads.
  for (const record of snapshot.agents.toSorted((a, b) => a.lastSeenAtMs - b.lastSeenAtMs)) {
    const agent = addAgent(state, record);
    // The stored instant may be far older than the last beat: whoever was seen lately is taken as alive, the others are
    // suspect and have the rest of the time to show life. None is lost by what a row says.
    const seenLately = nowMs - record.lastSeenAtMs <= LIMITS.staleAfterWakeMs;
    agent.aliveAsOfMs = seenLately ? nowMs : nowMs - LIMITS.suspectAfterMs;
    if (record.suspectSinceMs !== null) armGrace(state, agent, record.suspectSinceMs);
    if (record.drainDeadlineAtMs !== null)
      state.timers.push({ atMs: record.drainDeadlineAtMs, kind: 'drainDeadline', id: record.id });
    if (record.lifecycle === 'offline')
      state.timers.push({ atMs: (record.lostAtMs ?? nowMs) + LIMITS.offlineRetentionMs, kind: 'removeOffline', id: record.id });
  }
  for (const lease of snapshot.leases) {
    if (lease.status !== 'active') {
      state.returns.set(lease.id, lease);
      continue;
    }
    addLease(state, lease);
    if (lease.loan !== undefined && lease.taskId !== null) addLoan(state, lease, nowMs);
  }
  for (const revocation of snapshot.revocations) addRevocation(state, revocation, nowMs);
  // Tasks that hold an agent first: they hold their place at a concurrency gate, too.
  for (const task of snapshot.tasks.toSorted((a, b) => Number(a.status === 'queued') - Number(b.status === 'queued')))
    addTask(state, task);
  for (const task of snapshot.tasks) if (task.loan !== undefined) addLent(state, task.id, nowMs, nowMs);
  state.letIn.clear();
  for (const [status, n] of Object.entries(snapshot.ended) as [TaskStatus, number][]) state.taskCounts[status] += n;
}
