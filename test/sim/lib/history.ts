import { ENDED, type AgentRecord, type LeaseRecord, type TaskRecord } from '../../../durable-objects/pool/core/records.ts';
import type { MemoryRows } from '../../../durable-objects/pool/memory-storage.ts';
import { must } from './must.ts';
import type { WriteLog } from './sim-storage.ts';

/**
 * The whole committed history of a shard, over all crashes, as an outsider would keep it: from rows only, never from the
 * engine's memory. Leases, tokens and ends are remembered after the shard has forgotten them.
 */
export class History {
  readonly agents = new Map<string, { readonly slots: number }>();
  readonly leases = new Map<string, LeaseRecord>();
  readonly byToken = new Map<number, LeaseRecord>();
  readonly tasks = new Map<string, TaskRecord>();
  /** The highest limit that was ever said for a concurrency key. */
  readonly #limits = new Map<string, number>();
  readonly #active = new Map<string, LeaseRecord>();
  readonly #live = new Map<string, TaskRecord>();
  /** Ended tasks still stored, by status. */
  readonly ended: Record<string, number> = {};
  #lastToken = 0;
  #lastVersion = 0;
  #lastSeq = 0;

  get active(): ReadonlyMap<string, LeaseRecord> {
    return this.#active;
  }
  get live(): ReadonlyMap<string, TaskRecord> {
    return this.#live;
  }

  commit(log: WriteLog, rows: MemoryRows): void {
    for (const id of log.newAgents) {
      const text = rows.agents.get(id);
      if (text !== undefined) this.agents.set(id, { slots: (JSON.parse(text) as AgentRecord).spec.slots });
    }
    const leases = [...log.leases]
      .map((id) => JSON.parse(read(rows.leases, id)) as LeaseRecord)
      .toSorted((a, b) => a.fencingToken - b.fencingToken);
    for (const lease of leases) this.#lease(lease);
    for (const id of log.tasks) this.#task(JSON.parse(read(rows.tasks, id)) as TaskRecord);
    for (const id of log.removedAgents) {
      this.agents.delete(id);
      for (const lease of this.#active.values()) must(lease.agentId !== id, `agent ${id} left while it held ${lease.id}`);
    }
    for (const [status, n] of log.pruned) this.ended[status] = (this.ended[status] ?? 0) - n;
    for (const meta of log.metas) {
      must(meta.summaryVersion > this.#lastVersion, `summary version ${meta.summaryVersion} after ${this.#lastVersion}`);
      this.#lastVersion = meta.summaryVersion;
      must(meta.nextTaskSeq >= this.#lastSeq, `task number ${meta.nextTaskSeq} after ${this.#lastSeq}`);
      this.#lastSeq = meta.nextTaskSeq;
    }
    must(log.audits >= log.changing, `${log.changing} changes, ${log.audits} audit rows (I14)`);
    if (leases.length > 0) {
      this.#noSlotTwice();
      this.#withinLimits();
    }
  }

  #lease(lease: LeaseRecord): void {
    const before = this.leases.get(lease.id);
    if (before === undefined) {
      must(lease.fencingToken > this.#lastToken, `token ${lease.fencingToken} after ${this.#lastToken} (I2)`);
      this.#lastToken = lease.fencingToken;
      this.byToken.set(lease.fencingToken, lease);
    } else {
      const same = before.fencingToken === lease.fencingToken && before.agentId === lease.agentId && before.slots === lease.slots;
      must(same, `lease ${lease.id} changed its token, agent or slots`);
      must(
        before.status === 'active' || before.status === lease.status,
        `${before.status} lease ${lease.id} became ${lease.status} (I6)`,
      );
      must(before.endedAtMs === null || before.endedAtMs === lease.endedAtMs, `lease ${lease.id} ended twice (I6)`);
      this.byToken.set(lease.fencingToken, lease);
    }
    this.leases.set(lease.id, lease);
    if (lease.status === 'active') this.#active.set(lease.id, lease);
    else this.#active.delete(lease.id);
  }

  #task(task: TaskRecord): void {
    const before = this.tasks.get(task.id);
    if (before !== undefined && ENDED.has(before.status))
      must(before.status === task.status && before.completedAtMs === task.completedAtMs, `task ${task.id} ended twice (I7)`);
    must(task.attempts <= task.maxAttempts, `task ${task.id} has ${task.attempts} of ${task.maxAttempts} attempts (I7)`);
    if (task.concurrency !== null) {
      const { key, limit } = task.concurrency;
      this.#limits.set(key, Math.max(limit, this.#limits.get(key) ?? 0));
    }
    const counted = before !== undefined && this.#live.has(task.id);
    this.tasks.set(task.id, task);
    if (!ENDED.has(task.status)) this.#live.set(task.id, task);
    else if (counted || before === undefined) {
      this.#live.delete(task.id);
      this.ended[task.status] = (this.ended[task.status] ?? 0) + 1;
    }
  }

  #withinLimits(): void {
    const held = new Map<string, number>();
    for (const { concurrency, allocationId } of this.#live.values())
      if (concurrency !== null && allocationId !== null) held.set(concurrency.key, (held.get(concurrency.key) ?? 0) + 1);
    for (const [key, n] of held)
      must(n <= (this.#limits.get(key) ?? 0), `${n} tasks of the concurrency key ${key} are under way`);
  }

  /** I1 from rows alone. */
  #noSlotTwice(): void {
    const used = new Map<string, number>();
    for (const lease of this.#active.values()) used.set(lease.agentId, (used.get(lease.agentId) ?? 0) + lease.slots);
    for (const [id, slots] of used) {
      const agent = this.agents.get(id);
      must(
        agent !== undefined && slots <= agent.slots,
        `agent ${id} has ${agent?.slots ?? 'no'} slots, ${slots} are leased (I1)`,
      );
    }
  }
}

function read(rows: ReadonlyMap<string, string>, id: string): string {
  const text = rows.get(id);
  must(text !== undefined, `${id} was written and is not there`);
  return text;
}
