import type { Agent, AgentStatus } from '../../shared/schemas/agents.ts';
import type { AgentCounts, FleetStatus, Pool, TaskCounts } from '../../shared/schemas/fleet.ts';
import type { Task, TaskStatus } from '../../shared/schemas/tasks.ts';
import type { Recorder } from '../../test/lib/history.ts';
import { Calls } from './calls.ts';
import { AUDITOR, Facts } from './facts.ts';
import type { Http } from './http.ts';
import { pause, TASK_TIMEOUT_MS_MAX } from './world.ts';

const CONCURRENCY = 16;
/** Backoff, a grace of a closed socket, an agent that polls again: what a task needs at most beside its timeouts. */
const TASKS_END_WITHIN_MS = 4 * TASK_TIMEOUT_MS_MAX + 10_000;
/** From the end of a lease to its slots being free; the counters follow within half a second. */
export const RECLAIMED_WITHIN_MS = 2_000;

/** Waits until every known task has ended; answers how many have not in time. */
export async function tasksEnd(http: Http, recorder: Recorder): Promise<number> {
  const watcher = new Calls('watcher', http, recorder);
  const untilMs = Date.now() + TASKS_END_WITHIN_MS;
  const ended = new Set<string>();
  for (;;) {
    // Looked up anew: agents may learn of tasks whose submission was never answered.
    const waiting = [...new Facts(recorder.entries).tasks.keys()].filter((id) => !ended.has(id));
    await inParallel(waiting, async (id) => {
      const { answer } = await watcher.getTask(id);
      if (answer.kind === 'refused' || (answer.kind === 'ok' && isEnded(answer.value.status))) ended.add(id);
    });
    const left = waiting.filter((id) => !ended.has(id)).length;
    if (left === 0 || Date.now() > untilMs) return left;
    await pause(100);
  }
}

/** Reads everything that was ever acknowledged, and recounts what the counters say. */
export async function audit(http: Http, recorder: Recorder, regions: readonly string[], pools: readonly string[]): Promise<void> {
  const auditor = new Calls(AUDITOR, http, recorder);
  const facts = new Facts(recorder.entries);
  await inParallel([...facts.leases.keys()], (id) => auditor.getAllocation(id));
  await inParallel([...facts.tasks.keys()], (id) => auditor.getTask(id));
  await inParallel([...facts.agents.keys()], (id) => auditor.getAgent(id));
  for (const pool of pools) {
    await recount(http, recorder, pool);
    for (const region of regions) {
      const agents = await pages<Agent>(http, `/v1/agents?pool=${pool}&region=${region}`);
      const value = agents.map(({ id, slots, slotsFree, status }) => ({ id, slots, slotsFree, status }));
      recorder.observe(AUDITOR, 'listed', { pool }, { agents: value });
    }
  }
}

/** Counters and a recount belong together only if the counters were the same before and after; agents may still be noticed as lost. */
async function recount(http: Http, recorder: Recorder, pool: string): Promise<void> {
  const untilMs = Date.now() + 5_000;
  for (;;) {
    const before = await counters(http, pool);
    const agents = countBy(await pages<Agent>(http, `/v1/agents?pool=${pool}`), (agent): AgentStatus => agent.status);
    const tasks = countBy(await pages<Task>(http, `/v1/tasks?pool=${pool}`), (task): TaskStatus => task.status);
    const after = await counters(http, pool);
    const isSettled = JSON.stringify(before) === JSON.stringify(after);
    const isEqual = isSettled && sameCounts(after.agents, agents) && sameCounts(after.tasks, tasks);
    // One late summary is no fault; counters that stay wrong are.
    if (isEqual || Date.now() > untilMs) {
      const { total, ...counted } = agents;
      recorder.observe(
        AUDITOR,
        'recount',
        { pool },
        { ...after, listedAgents: { total, ...counted }, listedTasks: withoutTotal(tasks) },
      );
      return;
    }
    await pause(200);
  }
}

interface Counters {
  readonly agents: AgentCounts;
  readonly tasks: TaskCounts;
}

/** What the fleet says of a pool: `GET /v1/pools/{pool}` counts tasks, too, and fleet status must agree about its agents. */
async function counters(http: Http, pool: string): Promise<Counters> {
  const listed = await ok<{ data: Pool[] }>(http, '/v1/pools?limit=1000');
  const status = await ok<FleetStatus>(http, '/v1/fleet/status');
  const here = listed.data.filter((one) => one.pool === pool);
  const agents = sum(
    status.pools
      .filter((one) => one.pool === pool)
      .map(({ pool: _p, region: _r, queued: _q, minAgents: _min, maxAgents: _max, desired: _d, ...counts }) => counts),
  );
  return { agents: agents as AgentCounts, tasks: sum(here.map((one) => one.tasks)) as TaskCounts };
}

function sum(counts: readonly object[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const one of counts) for (const [k, n] of Object.entries(one) as [string, number][]) total[k] = (total[k] ?? 0) + n;
  return total;
}

function countBy<T, K extends string>(items: readonly T[], of: (item: T) => K): Partial<Record<K, number>> & { total: number } {
  const counts: Record<string, number> = { total: items.length };
  for (const item of items) counts[of(item)] = (counts[of(item)] ?? 0) + 1;
  return counts as Partial<Record<K, number>> & { total: number };
}

const withoutTotal = <T extends { total: number }>({ total: _total, ...rest }: T): Omit<T, 'total'> => rest;
/** Counters name every status; a recount only those it met. Tasks have no total. */
const sameCounts = (counters: object, counted: object): boolean =>
  Object.entries(counters).every(([k, n]) => (Reflect.get(counted, k) ?? 0) === n);

async function pages<T>(http: Http, path: string): Promise<readonly T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  do {
    const page: { data: T[]; nextCursor?: string } = await ok(
      http,
      `${path}&limit=1000${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    all.push(...page.data);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return all;
}

async function ok<T>(http: Http, path: string): Promise<T> {
  const reply = await http.call('GET', path);
  if (reply.kind !== 'answered' || reply.status !== 200)
    throw new Error(`GET ${path} at rest: ${JSON.stringify(reply).slice(0, 500)}`);
  return reply.body as T;
}

async function inParallel<T>(items: readonly T[], read: (item: T) => Promise<unknown>): Promise<void> {
  let next = 0;
  const take = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await read(item);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, take));
}

const isEnded = (status: TaskStatus): boolean => status !== 'queued' && status !== 'assigned' && status !== 'running';
