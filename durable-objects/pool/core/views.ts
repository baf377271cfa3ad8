import type { AgentView, AllocationView, AssignmentView, TaskView } from '../../../shared/rpc.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import type { Home } from '../../../shared/ids.ts';
import type { AgentRecord, LeaseRecord, TaskRecord } from './records.ts';
import type { LiveAgent } from './live-agent.ts';
import { statusOf } from './state.ts';

/** An agent as callers see it. */
export function agentView(agent: LiveAgent, home: Home): AgentView {
  const { record } = agent;
  const { spec } = record;
  const finished = record.completed + record.failed;
  return {
    id: record.id,
    pool: home.pool,
    region: home.region,
    status: statusOf(agent),
    slots: spec.slots,
    slotsFree: spec.slots - agent.slotsUsed,
    capabilities: [...spec.capabilities],
    labels: spec.labels,
    swarms: [...spec.swarms],
    liveness: spec.liveness,
    ...(spec.endpoint === undefined ? {} : { endpoint: spec.endpoint }),
    ...(spec.resources === undefined ? {} : { resources: spec.resources }),
    stats: {
      completed: record.completed,
      failed: record.failed,
      meanDurationMs: finished === 0 ? null : Math.round(record.totalDurationMs / finished),
      successRate: finished === 0 ? null : record.completed / finished,
    },
    lastSeenAtMs: record.lastSeenAtMs,
    createdAtMs: record.createdAtMs,
    metadata: spec.metadata,
  };
}

/** An allocation as callers see it. An ended lease whose agent has left shows the agent's id only. */
export function allocationView(lease: LeaseRecord, agent: AgentRecord | null, home: Home, nowMs: number): AllocationView {
  // The alarm may not have swept it yet; the clock has already ended it.
  const status = lease.status === 'active' && lease.kind === 'direct' && lease.expiresAtMs <= nowMs ? 'expired' : lease.status;
  return {
    id: lease.id,
    agentId: lease.agentId,
    ...(lease.taskId === null ? {} : { taskId: lease.taskId }),
    pool: home.pool,
    region: home.region,
    slots: lease.slots,
    fencingToken: lease.fencingToken,
    leaseExpiresAtMs: lease.expiresAtMs,
    status,
    agent: {
      id: lease.agentId,
      ...(agent?.spec.endpoint === undefined ? {} : { endpoint: agent.spec.endpoint }),
      capabilities: agent === null ? [] : [...agent.spec.capabilities],
      labels: agent === null ? {} : agent.spec.labels,
    },
    ...(lease.metadata === null ? {} : { metadata: lease.metadata }),
  };
}

/** A task as callers see it, without its blobs. */
export function taskView(
  task: TaskRecord,
  home: Home,
  blobs: { readonly progress?: JsonText; readonly result?: JsonText } = {},
): TaskView {
  return {
    id: task.id,
    pool: home.pool,
    region: home.region,
    status: task.status,
    priority: task.priority,
    attempts: task.attempts,
    ...(task.agentId === null ? {} : { agentId: task.agentId }),
    ...(task.allocationId === null ? {} : { allocationId: task.allocationId }),
    ...blobs,
    ...(task.error === null ? {} : { error: task.error }),
    createdAtMs: task.createdAtMs,
    ...(task.startedAtMs === null ? {} : { startedAtMs: task.startedAtMs }),
    ...(task.completedAtMs === null ? {} : { completedAtMs: task.completedAtMs }),
    ...(task.cancelDueAtMs === null ? {} : { cancelRequested: true }),
    ...(task.replayOf === null ? {} : { replayOf: task.replayOf }),
    ...(task.metadata === null ? {} : { metadata: task.metadata }),
  };
}

/** What an agent is told to do. */
export function assignmentView(
  lease: LeaseRecord,
  taskId: string,
  work: { readonly attempt: number; readonly timeoutMs: number },
  payload: JsonText,
  checkpoint: JsonText | null,
): AssignmentView {
  return {
    taskId,
    allocationId: lease.id,
    fencingToken: lease.fencingToken,
    attempt: work.attempt,
    payload,
    leaseExpiresAtMs: lease.expiresAtMs,
    timeoutMs: work.timeoutMs,
    ...(checkpoint === null ? {} : { checkpoint }),
  };
}
