import type { PoolEngine } from '../../../durable-objects/pool/engine.ts';
import { isEmpty } from '../../../durable-objects/pool/core/polls.ts';
import type { PoolCommand } from '../../../shared/rpc.ts';
import { agentSpec, allocateSpec, asAgent, OPERATOR, taskSpec } from '../../lib/pool-harness.ts';
import type { Machine } from './machine.ts';
import type { PoolAgent, ShardedPool } from './pool.ts';

const CAPABILITIES = ['a', 'b'];

const anyMachine = (pool: ShardedPool): Machine => pool.random.pick(pool.machines);
/** Agents gather at one end and tasks at the other, in most runs more than in others, so that shards need each other. */
const leaning = (pool: ShardedPool, shard: number): Machine =>
  pool.random.chance(pool.leaning) ? pool.machine(shard) : anyMachine(pool);

const anyAgent = (pool: ShardedPool): PoolAgent | null =>
  pool.agents.size === 0 ? null : pool.random.pick([...pool.agents.values()]);

function execute(
  pool: ShardedPool,
  machine: Machine,
  command: PoolCommand,
): ReturnType<PoolEngine['execute']>['answers'][number] | null {
  pool.log(() => `${machine.shard} ${JSON.stringify(command)}`);
  const done = machine.call((engine) => {
    const { answers, outcomes } = engine.execute(OPERATOR, [{ command }]);
    const [answer] = answers;
    if (answer === 'parked' && command.type === 'allocate') pool.waiting.set(command.waiterId, { machine, life: machine.life });
    return { value: answer ?? null, outcomes };
  });
  return done?.value ?? null;
}

function register(pool: ShardedPool): void {
  const { random } = pool;
  const machine = leaning(pool, pool.machines.length - 1);
  const spec = agentSpec({
    liveness: random.chance(0.7) ? 'session' : 'heartbeat',
    capabilities: CAPABILITIES.filter(() => random.chance(0.5)),
    labels: random.chance(0.5) ? { zone: random.pick(['north', 'south']) } : {},
    slots: random.pick([1, 1, 2]),
  });
  const answer = execute(pool, machine, { type: 'registerAgent', spec });
  if (answer === null || answer === 'parked' || !answer.ok) return;
  const { id } = answer.value as { readonly id: string };
  pool.agents.set(id, { id, shard: machine.shard, responsive: true, work: [] });
  if (spec.liveness === 'session' && random.chance(0.8)) open(pool, id);
}

/** An agent opens its socket, and learns of what it holds. */
export function open(pool: ShardedPool, agentId: string): void {
  const agent = pool.agents.get(agentId);
  if (agent === undefined) return;
  const machine = pool.machine(agent.shard);
  pool.log(() => `opens ${agentId}`);
  const done = machine.call((engine) => {
    const { found, outcomes } = engine.sessionOpened(agentId, asAgent(agentId));
    if (found) {
      machine.sockets.add(agentId);
      machine.pongs.set(agentId, pool.clock.nowMs);
    }
    return { value: found, outcomes };
  });
  if (done?.value !== true) return;
  for (const id of machine.engine.state.agents.get(agentId)?.leases ?? []) pool.hand(machine, agentId, id);
}

function close(pool: ShardedPool): void {
  const machine = anyMachine(pool);
  if (machine.sockets.size === 0) return;
  const agentId = pool.random.pick([...machine.sockets]);
  pool.log(() => `closes ${agentId}`);
  machine.sockets.delete(agentId);
  machine.pongs.delete(agentId);
  machine.call((engine) => ({ value: undefined, outcomes: engine.sessionClosed(agentId) }));
}

function poll(pool: ShardedPool): void {
  const agent = anyAgent(pool);
  if (agent === null) return;
  const machine = pool.machine(agent.shard);
  const park = pool.random.chance(0.7);
  pool.log(() => `polls ${agent.id}`);
  const done = machine.call((engine) => {
    const { result, outcomes } = engine.poll(asAgent(agent.id), agent.id, 1, park);
    if (result.ok && isEmpty(result.value) && park) machine.polling.add(agent.id);
    return { value: result, outcomes };
  });
  if (done?.value.ok === true) for (const id of done.value.value.leaseIds) pool.hand(machine, agent.id, id);
}

function endPoll(pool: ShardedPool): void {
  const machine = anyMachine(pool);
  if (machine.polling.size === 0) return;
  const agentId = pool.random.pick([...machine.polling]);
  machine.polling.delete(agentId);
  machine.call((engine) => {
    engine.endPoll(agentId);
    return { value: undefined, outcomes: [] };
  });
}

