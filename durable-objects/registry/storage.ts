import type { ShardSummary } from '../../shared/rpc.ts';
import type { SqlDatabase } from '../lib/sql.ts';
import type { PoolConfig } from './core/pools.ts';
import type { SwarmRef } from './core/routes.ts';

export interface RegistryAuditRow {
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly requestId: string;
  /** `[event, subject, note?]`, as in the pool's audit. */
  readonly entries: readonly (readonly [string, string, string?])[];
}

type PoolRow = {
  pool: string;
  min_agents: number;
  max_agents: number;
  priority: number;
  resources: string | null;
  desired: number | null;
  version: number;
  shares: string;
  held: string;
};

/** The rows of one registry. Writes belong inside the caller's transaction. */
export class RegistryStorage {
  readonly #sql: SqlDatabase;
  constructor(sql: SqlDatabase) {
    this.#sql = sql;
  }

  loadPools(): PoolConfig[] {
    return this.#sql
      .exec<PoolRow>('SELECT * FROM pools')
      .toArray()
      .map((row) => ({
        pool: row.pool,
        minAgents: row.min_agents,
        maxAgents: row.max_agents,
        priority: row.priority,
        resources: row.resources === null ? null : (JSON.parse(row.resources) as PoolConfig['resources']),
        desired: row.desired,
        version: row.version,
        shares: JSON.parse(row.shares) as number[],
        held: JSON.parse(row.held) as number[],
      }));
  }

  savePool(config: PoolConfig): void {
    this.#sql.exec(
      `INSERT OR REPLACE INTO pools (pool, min_agents, max_agents, priority, resources, desired, version, shares, held)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      config.pool,
      config.minAgents,
      config.maxAgents,
      config.priority,
      config.resources == null ? null : JSON.stringify(config.resources),
      config.desired,
      config.version,
      JSON.stringify(config.shares),
      JSON.stringify(config.held),
    );
  }

  loadSummaries(): ShardSummary[] {
    return this.#sql
      .exec<{ summary: string }>('SELECT summary FROM shards')
      .toArray()
      .map((row) => JSON.parse(row.summary) as ShardSummary);
  }

  saveSummary(summary: ShardSummary): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO shards (pool, shard, version, summary) VALUES (?, ?, ?, ?)',
      summary.pool,
      summary.shard,
      summary.version,
      JSON.stringify(summary),
    );
  }

  appendAudit(row: RegistryAuditRow): void {
    this.#sql.exec(
      'INSERT INTO audit (at_ms, actor, action, request_id, entries) VALUES (?, ?, ?, ?, ?)',
      row.atMs,
      row.actor,
      row.action,
      row.requestId,
      JSON.stringify(row.entries),
    );
  }

  /** The regions remembered for a key since `sinceMs`. */
  findKeyRoute(key: string, sinceMs: number): readonly string[] | null {
    const [row] = this.#sql
      .exec<{ regions: string }>('SELECT regions FROM key_routes WHERE key = ? AND at_ms > ?', key, sinceMs)
      .toArray();
    return row === undefined ? null : (JSON.parse(row.regions) as string[]);
  }

  /** A key whose time is over is written anew, and counts as the newest. */
  saveKeyRoute(key: string, regions: readonly string[], atMs: number): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO key_routes (key, regions, at_ms) VALUES (?, ?, ?)',
      key,
      JSON.stringify(regions),
      atMs,
    );
  }

  /**
   * Looks at the `step` oldest keys and removes those from before `sinceMs` and those that are not among the `keep` newest
   * (to within keys that were written anew). Answers how many it removed.
   */
  pruneKeyRoutes(limits: { readonly sinceMs: number; readonly keep: number; readonly step: number }): number {
    return this.#sql.exec(
      `DELETE FROM key_routes WHERE seq IN (SELECT seq FROM key_routes ORDER BY seq LIMIT ?)
         AND (at_ms <= ? OR seq <= (SELECT MAX(seq) FROM key_routes) - ?)`,
      limits.step,
      limits.sinceMs,
      limits.keep,
    ).rowsWritten;
  }

  /** When the oldest key was written, or null. */
  oldestKeyRouteMs(): number | null {
    return this.#sql.exec<{ at_ms: number }>('SELECT at_ms FROM key_routes ORDER BY seq LIMIT 1').toArray()[0]?.at_ms ?? null;
  }

  /** Everything but the schema. */
  clear(): void {
    for (const table of ['pools', 'shards', 'audit', 'key_routes']) this.#sql.exec(`DELETE FROM ${table}`);
  }

  /** Answers whether it is new. */
  saveSwarm({ swarm, shard }: SwarmRef): boolean {
    return this.#sql.exec('INSERT OR IGNORE INTO swarms (swarm, shard) VALUES (?, ?)', swarm, shard).rowsWritten > 0;
  }

  hasSwarm({ swarm, shard }: SwarmRef): boolean {
    return this.#sql.exec('SELECT 1 AS n FROM swarms WHERE swarm = ? AND shard = ?', swarm, shard).toArray().length > 0;
  }

  swarms(): SwarmRef[] {
    return this.#sql.exec<{ swarm: string; shard: number }>('SELECT swarm, shard FROM swarms').toArray();
  }
}
