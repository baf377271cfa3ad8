import { inspect, isDeepStrictEqual } from 'node:util';
import { Changes } from '../../../durable-objects/pool/core/changes.ts';
import type { BlobKind, LeaseRecord, RevocationRecord, TaskRecord } from '../../../durable-objects/pool/core/records.ts';
import { MemoryPoolStorage, type MemoryRows } from '../../../durable-objects/pool/memory-storage.ts';
import type { AuditRow, PoolStorage, Pruned, ShardMeta, Snapshot, StoredAnswer } from '../../../durable-objects/pool/storage.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import type { TaskStatus } from '../../../shared/schemas/tasks.ts';

import { must } from './must.ts';

const BLOB_KINDS: readonly BlobKind[] = ['payload', 'result', 'progress', 'checkpoint'];

/** The machine died at this point: the transaction is rolled back, memory is gone. */
export class InjectedCrash extends Error {
  override readonly name = 'InjectedCrash';
}

/** Where in a transaction the machine dies: before or after its n-th write. */
export interface CrashPoint {
  readonly write: number;
  readonly after: boolean;
}

/** What a transaction has written, by id; the rows say what. */
export interface WriteLog {
  readonly newAgents: Set<string>;
  readonly removedAgents: Set<string>;
  readonly leases: Set<string>;
  readonly tasks: Set<string>;
  /** Ended tasks removed by pruning, by status. */
  readonly pruned: Map<string, number>;
  readonly metas: ShardMeta[];
  /** Writes that changed a record, and audit rows: each of the former needs one of the latter. */
  changing: number;
  audits: number;
}

/** Changes as they are now: their records go on changing. */
export function copyOf(changes: Changes): Changes {
  const { newAgents, agents, removedAgents, leases, tasks, blobs, revocations, config } = changes;
  return Object.assign(
    new Changes(),
    structuredClone({ newAgents, agents, removedAgents, leases, tasks, blobs, revocations, config }),
  );
}

const emptyLog = (): WriteLog => ({
  newAgents: new Set(),
  removedAgents: new Set(),
  leases: new Set(),
  tasks: new Set(),
  pruned: new Map(),
  metas: [],
  changing: 0,
  audits: 0,
});

export interface Mirror extends PoolStorage {
  /** The end of a transaction. */
  flush(): void;
}

const blobsOf = (storage: PoolStorage, { tasks }: MemoryRows): readonly (JsonText | null)[] =>
  [...tasks.keys()].flatMap((id) => BLOB_KINDS.map((kind) => storage.blob(id, kind)));

/**
 * A memory storage with transactions that can be cut off at any write. A `mirror` gets every committed write, too: two
 * storages that are told the same must hold the same.
 */
export class SimStorage implements PoolStorage {
  readonly #inner = new MemoryPoolStorage();
  readonly #mirror: Mirror | null;
  #mirrored: ((mirror: Mirror) => void)[] = [];
  #log = emptyLog();
  #writes = 0;
  #crash: CrashPoint | null = null;
  #before: MemoryRows | null = null;

  constructor(mirror: Mirror | null) {
    this.#mirror = mirror;
  }

  get rows(): MemoryRows {
    return this.#inner.rows;
  }

  begin(crash: CrashPoint | null): void {
    this.#log = emptyLog();
    this.#writes = 0;
    this.#mirrored = [];
    this.#crash = crash;
    this.#before = crash === null ? null : this.#inner.copy();
  }

