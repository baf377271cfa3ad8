import { LIMITS } from '../../shared/limits.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import type { TaskStatus } from '../../shared/schemas/tasks.ts';
import type { SqlDatabase } from '../lib/sql.ts';
import type { Changes } from './core/changes.ts';
import { ENDED, type AgentRecord, type BlobKind, type LeaseRecord, type TaskRecord } from './core/records.ts';
import type { AuditRow, PoolStorage, Pruned, ShardMeta, Snapshot, StoredAnswer } from './storage.ts';

type Row = Record<string, string | number | null>;
type AgentState = Omit<AgentRecord, 'id' | 'spec' | 'createdAtMs'>;

type KeptAudit = Omit<AuditRow, 'entries'> & { readonly entries: AuditRow['entries'][number][] };

/** Changes that one audit row tells of; a row stays far below the platform's 2 MB. */
const AUDIT_ENTRIES_MAX = 1_000;

/**
 * The rows of a shard in the object's own SQLite. Records are JSON beside the few columns that are searched by.
 *
 * What every step would write again, the shard's own record and the audit rows of one call, is kept back and written once
 * by `flush`, which belongs at the end of each transaction that wrote.
 */
export class SqlitePoolStorage implements PoolStorage {
  readonly #sql: SqlDatabase;
  #meta: ShardMeta | null = null;
  #audit: KeptAudit[] = [];

  constructor(sql: SqlDatabase) {
    this.#sql = sql;
  }

