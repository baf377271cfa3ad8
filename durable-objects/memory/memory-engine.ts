import type { FleetError } from '../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../shared/memory-limits.ts';
import type { LeaseRevocation, MemoryCommand, MemoryOutput, MemoryReply, MemoryRequest } from '../../shared/memory-rpc.ts';
import { err, type Result } from '../../shared/result.ts';
import type { Caller, IdempotencyRef } from '../../shared/rpc.ts';
import type { MemoryLease } from '../../shared/schemas/memory.ts';
import { isInside } from './core/acl.ts';
import { leaseOfArtifact } from './core/artifacts.ts';
import { leaseOfClaim, leasesOfClaims } from './core/claims.ts';
import { decide, READS, type Surroundings } from './core/decide.ts';
import {
  keepLease,
  keepTasks,
  leasesToAsk,
  noteTask,
  tasksToAsk,
  revokeLease,
  knowsTask,
  type LeaseFacts,
  type TaskFacts,
} from './core/fences.ts';
import { recall, remember, type Kept } from './core/idempotency.ts';
import { audit, event } from './core/records.ts';
import { isUntouched, setShardCount, shardCount } from './core/shards.ts';
import { run, sql, type Sql } from './core/sql.ts';
import { keepMetrics } from './core/status.ts';
import { counters, readerOf, type Counters, type Place, type Step } from './core/step.ts';
import { nextEndMs, sweep } from './core/sweep.ts';
import { Undo } from './core/transactions.ts';
import type { VectorSearch } from './core/vectors.ts';

/** What the engine is given: a database on sealed pages, or any other SQLite in tests. */
export interface MemoryStorage {
  readonly sql: Sql & { readonly databaseSize: number };
  transactionSync<T>(closure: () => T): T;
  readonly restorePoints?: readonly { readonly id: number; readonly createdAtMs: number; readonly reason: string }[];
}

export interface EngineWorld {
  readonly nowMs: () => number;
  readonly ulid: () => string;
  readonly sha256Hex: (text: string) => string;
  readonly sha256OfParts: (parts: Iterable<ArrayBuffer>) => string;
  readonly vectors: VectorSearch;
}

/** What the pools have to be asked before requests can be decided. */
export interface Questions {
  readonly leases: readonly string[];
  readonly tasks: readonly string[];
}

/**
 * One shard of a swarm's memory: the pure core, its transactions, idempotency and metrics, without any platform type. Every
 * method is synchronous. A group of requests is one transaction; a request that is refused changes nothing for the others.
 */
export class MemoryEngine {
  readonly #storage: MemoryStorage;
  readonly #world: EngineWorld;
  readonly #place: Place;
  /** Counted since they were last stored. Lost with the object's memory: they are metrics, not facts. */
  #counts = new Map<string, number>();
  /** As stored; null: not read yet, or perhaps changed. */
  #shards: number | null = null;

  constructor(storage: MemoryStorage, world: EngineWorld, place: Place) {
    this.#storage = storage;
    this.#world = world;
    this.#place = place;
  }