  commit(): WriteLog {
    this.#crash = null;
    this.#before = null;
    if (this.#mirror !== null) {
      for (const write of this.#mirrored) write(this.#mirror);
      this.#mirror.flush();
    }
    this.#mirrored = [];
    return this.#log;
  }

  rollback(): void {
    if (this.#before === null) throw new Error('rollback of a transaction that cannot crash');
    this.#inner.restore(this.#before);
    this.#mirrored = [];
    this.commit();
  }

  /** Whether the mirror holds what we hold. */
  compare(): void {
    const mirror = this.#mirror;
    if (mirror === null) return;
    const pairs = [
      [
        'leases',
        [...this.rows.leases.keys()].map((id) => this.lease(id)),
        [...this.rows.leases.keys()].map((id) => mirror.lease(id)),
      ],
      [
        'revocations',
        [...this.rows.revocations.keys()].map((epoch) => this.revocation(Number(epoch))),
        [...this.rows.revocations.keys()].map((epoch) => mirror.revocation(Number(epoch))),
      ],
      [
        'answers',
        [...this.rows.answers.keys()].map((k) => this.answers([k]).get(k)),
        [...this.rows.answers.keys()].map((k) => mirror.answers([k]).get(k)),
      ],
      ['blobs', blobsOf(this, this.rows), blobsOf(mirror, this.rows)],
      [
        'single tasks',
        [...this.rows.tasks.keys()].map((id) => this.task(id)),
        [...this.rows.tasks.keys()].map((id) => mirror.task(id)),
      ],
      // Last: what these read is moved into the tables.
      ['snapshots', this.load(), mirror.load()],
      ['tasks', this.tasks(null, null, 1_000), mirror.tasks(null, null, 1_000)],
    ] as const;
    for (const [what, ours, theirs] of pairs)
      must(isDeepStrictEqual(ours, theirs), `the mirror holds other ${what}:\n  ${inspect(ours)}\n  ${inspect(theirs)}`);
  }

  #boundary<T>(write: () => T): T {
    this.#writes += 1;
    const crash = this.#crash?.write === this.#writes ? this.#crash : null;
    if (crash?.after === false) throw new InjectedCrash();
    const value = write();
    if (crash !== null) throw new InjectedCrash();
    return value;
  }

  load(): Snapshot | null {
    return this.#inner.load();
  }

  write(changes: Changes, meta: ShardMeta): void {
    this.#boundary(() => {
      const log = this.#log;
      for (const id of changes.newAgents.keys()) log.newAgents.add(id);
      for (const id of changes.removedAgents) log.removedAgents.add(id);
      for (const id of changes.leases.keys()) log.leases.add(id);
      for (const id of changes.tasks.keys()) log.tasks.add(id);
      const { leases, tasks, newAgents, removedAgents, revocations } = changes;
      if (leases.size + tasks.size + newAgents.size + removedAgents.size + revocations.size > 0) log.changing += 1;
      log.metas.push(meta);
      this.#inner.write(changes, meta);
      // A copy: what a later step of the transaction changes is told by its own write.
      if (this.#mirror !== null) {
        const copy = copyOf(changes);
        this.#mirrored.push((mirror) => mirror.write(copy, meta));
      }
    });
  }

  audit(row: AuditRow): void {
    this.#boundary(() => {
      this.#log.audits += 1;
      this.#inner.audit(row);
      // Only their number is of interest; a long run need not keep them.
      this.#inner.auditRows.length = 0;
      this.#mirrored.push((mirror) => mirror.audit(row));
    });
  }

  putAnswer(key: string, answer: StoredAnswer): void {
    this.#boundary(() => {
      this.#inner.putAnswer(key, answer);
      this.#mirrored.push((mirror) => mirror.putAnswer(key, answer));
    });
  }

  forgetAnswers(keys: readonly string[]): void {
    this.#boundary(() => {
      this.#inner.forgetAnswers(keys);
      this.#mirrored.push((mirror) => mirror.forgetAnswers(keys));
    });
  }

  prune(nowMs: number, step: number): Pruned {
    return this.#boundary(() => {
      const pruned = this.#inner.prune(nowMs, step);
      for (const [status, n] of Object.entries(pruned.tasks))
        this.#log.pruned.set(status, (this.#log.pruned.get(status) ?? 0) + n);
      this.#mirrored.push((mirror) => {
        const other = mirror.prune(nowMs, step);
        must(isDeepStrictEqual(other, pruned), `the mirror pruned ${inspect(other)} instead of ${inspect(pruned)}`);
      });
      return pruned;
    });
  }

  lease(id: string): LeaseRecord | null {
    return this.#inner.lease(id);
  }
  task(id: string): TaskRecord | null {
    return this.#inner.task(id);
  }
  revocation(epoch: number): RevocationRecord | null {
    return this.#inner.revocation(epoch);
  }
  blob(taskId: string, kind: BlobKind): JsonText | null {
    return this.#inner.blob(taskId, kind);
  }
  tasks(status: TaskStatus | null, after: string | null, limit: number): readonly TaskRecord[] {
    return this.#inner.tasks(status, after, limit);
  }
  answers(keys: readonly string[]): ReadonlyMap<string, StoredAnswer> {
    return this.#inner.answers(keys);
  }
}