function submit(pool: ShardedPool): void {
  const { random } = pool;
  const spec = taskSpec({
    capabilities: CAPABILITIES.filter(() => random.chance(0.2)),
    selectors: random.chance(0.2) ? [{ matchLabels: { zone: random.pick(['north', 'south']) } }] : [],
    priority: random.int(1, 10),
    maxAttempts: random.int(1, 5),
    retry: { baseMs: random.pick([0, 500]), factor: 2, maxMs: 5_000, jitter: 0 },
    timeoutMs: random.pick([2_000, 20_000, 60_000]),
    ...(random.chance(0.15) ? { deadlineMs: random.pick([3_000, 40_000]) } : {}),
    ...(random.chance(0.2)
      ? { concurrency: { key: 'k', limit: 1, strategy: random.pick(['queue', 'cancel_oldest'] as const) } }
      : {}),
  });
  execute(pool, leaning(pool, 0), { type: 'submitTask', spec, needsAgent: false });
}

function allocate(pool: ShardedPool): void {
  const { random } = pool;
  const spec = allocateSpec({
    capabilities: CAPABILITIES.filter(() => random.chance(0.2)),
    count: random.pick([1, 1, 1, 2]),
    leaseMs: random.pick([1_000, 5_000, 20_000]),
    waitMs: random.pick([0, 5_000, 20_000]),
  });
  execute(pool, leaning(pool, 0), { type: 'allocate', spec, waiterId: `w${random.int(0, 1e9)}` });
}

function release(pool: ShardedPool): void {
  const machine = anyMachine(pool);
  const leases = [...machine.history.active.values()].filter((lease) => lease.kind === 'direct');
  if (leases.length === 0) return;
  const { id, fencingToken } = pool.random.pick(leases);
  execute(pool, machine, { type: 'release', allocationId: id, fencingToken });
}

function cancel(pool: ShardedPool): void {
  const machine = anyMachine(pool);
  const ids = [...machine.history.live.keys()];
  if (ids.length > 0) execute(pool, machine, { type: 'cancelTask', taskId: pool.random.pick(ids) });
}

function onAgent(pool: ShardedPool): void {
  const agent = anyAgent(pool);
  if (agent === null) return;
  const { random } = pool;
  const { id: agentId, shard } = agent;
  const command = random.pick<PoolCommand>([
    { type: 'drainAgent', agentId, deadlineMs: random.pick([0, 5_000]) },
    { type: 'quarantineAgent', agentId },
    { type: 'deregisterAgent', agentId, force: random.chance(0.5) },
  ]);
  execute(pool, pool.machine(shard), command);
}

/** An agent that works for another shard is taken out, and goes on as if nothing had happened. */
function fence(pool: ShardedPool): void {
  const { random } = pool;
  const machine = pool.machines.find(({ engine }) => engine.state.loans.size > 0);
  if (machine === undefined) return;
  const [loanId] = machine.engine.state.loans.keys();
  const lease = machine.engine.state.leases.get(loanId ?? '');
  if (lease?.taskId == null) return;
  const { agentId, taskId, fencingToken } = lease;
  execute(
    pool,
    machine,
    random.pick<PoolCommand>([
      { type: 'quarantineAgent', agentId },
      { type: 'drainAgent', agentId, deadlineMs: 0 },
      {
        type: 'revokeLeases',
        selector: random.chance(0.5) ? { taskIds: [taskId] } : {},
        reason: 'revoked',
        tasks: random.pick(['requeue', 'cancel'] as const),
        quarantine: random.chance(0.2),
        epoch: null,
        limit: random.pick([1, 10]),
      },
      { type: 'deregisterAgent', agentId, force: true },
    ]),
  );
  if (random.chance(0.5)) machine.alarm();
  const at = random.chance(0.5) ? machine : pool.machine(Number(taskId.split('.')[3]));
  pool.say(at, asAgent(agentId), { type: 'completeTask', taskId, fencingToken }, () => undefined);
  // What was said last comes first.
  if (random.chance(0.5)) pool.letters.reverse();
}

