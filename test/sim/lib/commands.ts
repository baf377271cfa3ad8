import { LIMITS } from '../../../shared/limits.ts';
import { STRATEGIES, type Selector } from '../../../shared/schemas/allocations.ts';
import type { Caller, LeaseSelector, PoolCommand, PoolCommandOf, TaskSpec } from '../../../shared/rpc.ts';
import { agentSpec, allocateSpec, asAgent, OPERATOR, taskSpec } from '../../lib/pool-harness.ts';
import type { Seeded } from '../../lib/seeded.ts';
import { QUOTAS } from './history.ts';
import type { World } from './world.ts';

/** A command as somebody sends it, right or wrong. */
export interface Sent {
  readonly caller: Caller;
  readonly command: PoolCommand;
}

const CAPABILITIES = ['a', 'b'];
const ZONES = ['north', 'south'];
/** One length of lease for most, so that ends coincide; some short, some long. */
const LEASES_MS = [1_000, 5_000, 5_000, 30_000, 30_000, 120_000, LIMITS.leaseMsMax];

const some = (random: Seeded, items: readonly string[], probability: number): string[] =>
  items.filter(() => random.chance(probability));

function selectors(random: Seeded): Selector[] {
  if (random.chance(0.8)) return [];
  const zone = random.pick(ZONES);
  return random.chance(0.5)
    ? [{ matchLabels: { zone } }]
    : [{ matchExpressions: [{ key: 'zone', operator: 'NotIn', values: [zone] }] }, { matchLabels: { zone: 'east' } }];
}

/** A token that is right, of another lease, or nobody's. */
function tokenOr(random: Seeded, right: number, world: World): number {
  if (random.chance(0.8)) return right;
  const tokens = [...world.history.byToken.keys()];
  return random.chance(0.7) && tokens.length > 0 ? random.pick(tokens) : Math.max(1, right + random.pick([-1, 1, 100]));
}

