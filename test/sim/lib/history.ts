import { ENDED, type AgentRecord, type LeaseRecord, type TaskRecord } from '../../../durable-objects/pool/core/records.ts';
import type { MemoryRows } from '../../../durable-objects/pool/memory-storage.ts';
import type { LeaseSelector, PoolCommandOf, RevokeStep } from '../../../shared/rpc.ts';
import { must } from './must.ts';
import type { WriteLog } from './sim-storage.ts';

/** Callers with a lease quota, and how much it is. */
export const QUOTAS: Readonly<Record<string, number>> = { alice: 2, bob: 1 };

/**
 * The whole committed history of a shard, over all crashes, as an outsider would keep it: from rows only, never from the
 * engine's memory. Leases, tokens and ends are remembered after the shard has forgotten them.
 */
export class History {
  readonly agents = new Map<string, Pick<AgentRecord['spec'], 'slots' | 'capabilities' | 'labels'>>();
  readonly leases = new Map<string, LeaseRecord>();
  readonly byToken = new Map<number, LeaseRecord>();
  readonly tasks = new Map<string, TaskRecord>();
  /** The highest limit that was ever said for a concurrency key. */
  readonly #limits = new Map<string, number>();
  readonly #active = new Map<string, LeaseRecord>();
  readonly #live = new Map<string, TaskRecord>();
  /** Ended tasks still stored, by status. */
  readonly ended: Record<string, number> = {};
  readonly #revocations = new Map<number, { readonly selector: LeaseSelector; readonly fence: number; isDone: boolean }>();
  readonly #ended = new Set<number>();
  /** Leases that a revocation has still to end, and when they end by themselves. */
  readonly #doomed = new Map<string, number>();
  #lastToken = 0;
  #lastEpoch = 0;
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
      if (text !== undefined) this.agents.set(id, (JSON.parse(text) as AgentRecord).spec);
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
      must((meta.epoch ?? 0) >= this.#lastEpoch, `epoch ${meta.epoch} after ${this.#lastEpoch}`);
      this.#lastEpoch = meta.epoch ?? 0;
    }
    must(log.audits >= log.changing, `${log.changing} changes, ${log.audits} audit rows (I14)`);
    if (leases.length > 0) {
      this.#noSlotTwice();
      this.#withinQuotas();
      this.#withinLimits();
    }
  }

  /** A step of a revocation was answered. What it covers may neither be used any more nor outlive its last step. */
  revoked({ epoch, selector }: PoolCommandOf<'revokeLeases'>, step: RevokeStep): void {
    if (step.epoch === 0) {
      for (const lease of this.#active.values())
        must(!this.#covers(selector, lease), `a revocation did not see lease ${lease.id}`);
      return;
    }
    const known = this.#revocations.get(step.epoch);
    if (known === undefined) {
      // A step that was sent twice, or late, may come when all is done.
      if (this.#ended.has(step.epoch)) return must(!step.more, `revocation ${step.epoch} went on after its end`);
      must(epoch === null, `revocation ${step.epoch} began with a later step`);
      this.#revocations.set(step.epoch, { selector, fence: step.fence, isDone: !step.more });
    } else known.isDone ||= !step.more;
    for (const lease of this.#active.values())
      if (lease.fencingToken <= step.fence && this.#covers(selector, lease)) this.#doomed.set(lease.id, lease.expiresAtMs);
  }

  /** Whether a revocation under way covers this lease and has not reached it yet. */
  isDoomed(leaseId: string): boolean {
    return this.#doomed.has(leaseId);
  }

  checkRevocations(): void {
    for (const [epoch, { selector, fence, isDone }] of this.#revocations) {
      if (!isDone) continue;
      this.#revocations.delete(epoch);
      this.#ended.add(epoch);
      for (const lease of this.#active.values())
        must(
          lease.fencingToken > fence || !this.#covers(selector, lease),
          `lease ${lease.id} outlived revocation ${epoch}, which said that it was done`,
        );
    }
  }

  /** By what is stored, and by other code than the shard's. */
  #covers(selector: LeaseSelector, lease: LeaseRecord): boolean {
    const agent = this.agents.get(lease.agentId);
    const { agentIds, allocationIds, taskIds, holder, capabilities, selectors } = selector;
    const parts: (boolean | undefined)[] = [
      agentIds?.includes(lease.agentId),
      allocationIds?.includes(lease.id),
      taskIds?.includes(lease.taskId ?? ''),
      holder === undefined ? undefined : lease.holder === holder,
      capabilities?.every((c) => agent?.capabilities.includes(c) === true),
      selectors?.some((s) => Object.entries(s.matchLabels ?? {}).every(([key, value]) => agent?.labels[key] === value)),
    ];
    return parts.every((part) => part !== false);
  }

  #withinQuotas(): void {
    const held = new Map<string, number>();
    for (const { holder } of this.#active.values()) if (holder != null) held.set(holder, (held.get(holder) ?? 0) + 1);
    for (const [holder, limit] of Object.entries(QUOTAS))
      must((held.get(holder) ?? 0) <= limit, `${holder} holds ${held.get(holder)} leases of at most ${limit}`);
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
      const doomedMs = this.#doomed.get(lease.id);
      must(doomedMs === undefined || lease.status !== 'released', `lease ${lease.id} was being revoked and was released`);
      must(
        doomedMs === undefined || lease.kind === 'dispatched' || lease.expiresAtMs <= doomedMs,
        `lease ${lease.id} was being revoked and was renewed`,
      );
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
