import { ENDED, type LeaseRecord } from '../../../durable-objects/pool/core/records.ts';
import { matchesSelector } from '../../../durable-objects/pool/core/predicates.ts';
import { choose, DEFAULT_PREFERENCE } from '../../../durable-objects/pool/core/selection.ts';
import { demandOfAllocate } from '../../../durable-objects/pool/core/demand.ts';
import { isSelectable } from '../../../durable-objects/pool/core/state.ts';
import type { LiveAgent } from '../../../durable-objects/pool/core/live-agent.ts';
import type { Answer } from '../../../durable-objects/pool/engine.ts';
import type { FleetError } from '../../../shared/errors.ts';
import type { AllocationView, Caller, PoolCommand, PoolCommandOf, PoolReply, RevokeStep } from '../../../shared/rpc.ts';
import { must } from './must.ts';
import type { World } from './world.ts';

/** Judges one committed answer against the history: what was granted exists, what was refused had to be (I3, I4, I6, I7). */
export function judgeReply(world: World, caller: Caller, command: PoolCommand, answer: Answer): void {
  if (answer === 'parked') {
    must(command.type === 'allocate' && command.spec.waitMs > 0, `${command.type} was parked`);
    return;
  }
  if (answer.ok) granted(world, command, answer.value);
  else refused(world, caller, command, answer.error);
}

type Value = Extract<PoolReply, { readonly ok: true }>['value'];

function granted(world: World, command: PoolCommand, value: Value): void {
  const { history, storage } = world;
  switch (command.type) {
    case 'registerAgent':
      must(storage.rows.agents.has(idOf(value)), `registered ${idOf(value)}, which is not stored (I4)`);
      return;
    case 'allocate':
      judgeGrant(world, command, value as readonly AllocationView[]);
      return;
    case 'renew': {
      const lease = leaseHeld(world, command);
      must(lease.status === 'active', `renewed ${lease.id}, which is ${lease.status} (I3)`);
      if (lease.kind === 'direct')
        must(lease.expiresAtMs === world.nowMs + command.leaseMs, `renewed ${lease.id} to another end`);
      return;
    }
    case 'release': {
      const lease = leaseHeld(world, command);
      must(lease.status === 'released', `released ${lease.id}, which is ${lease.status} (I6)`);
      return;
    }
    case 'submitTask':
    case 'replayTask':
      must(history.tasks.has(idOf(value)), `accepted ${idOf(value)}, which is not stored (I4)`);
      return;
    case 'completeTask': {
      const task = history.tasks.get(command.taskId);
      must(task?.status === 'succeeded', `completed ${command.taskId}, which is ${task?.status ?? 'unknown'} (I7)`);
      must(task.fencingToken === command.fencingToken, `${command.taskId} was completed with another token (I3)`);
      must(byHolder(world, command) === 'released', `${command.taskId} was completed under a lease that was lost (I3)`);
      return;
    }
    case 'failTask':
      must(byHolder(world, command) === 'released', `${command.taskId} was failed under a lease that was lost (I3)`);
      return;
    case 'progressTask':
      must(byHolder(world, command) === 'active', `${command.taskId} progressed under a lease that was lost (I3)`);
      return;
    case 'cancelTask': {
      const task = history.tasks.get(command.taskId);
      must(task?.status === 'cancelled' || task?.cancelDueAtMs != null, `${command.taskId} was not cancelled`);
      return;
    }
    case 'deregisterAgent':
    case 'drainAgent':
    case 'quarantineAgent':
      world.stopped.add(command.agentId);
      return;
    case 'revokeLeases':
      if (command.quarantine) for (const { agentId } of (value as RevokeStep).agents) world.stopped.add(agentId);
      return;
    case 'acknowledgeRevocation':
    case 'heartbeat':
      return;
  }
}

function judgeGrant(world: World, { spec }: PoolCommandOf<'allocate'>, views: readonly AllocationView[]): void {
  must(views.length === spec.count, `${views.length} of ${spec.count} agents were granted`);
  must(new Set(views.map((v) => v.agentId)).size === spec.count, 'an agent was granted twice in one gang');
  for (const view of views) {
    const lease = world.history.leases.get(view.id);
    must(lease?.fencingToken === view.fencingToken, `granted ${view.id}, which is not stored (I4)`);
    must(lease.slots === spec.slots, `granted ${lease.slots} slots instead of ${spec.slots}`);
    for (const c of spec.capabilities) must(view.agent.capabilities.includes(c), `granted an agent without ${c}`);
  }
}

