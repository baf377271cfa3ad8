import { LIMITS } from '../../shared/limits.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import type { TaskStatus } from '../../shared/schemas/tasks.ts';
import type { Changes } from './core/changes.ts';
import type { AgentRecord, BlobKind, LeaseRecord, RevocationRecord, TaskRecord } from './core/records.ts';
import type { AuditRow, PoolStorage, Pruned, ShardMeta, Snapshot, StoredAnswer } from './storage.ts';

/** Everything a memory storage holds, record by record as text. */
export interface MemoryRows {
  readonly meta: string | null;
  readonly agents: ReadonlyMap<string, string>;
  readonly leases: ReadonlyMap<string, string>;
  readonly tasks: ReadonlyMap<string, string>;
  readonly blobs: ReadonlyMap<string, JsonText>;
  readonly revocations: ReadonlyMap<string, string>;
  readonly answers: ReadonlyMap<string, string>;
  readonly auditRows: readonly AuditRow[];
}

const byId = <T extends { readonly id: string }>(a: T, b: T): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/**
 * The rows of a shard in memory, for simulation. Records are kept as text: what is not written is really gone after a
 * reload, and nothing shares an object with the running state.
 */
export class MemoryPoolStorage implements PoolStorage {
  #meta: string | null = null;
  readonly #agents = new Map<string, string>();
  readonly #leases = new Map<string, string>();
  readonly #tasks = new Map<string, string>();
  readonly #blobs = new Map<string, JsonText>();
  readonly #revocations = new Map<string, string>();
  readonly #answers = new Map<string, string>();
  readonly auditRows: AuditRow[] = [];

  /** The rows as they are; they change with the storage. */
  get rows(): MemoryRows {
    return {
      meta: this.#meta,
      agents: this.#agents,
      leases: this.#leases,
      tasks: this.#tasks,
      blobs: this.#blobs,
      revocations: this.#revocations,
      answers: this.#answers,
      auditRows: this.auditRows,
    };
  }

  /** A copy of the rows; `restore` puts it back, as the rollback of a transaction does. */
  copy(): MemoryRows {
    const { meta, agents, leases, tasks, blobs, revocations, answers, auditRows } = this.rows;
    return {
      meta,
      agents: new Map(agents),
      leases: new Map(leases),
      tasks: new Map(tasks),
      blobs: new Map(blobs),
      revocations: new Map(revocations),
      answers: new Map(answers),
      auditRows: [...auditRows],
    };
  }

