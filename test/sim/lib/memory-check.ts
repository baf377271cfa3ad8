import type { AgentRecord, LeaseRecord, TaskRecord } from '../../../durable-objects/pool/core/records.ts';
import type { PoolEngine } from '../../../durable-objects/pool/engine.ts';
import { must } from './must.ts';
import type { History } from './history.ts';
import type { SimStorage } from './sim-storage.ts';

/**
 * Memory equals storage: whatever the engine would forget in a crash is what the rules say it may forget. Two fields run
 * ahead of the rows on purpose: the last beat (stored with a later commit), and the end of a delay that is over.
 */
export function checkMemory(world: {
  readonly engine: PoolEngine;
  readonly storage: SimStorage;
  readonly history: History;
  readonly latestMs: number;
}): void {
  const { state } = world.engine;
  const { rows } = world.storage;
  must(state.agents.size === rows.agents.size, `${state.agents.size} agents in memory, ${rows.agents.size} stored`);
  for (const { record } of state.agents.values())
    same<AgentRecord>(record, rows.agents, (stored) => ({ ...stored, lastSeenAtMs: record.lastSeenAtMs }));
  const { active, live } = world.history;
  must(state.leases.size === active.size, `${state.leases.size} leases in memory, ${active.size} stored`);
  for (const lease of state.leases.values()) same<LeaseRecord>(lease, rows.leases, (stored) => stored);
  must(state.tasks.size === live.size, `${state.tasks.size} tasks in memory, ${live.size} stored`);
  for (const task of state.tasks.values()) {
    same<TaskRecord>(task, rows.tasks, (stored) => {
      const over = task.notBeforeMs === 0 && stored.notBeforeMs <= world.latestMs;
      return over ? { ...stored, notBeforeMs: 0 } : stored;
    });
  }
}

function same<T extends { readonly id: string }>(memory: T, rows: ReadonlyMap<string, string>, allow: (stored: T) => T): void {
  const text = rows.get(memory.id);
  must(text !== undefined, `${memory.id} is in memory and not stored`);
  const mine = JSON.stringify(memory);
  // Nearly always the very text, which saves reading it.
  if (mine === text) return;
  const theirs = JSON.stringify(allow(JSON.parse(text) as T));
  must(mine === theirs, `${memory.id} differs from its row:\n  memory ${mine}\n  stored ${theirs}`);
}