  /**
   * Whether this memory has so many shards. One in which nothing has been done takes the number; it is for the object to know
   * that it is the first shard's.
   */
  settle(shards: number): boolean {
    const { sql } = this.#storage;
    this.#shards ??= shardCount(sql);
    if (this.#shards === shards) return true;
    if (!isUntouched(sql)) return false;
    this.#storage.transactionSync(() => setShardCount(sql, shards));
    this.#shards = shards;
    return true;
  }

  get shards(): number {
    return (this.#shards ??= shardCount(this.#storage.sql));
  }

  /** Leases that must be asked about, and tasks that are named and not known here yet. An outsider's are never asked about. */
  questions(caller: Caller, requests: readonly MemoryRequest[]): Questions {
    const { sql } = this.#storage;
    if (!isInside(readerOf(caller, this.#place.swarm))) return { leases: [], tasks: [] };
    const nowMs = this.#world.nowMs();
    const leases = new Set<string>();
    const tasks = new Set<string>();
    for (const { command } of requests) {
      const lease = leaseOf(sql, command);
      if (lease !== undefined) for (const id of leasesToAsk(sql, lease, nowMs)) leases.add(id);
      for (const id of claimedUnder(sql, command, caller.subject, nowMs)) leases.add(id);
      for (const id of tasksOf(command)) if (!knowsTask(sql, id)) tasks.add(id);
    }
    return { leases: [...leases], tasks: [...tasks] };
  }

  /** Carries out requests, one after the other; each sees the ones before. `told` is what the pools answered. */
  execute(
    caller: Caller,
    requests: readonly MemoryRequest[],
    told: { readonly leases?: readonly LeaseFacts[]; readonly tasks?: readonly TaskFacts[] } = {},
  ): readonly MemoryReply[] {
    const step = this.#step(caller);
    const run = (): readonly MemoryReply[] => {
      for (const facts of told.leases ?? []) keepLease(step, facts);
      for (const facts of told.tasks ?? []) noteTask(step, facts);
      let answered = 0;
      return requests.map((request): MemoryReply => {
        // Answers leave together: many large values would fit neither the object's memory nor one message.
        if (answered > MEMORY_LIMITS.batchBytes && request.command.type === 'retrieve') return TOO_MUCH_AT_ONCE;
        const reply = this.#one(step, request);
        if (requests.length > 1) answered += bytesOf(reply);
        return reply;
      });
    };
    if (requests.some(({ command }) => command.type === 'putSettings')) this.#shards = null;
    const onlyReads = told.leases === undefined && told.tasks === undefined && requests.every((r) => READS.has(r.command.type));
    if (onlyReads) return run();
    try {
      return this.#storage.transactionSync(run);
    } catch (error) {
      this.#world.vectors.forget();
      throw error;
    }
  }

  #one(step: Step, request: MemoryRequest): MemoryReply {
    const { command, idempotency } = request;
    if (idempotency !== undefined) {
      const kept = recall(step.db, idempotency, step.nowMs);
      // What was kept for this key is the answer to this very command: the hash of the body says so.
      if (kept !== null) return kept as MemoryReply;
    }
    const answer = this.#decide(step, command);
    if (idempotency !== undefined && answer.ok && !READS.has(command.type)) {
      remember(step.db, idempotency, answer, step.nowMs, this.#touched(step, command));
    }
    return answer;
  }

  /** A transaction has a savepoint of its own, because it may be undone after it has done something. */
  #decide(step: Step, command: MemoryCommand): Result<MemoryOutput, FleetError> {
    const around: Surroundings = {
      databaseBytes: this.#storage.sql.databaseSize,
      restorePoints:
        command.type === 'erase' || command.type === 'memoryStatus'
          ? (this.#storage.restorePoints ?? []).map(({ id, createdAtMs, reason }) => ({ id: String(id), createdAtMs, reason }))
          : [],
      pendingMetrics: this.#counts,
    };
    if (command.type !== 'transaction') return decide(step, command, around);
    try {
      return this.#storage.transactionSync(() => decide(step, command, around));
    } catch (error) {
      this.#world.vectors.forget();
      if (error instanceof Undo) return err(error.error);
      throw error;
    }
  }

  /** Entries that an answer is about, by the keys it names. */
  #touched(step: Step, command: MemoryCommand): readonly number[] {
    const keys =
      command.type === 'transaction' ? command.operations.map(({ key }) => key) : 'key' in command ? [command.key] : [];
    if (keys.length === 0) return [];
    return step.db
      .exec<{ id: number }>('SELECT id FROM memory WHERE key IN (SELECT value FROM json_each(?))', JSON.stringify(keys))
      .toArray()
      .map(({ id }) => id);
  }

  /** Keeps the answer of work that is no command, such as an import, for its key. */
  rememberFor(caller: Caller, ref: IdempotencyRef, answer: Kept): void {
    this.within(caller, (step) => remember(step.db, ref, answer, step.nowMs, []));
  }

  recallFor(ref: IdempotencyRef): Kept | null {
    return recall(this.#storage.sql, ref, this.#world.nowMs());
  }

  /** After the rows were replaced by those of a restore point: what only ever rises goes on from where it was. */
  restored(caller: Caller, before: Counters, facts: { readonly from: number; readonly left: number }): void {
    this.#shards = null;
    this.#world.vectors.forget();
    this.within(caller, (step) => {
      run(
        step.db,
        sql`UPDATE counters SET next_id = MAX(next_id, ${before.next_id}), acl_epoch = MAX(acl_epoch, ${before.acl_epoch}) + 1,
          claim_token = MAX(claim_token, ${before.claim_token})`,
      );
      // What was known of leases then may be over: their pools are asked before the next write under one.
      run(step.db, sql`UPDATE fences SET checked_at = 0`);
      event(step, 'memory.restored', {});
      audit(step, 'restore', facts.from, { left: facts.left });
    });
  }

  counters(): Counters {
    return counters(this.#storage.sql);
  }

  /** Leases that pools have taken back. */
  leasesRevoked(caller: Caller, revoked: readonly LeaseRevocation[]): void {
    const step = this.#step(caller);
    this.#storage.transactionSync(() => {
      for (const one of revoked) revokeLease(step, one);
      audit(step, 'leases_revoked', revoked.length);
      step.count('lease_revoked', revoked.length);
    });
  }

  /** One bounded step of tidying, with the metrics of the time since the last. Answers when the next one is due, or null. */
  sweep(caller: Caller): { readonly again: boolean; readonly nextEndMs: number | null } {
    const step = this.#step(caller);
    const counts = this.#counts;
    const again = this.#storage.transactionSync(() => {
      keepMetrics(step.db, step.nowMs, counts);
      return sweep(step);
    });
    this.#counts = new Map();
    return { again, nextEndMs: this.nextEndMs() };
  }

  /** Tasks whose mirror may be behind; what their pools say goes to `keepTasks`. */
  tasksToAsk(): readonly string[] {
    return tasksToAsk(this.#storage.sql, this.#world.nowMs());
  }

  /** `facts` null: the pools did not answer; they are asked again in a minute. */
  keepTasks(caller: Caller, asked: readonly string[], facts: readonly TaskFacts[] | null): void {
    this.within(caller, (step) => keepTasks(step, asked, facts));
  }

  nextEndMs(): number | null {
    return nextEndMs({ db: this.#storage.sql, nowMs: this.#world.nowMs() });
  }

  get hasPendingMetrics(): boolean {
    return this.#counts.size > 0;
  }

  /** Runs `body` as one command of the engine's own, such as a step of indexing or of an import. */
  within<T>(caller: Caller, body: (step: Step) => T): T {
    const step = this.#step(caller);
    return this.#storage.transactionSync(() => body(step));
  }

  #step(caller: Caller): Step {
    return {
      ...this.#place,
      db: this.#storage.sql,
      caller,
      who: readerOf(caller, this.#place.swarm),
      nowMs: this.#world.nowMs(),
      ulid: this.#world.ulid,
      sha256Hex: this.#world.sha256Hex,
      sha256OfParts: this.#world.sha256OfParts,
      vectors: this.#world.vectors,
      databaseBytes: this.#storage.sql.databaseSize,
      count: (metric, by = 1) => void this.#counts.set(metric, (this.#counts.get(metric) ?? 0) + by),
    };
  }
}

export const TOO_MUCH_AT_ONCE: MemoryReply = err({
  kind: 'payload_too_large',
  limitBytes: MEMORY_LIMITS.batchBytes,
  detail: 'The values of this batch are as many bytes as one answer holds. Read this entry by itself.',
});

/** Of the value that a read answers. */
export const bytesOf = (reply: MemoryReply): number =>
  reply.ok && reply.value !== null && 'tag' in reply.value ? (reply.value.entry?.value?.length ?? 0) : 0;

/** The lease that a command is done under: the one it names, or that under which what it goes on with was begun. */
function leaseOf(db: Sql, command: MemoryCommand): MemoryLease | undefined {
  if (command.type === 'putChunk') return leaseOfArtifact(db, command.artifactId);
  if (command.type === 'renewClaim') return leaseOfClaim(db, command.claimId);
  return 'lease' in command ? command.lease : undefined;
}

function claimedUnder(db: Sql, command: MemoryCommand, subject: string, nowMs: number): readonly string[] {
  if (command.type === 'claim') return leasesOfClaims(db, command.paths, subject, nowMs);
  return command.type === 'listClaims' ? leasesOfClaims(db, null, subject, nowMs) : [];
}

function tasksOf(command: MemoryCommand): readonly string[] {
  switch (command.type) {
    case 'vote':
      return [command.taskId];
    case 'addDependencies':
      return [command.taskId, ...command.dependsOn];
    case 'createArtifact':
      return command.taskId === undefined ? [] : [command.taskId];
    default:
      return [];
  }
}
