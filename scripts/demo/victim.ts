import { setTimeout as sleep } from 'node:timers/promises';
import { hasEnded } from '../../client/src/api/tasks.ts';
import type { FleetManager } from '../../client/src/fleet-manager.ts';
import type { Task } from '../../client/src/types.ts';
import type { Crew, Member } from './agents.ts';

const LOOK_MS = 50;
/** The killed agent is then surely at work, and has said so. */
const INTO_THE_WORK_MS = 300;

export interface Kill {
  readonly taskId: string;
  readonly agentId: string;
  readonly member: Member;
  readonly killedAtMs: number;
}

export interface Recovery {
  readonly attempts: number;
  /** From the kill to the moment another agent began the task, and to its end. */
  readonly restartedAfterMs: number;
  readonly completedAfterMs: number;
  readonly agentId: string;
}

/** Waits until one of our agents is at the task, then ends that agent's process with SIGKILL. */
export async function killDuring(taskId: string, manager: FleetManager, crew: Crew, signal: AbortSignal): Promise<Kill> {
  for (;;) {
    const task = await manager.getTask(taskId, { signal });
    if (hasEnded(task)) throw new Error(`The task to be interrupted, ${taskId}, was over before an agent was seen at it`);
    const member = task.status === 'running' && task.agentId !== undefined ? crew.memberOf(task.agentId) : null;
    if (member !== null && task.agentId !== undefined) {
      await sleep(INTO_THE_WORK_MS, undefined, { signal });
      const killedAtMs = Date.now();
      await crew.kill(member);
      return { taskId, agentId: task.agentId, member, killedAtMs };
    }
    await sleep(LOOK_MS, undefined, { signal });
  }
}

/** How the killed agent's task went on, by the clock of this machine; `null` when it did not. */
export function recoveryOf(kill: Kill, record: Task | undefined, crew: Crew): Recovery | null {
  if (record?.status !== 'succeeded' || record.agentId === undefined || record.attempts < 2 || record.agentId === kill.agentId)
    return null;
  for (const { agentId, starts, completions } of crew.ledgers().values()) {
    if (agentId !== record.agentId) continue;
    const start = starts.find(({ taskId, attempt }) => taskId === kill.taskId && attempt === record.attempts);
    const end = completions.find(({ taskId }) => taskId === kill.taskId);
    if (start === undefined || end === undefined) return null;
    return {
      attempts: record.attempts,
      restartedAfterMs: start.atMs - kill.killedAtMs,
      completedAfterMs: end.atMs - kill.killedAtMs,
      agentId: record.agentId,
    };
  }
  return null;
}
