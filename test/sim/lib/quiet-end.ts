import { ENDED } from '../../../durable-objects/pool/core/records.ts';
import type { PoolState } from '../../../durable-objects/pool/core/state.ts';
import { asAgent } from '../../lib/pool-harness.ts';
import { isReady } from '../../lib/pool-invariants.ts';
import { REMOTE_TASK } from './commands.ts';
import { must } from './must.ts';
import type { Run } from './run.ts';
import { NO_FAULTS } from './world.ts';

const ROUNDS_MAX = 3_000;

/**
 * Faults stop and nobody asks for anything new. Then everything that can expire does, in time, and every task that some
 * connected agent fits is done (I10).
 */
export function finish(run: Run): void {
  const { world } = run;
  run.trace(() => '--- faults stop');
  world.faults = NO_FAULTS;
  run.dropLetters();
  for (const agent of world.agents.values()) agent.responsive = true;
  run.remoteEnds('succeeded');
  for (const agentId of world.engine.state.agents.keys()) run.openSession(agentId);
  const untilMs = world.nowMs + world.horizonMs;
  const { state } = world.engine;
  for (let round = 0; ; round += 1) {
    must(round < ROUNDS_MAX, 'after the faults stopped the shard does not come to rest');
    // What a revocation under way covers cannot be done; the shard ends that by itself.
    if (state.revocations.size === 0) work(run);
    const { leases, tasks, waiters } = state;
    if (
      state.revocations.size === 0 &&
      leases.size === 0 &&
      waiters.size === 0 &&
      [...tasks.keys()].every((id) => isStuck(state, id))
    )
      return;
    must(world.alarmAtMs !== null, 'something is left to do, and no alarm is set');
    must(world.alarmAtMs <= untilMs, `${leases.size} leases, ${tasks.size} tasks and ${waiters.size} waiters are left for ever`);
    world.advance(Math.max(0, world.alarmAtMs - world.nowMs));
    run.alarm();
  }
}

/** Agents do what they hold, and what they are given for it. */
function work(run: Run): void {
  const { state } = run.world.engine;
  const held = (): { readonly id: string; readonly agentId: string; readonly fencingToken: number } | null => {
    for (const { id, agentId, fencingToken } of state.tasks.values())
      if (agentId !== null && fencingToken !== null) return { id, agentId, fencingToken };
    return null;
  };
  for (let task = held(); task !== null; task = held()) {
    const { id: taskId, agentId, fencingToken } = task;
    run.send([{ sent: { caller: asAgent(agentId), command: { type: 'completeTask', taskId, fencingToken } } }]);
    must(!state.tasks.has(taskId), `task ${taskId} was completed and is still there`);
  }
}

/** Nobody who is connected could ever do it, or it waits for such a task. All agents are free by now. */
function isStuck(state: PoolState, taskId: string): boolean {
  const task = state.tasks.get(taskId);
  if (task === undefined || ENDED.has(task.status)) return false;
  if (task.waitsFor.length > 0) return task.waitsFor.some((id) => id !== REMOTE_TASK && isStuck(state, id));
  if (!isReady(task)) return false;
  const gate = task.concurrency === null ? undefined : state.gates.get(task.concurrency.key);
  if (gate?.waiting.has(taskId) === true) return [...gate.admitted].some((id) => isStuck(state, id));
  // It stands in the queue, and the check after each step has just said that nobody can serve it.
  return state.queue.has(taskId);
}
