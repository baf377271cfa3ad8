import type { ShardSummary } from '../../../shared/rpc.ts';
import { AGENT_STATUSES } from '../../../shared/schemas/agents.ts';
import type { AgentCounts, TaskCounts } from '../../../shared/schemas/fleet.ts';
import { TASK_STATUSES } from '../../../shared/schemas/tasks.ts';

const AGENT_KEYS: readonly (keyof AgentCounts)[] = ['total', ...AGENT_STATUSES];
const TASK_KEYS: readonly (keyof TaskCounts)[] = TASK_STATUSES;

export interface Counts {
  readonly agents: AgentCounts;
  readonly tasks: TaskCounts;
}

export const noAgents = (): AgentCounts => ({
  total: 0,
  starting: 0,
  idle: 0,
  busy: 0,
  draining: 0,
  unhealthy: 0,
  quarantined: 0,
  offline: 0,
});
export const noTasks = (): TaskCounts => ({ queued: 0, assigned: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, dead: 0 });

/** What a shard counts before its first report. */
export const emptySummary = (pool: string, shard: number): ShardSummary => ({
  pool,
  shard,
  version: 0,
  asOfMs: 0,
  agents: noAgents(),
  tasks: noTasks(),
  slotsFree: 0,
});

/** Replaces one shard's part of a sum in place: a status question adds nothing up, however many agents there are. */
function move(sum: Counts, before: Counts | undefined, after: Counts): void {
  for (const key of AGENT_KEYS) sum.agents[key] += after.agents[key] - (before?.agents[key] ?? 0);
  for (const key of TASK_KEYS) sum.tasks[key] += after.tasks[key] - (before?.tasks[key] ?? 0);
}

interface PoolCounters {
  readonly sum: Counts;
  /** Indexed by shard; only shards in use. */
  readonly shards: Map<number, ShardSummary>;
}

const NOTHING: Counts = { agents: noAgents(), tasks: noTasks() };
const NO_SHARDS: ReadonlyMap<number, ShardSummary> = new Map();

/** The last summary of every shard in use, and their sums per pool and for the region, kept up with each report (I8). */
export class Counters {
  readonly region: Counts = { agents: noAgents(), tasks: noTasks() };
  readonly #pools = new Map<string, PoolCounters>();

  /** Whether this report says something new. An equal or lower version came late or twice. */
  isNews(summary: ShardSummary): boolean {
    const known = this.#pools.get(summary.pool)?.shards.get(summary.shard);
    return known === undefined || summary.version > known.version;
  }

  apply(summary: ShardSummary): void {
    let pool = this.#pools.get(summary.pool);
    if (pool === undefined) {
      pool = { sum: { agents: noAgents(), tasks: noTasks() }, shards: new Map() };
      this.#pools.set(summary.pool, pool);
    }
    const before = pool.shards.get(summary.shard);
    move(pool.sum, before, summary);
    move(this.region, before, summary);
    pool.shards.set(summary.shard, summary);
  }

  isInUse(pool: string, shard: number): boolean {
    return this.#pools.get(pool)?.shards.has(shard) ?? false;
  }

  ofPool(pool: string): Counts {
    return this.#pools.get(pool)?.sum ?? NOTHING;
  }

  shardsOf(pool: string): ReadonlyMap<number, ShardSummary> {
    return this.#pools.get(pool)?.shards ?? NO_SHARDS;
  }

  /** One above the highest shard in use; 0 when none is. */
  usedShards(pool: string): number {
    return Math.max(-1, ...this.shardsOf(pool).keys()) + 1;
  }

  /** Indexed by shard, as long as shards are in use. */
  agentsByShard(pool: string): number[] {
    const shards = this.shardsOf(pool);
    return Array.from({ length: this.usedShards(pool) }, (_, shard) => shards.get(shard)?.agents.total ?? 0);
  }

  all(): ShardSummary[] {
    return [...this.#pools.values()].flatMap((pool) => [...pool.shards.values()]);
  }
}
