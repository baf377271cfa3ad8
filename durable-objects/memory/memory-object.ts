import { createHash } from 'node:crypto';
import { DurableObject } from 'cloudflare:workers';
import { monotonicFactory } from 'ulid';
import { notFound, type FleetError } from '../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../shared/memory-limits.ts';
import type {
  LeaseRevocation,
  MemoryHome,
  MemoryImportReply,
  MemoryReply,
  MemoryRequest,
  MemoryRestoreReply,
} from '../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Caller, IdempotencyRef } from '../../shared/rpc.ts';
import { SealedError } from '../../wasm/sqlite/errors.ts';
import { loadSqlJs } from '../../wasm/sqlite/load-worker.ts';
import { PageStore } from '../../wasm/sqlite/page-store.ts';
import { SealedDatabase } from '../../wasm/sqlite/sealed-database.ts';
import { EXPORT_BYTES_MAX } from '../../wasm/sqlite/transfer.ts';
import { loadDot } from '../../wasm/vectors/load-worker.ts';
import type { RegionEnv } from '../env.ts';
import { bufferedRandom } from '../lib/buffered-random.ts';
import { logError } from '../lib/log.ts';
import { migrate } from '../lib/migrate.ts';
import { assertOwnObject } from '../lib/own-region.ts';
import { memoryObjectName, memoryStub, registryStub } from '../stubs.ts';
import { emptyAnswer } from './core/empty.ts';
import { otherCount } from './core/shards.ts';
import { readerOf } from './core/step.ts';
import { emptyFile, exportFile, importFile } from './files.ts';
import { keyProviderOf } from './key-provider.ts';
import type { FileStream, MemoryApi } from './memory-api.ts';
import { MemoryEngine } from './memory-engine.ts';
import { MEMORY_MIGRATIONS } from './migrations.ts';
import { PoolFacts } from './pool-facts.ts';
import { VectorMemory } from './vector-memory.ts';

/** An open memory. */
interface Open {
  readonly database: SealedDatabase;
  readonly engine: MemoryEngine;
}

const SYSTEM: Omit<Caller, 'fleet'> = { subject: 'system', role: 'admin', requestId: '' };

/** A refusal of the way in, as opposed to one of a single command. */
class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly error: FleetError;
  constructor(error: FleetError) {
    super(error.detail);
    this.error = error;
  }
}

/**
 * One shard of one swarm's memory in one region. A thin shell: it opens the sealed database, asks the pools what a write has to
 * know, runs the engine, and keeps one alarm. Everything it stores lies in the sealed database; it holds nothing in memory
 * that it needs to be right.
 */
export class MemoryObject extends DurableObject<RegionEnv> implements MemoryApi {
  #opening: Promise<Open> | null = null;
  #armedAtMs: number | null = null;
  readonly #ulid = monotonicFactory(bufferedRandom());
  /** The fleet's name; every call brings it, and the object's name holds it. */
  #home: { readonly fleet: string; readonly home: MemoryHome } | null = null;

