import { describe, expect, it } from 'vitest';
import type { Lifecycle } from '../../../durable-objects/pool/core/records.ts';
import type { FleetErrorKind } from '../../../shared/errors.ts';
import { makeId } from '../../../shared/ids.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Caller, PoolCommand, PoolCommandType } from '../../../shared/rpc.ts';
import type { TaskStatus } from '../../../shared/schemas/tasks.ts';
import { agentSpec, allocateSpec, asAgent, HOME, OPERATOR, PoolHarness, taskSpec } from '../../lib/pool-harness.ts';

type Verdict = FleetErrorKind | 'ok';
/** Verdict of the command, and the state it leaves behind. */
type Cell<State extends string> = readonly [verdict: Verdict, after: State];
/** Full on purpose: a state or a command without its cell does not compile. */
type Table<State extends string, After extends string> = Readonly<Record<State, Readonly<Record<PoolCommandType, Cell<After>>>>>;

const nobody = makeId('allocation', HOME, '0'.repeat(26));
const nothing = makeId('task', HOME, '0'.repeat(26));

/** What the commands of a row are aimed at. */
interface Aim {
  readonly agentId: string;
  readonly allocationId: string;
  readonly leaseToken: number;
  readonly taskId: string;
  readonly taskToken: number;
}

const COMMANDS: { readonly [K in PoolCommandType]: (aim: Aim) => readonly [PoolCommand, Caller] } = {
  registerAgent: () => [{ type: 'registerAgent', spec: agentSpec({ liveness: 'session' }) }, OPERATOR],
  deregisterAgent: ({ agentId }) => [{ type: 'deregisterAgent', agentId, force: false }, OPERATOR],
  heartbeat: ({ agentId }) => [{ type: 'heartbeat', agentId, leases: [] }, asAgent(agentId)],
  drainAgent: ({ agentId }) => [{ type: 'drainAgent', agentId, deadlineMs: 60_000 }, OPERATOR],
  quarantineAgent: ({ agentId }) => [{ type: 'quarantineAgent', agentId }, OPERATOR],
  allocate: () => [{ type: 'allocate', spec: allocateSpec(), waiterId: 'w' }, OPERATOR],
  renew: ({ allocationId, leaseToken }) => [{ type: 'renew', allocationId, fencingToken: leaseToken, leaseMs: 30_000 }, OPERATOR],
  release: ({ allocationId, leaseToken }) => [{ type: 'release', allocationId, fencingToken: leaseToken }, OPERATOR],
  revokeLeases: ({ agentId }) => [
    {
      type: 'revokeLeases',
      selector: { agentIds: [agentId] },
      reason: 'stop',
      tasks: 'cancel',
      quarantine: true,
      epoch: null,
      limit: LIMITS.revokeStep,
    },
    OPERATOR,
  ],
  acknowledgeRevocation: ({ agentId }) => [{ type: 'acknowledgeRevocation', agentId, epoch: 1 }, asAgent(agentId)],
  submitTask: () => [{ type: 'submitTask', spec: taskSpec(), needsAgent: true }, OPERATOR],
  cancelTask: ({ taskId }) => [{ type: 'cancelTask', taskId }, OPERATOR],
  replayTask: ({ taskId }) => [{ type: 'replayTask', taskId }, OPERATOR],
  completeTask: ({ agentId, taskId, taskToken }) => [{ type: 'completeTask', taskId, fencingToken: taskToken }, asAgent(agentId)],
  failTask: ({ agentId, taskId, taskToken }) => [
    { type: 'failTask', taskId, fencingToken: taskToken, error: { code: 'x', message: '' }, retryable: true },
    asAgent(agentId),
  ],
  progressTask: ({ agentId, taskId, taskToken }) => [{ type: 'progressTask', taskId, fencingToken: taskToken }, asAgent(agentId)],
};

