import { LIMITS } from '../../shared/limits.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import { TASK_STATUSES, type TaskStatus } from '../../shared/schemas/tasks.ts';
import type { SqlDatabase } from '../lib/sql.ts';
import type { Changes } from './core/changes.ts';
import {
  ENDED,
  type AgentRecord,
  type BlobKind,
  type LeaseRecord,
  type RevocationRecord,
  type TaskRecord,
} from './core/records.ts';
import { blobKey, Journal } from './journal.ts';
import type { AuditRow, PoolStorage, Pruned, ShardMeta, Snapshot, StoredAnswer } from './storage.ts';

type Row = Record<string, string | number | null>;
type AgentState = Omit<AgentRecord, 'id' | 'spec' | 'createdAtMs'>;

type KeptAudit = Omit<AuditRow, 'entries'> & { readonly entries: AuditRow['entries'][number][] };

/** Changes that one audit row tells of; a row stays far below the platform's 2 MB. */
const AUDIT_ENTRIES_MAX = 1_000;
/** A larger blob goes into its table at once: twice in the database and once in memory is too much for it. */
const JOURNALED_BLOB_CHARS_MAX = 32_768;

/** By their status, which has an index for lists anyway; the order is what the shard is rebuilt in. */
const LIVE_TASKS = `SELECT data FROM tasks WHERE status IN (${TASK_STATUSES.filter((status) => !ENDED.has(status))
  .map((status) => `'${status}'`)
  .join(', ')}) ORDER BY id`;

/**
 * The rows of a shard in the object's own SQLite. Records are JSON beside the few columns that are searched by.
 *
 * Rows that change with every commit go through a journal, and are read from there until they are in their tables. `flush`
 * belongs at the end of each transaction that wrote.
 */
export class SqlitePoolStorage implements PoolStorage {
  readonly #sql: SqlDatabase;
  readonly #journal: Journal;
  #audit: KeptAudit[] = [];
  /** Of the latest audit row; null until it is looked up. */
  #auditSeq: number | null = null;
  /** Rows above the number kept that a row of prunings has still to remove; null between two of them. */
  #excess: Excess | null = null;

  constructor(sql: SqlDatabase) {
    this.#sql = sql;
    this.#journal = new Journal(sql);
  }