/** An agent says something of what it believes to hold: old work too, with its own token or another, here or there. */
function say(pool: ShardedPool): void {
  const { random } = pool;
  const busy = [...pool.agents.values()].filter((agent) => agent.work.length > 0);
  if (busy.length === 0) return;
  // Now and then one who was given up and does not know.
  const fenced = random.chance(0.4) ? busy.filter((a) => isFenced(pool, a)) : [];
  const agent = random.pick(fenced.length > 0 ? fenced : busy);
  const held = random.chance(0.75) ? agent.work.at(-1) : random.pick(agent.work);
  if (held === undefined) return;
  const { taskId } = held;
  const fencingToken = random.chance(0.9) ? held.fencingToken : Math.max(1, held.fencingToken + random.pick([-1, 1, 2]));
  const command = random.pick([
    { type: 'completeTask' as const, taskId, fencingToken, result: '1' },
    { type: 'completeTask' as const, taskId, fencingToken },
    { type: 'failTask' as const, taskId, fencingToken, error: { code: 'boom', message: '' }, retryable: random.chance(0.8) },
    { type: 'progressTask' as const, taskId, fencingToken, checkpoint: '2' },
    { type: 'progressTask' as const, taskId, fencingToken },
  ]);
  const caller = random.chance(0.85) ? asAgent(agent.id) : OPERATOR;
  const home = Number(taskId.split('.')[3]);
  const at = random.chance(0.6) ? agent.shard : home;
  pool.log(() => `${caller.subject} at ${at}: ${JSON.stringify(command)}`);
  pool.say(pool.machine(at), caller, command, (reply) =>
    pool.log(() => `  told ${reply === null ? 'nothing' : reply.ok ? 'ok' : reply.error.kind}`),
  );
}

function isFenced(pool: ShardedPool, agent: PoolAgent): boolean {
  const last = agent.work.at(-1);
  const { byToken } = pool.machine(agent.shard).history;
  return last !== undefined && byToken.get(last.fencingToken)?.status === 'revoked';
}

function letter(pool: ShardedPool): void {
  for (let n = pool.random.int(1, 4); n > 0 && pool.letters.length > 0; n -= 1)
    pool.deliverLetter(pool.random.chance(0.7) ? 0 : pool.random.int(0, pool.letters.length - 1));
}

function pass(pool: ShardedPool): void {
  const { random } = pool;
  pool.advance(random.pick([1, 1, 50, 100, 300, 500, 500, 2_000, 5_000, 16_000]));
  beats(pool);
  for (const machine of pool.machines)
    if (machine.alarmAtMs !== null && machine.alarmAtMs <= pool.clock.nowMs && random.chance(0.9)) machine.alarm();
}

/** Whoever is well and has no socket beats. */
export function beats(pool: ShardedPool): void {
  for (const agent of pool.agents.values()) {
    const machine = pool.machine(agent.shard);
    const known = machine.engine.state.agents.get(agent.id);
    if (known?.record.spec.liveness !== 'heartbeat' || !agent.responsive || pool.random.chance(0.2)) continue;
    machine.call((engine) => ({
      value: undefined,
      outcomes: engine.execute(asAgent(agent.id), [{ command: { type: 'heartbeat', agentId: agent.id, leases: [] } }]).outcomes,
    }));
  }
}

function freeze(pool: ShardedPool): void {
  const agent = anyAgent(pool);
  if (agent !== null) agent.responsive = !agent.responsive;
}

function restart(pool: ShardedPool, hibernated: boolean): void {
  const machine = anyMachine(pool);
  pool.log(() => `${machine.shard} ${hibernated ? 'hibernates' : 'crashes'}`);
  if (!hibernated) pool.crashes += 1;
  machine.restart(hibernated);
  for (const [id, { machine: at, life }] of pool.waiting) if (at.life !== life) pool.waiting.delete(id);
}

function reopen(pool: ShardedPool): void {
  const agent = anyAgent(pool);
  if (agent !== null) open(pool, agent.id);
}

/** Everything that happens of itself, and how often. */
export const OPERATIONS: Readonly<Record<string, readonly [weight: number, run: (pool: ShardedPool) => void]>> = {
  register: [4, register],
  open: [6, reopen],
  close: [1.5, close],
  poll: [4, poll],
  endPoll: [1, endPoll],
  submit: [8, submit],
  allocate: [3, allocate],
  release: [2, release],
  cancel: [1, cancel],
  onAgent: [0.5, onAgent],
  fence: [1.2, fence],
  say: [6, say],
  letter: [30, letter],
  pass: [8, pass],
  freeze: [0.7, freeze],
  crash: [0.6, (pool) => restart(pool, false)],
  hibernate: [1, (pool) => restart(pool, true)],
};