/** The only agent of its pool, holding a direct lease and a running task before it came to its state. */
function agentIn(h: PoolHarness, lifecycle: Lifecycle): Aim {
  if (lifecycle === 'starting')
    return { agentId: h.register({ liveness: 'session' }), allocationId: nobody, leaseToken: 1, taskId: nothing, taskToken: 1 };
  const agentId = h.connected({ slots: 3 });
  const lease = h.allocate({ leaseMs: 600_000 });
  const taskId = h.submit();
  const work = h.work(taskId);
  h.accept(work);
  const aim = { agentId, allocationId: lease.id, leaseToken: lease.fencingToken, taskId, taskToken: work.fencingToken };
  if (lifecycle === 'draining') h.do({ type: 'drainAgent', agentId, deadlineMs: 60_000 });
  if (lifecycle === 'quarantined') h.do({ type: 'quarantineAgent', agentId });
  if (lifecycle === 'offline') {
    h.close(agentId);
    h.advance(LIMITS.sessionGraceMs);
  }
  return aim;
}

const AGENTS: Table<Lifecycle, Lifecycle | 'gone'> = {
  starting: {
    registerAgent: ['ok', 'starting'],
    deregisterAgent: ['ok', 'gone'],
    heartbeat: ['ok', 'starting'],
    drainAgent: ['ok', 'draining'],
    quarantineAgent: ['ok', 'quarantined'],
    allocate: ['no_capacity', 'starting'],
    renew: ['not_found', 'starting'],
    release: ['not_found', 'starting'],
    revokeLeases: ['ok', 'quarantined'],
    acknowledgeRevocation: ['ok', 'starting'],
    submitTask: ['ok', 'starting'],
    cancelTask: ['not_found', 'starting'],
    replayTask: ['not_found', 'starting'],
    completeTask: ['not_found', 'starting'],
    failTask: ['not_found', 'starting'],
    progressTask: ['not_found', 'starting'],
  },
  ready: {
    registerAgent: ['ok', 'ready'],
    deregisterAgent: ['ok', 'draining'],
    heartbeat: ['ok', 'ready'],
    drainAgent: ['ok', 'draining'],
    quarantineAgent: ['ok', 'quarantined'],
    allocate: ['ok', 'ready'],
    renew: ['ok', 'ready'],
    release: ['ok', 'ready'],
    revokeLeases: ['ok', 'quarantined'],
    acknowledgeRevocation: ['ok', 'ready'],
    submitTask: ['ok', 'ready'],
    cancelTask: ['ok', 'ready'],
    replayTask: ['invalid_state', 'ready'],
    completeTask: ['ok', 'ready'],
    failTask: ['ok', 'ready'],
    progressTask: ['ok', 'ready'],
  },
  draining: {
    registerAgent: ['ok', 'draining'],
    deregisterAgent: ['ok', 'draining'],
    heartbeat: ['ok', 'draining'],
    drainAgent: ['ok', 'draining'],
    quarantineAgent: ['ok', 'quarantined'],
    allocate: ['no_capacity', 'draining'],
    renew: ['ok', 'draining'],
    release: ['ok', 'draining'],
    revokeLeases: ['ok', 'quarantined'],
    acknowledgeRevocation: ['ok', 'draining'],
    submitTask: ['no_capacity', 'draining'],
    cancelTask: ['ok', 'draining'],
    replayTask: ['invalid_state', 'draining'],
    completeTask: ['ok', 'draining'],
    failTask: ['ok', 'draining'],
    progressTask: ['ok', 'draining'],
  },
  quarantined: {
    registerAgent: ['ok', 'quarantined'],
    deregisterAgent: ['ok', 'gone'],
    heartbeat: ['ok', 'quarantined'],
    drainAgent: ['invalid_state', 'quarantined'],
    quarantineAgent: ['ok', 'quarantined'],
    allocate: ['no_capacity', 'quarantined'],
    renew: ['lease_superseded', 'quarantined'],
    release: ['lease_superseded', 'quarantined'],
    revokeLeases: ['ok', 'quarantined'],
    acknowledgeRevocation: ['ok', 'quarantined'],
    submitTask: ['no_capacity', 'quarantined'],
    cancelTask: ['ok', 'quarantined'],
    replayTask: ['invalid_state', 'quarantined'],
    completeTask: ['lease_superseded', 'quarantined'],
    failTask: ['lease_superseded', 'quarantined'],
    progressTask: ['lease_superseded', 'quarantined'],
  },
  offline: {
    registerAgent: ['ok', 'offline'],
    deregisterAgent: ['ok', 'gone'],
    // A session agent is back with its socket, not with a beat.
    heartbeat: ['ok', 'offline'],
    drainAgent: ['invalid_state', 'offline'],
    quarantineAgent: ['ok', 'quarantined'],
    allocate: ['no_capacity', 'offline'],
    renew: ['lease_superseded', 'offline'],
    release: ['lease_superseded', 'offline'],
    revokeLeases: ['ok', 'quarantined'],
    acknowledgeRevocation: ['ok', 'offline'],
    submitTask: ['no_capacity', 'offline'],
    cancelTask: ['ok', 'offline'],
    replayTask: ['invalid_state', 'offline'],
    completeTask: ['lease_superseded', 'offline'],
    failTask: ['lease_superseded', 'offline'],
    progressTask: ['lease_superseded', 'offline'],
  },
};

