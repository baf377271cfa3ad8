import type { Caller, ShardSummary } from '../../../shared/rpc.ts';
import { noAgents, noTasks } from '../../../durable-objects/registry/core/counters.ts';

export const CALLER: Caller = { fleet: 'acme', subject: 'tok-1', role: 'admin', requestId: 'req-1' };

/** A shard's summary with so many idle agents and queued tasks. */
export function summaryOf(
  over: Partial<Omit<ShardSummary, 'agents' | 'tasks'>> & { readonly idle?: number; readonly queued?: number } = {},
): ShardSummary {
  const { idle = 0, queued = 0, ...rest } = over;
  return {
    pool: 'coder',
    shard: 0,
    version: 1,
    asOfMs: 1_000,
    agents: { ...noAgents(), total: idle, idle },
    tasks: { ...noTasks(), queued },
    slotsFree: idle,
    ...rest,
  };
}