const MAKERS = {
  registerAgent: (world): Sent => {
    const { random } = world;
    const liveness = random.weighted({ session: 5, heartbeat: 4, none: 1.5 });
    const spec = agentSpec({
      liveness,
      capabilities: some(random, CAPABILITIES, 0.5),
      labels: random.chance(0.7) ? { zone: random.pick(ZONES), priority: String(random.int(1, 3)) } : {},
      slots: random.pick([1, 1, 1, 2, 3]),
      ...(liveness === 'none' ? { endpoint: 'https://agent.example/' } : {}),
    });
    return { caller: OPERATOR, command: { type: 'registerAgent', spec } };
  },
  allocate: (world): Sent => {
    const { random } = world;
    const spec = allocateSpec({
      capabilities: some(random, CAPABILITIES, 0.25),
      selectors: selectors(random),
      slots: random.pick([1, 1, 1, 2]),
      count: random.pick([1, 1, 1, 1, 2, 3]),
      priority: random.int(1, 10),
      leaseMs: random.pick(LEASES_MS),
      waitMs: random.chance(0.4) ? random.pick([1_000, 10_000, LIMITS.waitMsMax]) : 0,
      strategy: random.pick(STRATEGIES),
      packing: random.pick(['spread', 'pack'] as const),
    });
    const waiterId = `w${random.int(0, 1e9)}`;
    return { caller: world.hasQuotas ? allocator(random) : OPERATOR, command: { type: 'allocate', spec, waiterId } };
  },
  renew: (world) =>
    underLease(world, (allocationId, fencingToken) => ({
      type: 'renew',
      allocationId,
      fencingToken,
      leaseMs: world.random.pick(LEASES_MS),
    })),
  release: (world) =>
    underLease(world, (allocationId, fencingToken) => ({
      type: 'release',
      allocationId,
      fencingToken,
      ...(world.random.chance(0.5) ? { result: { success: world.random.chance(0.7), durationMs: 10 } } : {}),
    })),
  revokeLeases: (world): Sent => {
    const { random } = world;
    const underWay = [...world.engine.state.revocations.values()];
    const limit = random.pick([1, 1, 2, LIMITS.revokeStep]);
    if (underWay.length > 0 && random.chance(0.7)) {
      const { epoch, terms } = random.pick(underWay);
      return { caller: OPERATOR, command: { type: 'revokeLeases', ...terms, epoch, limit } };
    }
    const selector = leaseSelector(world);
    const terms = {
      selector,
      reason: 'stop',
      tasks: random.pick(['requeue', 'cancel'] as const),
      quarantine: random.chance(0.1),
    };
    return { caller: OPERATOR, command: { type: 'revokeLeases', ...terms, epoch: null, limit } };
  },
  acknowledgeRevocation: (world) => {
    const agentId = anyAgent(world);
    if (agentId === null) return null;
    const epoch = Math.max(1, world.engine.state.epoch + world.random.pick([0, 0, -1, 3]));
    return { caller: asAgent(agentId), command: { type: 'acknowledgeRevocation', agentId, epoch } };
  },
  submitTask: (world): Sent => {
    const { random } = world;
    const spec = taskSpec({
      capabilities: some(random, CAPABILITIES, 0.25),
      selectors: selectors(random),
      priority: random.int(1, 10),
      maxAttempts: random.int(1, 4),
      retry: { baseMs: random.pick([0, 500, 5_000]), factor: 2, maxMs: 20_000, jitter: random.pick([0, 0.5]) },
      timeoutMs: random.pick([2_000, 20_000, 60_000, 300_000]),
      resultTtlMs: random.pick([60_000, 3_600_000, LIMITS.resultTtlMsDefault]),
      ...(random.chance(0.2) ? { deadlineMs: random.pick([1, 3_000, 40_000, 600_000]) } : {}),
      ...(random.chance(0.25) ? { delayMs: random.pick([1, 2_000, 30_000, 120_000]) } : {}),
      ...(random.chance(0.3) ? { fairnessKey: random.pick(['x', 'y']), fairnessWeight: random.pick([1, 3]) } : {}),
      ...(random.chance(0.3) ? { concurrency: concurrency(random) } : {}),
      ...(random.chance(0.15) ? { dependsOn: dependencies(world) } : {}),
    });
    return { caller: OPERATOR, command: { type: 'submitTask', spec, needsAgent: random.chance(0.2) } };
  },
  cancelTask: (world) => onTask(world, (taskId) => ({ type: 'cancelTask', taskId })),
  replayTask: (world) => onTask(world, (taskId) => ({ type: 'replayTask', taskId })),
  completeTask: (world) =>
    byAgent(world, (held) => ({ type: 'completeTask', ...held, ...(world.random.chance(0.5) ? { result: '"done"' } : {}) })),
  failTask: (world) =>
    byAgent(world, (held) => ({
      type: 'failTask',
      ...held,
      error: { code: 'boom', message: '' },
      retryable: world.random.chance(0.8),
    })),
  progressTask: (world) =>
    byAgent(world, (held) => ({ type: 'progressTask', ...held, ...(world.random.chance(0.3) ? { checkpoint: '1' } : {}) })),
  heartbeat: (world) => {
    const agentId = anyAgent(world);
    if (agentId === null) return null;
    const { random, history } = world;
    const own = [...history.active.values()].filter((l) => l.agentId === agentId || random.chance(0.1));
    const leases = random.chance(0.4)
      ? own.map((l) => ({
          allocationId: l.id,
          fencingToken: tokenOr(random, l.fencingToken, world),
          leaseMs: random.pick(LEASES_MS),
        }))
      : [];
    return { caller: random.chance(0.8) ? asAgent(agentId) : OPERATOR, command: { type: 'heartbeat', agentId, leases } };
  },
  drainAgent: (world) =>
    onAgent(world, (agentId) => ({ type: 'drainAgent', agentId, deadlineMs: world.random.pick([0, 5_000, 60_000]) })),
  quarantineAgent: (world) => onAgent(world, (agentId) => ({ type: 'quarantineAgent', agentId })),
  deregisterAgent: (world) =>
    onAgent(world, (agentId) => ({ type: 'deregisterAgent', agentId, force: world.random.chance(0.4) })),
} satisfies { readonly [K in PoolCommand['type']]: (world: World) => Sent | null };

export type Command = keyof typeof MAKERS;

/** A random command of one kind, aimed at what exists, existed or never did; null when there is nothing to aim at. */
export const makeCommand = (world: World, type: Command): Sent | null => MAKERS[type](world);

/** Most callers have no lease quota; two have one each. */
function allocator(random: Seeded): Caller {
  if (random.chance(0.6)) return OPERATOR;
  const [subject, limit] = random.pick(Object.entries(QUOTAS));
  return { ...OPERATOR, subject, leaseQuota: { limit, share: limit } };
}