/** A task in a state, with the agent and the lease that brought it there (or never had it). */
function taskIn(h: PoolHarness, status: TaskStatus): Aim {
  const agentId = h.connected({ slots: 2 });
  if (status === 'queued') {
    const taskId = h.submit({ capabilities: ['nobody'] });
    return { agentId, allocationId: nobody, leaseToken: 1, taskId, taskToken: 1 };
  }
  const taskId = h.submit({ timeoutMs: 20_000, maxAttempts: status === 'dead' ? 1 : 3 });
  const work = h.work(taskId);
  if (status !== 'assigned') h.accept(work);
  if (status === 'succeeded') h.complete(work);
  if (status === 'failed') h.fail(work, false);
  if (status === 'cancelled') h.do({ type: 'cancelTask', taskId });
  if (status === 'cancelled') h.advanceAlive(LIMITS.cancelGraceMs);
  if (status === 'dead') h.advanceAlive(20_000);
  return { agentId, allocationId: work.leaseId, leaseToken: work.fencingToken, taskId, taskToken: work.fencingToken };
}

/** Commands that are not about the task leave it alone. */
const untouched = <S extends TaskStatus>(status: S) =>
  ({
    registerAgent: ['ok', status],
    heartbeat: ['ok', status],
    acknowledgeRevocation: ['ok', status],
    drainAgent: ['ok', status],
    allocate: ['ok', status],
    submitTask: ['ok', status],
  }) as const;

