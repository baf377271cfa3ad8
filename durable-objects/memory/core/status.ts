import { invalidState, notFound, type FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { MemorySettings, MemoryStatus } from '../../../shared/schemas/memory.ts';
import { isInside } from './acl.ts';
import { isOver } from './fences.ts';
import { audit, event } from './records.ts';
import { isUntouched, setShardCount, shardCount } from './shards.ts';
import { first, rows, run, sql, type Sql } from './sql.ts';
import { counters, NOT_WRITABLE, type Step } from './step.ts';
import { settingsOf } from './text-index.ts';

const LATEST = 100;
const HOUR_MINUTES = 60;

/** Counts what was done since the last call into the minute's row. */
export function keepMetrics(db: Sql, nowMs: number, counts: ReadonlyMap<string, number>): void {
  const minute = Math.floor(nowMs / 60_000);
  for (const [name, by] of counts) {
    run(
      db,
      sql`INSERT INTO metrics (minute, name, value) VALUES (${minute}, ${name}, ${by})
        ON CONFLICT (minute, name) DO UPDATE SET value = metrics.value + excluded.value`,
    );
  }
}

/** How the memory stands, for those who run it. `pendingMetrics`: counts that are not stored yet. */
export function memoryStatus(
  step: Step,
  facts: {
    readonly databaseBytes: number;
    readonly pendingMetrics: ReadonlyMap<string, number>;
    readonly restorePoints: MemoryStatus['restorePoints'];
  },
): Result<MemoryStatus, FleetError> {
  if (!isInside(step.who)) return err(notFound('memory'));
  const { db, nowMs } = step;
  const now = counters(db);
  const count = (query: string): number => first<{ n: number }>(db, { text: query, values: [] })?.n ?? 0;
  const metrics: Record<string, number> = Object.fromEntries(facts.pendingMetrics);
  const since = Math.floor(nowMs / 60_000) - HOUR_MINUTES;
  for (const { name, value } of rows<{ name: string; value: number }>(
    db,
    sql`SELECT name, SUM(value) AS value FROM metrics WHERE minute > ${since} GROUP BY name`,
  )) {
    metrics[name] = (metrics[name] ?? 0) + value;
  }
  return ok({
    swarm: step.swarm,
    region: step.region,
    entries: now.entries,
    bytes: now.bytes,
    artifacts: count('SELECT COUNT(*) AS n FROM artifacts'),
    claims:
      first<{ n: number }>(db, sql`SELECT COUNT(DISTINCT r.claim_id) AS n FROM resources r WHERE NOT ${isOver(nowMs)}`)?.n ?? 0,
    aclEpoch: now.acl_epoch,
    databaseBytes: facts.databaseBytes,
    restorePoints: facts.restorePoints,
    agents: rows<{ id: string; pool: string; status: string; updated_at: number }>(
      db,
      sql`SELECT id, pool, status, updated_at FROM agents ORDER BY updated_at DESC LIMIT ${LATEST}`,
    ).map(({ updated_at: updatedAtMs, ...agent }) => ({ ...agent, updatedAtMs })),
    tasks: rows<{ id: string; status: string; agent_id: string | null; updated_at: number }>(
      db,
      sql`SELECT id, status, agent_id, updated_at FROM tasks ORDER BY updated_at DESC LIMIT ${LATEST}`,
    ).map((row) => ({
      id: row.id,
      status: row.status,
      ...(row.agent_id === null ? {} : { agentId: row.agent_id }),
      updatedAtMs: row.updated_at,
    })),
    metrics,
  });
}

export const getSettings = (step: Step): Result<MemorySettings, FleetError> =>
  isInside(step.who) ? ok({ ...settingsOf(step.db), shards: shardCount(step.db) }) : err(notFound('memory'));

/** Sets the swarm's settings as a whole. A new rule of voting holds for what is not decided yet. */
export function putSettings(step: Step, input: { readonly settings: MemorySettings }): Result<MemorySettings, FleetError> {
  const { shards = shardCount(step.db), ...settings } = input.settings;
  if (step.who.role !== 'admin') return err(NOT_WRITABLE);
  if (shards !== shardCount(step.db)) {
    if (!isUntouched(step.db)) return err(invalidState('written', 'The number of shards is chosen before anything is written.'));
    setShardCount(step.db, shards);
  }
  run(
    step.db,
    sql`INSERT INTO settings (id, settings, reindex_after) VALUES (1, ${JSON.stringify(settings)}, 0)
      ON CONFLICT (id) DO UPDATE SET settings = excluded.settings, reindex_after = 0`,
  );
  event(step, 'settings.changed', {});
  audit(step, 'put_settings', 'settings', { ...settings, shards });
  return ok({ ...settings, shards });
}
