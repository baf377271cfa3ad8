import { LIMITS } from '../../../shared/limits.ts';
import { type BatchResult, batchResult, chunk } from '../batch.ts';
import { ConfigurationError, InvalidStateError, TimeoutError } from '../errors.ts';
import type { CallOptions, HttpClient } from '../http.ts';
import { newKey } from '../new-key.ts';
import { backoffMs, isRetryable, retryDelayMs, sleep } from '../retry.ts';
import type { BatchItem, BatchTaskInput, ProgressReply, SubmitInput, Task, TaskReport, TaskStatus, Why } from '../types.ts';

export const taskPath = (id: string, rest = ''): string => `/v1/tasks/${encodeURIComponent(id)}${rest}`;

const ENDED: ReadonlySet<TaskStatus> = new Set(['succeeded', 'failed', 'cancelled', 'dead']);
/** Whether the task has reached its last state. */
export const hasEnded = (task: Pick<Task, 'status'>): boolean => ENDED.has(task.status);

/** How long a wait outlives a fleet that does not answer, such as during a restart. */
const OUTAGE_MAX_MS = 60_000;

export const submitTask = (http: HttpClient, input: SubmitInput, options?: CallOptions): Promise<Task> =>
  http.send({ method: 'POST', path: '/v1/tasks', body: input, creates: true }, options);

/**
 * Each item carries its own key, so a repeated batch submits nothing twice. Items that name each other (`ref`) must fit one
 * request; a {@link ConfigurationError} says so when they do not.
 */
export async function submitTasks(
  http: HttpClient,
  inputs: readonly BatchTaskInput[],
  options?: CallOptions,
): Promise<BatchResult<Task>[]> {
  const keyed = inputs.map((input) => ({ idempotencyKey: newKey(), ...input }));
  const results: BatchResult<Task>[] = [];
  const parts = chunk(keyed, LIMITS.taskBatch, LIMITS.bodyBytes);
  if (parts.length > 1 && inputs.some(({ ref }) => ref !== undefined)) {
    throw new ConfigurationError(
      `Tasks that name each other go in one request: at most ${LIMITS.taskBatch} of them, and ${LIMITS.bodyBytes} bytes.`,
    );
  }
  for (const tasks of parts) {
    const answer = await http.send<{ results: BatchItem<Task>[] }>(
      { method: 'POST', path: '/v1/tasks/batch', body: { tasks } },
      options,
    );
    results.push(...answer.results.map(batchResult));
  }
  return results;
}

/** Completions, failures and progress of many tasks, by their fencing tokens; for agents without a socket, and for those who run many. */
export async function reportTasks(
  http: HttpClient,
  said: readonly TaskReport[],
  options?: CallOptions,
): Promise<BatchResult<Task | ProgressReply>[]> {
  const results: BatchResult<Task | ProgressReply>[] = [];
  for (const part of chunk(said, LIMITS.taskBatch, LIMITS.bodyBytes)) {
    const answer = await http.send<{ results: BatchItem<Task | ProgressReply>[] }>(
      { method: 'POST', path: '/v1/tasks/results', body: { results: part } },
      options,
    );
    results.push(...answer.results.map(batchResult));
  }
  return results;
}

export const getTask = (
  http: HttpClient,
  id: string,
  options?: CallOptions & { readonly waitMs?: number | undefined },
): Promise<Task> =>
  http.send({ method: 'GET', path: taskPath(id), query: { waitMs: options?.waitMs }, waitMs: options?.waitMs }, options);

/** Long polls until the task ends. `timeoutMs` bounds the whole wait here; without it, only the task's own limits do. */
export async function waitForTask(http: HttpClient, id: string, options: CallOptions = {}): Promise<Task> {
  const { signal, timeoutMs } = options;
  if (timeoutMs === undefined) return pollTask(http, id, Number.POSITIVE_INFINITY, signal);
  signal?.throwIfAborted();
  const limit = new AbortController();
  const onAbort = (): void => limit.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => limit.abort(new TimeoutError(`Task ${id} has not ended within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await pollTask(http, id, timeoutMs, limit.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

async function pollTask(http: HttpClient, id: string, withinMs: number, signal: AbortSignal | undefined): Promise<Task> {
  const endAt = performance.now() + withinMs;
  let answeredAt = performance.now();
  for (let failures = 0; ;) {
    try {
      const waitMs = Math.max(0, Math.min(LIMITS.waitMsMax, Math.ceil(endAt - performance.now())));
      const task = await getTask(http, id, { signal, retries: 0, waitMs });
      if (hasEnded(task)) return task;
      failures = 0;
      answeredAt = performance.now();
    } catch (error) {
      if (signal?.aborted || !isRetryable(error) || performance.now() - answeredAt > OUTAGE_MAX_MS) throw error;
      failures++;
      await sleep(retryDelayMs(error, failures, Math.random()) ?? backoffMs(failures, 1), signal);
    }
  }
}

/** A repeat whose first answer was lost finds the task cancelled, and that is success. */
export async function cancelTask(http: HttpClient, id: string, options?: CallOptions): Promise<Task> {
  try {
    return await http.send<Task>({ method: 'DELETE', path: taskPath(id) }, options);
  } catch (error) {
    if (!(error instanceof InvalidStateError && error.attempts > 1)) throw error;
    const task = await getTask(http, id, options);
    if (task.status !== 'cancelled') throw error;
    return task;
  }
}

export const replayTask = (http: HttpClient, id: string, options?: CallOptions): Promise<Task> =>
  http.send({ method: 'POST', path: taskPath(id, '/replay'), body: {}, creates: true }, options);

export const whyTask = (http: HttpClient, id: string, options?: CallOptions): Promise<Why> =>
  http.send({ method: 'GET', path: taskPath(id, '/why') }, options);