const TASKS: Table<TaskStatus, TaskStatus> = {
  queued: {
    ...untouched('queued'),
    deregisterAgent: ['ok', 'queued'],
    quarantineAgent: ['ok', 'queued'],
    renew: ['not_found', 'queued'],
    release: ['not_found', 'queued'],
    revokeLeases: ['ok', 'queued'],
    cancelTask: ['ok', 'cancelled'],
    replayTask: ['invalid_state', 'queued'],
    completeTask: ['lease_superseded', 'queued'],
    failTask: ['lease_superseded', 'queued'],
    progressTask: ['lease_superseded', 'queued'],
  },
  assigned: {
    ...untouched('assigned'),
    deregisterAgent: ['ok', 'assigned'],
    quarantineAgent: ['ok', 'queued'],
    renew: ['ok', 'assigned'],
    release: ['invalid_state', 'assigned'],
    revokeLeases: ['ok', 'cancelled'],
    cancelTask: ['ok', 'assigned'],
    replayTask: ['invalid_state', 'assigned'],
    completeTask: ['ok', 'succeeded'],
    failTask: ['ok', 'queued'],
    progressTask: ['ok', 'running'],
  },
  running: {
    ...untouched('running'),
    deregisterAgent: ['ok', 'running'],
    quarantineAgent: ['ok', 'queued'],
    renew: ['ok', 'running'],
    release: ['invalid_state', 'running'],
    revokeLeases: ['ok', 'cancelled'],
    cancelTask: ['ok', 'running'],
    replayTask: ['invalid_state', 'running'],
    completeTask: ['ok', 'succeeded'],
    failTask: ['ok', 'queued'],
    progressTask: ['ok', 'running'],
  },
  succeeded: {
    ...untouched('succeeded'),
    deregisterAgent: ['ok', 'succeeded'],
    quarantineAgent: ['ok', 'succeeded'],
    renew: ['lease_released', 'succeeded'],
    release: ['ok', 'succeeded'],
    revokeLeases: ['ok', 'succeeded'],
    cancelTask: ['invalid_state', 'succeeded'],
    replayTask: ['ok', 'succeeded'],
    completeTask: ['ok', 'succeeded'],
    failTask: ['invalid_state', 'succeeded'],
    progressTask: ['invalid_state', 'succeeded'],
  },
  failed: {
    ...untouched('failed'),
    deregisterAgent: ['ok', 'failed'],
    quarantineAgent: ['ok', 'failed'],
    renew: ['lease_released', 'failed'],
    release: ['ok', 'failed'],
    revokeLeases: ['ok', 'failed'],
    cancelTask: ['invalid_state', 'failed'],
    replayTask: ['ok', 'failed'],
    completeTask: ['invalid_state', 'failed'],
    failTask: ['ok', 'failed'],
    progressTask: ['invalid_state', 'failed'],
  },
  cancelled: {
    ...untouched('cancelled'),
    deregisterAgent: ['ok', 'cancelled'],
    quarantineAgent: ['ok', 'cancelled'],
    renew: ['lease_superseded', 'cancelled'],
    release: ['lease_superseded', 'cancelled'],
    revokeLeases: ['ok', 'cancelled'],
    cancelTask: ['invalid_state', 'cancelled'],
    replayTask: ['ok', 'cancelled'],
    completeTask: ['lease_superseded', 'cancelled'],
    failTask: ['lease_superseded', 'cancelled'],
    progressTask: ['lease_superseded', 'cancelled'],
  },
  dead: {
    ...untouched('dead'),
    deregisterAgent: ['ok', 'dead'],
    quarantineAgent: ['ok', 'dead'],
    renew: ['lease_superseded', 'dead'],
    release: ['lease_superseded', 'dead'],
    revokeLeases: ['ok', 'dead'],
    cancelTask: ['invalid_state', 'dead'],
    replayTask: ['ok', 'dead'],
    completeTask: ['lease_superseded', 'dead'],
    failTask: ['lease_superseded', 'dead'],
    progressTask: ['lease_superseded', 'dead'],
  },
};

const rows = <S extends string, A extends string>(table: Table<S, A>) =>
  (Object.entries(table) as [S, Table<S, A>[S]][]).flatMap(([state, row]) =>
    (Object.entries(row) as [PoolCommandType, Cell<A>][]).map(
      ([type, [verdict, after]]) => [state, type, verdict, after] as const,
    ),
  );

describe('every state of an agent × every command', () => {
  it.each(rows(AGENTS))('P4: %s, %s → %s, then %s', (lifecycle, type, verdict, after) => {
    const h = new PoolHarness();
    const aim = agentIn(h, lifecycle);
    expect(h.agent(aim.agentId).record.lifecycle).toBe(lifecycle);
    const [command, caller] = COMMANDS[type](aim);
    expect(h.verdict(command, caller)).toBe(verdict);
    expect(h.state.agents.get(aim.agentId)?.record.lifecycle ?? 'gone').toBe(after);
  });
});

describe('every state of a task × every command', () => {
  it.each(rows(TASKS))('P50: %s, %s → %s, then %s', (status, type, verdict, after) => {
    const h = new PoolHarness();
    const aim = taskIn(h, status);
    expect(h.task(aim.taskId).status).toBe(status);
    const [command, caller] = COMMANDS[type](aim);
    expect(h.verdict(command, caller)).toBe(verdict);
    expect(h.task(aim.taskId).status).toBe(after);
  });
});
