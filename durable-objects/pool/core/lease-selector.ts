import type { LeaseSelector } from '../../../shared/rpc.ts';
import type { LiveAgent } from './live-agent.ts';
import type { LeaseRecord } from './records.ts';
import { matchesSelector } from './predicates.ts';

/** Whether a selector is about agents only: then it also means agents that hold nothing. */
export const isOfAgents = ({ allocationIds, taskIds, holder }: LeaseSelector): boolean =>
  allocationIds === undefined && taskIds === undefined && holder === undefined;

/** Whether an agent is one that a selector means. */
export function coversAgent({ agentIds, capabilities, selectors }: LeaseSelector, { record }: LiveAgent): boolean {
  if (agentIds !== undefined && !agentIds.includes(record.id)) return false;
  if (capabilities !== undefined && !capabilities.every((c) => record.spec.capabilities.includes(c))) return false;
  return selectors === undefined || selectors.some((selector) => matchesSelector(record.spec.labels, selector));
}

/** Whether a lease is one that a selector means: every member that is there must match. */
export function covers(selector: LeaseSelector, agent: LiveAgent, lease: LeaseRecord): boolean {
  const { allocationIds, taskIds, holder } = selector;
  if (allocationIds !== undefined && !allocationIds.includes(lease.id)) return false;
  if (taskIds !== undefined && (lease.taskId === null || !taskIds.includes(lease.taskId))) return false;
  if (holder !== undefined && lease.holder !== holder) return false;
  return coversAgent(selector, agent);
}
