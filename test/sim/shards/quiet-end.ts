import { classFitsAny } from '../../../durable-objects/pool/core/predicates.ts';
import type { TaskRecord } from '../../../durable-objects/pool/core/records.ts';
import type { LiveAgent } from '../../../durable-objects/pool/core/live-agent.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { asAgent } from '../../lib/pool-harness.ts';
import { isReady } from '../../lib/pool-invariants.ts';
import { must } from '../lib/must.ts';
import { beats, open } from './operations.ts';
import type { Machine } from './machine.ts';
import type { ShardedPool } from './pool.ts';

const TICK_MS = 100;
/** Silences are judged, leases of a dead past end: afterwards only what is said below counts. */
const SETTLE_MS = 2 * LIMITS.lostAfterMs;
const ROUNDS_MAX = 3_000;
/** "Within a second", and a tick of ours. */
const HELPED_WITHIN_MS = 1_000 + TICK_MS;
/** Work takes this long, so that agents are busy for a while and free for a while. */
const WORK_MS = 300;

/**
 * Faults stop. Whatever fits an agent that is free on any shard is with an agent within a second, no loan is in the air for
 * longer, and in the end nothing is held, lent or waited for.
 */
export function finish(pool: ShardedPool): void {
  pool.log(() => '--- faults stop');
  Object.assign(pool.faults, { crashInside: 0, crashAfter: 0, lostLetter: 0, doubledLetter: 0, lostFrame: 0 });
  for (const agent of pool.agents.values()) agent.responsive = true;
  for (const id of pool.agents.keys()) open(pool, id);
  const since = new Map<string, number>();
  const from = pool.clock.nowMs;
  for (let round = 0; ; round += 1) {
    must(round < ROUNDS_MAX, 'after the faults stopped the pool does not come to rest');
    pool.advance(TICK_MS);
    if (round % 20 === 0) beats(pool);
    for (const machine of pool.machines) if (machine.alarmAtMs !== null && machine.alarmAtMs <= pool.clock.nowMs) machine.alarm();
    drain(pool);
    work(pool);
    drain(pool);
    const { nowMs } = pool.clock;
    const late = new Set(lateThings(pool));
    for (const id of since.keys()) if (!late.has(id)) since.delete(id);
    for (const id of late) if (!since.has(id)) since.set(id, nowMs);
    if (nowMs - from < SETTLE_MS) {
      since.clear();
      continue;
    }
    for (const [what, atMs] of since) must(nowMs - atMs <= HELPED_WITHIN_MS, `${what} for ${nowMs - atMs} ms`);
    if (pool.machines.every((machine) => isAtRest(pool, machine))) return;
  }
}

/** Everything on its way arrives, in order. */
function drain(pool: ShardedPool): void {
  for (let n = 0; pool.letters.length > 0; n += 1) {
    must(n < 10_000, 'the shards never stop writing to each other');
    pool.deliverLetter(0);
  }
}

/** Agents do what they hold, at whichever shard they say so. */
function work(pool: ShardedPool): void {
  for (const machine of pool.machines) {
    for (const lease of machine.engine.state.leases.values()) {
      if (lease.taskId === null || lease.kind !== 'dispatched' || pool.clock.nowMs - lease.grantedAtMs < WORK_MS) continue;
      const { taskId, fencingToken, agentId } = lease;
      const at = pool.random.chance(0.5) ? machine : pool.machine(Number(taskId.split('.')[3]));
      pool.say(at, asAgent(agentId), { type: 'completeTask', taskId, fencingToken }, () => undefined);
      drain(pool);
    }
  }
}

/** What may last for a moment only. */
function* lateThings(pool: ShardedPool): Iterable<string> {
  for (const machine of pool.machines) {
    const { state } = machine.engine;
    for (const lease of state.returns.values()) yield `${lease.id} is taken back and not returned`;
    for (const id of state.loans.keys()) {
      const lease = state.leases.get(id);
      const home = pool.machine(Number(lease?.taskId?.split('.')[3]));
      if (home.engine.state.tasks.get(lease?.taskId ?? '')?.allocationId !== id)
        yield `${id} is a loan that its home does not know`;
    }
    for (const task of state.tasks.values()) {
      if (task.loan?.confirmed === false) yield `${task.id} is lent and not confirmed`;
      if (task.status === 'queued' && isReady(task) && state.queue.has(task.id) && isHelpable(pool, task))
        yield `${task.id} waits beside a free agent`;
    }
    for (const { id, spec } of state.waiters.values()) {
      if (spec.count === 1 && pool.machines.some((m) => free(m, spec, false).length > 0)) yield `${id} waits beside a free agent`;
    }
  }
}

const isHelpable = (pool: ShardedPool, task: TaskRecord): boolean => pool.machines.some((m) => free(m, task, true).length > 0);

function free(
  machine: Machine,
  demand: Pick<TaskRecord, 'capabilities' | 'selectors'>,
  connected: boolean,
): readonly LiveAgent[] {
  const whole = { ...demand, slots: 1, count: 1, connected };
  return [...machine.engine.state.agents.values()].filter(({ record, slotsUsed, sessionOpen, pollRoom }) => {
    if (record.lifecycle !== 'ready' || record.suspectSinceMs !== null || record.zombieSinceMs !== null) return false;
    if (slotsUsed >= record.spec.slots || (connected && !sessionOpen && pollRoom === 0)) return false;
    const klass = { capabilities: new Set(record.spec.capabilities), labels: record.spec.labels };
    return classFitsAny(klass, whole);
  });
}

/** Nothing is held, lent or waited for, but what no agent of the pool can do. */
function isAtRest(pool: ShardedPool, { engine: { state } }: Machine): boolean {
  if (state.leases.size > 0 || state.returns.size > 0 || state.waiters.size > 0) return false;
  return [...state.tasks.values()].every((task) => {
    if (task.status !== 'queued' || !isReady(task)) return false;
    return state.queue.has(task.id) ? !isHelpable(pool, task) : true;
  });
}
