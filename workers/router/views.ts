import { LIMITS } from '../../shared/limits.ts';
import type { AgentView, AllocationView, AssignmentView, TaskView } from '../../shared/rpc.ts';
import { jsonArray, jsonWith } from '../lib/json-text.ts';

/** Things as the wire has them. Free-form members arrive as JSON texts and leave as they are. */

export function agentJson({ metadata, ...agent }: AgentView): string {
  return jsonWith(agent, { metadata });
}

export function registeredAgentJson({ metadata, ...agent }: AgentView, token: string): string {
  return jsonWith({ ...agent, heartbeatIntervalMs: LIMITS.heartbeatIntervalMs, token }, { metadata });
}

export function allocationJson({ metadata, ...allocation }: AllocationView): string {
  return jsonWith(allocation, { metadata });
}

/** One allocation as itself; a gang of several under a name. */
export function grantJson(grant: readonly AllocationView[], count: number): string {
  const [only] = grant;
  return count === 1 && only !== undefined ? allocationJson(only) : `{"allocations":${jsonArray(grant.map(allocationJson))}}`;
}

export function taskJson({ metadata, progress, result, ...task }: TaskView): string {
  return jsonWith(task, { progress, result, metadata });
}

export function assignmentJson({ payload, checkpoint, ...assignment }: AssignmentView): string {
  return jsonWith(assignment, { payload, checkpoint });
}