  #all<T extends Row>(query: string, ...params: (string | number | null)[]): T[] {
    return this.#sql.exec<T>(query, ...params).toArray();
  }

  load(): Snapshot | null {
    this.flush();
    const meta = this.#all<{ data: string }>('SELECT data FROM meta WHERE id = 1')[0];
    if (meta === undefined) return null;
    const ended: Snapshot['ended'] = {};
    const counts = this.#all<{ status: TaskStatus; n: number }>(
      'SELECT status, count(*) AS n FROM tasks WHERE expires_at_ms IS NOT NULL GROUP BY status',
    );
    for (const row of counts) ended[row.status] = row.n;
    return {
      meta: JSON.parse(meta.data) as ShardMeta,
      agents: this.#all<{ id: string; spec: string; created_at_ms: number; state: string }>(
        'SELECT * FROM agents ORDER BY id',
      ).map((row) => ({
        id: row.id,
        spec: JSON.parse(row.spec) as AgentRecord['spec'],
        createdAtMs: row.created_at_ms,
        ...(JSON.parse(row.state) as AgentState),
      })),
      leases: this.#all<{ data: string }>('SELECT data FROM leases WHERE ended_at_ms IS NULL ORDER BY id').map(
        (r) => JSON.parse(r.data) as LeaseRecord,
      ),
      tasks: this.#all<{ data: string }>('SELECT data FROM tasks WHERE expires_at_ms IS NULL ORDER BY id').map(
        (r) => JSON.parse(r.data) as TaskRecord,
      ),
      ended,
    };
  }

  write(changes: Changes, meta: ShardMeta): void {
    const sql = this.#sql;
    for (const agent of changes.newAgents.values()) {
      sql.exec(
        'INSERT INTO agents (id, spec, created_at_ms, state) VALUES (?, ?, ?, ?)',
        agent.id,
        JSON.stringify(agent.spec),
        agent.createdAtMs,
        stateOf(agent),
      );
    }
    for (const [id, agent] of changes.agents)
      if (!changes.newAgents.has(id)) sql.exec('UPDATE agents SET state = ? WHERE id = ?', stateOf(agent), id);
    for (const id of changes.removedAgents) sql.exec('DELETE FROM agents WHERE id = ?', id);
    for (const lease of changes.leases.values()) {
      sql.exec(
        'INSERT OR REPLACE INTO leases (id, ended_at_ms, data) VALUES (?, ?, ?)',
        lease.id,
        lease.endedAtMs,
        JSON.stringify(lease),
      );
    }
    for (const task of changes.tasks.values()) {
      const expiresAtMs = task.completedAtMs === null ? null : task.completedAtMs + task.resultTtlMs;
      sql.exec(
        'INSERT OR REPLACE INTO tasks (id, status, expires_at_ms, data) VALUES (?, ?, ?, ?)',
        task.id,
        task.status,
        expiresAtMs,
        JSON.stringify(task),
      );
    }
    for (const blob of changes.blobs) {
      if (blob.json === null) sql.exec('DELETE FROM task_blobs WHERE task_id = ? AND kind = ?', blob.taskId, blob.kind);
      else
        sql.exec('INSERT OR REPLACE INTO task_blobs (task_id, kind, data) VALUES (?, ?, ?)', blob.taskId, blob.kind, blob.json);
    }
    this.#meta = meta;
  }

  /** Writes what was kept back. */
  flush(): void {
    if (this.#meta !== null) {
      this.#sql.exec('INSERT OR REPLACE INTO meta (id, data) VALUES (1, ?)', JSON.stringify(this.#meta));
      this.#meta = null;
    }
    if (this.#audit.length === 0) return;
    const rows = this.#audit;
    this.#audit = [];
    for (const row of rows) {
      this.#sql.exec(
        'INSERT INTO audit (at_ms, actor, action, request_id, entries) VALUES (?, ?, ?, ?, ?)',
        row.atMs,
        row.actor,
        row.action,
        row.requestId,
        JSON.stringify(row.entries),
      );
    }
  }

  lease(id: string): LeaseRecord | null {
    const row = this.#all<{ data: string }>('SELECT data FROM leases WHERE id = ?', id)[0];
    return row === undefined ? null : (JSON.parse(row.data) as LeaseRecord);
  }

  task(id: string): TaskRecord | null {
    const row = this.#all<{ data: string }>('SELECT data FROM tasks WHERE id = ?', id)[0];
    return row === undefined ? null : (JSON.parse(row.data) as TaskRecord);
  }

  blob(taskId: string, kind: BlobKind): JsonText | null {
    return (
      this.#all<{ data: string }>('SELECT data FROM task_blobs WHERE task_id = ? AND kind = ?', taskId, kind)[0]?.data ?? null
    );
  }

  tasks(status: TaskStatus | null, after: string | null, limit: number): readonly TaskRecord[] {
    const rows =
      status === null
        ? this.#all<{ data: string }>('SELECT data FROM tasks WHERE id > ? ORDER BY id LIMIT ?', after ?? '', limit)
        : this.#all<{ data: string }>(
            'SELECT data FROM tasks WHERE status = ? AND id > ? ORDER BY id LIMIT ?',
            status,
            after ?? '',
            limit,
          );
    return rows.map((row) => JSON.parse(row.data) as TaskRecord);
  }

  answer(key: string): StoredAnswer | null {
    const row = this.#all<{ body_hash: string; state: 'done' | 'passed'; answer: string; at_ms: number }>(
      'SELECT * FROM idempotency WHERE key = ?',
      key,
    )[0];
    return row === undefined ? null : { bodyHash: row.body_hash, state: row.state, answer: row.answer, atMs: row.at_ms };
  }

  putAnswer(key: string, answer: StoredAnswer): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO idempotency (key, body_hash, state, answer, at_ms) VALUES (?, ?, ?, ?, ?)',
      key,
      answer.bodyHash,
      answer.state,
      answer.answer,
      answer.atMs,
    );
  }

  forgetAnswers(keys: readonly string[]): void {
    for (const key of keys) this.#sql.exec("DELETE FROM idempotency WHERE key = ? AND state = 'passed'", key);
  }

  /** Steps of one call that do the same are one row: a batch of 256 releases is told once, with 256 entries. */
  audit(row: AuditRow): void {
    const last = this.#audit.at(-1);
    const isSameCall = last?.requestId === row.requestId && last.actor === row.actor && last.action === row.action;
    if (isSameCall && last.entries.length + row.entries.length <= AUDIT_ENTRIES_MAX) {
      last.entries.push(...row.entries);
      return;
    }
    // One step may tell of every agent there is: thousands whose sockets a crash took. Too large a row would fail each wake.
    for (let at = 0; at < row.entries.length || at === 0; at += AUDIT_ENTRIES_MAX)
      this.#audit.push({ ...row, entries: row.entries.slice(at, at + AUDIT_ENTRIES_MAX) });
  }

  prune(nowMs: number, step: number): Pruned {
    const tasks = this.#pruneTasks(nowMs, step);
    const leases = this.#pruneByAge(
      'leases',
      'id',
      'ended_at_ms',
      nowMs - LIMITS.allocationRetentionMs,
      LIMITS.endedAllocationsPerShard,
      step,
    );
    const answers = this.#pruneByAge(
      'idempotency',
      'key',
      'at_ms',
      nowMs - LIMITS.idempotencyTtlMs,
      LIMITS.idempotencyPerShard,
      step,
    );
    const rows = Object.values(tasks).reduce((a, b) => a + b, 0) + leases + answers;
    const next = [
      this.#min('SELECT min(expires_at_ms) AS at FROM tasks WHERE expires_at_ms IS NOT NULL', 0),
      this.#min('SELECT min(ended_at_ms) AS at FROM leases WHERE ended_at_ms IS NOT NULL', LIMITS.allocationRetentionMs),
      this.#min('SELECT min(at_ms) AS at FROM idempotency', LIMITS.idempotencyTtlMs),
    ].filter((at) => at !== null);
    return { tasks, rows, nextAtMs: next.length === 0 ? null : Math.min(...next) };
  }

  #min(query: string, ageMs: number): number | null {
    const at = this.#all<{ at: number | null }>(query)[0]?.at ?? null;
    return at === null ? null : at + ageMs;
  }

  #pruneTasks(nowMs: number, step: number): Partial<Record<TaskStatus, number>> {
    const removed: Partial<Record<TaskStatus, number>> = {};
    const over = Math.max(
      0,
      this.#count('SELECT count(*) AS n FROM tasks WHERE expires_at_ms IS NOT NULL') - LIMITS.endedTasksPerShard,
    );
    const due = this.#all<{ id: string; status: TaskStatus }>(
      'SELECT id, status FROM tasks WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?',
      nowMs,
      step,
    );
    const extra = this.#all<{ id: string; status: TaskStatus }>(
      'SELECT id, status FROM tasks WHERE expires_at_ms > ? ORDER BY expires_at_ms LIMIT ?',
      nowMs,
      Math.min(step, Math.max(0, over - due.length)),
    );
    for (const row of [...due, ...extra]) {
      if (!ENDED.has(row.status)) throw new Error(`a live task with an expiry: ${row.id}`);
      this.#sql.exec('DELETE FROM tasks WHERE id = ?', row.id);
      this.#sql.exec('DELETE FROM task_blobs WHERE task_id = ?', row.id);
      removed[row.status] = (removed[row.status] ?? 0) + 1;
    }
    return removed;
  }

  #pruneByAge(
    table: 'leases' | 'idempotency',
    key: 'id' | 'key',
    column: 'ended_at_ms' | 'at_ms',
    beforeMs: number,
    keep: number,
    step: number,
  ): number {
    const keys = (where: string, limit: number, ...params: number[]): { id: string }[] =>
      limit <= 0
        ? []
        : this.#all<{ id: string }>(
            `SELECT ${key} AS id FROM ${table} WHERE ${where} ORDER BY ${column} LIMIT ?`,
            ...params,
            limit,
          );
    const over = this.#count(`SELECT count(*) AS n FROM ${table} WHERE ${column} IS NOT NULL`) - keep;
    const due = keys(`${column} <= ?`, step, beforeMs);
    // What its age has removed no longer counts against the number.
    const gone = [...due, ...keys(`${column} > ?`, Math.min(step, over - due.length), beforeMs)];
    for (const { id } of gone) this.#sql.exec(`DELETE FROM ${table} WHERE ${key} = ?`, id);
    return gone.length;
  }

  #count(query: string): number {
    return this.#all<{ n: number }>(query)[0]?.n ?? 0;
  }
}

function stateOf(agent: AgentRecord): string {
  const { id: _id, spec: _spec, createdAtMs: _createdAtMs, ...state } = agent;
  return JSON.stringify(state);
}
