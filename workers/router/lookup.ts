import { notFound, type FleetError } from '../../shared/errors.ts';
import { err, type Result } from '../../shared/result.ts';
import type { AgentView, AllocationView, TaskView } from '../../shared/rpc.ts';
import type { PathId, RequestContext } from './context.ts';
import { askRegion, OWN_TIMEOUT_MS } from './region-calls.ts';

/** Reads by id, with what an agent's token may see: itself, its own tasks, its own allocations. */

export async function findAgent(context: RequestContext, id: PathId): Promise<Result<AgentView, FleetError>> {
  const { agentId } = context.caller;
  if (agentId !== undefined && agentId !== id.text) return err(notFound('agent'));
  return askRegion(context, id.region, OWN_TIMEOUT_MS, (region) => region.getAgent(context.caller, id.text));
}

export async function findAllocation(context: RequestContext, id: PathId): Promise<Result<AllocationView, FleetError>> {
  const found = await askRegion(context, id.region, OWN_TIMEOUT_MS, (region) => region.getAllocation(context.caller, id.text));
  const { agentId } = context.caller;
  return found.ok && agentId !== undefined && found.value.agentId !== agentId ? err(notFound('allocation')) : found;
}

export async function findTask(context: RequestContext, id: PathId, waitMs = 0): Promise<Result<TaskView, FleetError>> {
  const get = (wait: number): Promise<Result<TaskView, FleetError>> =>
    askRegion(context, id.region, OWN_TIMEOUT_MS + wait, (region) => region.getTask(context.caller, id.text, wait));
  const { agentId } = context.caller;
  if (agentId === undefined) return get(waitMs);
  // An agent must not learn of other tasks by how long the answer takes, so it is checked before it may wait.
  const own = (found: Result<TaskView, FleetError>): Result<TaskView, FleetError> =>
    found.ok && found.value.agentId !== agentId ? err(notFound('task')) : found;
  const now = own(await get(0));
  return now.ok && waitMs > 0 ? own(await get(waitMs)) : now;
}

/** The refusal for an id that names nothing of this caller's, or null when it names something. */
export async function missingById(context: RequestContext, id: PathId): Promise<FleetError | null> {
  const find = { agent: findAgent, allocation: findAllocation, task: findTask }[id.kind];
  const found = await find(context, id);
  return found.ok ? null : found.error;
}
