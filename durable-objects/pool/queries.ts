import { notFound, type FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type {
  AgentFilter,
  AgentView,
  AllocateSpec,
  AllocationView,
  Caller,
  DemandSpec,
  Page,
  TaskFilter,
  TaskView,
  WhyTask,
} from '../../shared/rpc.ts';
import type { Why } from '../../shared/schemas/why.ts';
import { demandOfTask } from './core/demand.ts';
import { describeWhy } from './core/describe.ts';
import { explain, explainAllocation as explainHere } from './core/explain.ts';
import type { TaskRecord } from './core/records.ts';
import { statusOf, type PoolState } from './core/state.ts';
import { agentView, allocationView, taskView } from './core/views.ts';
import { whyTask as explainTask } from './core/why-task.ts';
import type { PoolEngine } from './engine.ts';
import type { PoolStorage } from './storage.ts';

/** Reads of a shard. A shard that was never written holds nothing, and a read does not bring it to life. */
type MaybeEngine = Pick<PoolEngine, 'state' | 'look'> | null;

export function getAgent(engine: MaybeEngine, id: string): Result<AgentView, FleetError> {
  const agent = engine?.state.agents.get(id);
  return engine === null || agent === undefined ? err(notFound('agent')) : ok(agentView(agent, engine.state.home));
}

export function getAllocation(
  engine: MaybeEngine,
  storage: PoolStorage,
  id: string,
  nowMs: number,
): Result<AllocationView, FleetError> {
  if (engine === null) return err(notFound('allocation'));
  const lease = engine.state.leases.get(id) ?? storage.lease(id);
  if (lease === null) return err(notFound('allocation'));
  return ok(allocationView(lease, engine.state.agents.get(lease.agentId)?.record ?? null, engine.state.home, nowMs));
}

export function getTask(engine: MaybeEngine, storage: PoolStorage, id: string): Result<TaskView, FleetError> {
  if (engine === null) return err(notFound('task'));
  const task = engine.state.tasks.get(id) ?? storage.task(id);
  return task === null ? err(notFound('task')) : ok(viewWithBlobs(engine.state, storage, task));
}

function viewWithBlobs(state: PoolState, storage: PoolStorage, task: TaskRecord): TaskView {
  const progress = storage.blob(task.id, 'progress');
  const result = storage.blob(task.id, 'result');
  return taskView(task, state.home, { ...(progress === null ? {} : { progress }), ...(result === null ? {} : { result }) });
}

/** Why a task waits, with what it asks of agents: other shards may be asked about theirs. */
export function whyTask(engine: MaybeEngine, storage: PoolStorage, id: string): Result<WhyTask, FleetError> {
  if (engine === null) return err(notFound('task'));
  const { state } = engine;
  const task = state.tasks.get(id) ?? storage.task(id);
  if (task === null) return err(notFound('task'));
  return ok({ why: explainTask(state, task, engine.look()), demand: task.status === 'queued' ? demandOfTask(task) : null });
}

export function explainAllocation(engine: MaybeEngine, { subject, leaseQuota }: Caller, spec: AllocateSpec): Why {
  if (engine === null) return nobody(spec.count);
  return explainHere(engine.state, spec, engine.look(), { subject, quota: leaseQuota ?? null });
}

export function explainDemand(engine: MaybeEngine, demand: DemandSpec): Why {
  return engine === null ? nobody(demand.count) : explain(engine.state, demand, engine.look());
}

function nobody(needed: number): Why {
  const facts = { agents: 0, eligible: 0, needed, matching: 0, fitting: 0, failed: [] };
  return { ...facts, detail: describeWhy(facts) };
}

export function listAgents(engine: MaybeEngine, filter: AgentFilter, after: string | null, limit: number): Page<AgentView> {
  if (engine === null) return { data: [] };
  const data: AgentView[] = [];
  const ids = [...engine.state.agents.keys()].filter((id) => after === null || id > after).toSorted();
  for (const id of ids) {
    const agent = engine.state.agents.get(id);
    if (agent === undefined) continue;
    if (filter.status !== undefined && statusOf(agent) !== filter.status) continue;
    if (filter.capability !== undefined && !agent.record.spec.capabilities.includes(filter.capability)) continue;
    if (data.length === limit) return { data, nextAfter: (data.at(-1) as AgentView).id };
    data.push(agentView(agent, engine.state.home));
  }
  return { data };
}

export function listTasks(
  engine: MaybeEngine,
  storage: PoolStorage,
  filter: TaskFilter,
  after: string | null,
  limit: number,
): Page<TaskView> {
  if (engine === null) return { data: [] };
  const rows = storage.tasks(filter.status ?? null, after, limit + 1);
  const page = rows.slice(0, limit).map((task) => taskView(task, engine.state.home));
  const last = page.at(-1);
  return rows.length > limit && last !== undefined ? { data: page, nextAfter: last.id } : { data: page };
}