function leaseSelector(world: World): LeaseSelector {
  const { random, history } = world;
  const agents = [...world.engine.state.agents.keys()];
  const leases = random.chance(0.8) ? [...history.active.values()] : [...history.leases.values()].slice(-12);
  const named = leases.length === 0 ? null : random.pick(leases);
  return {
    ...(random.chance(0.3) && agents.length > 0 ? { agentIds: [random.pick(agents), random.pick(agents)] } : {}),
    ...(random.chance(0.15) && named !== null ? { allocationIds: [named.id] } : {}),
    ...(random.chance(0.15) && named?.taskId != null ? { taskIds: [named.taskId] } : {}),
    ...(random.chance(0.2) ? { holder: random.pick([OPERATOR.subject, ...Object.keys(QUOTAS)]) } : {}),
    ...(random.chance(0.15) ? { capabilities: [random.pick(CAPABILITIES)] } : {}),
    ...(random.chance(0.15) ? { selectors: [{ matchLabels: { zone: random.pick(ZONES) } }] } : {}),
  };
}

function anyAgent(world: World): string | null {
  const ids = [...world.engine.state.agents.keys()];
  if (ids.length === 0) return null;
  // Now and then one that has left.
  const gone = [...world.agents.keys()];
  return world.random.chance(0.05) && gone.length > 0 ? world.random.pick(gone) : world.random.pick(ids);
}

function onAgent(world: World, command: (agentId: string) => PoolCommand): Sent | null {
  const agentId = anyAgent(world);
  return agentId === null ? null : { caller: OPERATOR, command: command(agentId) };
}

function onTask(world: World, command: (taskId: string) => PoolCommand): Sent | null {
  const ids = world.random.chance(0.7) ? [...world.history.live.keys()] : [...world.history.tasks.keys()].slice(-20);
  return ids.length === 0 ? null : { caller: OPERATOR, command: command(world.random.pick(ids)) };
}

function underLease(
  world: World,
  command: (allocationId: string, fencingToken: number) => PoolCommandOf<'renew'> | PoolCommandOf<'release'>,
): Sent | null {
  const { random, history } = world;
  const leases = random.chance(0.8) ? [...history.active.values()] : [...history.leases.values()].slice(-12);
  if (leases.length === 0) return null;
  const lease = random.pick(leases);
  return { caller: OPERATOR, command: command(lease.id, tokenOr(random, lease.fencingToken, world)) };
}

/** What an agent's process believes it holds, said by itself, by a stranger, or by an operator. */
function byAgent(
  world: World,
  command: (held: { readonly taskId: string; readonly fencingToken: number }) => PoolCommand,
): Sent | null {
  const { random } = world;
  const busy = [...world.agents.values()].filter((agent) => agent.work.length > 0);
  if (busy.length === 0) return null;
  const agent = random.pick(busy);
  const { taskId, fencingToken } = random.chance(0.7)
    ? (agent.work.at(-1) as (typeof agent.work)[number])
    : random.pick(agent.work);
  const caller = random.chance(0.85)
    ? asAgent(agent.id)
    : random.chance(0.5)
      ? OPERATOR
      : asAgent(random.pick([...world.agents.keys()]));
  return { caller, command: command({ taskId, fencingToken: tokenOr(random, fencingToken, world) }) };
}

function concurrency(random: Seeded): NonNullable<TaskSpec['concurrency']> {
  const key = random.pick(['k', 'l']);
  // Each key has its limit; now and then somebody says another.
  const limit = random.chance(0.05) ? random.int(1, 3) : key === 'k' ? 1 : 2;
  return { key, limit, strategy: random.pick(['queue', 'queue', 'queue', 'cancel_oldest', 'cancel_newest'] as const) };
}

function dependencies(world: World): string[] {
  const { random, history } = world;
  const ids = [...history.tasks.keys()].slice(-8);
  const chosen = ids.length === 0 ? [] : [random.pick(ids)];
  if (random.chance(0.2)) chosen.push(REMOTE_TASK);
  return chosen;
}

/** A task of another shard; whoever depends on it waits until the world says how it ended. */
export const REMOTE_TASK = `tsk.eu-west-1.coder.1.${'0'.repeat(26)}`;