  restore(rows: MemoryRows): void {
    this.#meta = rows.meta;
    replace(this.#agents, rows.agents);
    replace(this.#leases, rows.leases);
    replace(this.#tasks, rows.tasks);
    replace(this.#blobs, rows.blobs);
    replace(this.#revocations, rows.revocations);
    replace(this.#answers, rows.answers);
    this.auditRows.splice(0, this.auditRows.length, ...rows.auditRows);
  }

  load(): Snapshot | null {
    if (this.#meta === null) return null;
    const tasks = [...this.#tasks.values()].map((t) => JSON.parse(t) as TaskRecord);
    const ended: Snapshot['ended'] = {};
    for (const task of tasks) if (task.completedAtMs !== null) ended[task.status] = (ended[task.status] ?? 0) + 1;
    return {
      meta: JSON.parse(this.#meta) as ShardMeta,
      agents: [...this.#agents.values()].map((a) => JSON.parse(a) as AgentRecord).toSorted(byId),
      leases: [...this.#leases.values()]
        .map((l) => JSON.parse(l) as LeaseRecord)
        .filter((l) => l.endedAtMs === null)
        .toSorted(byId),
      tasks: tasks.filter((t) => t.completedAtMs === null).toSorted(byId),
      revocations: [...this.#revocations.values()]
        .map((r) => JSON.parse(r) as RevocationRecord)
        .filter((r) => r.endedAtMs === null)
        .toSorted((a, b) => a.epoch - b.epoch),
      ended,
    };
  }

  write(changes: Changes, meta: ShardMeta): void {
    for (const agent of changes.newAgents.values()) this.#agents.set(agent.id, JSON.stringify(agent));
    for (const [id, agent] of changes.agents) if (this.#agents.has(id)) this.#agents.set(id, JSON.stringify(agent));
    for (const id of changes.removedAgents) this.#agents.delete(id);
    for (const lease of changes.leases.values()) this.#leases.set(lease.id, JSON.stringify(lease));
    for (const task of changes.tasks.values()) this.#tasks.set(task.id, JSON.stringify(task));
    for (const [epoch, revocation] of changes.revocations) {
      this.#revocations.set(String(epoch), JSON.stringify(revocation));
      const old = this.revocation(epoch - LIMITS.revocationsPerShard);
      if (old !== null && old.endedAtMs !== null) this.#revocations.delete(String(old.epoch));
    }
    for (const { taskId, kind, json } of changes.blobs) {
      if (json === null) this.#blobs.delete(`${taskId}/${kind}`);
      else this.#blobs.set(`${taskId}/${kind}`, json);
    }
    this.#meta = JSON.stringify(meta);
  }

  lease(id: string): LeaseRecord | null {
    const text = this.#leases.get(id);
    return text === undefined ? null : (JSON.parse(text) as LeaseRecord);
  }

  task(id: string): TaskRecord | null {
    const text = this.#tasks.get(id);
    return text === undefined ? null : (JSON.parse(text) as TaskRecord);
  }

  revocation(epoch: number): RevocationRecord | null {
    const text = this.#revocations.get(String(epoch));
    return text === undefined ? null : (JSON.parse(text) as RevocationRecord);
  }

  blob(taskId: string, kind: BlobKind): JsonText | null {
    return this.#blobs.get(`${taskId}/${kind}`) ?? null;
  }

  tasks(status: TaskStatus | null, after: string | null, limit: number): readonly TaskRecord[] {
    return [...this.#tasks.values()]
      .map((t) => JSON.parse(t) as TaskRecord)
      .filter((t) => (status === null || t.status === status) && (after === null || t.id > after))
      .toSorted(byId)
      .slice(0, limit);
  }

  answers(keys: readonly string[]): ReadonlyMap<string, StoredAnswer> {
    return new Map(
      keys.flatMap((key): [string, StoredAnswer][] => {
        const text = this.#answers.get(key);
        return text === undefined ? [] : [[key, JSON.parse(text) as StoredAnswer]];
      }),
    );
  }

  putAnswer(key: string, answer: StoredAnswer): void {
    this.#answers.set(key, JSON.stringify(answer));
  }

  forgetAnswers(keys: readonly string[]): void {
    for (const [key, answer] of this.answers(keys)) if (answer.state === 'passed') this.#answers.delete(key);
  }

  audit(row: AuditRow): void {
    this.auditRows.push(row);
  }

  prune(nowMs: number, step: number): Pruned {
    const removed: Partial<Record<TaskStatus, number>> = {};
    const ended = [...this.#tasks.values()]
      .map((t) => JSON.parse(t) as TaskRecord)
      .flatMap((t) => (t.completedAtMs === null ? [] : [{ task: t, at: t.completedAtMs + t.resultTtlMs }]));
    const drop = overdue(ended, nowMs, LIMITS.endedTasksPerShard, step);
    for (const { task } of drop) {
      this.#tasks.delete(task.id);
      for (const kind of ['payload', 'result', 'progress', 'checkpoint']) this.#blobs.delete(`${task.id}/${kind}`);
      removed[task.status] = (removed[task.status] ?? 0) + 1;
    }
    const leases = [...this.#leases.values()]
      .map((l) => JSON.parse(l) as LeaseRecord)
      .flatMap((l) => (l.endedAtMs === null ? [] : [{ key: l.id, at: l.endedAtMs + LIMITS.allocationRetentionMs }]));
    const answers = [...this.#answers].map(([key, a]) => ({
      key,
      at: (JSON.parse(a) as StoredAnswer).atMs + LIMITS.idempotencyTtlMs,
    }));
    const oldLeases = overdue(leases, nowMs, LIMITS.endedAllocationsPerShard, step);
    const oldAnswers = overdue(answers, nowMs, LIMITS.idempotencyPerShard, step);
    for (const { key } of oldLeases) this.#leases.delete(key);
    for (const { key } of oldAnswers) this.#answers.delete(key);
    const gone = new Set<unknown>([...drop, ...oldLeases, ...oldAnswers]);
    const left = [...ended, ...leases, ...answers].filter((x) => !gone.has(x)).map((x) => x.at);
    const more = [drop, oldLeases, oldAnswers].some((removed) => removed.length === step);
    return { tasks: removed, rows: gone.size, more, nextAtMs: left.length === 0 ? null : Math.min(...left) };
  }
}

function replace(map: Map<string, string>, by: ReadonlyMap<string, string>): void {
  map.clear();
  for (const [key, value] of by) map.set(key, value);
}

/** What is past its time, plus the oldest above the number kept; at most `step` of each. */
function overdue<T extends { readonly at: number }>(items: readonly T[], nowMs: number, keep: number, step: number): T[] {
  const sorted = items.toSorted((a, b) => a.at - b.at);
  const due = sorted.filter((x) => x.at <= nowMs).slice(0, step);
  const over = Math.max(0, Math.min(step, items.length - keep) - due.length);
  return [...due, ...sorted.filter((x) => x.at > nowMs).slice(0, over)];
}