  #at(fleet: string, home: MemoryHome, caller?: Caller): void {
    if (caller !== undefined && caller.fleet !== fleet) throw new Error('called for another fleet than the caller has');
    assertOwnObject(this.ctx.id, this.env, memoryObjectName(fleet, home));
    this.#home = { fleet, home };
  }

  /** Whether anything was ever written here. Reading makes no memory. */
  get #exists(): boolean {
    return this.#opening !== null || new PageStore(this.ctx.storage.sql).exists;
  }

  /** The open memory, made at its first write. A failure is not remembered: the next call tries anew. */
  async #open(fleet: string, home: MemoryHome): Promise<Open> {
    const opening = (this.#opening ??= this.#start(fleet, home));
    try {
      return await opening;
    } catch (error) {
      if (this.#opening === opening) this.#opening = null;
      throw error;
    }
  }

  async #start(fleet: string, home: MemoryHome): Promise<Open> {
    const keys = keyProviderOf(this.env);
    if (keys === null) {
      throw new Refusal({
        kind: 'not_configured',
        detail: 'The memory of this region has no keys. Its deployment sets MEMORY_KEYS.',
      });
    }
    // Before there is anything: what the registry does not know would outlive its fleet. A Worker that has told it once may be
    // thinking of a memory that was deleted since.
    if (!new PageStore(this.ctx.storage.sql).exists)
      await registryStub(this.env, fleet, home.region).openSwarm(fleet, home.region, { swarm: home.swarm, shard: home.shard });
    const database = await SealedDatabase.open({
      storage: this.ctx.storage,
      identity: { region: home.region, fleet, database: memoryObjectName(fleet, home) },
      keys,
      engine: loadSqlJs,
    });
    migrate(database, MEMORY_MIGRATIONS);
    const engine = new MemoryEngine(
      database,
      {
        nowMs: () => Date.now(),
        ulid: () => this.#ulid(),
        sha256Hex: (text) => createHash('sha256').update(text).digest('hex'),
        sha256OfParts: (parts) => {
          const hash = createHash('sha256');
          for (const part of parts) hash.update(new Uint8Array(part));
          return hash.digest('hex');
        },
        vectors: new VectorMemory(loadDot, () => database.sql),
      },
      { region: home.region, swarm: home.swarm },
    );
    return { database, engine };
  }

  /**
   * Whether this shard is one of as many as the caller thinks. One in which nothing has been done asks the first shard, whose
   * settings decide: a caller may remember a memory of this name that was deleted.
   */
  async #isOneOf({ engine }: Open, fleet: string, home: MemoryHome): Promise<boolean> {
    const shards = home.shards ?? 1;
    if (engine.shards === shards) return true;
    if (home.shard === 0) return false;
    const first: MemoryHome = { region: home.region, swarm: home.swarm, shard: 0 };
    const count = await memoryStub(this.env, fleet, first).shardCount(fleet, first);
    return count === shards && engine.settle(shards);
  }

  async execute(
    fleet: string,
    home: MemoryHome,
    caller: Caller,
    requests: readonly MemoryRequest[],
  ): Promise<readonly MemoryReply[]> {
    this.#at(fleet, home, caller);
    try {
      if (!this.#exists) {
        const who = readerOf(caller, home.swarm);
        const answers = requests.map(({ command }) => emptyAnswer(command, who, { region: home.region, swarm: home.swarm }));
        if (answers.every((answer) => answer !== null)) return answers;
      }
      const open = await this.#open(fleet, home);
      const { engine } = open;
      if (!(await this.#isOneOf(open, fleet, home))) return requests.map(() => err(otherCount()));
      const questions = engine.questions(caller, requests);
      if (questions.leases.length === 0 && questions.tasks.length === 0) {
        return this.#done(engine.execute(caller, requests), requests, open);
      }
      // What the pools say may be old by the time it is here: the engine holds it against what it was told meanwhile.
      const facts = new PoolFacts(this.env, fleet);
      const [leases, tasks] = await Promise.all([facts.leases(questions.leases), facts.tasks(questions.tasks)]);
      return this.#done(engine.execute(caller, requests, { leases, tasks }), requests, open);
    } catch (error) {
      const refusal = this.#refused(error);
      return requests.map(() => err(refusal));
    }
  }

  async exportFile(fleet: string, home: MemoryHome, caller: Caller): Promise<Result<FileStream, FleetError>> {
    this.#at(fleet, home, caller);
    try {
      if (!this.#exists) return ok(new Blob([emptyFile(await loadSqlJs())]).stream());
      const open = await this.#open(fleet, home);
      if (!(await this.#isOneOf(open, fleet, home))) return err(otherCount());
      const file = exportFile(open, await loadSqlJs(), caller, { swarm: home.swarm, nowMs: Date.now() });
      this.#arm(open);
      return ok(new Blob([file]).stream());
    } catch (error) {
      if (error instanceof SealedError && error.code === 'too_large') return err(TOO_LARGE_A_FILE);
      return err(this.#refused(error));
    }
  }

  async importFile(
    fleet: string,
    home: MemoryHome,
    caller: Caller,
    file: ArrayBuffer,
    idempotency: IdempotencyRef | null,
  ): Promise<MemoryImportReply> {
    this.#at(fleet, home, caller);
    try {
      const open = await this.#open(fleet, home);
      const engine = await loadSqlJs();
      if (!(await this.#isOneOf(open, fleet, home))) return err(otherCount());
      const kept = idempotency === null ? null : open.engine.recallFor(idempotency);
      if (kept !== null) return kept as MemoryImportReply;
      const imported = importFile(
        open,
        engine,
        caller,
        new Uint8Array(file),
        home,
        `before an import (${markOf(caller, idempotency)})`,
      );
      if (imported.ok && idempotency !== null) open.engine.rememberFor(caller, idempotency, imported);
      this.#arm(open);
      return imported;
    } catch (error) {
      return err(this.#refused(error));
    }
  }

  async restore(
    fleet: string,
    home: MemoryHome,
    caller: Caller,
    restorePoint: number,
    idempotency: IdempotencyRef | null,
  ): Promise<MemoryRestoreReply> {
    this.#at(fleet, home, caller);
    if (!this.#exists) return err(notFound('restore point'));
    try {
      const open = await this.#open(fleet, home);
      const { database, engine } = open;
      if (!(await this.#isOneOf(open, fleet, home))) return err(otherCount());
      const kept = idempotency === null ? null : engine.recallFor(idempotency);
      if (kept !== null) return kept as MemoryRestoreReply;
      if (!database.restorePoints.some(({ id }) => id === restorePoint)) return err(notFound('restore point'));
      // From here to the end nothing else runs, and what is written is written together.
      const before = engine.counters();
      const left = database.restore(restorePoint, `before a restore (${markOf(caller, idempotency)})`);
      // The point may be older than the present schema.
      migrate(database, MEMORY_MIGRATIONS);
      engine.restored(caller, before, { from: restorePoint, left });
      const answer = ok({ restorePoint: String(left) });
      if (idempotency !== null) engine.rememberFor(caller, idempotency, answer);
      this.#arm(open);
      return answer;
    } catch (error) {
      return err(this.#refused(error));
    }
  }

  /** What to tell a caller of a fault; our own mistakes are thrown on. */
  #refused(error: unknown): FleetError {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    if (refusal.kind === 'internal') logError('sealed memory', error);
    return refusal;
  }

  /** The output gate holds every answer until what it tells of is on the disk. */
  #done(replies: readonly MemoryReply[], requests: readonly MemoryRequest[], open: Open): readonly MemoryReply[] {
    // A repeat tells of what was erased then: restore points that were made since are not its own.
    const hasErased = requests.some(
      ({ command }, i) => command.type === 'erase' && replies[i]?.ok === true && replies[i].replayed !== true,
    );
    if (hasErased) for (const { id } of open.database.restorePoints) open.database.dropRestorePoint(id);
    this.#arm(open);
    return replies;
  }

  async mayRestore(fleet: string, home: MemoryHome, restorePoint: number, idempotency: IdempotencyRef | null): Promise<boolean> {
    this.#at(fleet, home);
    if (!this.#exists) return false;
    const { database, engine } = await this.#open(fleet, home);
    if (idempotency !== null && engine.recallFor(idempotency) !== null) return true;
    return database.restorePoints.some(({ id }) => id === restorePoint);
  }

  async leasesRevoked(fleet: string, home: MemoryHome, revoked: readonly LeaseRevocation[]): Promise<void> {
    this.#at(fleet, home);
    if (!this.#exists) return;
    const open = await this.#open(fleet, home);
    open.engine.leasesRevoked({ ...SYSTEM, fleet }, revoked);
    // What it wrote has its bounds, too, and nobody else may come by for days.
    this.#arm(open);
    // Pools know of the first shard only.
    const { shards } = open.engine;
    if (home.shard !== 0) return;
    const others = Array.from({ length: shards - 1 }, (_, i): MemoryHome => ({ ...home, shard: i + 1, shards }));
    await Promise.all(others.map((other) => memoryStub(this.env, fleet, other).leasesRevoked(fleet, other, revoked)));
  }

  async shardCount(fleet: string, home: MemoryHome): Promise<number | null> {
    this.#at(fleet, home);
    return this.#exists ? (await this.#open(fleet, home)).engine.shards : null;
  }

  /** One alarm for ends, bounds, metrics and the database's own upkeep. A late or doubled one does no harm. */
  override async alarm(): Promise<void> {
    this.#armedAtMs = null;
    const known = this.#home ?? this.#homeOfName();
    if (known === null || !this.#exists) return;
    try {
      const open = await this.#open(known.fleet, known.home);
      const again = this.#sweep(open, known.fleet);
      await this.#mirrorTasks(open, known.fleet);
      await this.#maintain(open);
      this.#arm(open, again ? Date.now() + MEMORY_LIMITS.sweepPauseMs : null);
    } catch (error) {
      // The platform repeats an alarm that fails only so often; a key service may be away for longer.
      logError('memory not opened by its alarm', error);
      this.#armAt(Date.now() + MEMORY_LIMITS.upkeepMs);
    }
  }

  /** Tasks end in their pools, which tell nobody: the mirror asks. */
  async #mirrorTasks({ engine }: Open, fleet: string): Promise<void> {
    const caller = { ...SYSTEM, fleet };
    try {
      const asked = engine.tasksToAsk();
      if (asked.length === 0) return;
      const facts = await new PoolFacts(this.env, fleet).tasks(asked).catch((error: unknown) => {
        logError('tasks not mirrored', error);
        return null;
      });
      engine.keepTasks(caller, asked, facts);
    } catch (error) {
      logError('mirror of tasks not written', error);
      this.#armAt(Date.now() + MEMORY_LIMITS.upkeepMs);
    }
  }

  /** One damaged page must not keep all the others from a new key. */
  #sweep({ engine }: Open, fleet: string): boolean {
    try {
      return engine.sweep({ ...SYSTEM, fleet }).again;
    } catch (error) {
      logError('memory not swept', error);
      this.#armAt(Date.now() + MEMORY_LIMITS.upkeepMs);
      return false;
    }
  }

  /** One step of rotation, compaction or clearing up. What stops it, such as a key service, is tried again later. */
  async #maintain({ database }: Open): Promise<void> {
    try {
      if (database.maintenanceDueAtMs <= Date.now()) await database.maintain();
      else if (isWorthCompacting(database.sql)) database.startCompaction();
    } catch (error) {
      logError('memory upkeep', error);
      this.#armAt(Date.now() + MEMORY_LIMITS.upkeepMs);
    }
  }

  /** After a wake nobody has said yet which memory this is; the name does. */
  #homeOfName(): { readonly fleet: string; readonly home: MemoryHome } | null {
    const [region, fleet, swarm, shard] = (this.ctx.id.name ?? '').split('/');
    if (region === undefined || fleet === undefined || swarm === undefined || shard === undefined) return null;
    return { fleet, home: { region, swarm, shard: Number(shard) } };
  }

  #arm({ engine, database }: Open, soonMs: number | null = null): void {
    const nowMs = Date.now();
    const upkeepMs = engine.hasPendingMetrics ? nowMs + MEMORY_LIMITS.upkeepMs : null;
    const due = [engine.nextEndMs(), upkeepMs, soonMs, database.maintenanceDueAtMs].flatMap((atMs) => atMs ?? []);
    this.#armAt(Math.max(nowMs + MEMORY_LIMITS.sweepPauseMs, Math.min(...due)));
  }

  /** An earlier alarm than needed does no harm. */
  #armAt(atMs: number): void {
    if (this.#armedAtMs !== null && this.#armedAtMs <= atMs) return;
    this.#armedAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }

  async purge(): Promise<void> {
    const open = this.#opening;
    this.#opening = null;
    const database = open === null ? null : await open.then((o) => o.database).catch(() => null);
    database?.close();
    const alarm = this.ctx.storage.deleteAlarm();
    const deleted = this.ctx.storage.deleteAll();
    this.#armedAtMs = null;
    await Promise.all([alarm, deleted]);
    await this.ctx.storage.sync();
  }
}

const TOO_LARGE_A_FILE: FleetError = {
  kind: 'quota_exceeded',
  scope: 'swarm',
  limit: EXPORT_BYTES_MAX,
  detail: 'What may be read of this memory is larger than one file may be. List it, page by page.',
};

/** The same in every shard of one call, so that their restore points are known to belong together. */
const markOf = (caller: Caller, idempotency: IdempotencyRef | null): string =>
  createHash('sha256')
    .update(idempotency === null ? caller.requestId : JSON.stringify(idempotency))
    .digest('hex')
    .slice(0, 12);

/** Free pages that are written anew: a sixteenth of the database is not worth it, and neither is a small one. */
const FREE_PAGES_MIN = 4_096;

/** Free pages are reused by themselves; when most of a database is free, nothing will for long. */
function isWorthCompacting(sql: SealedDatabase['sql']): boolean {
  const number = (pragma: string): number => Number(Object.values(sql.exec(`PRAGMA ${pragma}`).toArray()[0] ?? {})[0] ?? 0);
  const free = number('freelist_count');
  return free >= FREE_PAGES_MIN && free * 2 > number('page_count');
}

/** What a fault of keys or pages is to the caller; null for our own mistakes. Nothing of the fault itself is told. */
function refusalOf(error: unknown): FleetError | null {
  if (error instanceof Refusal) return error.error;
  if (!(error instanceof SealedError)) return null;
  switch (error.code) {
    case 'key_unavailable':
      return { kind: 'overloaded', retryAfterMs: 1_000, detail: 'The keys of this memory are not at hand. Try again.' };
    case 'key_refused':
      return { kind: 'not_configured', detail: 'The keys of this memory are not given to this deployment.' };
    case 'wrong_region':
      return { kind: 'residency_violation', detail: 'This memory belongs to another region.' };
    case 'too_large':
    case 'nonces_spent':
      return { kind: 'quota_exceeded', scope: 'swarm', limit: MEMORY_LIMITS.bytesPerShard, detail: 'This memory takes no more.' };
    case 'changed':
      return { kind: 'overloaded', retryAfterMs: 1_000, detail: 'The memory is being tidied. Try again.' };
    case 'tampered':
    case 'forbidden':
    case 'escaped':
    case 'incompatible':
      return { kind: 'internal', detail: 'This memory cannot be read. The request id finds the reason in the log.' };
  }
}