function leaseHeld(world: World, command: PoolCommandOf<'renew'> | PoolCommandOf<'release'>): LeaseRecord {
  const lease = world.history.leases.get(command.allocationId);
  must(lease?.fencingToken === command.fencingToken, `${command.type} of ${command.allocationId} with another token (I3)`);
  return lease;
}

/** What became of the lease that a token stands for, when it was a lease of this task. */
function byHolder(
  world: World,
  command: { readonly taskId: string; readonly fencingToken: number },
): LeaseRecord['status'] | 'foreign' {
  const lease = world.history.byToken.get(command.fencingToken);
  return lease?.taskId === command.taskId && lease.kind === 'dispatched' ? lease.status : 'foreign';
}

/** A refusal changes nothing, so what was refused must still be refusable by what is stored. */
function refused(world: World, caller: Caller, command: PoolCommand, error: FleetError): void {
  const { kind } = error;
  switch (command.type) {
    case 'registerAgent': {
      const { agentCounts, config } = world.engine.state;
      must(kind === 'quota_exceeded' && agentCounts.total >= config.maxAgents, `registration was refused: ${kind}`);
      return;
    }
    case 'allocate': {
      const { state } = world.engine;
      if (kind === 'quota_exceeded') {
        const quota = caller.leaseQuota;
        const held = [...world.history.active.values()].filter(({ holder }) => holder === caller.subject).length;
        must(quota !== undefined && held + command.spec.count > quota.share, `an allocation within its quota was refused`);
        return;
      }
      const chosen = choose(
        state,
        demandOfAllocate(command.spec),
        DEFAULT_PREFERENCE,
        (agent) => isSelectable(agent) && usable(world, agent.record.id),
      );
      must(kind !== 'no_capacity' || chosen === null, 'an allocation was refused that could be granted');
      // The reason is a recount, as long as nothing has changed since.
      if (error.kind !== 'no_capacity' || error.why === undefined || world.changed) return;
      const { agents, eligible } = error.why;
      must(agents === state.agents.size, `${agents} agents were counted, there are ${state.agents.size}`);
      const could = [...state.agents.values()].filter((agent) => couldServe(agent, command)).length;
      must(eligible === could, `${eligible} agents were called eligible, ${could} are`);
      return;
    }
    case 'renew':
    case 'release': {
      const lease = world.storage.lease(command.allocationId);
      if (lease === null || lease.fencingToken !== command.fencingToken || lease.status !== 'active') return;
      if (kind === 'lease_superseded' && world.history.isDoomed(lease.id)) return;
      must(kind === 'invalid_state' && lease.kind === 'dispatched', `${command.type} by the holder was refused: ${kind}`);
      return;
    }
    case 'completeTask':
    case 'failTask':
    case 'progressTask': {
      const lease = world.history.byToken.get(command.fencingToken);
      if (lease?.status !== 'active' || lease.taskId !== command.taskId || lease.kind !== 'dispatched') return;
      if (kind === 'lease_superseded' && world.history.isDoomed(lease.id)) return;
      must(
        caller.agentId !== undefined && caller.agentId !== lease.agentId,
        `${command.type} by the holder was refused: ${kind}`,
      );
      return;
    }
    case 'cancelTask': {
      const task = world.storage.task(command.taskId);
      must(task === null || ENDED.has(task.status) || caller.agentId !== undefined, `a cancel was refused: ${kind}`);
      return;
    }
    default:
      return;
  }
}

function usable(world: World, agentId: string): boolean {
  const agent = world.engine.state.agents.get(agentId);
  if (agent === undefined) return false;
  if ((agent.record.spec.liveness === 'none' && !agent.sessionOpen) || agent.pollRoom > 0) return true;
  const pongMs = agent.sessionOpen ? (world.lastPongAtMs(agentId) ?? 0) : 0;
  return world.nowMs - Math.max(agent.aliveAsOfMs, pongMs) <= 7_500;
}

/** Whether an agent could take one part of an allocation, by its record alone. */
function couldServe(agent: LiveAgent, { spec }: PoolCommandOf<'allocate'>): boolean {
  const { capabilities, labels, slots } = agent.record.spec;
  return (
    isSelectable(agent) &&
    slots - agent.slotsUsed >= spec.slots &&
    spec.capabilities.every((c) => capabilities.includes(c)) &&
    (spec.selectors.length === 0 || spec.selectors.some((selector) => matchesSelector(labels, selector)))
  );
}

const idOf = (value: Value): string => (value as { readonly id: string }).id;
