import type { Why, WhyWait } from '../../../shared/schemas/why.ts';
import type { TaskError } from '../../../shared/schemas/tasks.ts';
import { demandOfTask, entryOfTask } from './demand.ts';
import { explain, placeOf, type Known, type Look } from './explain.ts';
import type { Gate } from './gates.ts';
import { isoOf } from './near-misses.ts';
import { ENDED, type TaskRecord } from './records.ts';
import type { PoolState } from './state.ts';

/** Of an agent's own words. */
const ERROR_CHARS = 200;
/** Other tasks named in one answer. */
const NAMED = 5;

/** Why a task waits, or that it does not; the first thing in its way comes first. Changes nothing. */
export function whyTask(state: PoolState, task: TaskRecord, look: Look): Why {
  const demand = demandOfTask(task);
  const say = (detail: string, waitsFor?: WhyWait, known: Known = {}): Why => ({
    ...explain(state, demand, look, { ...known, ...(waitsFor === undefined ? {} : { waitsFor }) }),
    detail,
  });
  if (task.status !== 'queued') {
    // Whoever does not wait is held back by nothing.
    const { nearMisses: _near, limitedBy: _limit, ...why } = say(notWaiting(state, task));
    return why;
  }
  if (task.waitsFor.length > 0) {
    const tasks = task.waitsFor.slice(0, NAMED);
    const named = tasks.map((id) => `${id}${statusHere(state, id)}`).join(', ');
    return say(
      `The task waits for ${task.waitsFor.length === 1 ? 'another task' : `${task.waitsFor.length} other tasks`} to succeed: ${named}.`,
      { for: 'dependency', tasks },
    );
  }
  const gate = task.concurrency === null ? undefined : state.gates.get(task.concurrency.key);
  if (task.concurrency !== null && gate?.waiting.has(task.id) === true) return atGate(task.concurrency.key, gate, task, say);
  const entry = state.queue.entry(task.id);
  if (entry === undefined) {
    const untilMs = task.notBeforeMs;
    // It may find others before it then; without agents nothing is known.
    const { estimatedStartAtMs } = placeOf(state, entryOfTask(task), look);
    return say(
      task.error === null
        ? `The task was submitted with a delay: it waits until ${isoOf(untilMs)}.`
        : `The task waits until ${isoOf(untilMs)}: it is backing off after attempt ${task.attempts} of ${task.maxAttempts} ended with ${errorOf(task.error)}`,
      { for: task.error === null ? 'delay' : 'backoff', untilMs },
      estimatedStartAtMs === undefined ? {} : { estimatedStartAtMs: Math.max(untilMs, estimatedStartAtMs) },
    );
  }
  const { deadlineAtMs } = task;
  return explain(state, demand, look, {
    ...placeOf(state, entry, look),
    waitsFor: { for: 'agent', ...(deadlineAtMs === null ? {} : { untilMs: deadlineAtMs }) },
  });
}

function atGate(key: string, gate: Gate, task: TaskRecord, say: (detail: string, waitsFor: WhyWait, known: Known) => Why): Why {
  const before = gate.before(task);
  const order = before === 0 ? 'it is the next to be let in' : `${before} that wait at it are let in before`;
  return say(
    `The task waits for ${gate.admitted.size === 1 ? 'the task' : `one of the ${gate.admitted.size} tasks`} of its concurrency key "${key}" to end (limit ${gate.limit}); ${order}.`,
    { for: 'concurrency', tasks: [...gate.admitted].slice(0, NAMED) },
    { limitedBy: { scope: `concurrency:${key}`, limit: gate.limit, inUse: gate.admitted.size } },
  );
}

function notWaiting(state: PoolState, task: TaskRecord): string {
  const { status, error } = task;
  if (ENDED.has(status)) {
    const reason = error === null ? '' : ` ${errorOf(error)}`;
    const replay = status === 'dead' || status === 'failed' ? ' Once the cause is gone it can be replayed.' : '';
    return `The task is ${status}; it waits for nothing.${reason}${replay}`;
  }
  const lease = task.allocationId === null ? undefined : state.leases.get(task.allocationId);
  const by = lease?.timeoutAtMs == null ? '' : ` Its attempt ends by ${isoOf(lease.timeoutAtMs)} at the latest.`;
  const cancel = task.cancelDueAtMs === null ? '' : ` It was asked to stop, and is taken away at ${isoOf(task.cancelDueAtMs)}.`;
  return `The task is ${status}; it waits for nothing. Agent ${task.agentId ?? ''} holds it.${by}${cancel}`;
}

function errorOf({ code, message }: TaskError): string {
  const text = message.length > ERROR_CHARS ? `${message.slice(0, ERROR_CHARS)}…` : message;
  return `${code}: ${text}${/[.!?…]$/.test(text) ? '' : '.'}`;
}

const statusHere = (state: PoolState, taskId: string): string => {
  const status = state.tasks.get(taskId)?.status;
  return status === undefined ? '' : ` (${status})`;
};