  #all<T extends Row>(query: string, ...params: (string | number | null)[]): T[] {
    return this.#sql.exec<T>(query, ...params).toArray();
  }

  load(): Snapshot | null {
    this.flush();
    this.#journal.replay();
    this.#journal.fold();
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
      tasks: this.#all<{ data: string }>(LIVE_TASKS).map((r) => JSON.parse(r.data) as TaskRecord),
      revocations: this.#all<{ data: string }>('SELECT data FROM revocations WHERE ended_at_ms IS NULL ORDER BY epoch').map(
        (r) => JSON.parse(r.data) as RevocationRecord,
      ),
      ended,
    };
  }

  write(changes: Changes, meta: ShardMeta): void {
    const sql = this.#sql;
    const journal = this.#journal;
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
      if (!changes.newAgents.has(id)) journal.set('agents', id, `{"id":${JSON.stringify(id)},"state":${stateOf(agent)}}`);
    for (const id of changes.removedAgents) sql.exec('DELETE FROM agents WHERE id = ?', id);
    for (const lease of changes.leases.values()) journal.set('leases', lease.id, JSON.stringify(lease));
    for (const task of changes.tasks.values()) journal.set('tasks', task.id, JSON.stringify(task));
    for (const revocation of changes.revocations.values()) this.#writeRevocation(revocation);
    for (const blob of changes.blobs) this.#writeBlob(blob);
    journal.set('meta', '', JSON.stringify(meta));
  }

  #writeBlob({ taskId, kind, json }: Changes['blobs'][number]): void {
    if (json === null || json.length <= JOURNALED_BLOB_CHARS_MAX) {
      this.#journal.set('blobs', blobKey(taskId, kind), JSON.stringify({ id: taskId, kind, data: json }));
      return;
    }
    // What the journal has of it is older, and must not be written over it later.
    if (this.#journal.get('blobs', blobKey(taskId, kind)) !== undefined) this.#journal.fold();
    this.#sql.exec('INSERT OR REPLACE INTO task_blobs (task_id, kind, data) VALUES (?, ?, ?)', taskId, kind, json);
  }

  /** Rare, so each one makes room for itself. */
  #writeRevocation(revocation: RevocationRecord): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO revocations (epoch, ended_at_ms, data) VALUES (?, ?, ?)',
      revocation.epoch,
      revocation.endedAtMs,
      JSON.stringify(revocation),
    );
    this.#sql.exec(
      'DELETE FROM revocations WHERE epoch = ? AND ended_at_ms IS NOT NULL',
      revocation.epoch - LIMITS.revocationsPerShard,
    );
  }

  /** Makes what was written durable with the transaction. */
  flush(): void {
    this.#tellAudit();
    this.#journal.flush();
  }

  /** As `flush`, and everything is in its table. */
  fold(): void {
    this.#tellAudit();
    this.#journal.fold();
  }

  /** The tables are gone, and with them what was to go into them. */
  forget(): void {
    this.#journal.forget();
    this.#audit = [];
    this.#auditSeq = null;
    this.#excess = null;
  }

  #tellAudit(): void {
    if (this.#audit.length === 0) return;
    this.#auditSeq ??= this.#all<{ seq: number | null }>('SELECT max(seq) AS seq FROM audit')[0]?.seq ?? 0;
    for (const row of this.#audit) {
      this.#auditSeq += 1;
      this.#journal.set('audit', String(this.#auditSeq), JSON.stringify({ seq: this.#auditSeq, ...row }));
    }
    this.#audit = [];
  }

  lease(id: string): LeaseRecord | null {
    const text =
      this.#journal.get('leases', id) ?? this.#all<{ data: string }>('SELECT data FROM leases WHERE id = ?', id)[0]?.data;
    return text === undefined ? null : (JSON.parse(text) as LeaseRecord);
  }

  task(id: string): TaskRecord | null {
    const text =
      this.#journal.get('tasks', id) ?? this.#all<{ data: string }>('SELECT data FROM tasks WHERE id = ?', id)[0]?.data;
    return text === undefined ? null : (JSON.parse(text) as TaskRecord);
  }

  revocation(epoch: number): RevocationRecord | null {
    const row = this.#all<{ data: string }>('SELECT data FROM revocations WHERE epoch = ?', epoch)[0];
    return row === undefined ? null : (JSON.parse(row.data) as RevocationRecord);
  }

  blob(taskId: string, kind: BlobKind): JsonText | null {
    const waits = this.#journal.get('blobs', blobKey(taskId, kind));
    if (waits !== undefined) return (JSON.parse(waits) as { readonly data: JsonText | null }).data;
    return (
      this.#all<{ data: string }>('SELECT data FROM task_blobs WHERE task_id = ? AND kind = ?', taskId, kind)[0]?.data ?? null
    );
  }

  tasks(status: TaskStatus | null, after: string | null, limit: number): readonly TaskRecord[] {
    this.fold();
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

  answers(keys: readonly string[]): ReadonlyMap<string, StoredAnswer> {
    const found = new Map<string, StoredAnswer>();
    const asked = keys.filter((key) => {
      const waits = this.#journal.get('answers', key);
      if (waits === undefined) return true;
      const { bodyHash, state, atMs, answer } = JSON.parse(waits) as Omit<StoredAnswer, 'answer'> & { readonly answer: unknown };
      found.set(key, { bodyHash, state, atMs, answer: JSON.stringify(answer) });
      return false;
    });
    if (asked.length === 0) return found;
    const rows = this.#all<{ key: string; body_hash: string; state: 'done' | 'passed'; answer: string; at_ms: number }>(
      'SELECT * FROM idempotency WHERE key IN (SELECT value FROM json_each(?))',
      JSON.stringify(asked),
    );
    for (const row of rows)
      found.set(row.key, { bodyHash: row.body_hash, state: row.state, answer: row.answer, atMs: row.at_ms });
    return found;
  }

  putAnswer(key: string, { bodyHash, state, answer, atMs }: StoredAnswer): void {
    // The answer is JSON text already, so it goes in as it is and not as a string of it.
    this.#journal.set('answers', key, `${JSON.stringify({ key, bodyHash, state, atMs }).slice(0, -1)},"answer":${answer}}`);
  }

  forgetAnswers(keys: readonly string[]): void {
    if (keys.some((key) => this.#journal.get('answers', key) !== undefined)) this.fold();
    this.#sql.exec(
      "DELETE FROM idempotency WHERE state = 'passed' AND key IN (SELECT value FROM json_each(?))",
      JSON.stringify(keys),
    );
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

  /**
   * What is over the numbers kept is counted once for a row of full steps: with a million rows a count takes as long as
   * removing some thousand of them.
   */
  prune(nowMs: number, step: number): Pruned {
    this.fold();
    this.#excess ??= {
      tasks: this.#count('tasks', 'expires_at_ms') - LIMITS.endedTasksPerShard,
      leases: this.#count('leases', 'ended_at_ms') - LIMITS.endedAllocationsPerShard,
      answers: this.#count('idempotency', 'at_ms') - LIMITS.idempotencyPerShard,
    };
    const excess = this.#excess;
    const tasks: Partial<Record<TaskStatus, number>> = {};
    const oldTasks = this.#oldest(['tasks', 'id', 'expires_at_ms'], nowMs, excess.tasks, step);
    for (const status of this.#remove(['tasks', 'id', 'status'], oldTasks) as readonly TaskStatus[]) {
      if (!ENDED.has(status)) throw new Error(`a live task with an expiry: ${status}`);
      tasks[status] = (tasks[status] ?? 0) + 1;
    }
    this.#remove(['task_blobs', 'task_id', 'task_id'], oldTasks);
    const leasesBeforeMs = nowMs - LIMITS.allocationRetentionMs;
    const oldLeases = this.#oldest(['leases', 'id', 'ended_at_ms'], leasesBeforeMs, excess.leases, step);
    this.#remove(['leases', 'id', 'id'], oldLeases);
    const oldAnswers = this.#oldest(['idempotency', 'key', 'at_ms'], nowMs - LIMITS.idempotencyTtlMs, excess.answers, step);
    this.#remove(['idempotency', 'key', 'key'], oldAnswers);

    const removed = [oldTasks.length, oldLeases.length, oldAnswers.length];
    this.#excess = removed.includes(step)
      ? {
          tasks: excess.tasks - oldTasks.length,
          leases: excess.leases - oldLeases.length,
          answers: excess.answers - oldAnswers.length,
        }
      : null;
    const next = [
      this.#min('SELECT min(expires_at_ms) AS at FROM tasks WHERE expires_at_ms IS NOT NULL', 0),
      this.#min('SELECT min(ended_at_ms) AS at FROM leases WHERE ended_at_ms IS NOT NULL', LIMITS.allocationRetentionMs),
      this.#min('SELECT min(at_ms) AS at FROM idempotency', LIMITS.idempotencyTtlMs),
    ].filter((at) => at !== null);
    const rows = removed.reduce((a, b) => a + b, 0);
    return { tasks, rows, more: removed.includes(step), nextAtMs: next.length === 0 ? null : Math.min(...next) };
  }

  #min(query: string, ageMs: number): number | null {
    const at = this.#all<{ at: number | null }>(query)[0]?.at ?? null;
    return at === null ? null : at + ageMs;
  }

  /** Keys of at most `step` rows: those past their age first, then the oldest of those over the number kept. */
  #oldest([table, key, column]: readonly [string, string, string], beforeMs: number, over: number, step: number): string[] {
    const keys = (where: string, limit: number): string[] =>
      limit <= 0
        ? []
        : this.#all<{ key: string }>(
            `SELECT ${key} AS key FROM ${table} WHERE ${where} ORDER BY ${column} LIMIT ?`,
            beforeMs,
            limit,
          ).map((row) => row.key);
    const due = keys(`${column} <= ?`, step);
    // What its age has removed no longer counts against the number.
    return [...due, ...keys(`${column} > ?`, Math.min(step, over) - due.length)];
  }

  /** Answers one column of what was removed. */
  #remove([table, key, column]: readonly [string, string, string], keys: readonly string[]): readonly string[] {
    if (keys.length === 0) return [];
    return this.#all<{ told: string }>(
      `DELETE FROM ${table} WHERE ${key} IN (SELECT value FROM json_each(?)) RETURNING ${column} AS told`,
      JSON.stringify(keys),
    ).map((row) => row.told);
  }

  #count(table: string, column: string): number {
    return this.#all<{ n: number }>(`SELECT count(*) AS n FROM ${table} WHERE ${column} IS NOT NULL`)[0]?.n ?? 0;
  }
}

/** Negative while there are fewer rows than are kept. */
interface Excess {
  readonly tasks: number;
  readonly leases: number;
  readonly answers: number;
}

function stateOf(agent: AgentRecord): string {
  const { id: _id, spec: _spec, createdAtMs: _createdAtMs, ...state } = agent;
  return JSON.stringify(state);
}
