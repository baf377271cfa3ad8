import { createHash } from 'node:crypto';
import { DurableObject } from 'cloudflare:workers';
import { monotonicFactory } from 'ulid';
import type { FleetError } from '../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../shared/memory-limits.ts';
import type {
  LeaseRevocation,
  MemoryHome,
  MemoryReply,
  MemoryRequest,
  MemoryRpc,
} from '../../shared/memory-rpc.ts';
import { err } from '../../shared/result.ts';
import type { Caller } from '../../shared/rpc.ts';
import { SealedError } from '../../wasm/sqlite/errors.ts';
import { loadSqlJs } from '../../wasm/sqlite/load-worker.ts';
import { PageStore } from '../../wasm/sqlite/page-store.ts';
import { SealedDatabase } from '../../wasm/sqlite/sealed-database.ts';
import type { RegionEnv } from '../env.ts';
import { logError } from '../lib/log.ts';
import { migrate } from '../lib/migrate.ts';
import { assertOwnObject } from '../lib/own-region.ts';
import { memoryObjectName } from '../stubs.ts';
import { emptyAnswer } from './core/empty.ts';
import { readerOf } from './core/step.ts';
import { keyProviderOf } from './key-provider.ts';
import { MemoryEngine } from './memory-engine.ts';
import { MEMORY_MIGRATIONS } from './migrations.ts';
import { PoolFacts } from './pool-facts.ts';
import { VectorIndex } from './vector-index.ts';

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
export class MemoryObject extends DurableObject<RegionEnv> implements MemoryRpc {
  #opening: Promise<Open> | null = null;
  #armedAtMs: number | null = null;
  readonly #ulid = monotonicFactory();
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
      throw new Refusal({ kind: 'not_configured', detail: 'The memory of this region has no keys. Its deployment sets MEMORY_KEYS.' });
    }
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
        vectors: new VectorIndex(() => database.sql),
      },
      { region: home.region, swarm: home.swarm },
    );
    return { database, engine };
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
      const { engine } = await this.#open(fleet, home);
      const questions = engine.questions(requests);
      if (questions.leases.length === 0 && questions.tasks.length === 0) return this.#done(engine.execute(caller, requests), engine);
      // What the pools say may be old by the time it is here: the engine holds it against what it was told meanwhile.
      const facts = new PoolFacts(this.env, fleet);
      const [leases, tasks] = await Promise.all([facts.leases(questions.leases), facts.tasks(questions.tasks)]);
      return this.#done(engine.execute(caller, requests, { leases, tasks }), engine);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === null) throw error;
      if (refusal.kind === 'internal') logError('sealed memory', error);
      return requests.map(() => err(refusal));
    }
  }

  /** The output gate holds every answer until what it tells of is on the disk. */
  #done(replies: readonly MemoryReply[], engine: MemoryEngine): readonly MemoryReply[] {
    this.#arm(engine);
    return replies;
  }

  async leasesRevoked(fleet: string, home: MemoryHome, revoked: readonly LeaseRevocation[]): Promise<void> {
    this.#at(fleet, home);
    if (!this.#exists) return;
    const { engine } = await this.#open(fleet, home);
    engine.leasesRevoked({ ...SYSTEM, fleet }, revoked);
  }

  /** One alarm for ends, bounds, metrics and the database's own upkeep. A late or doubled one does no harm. */
  override async alarm(): Promise<void> {
    this.#armedAtMs = null;
    const known = this.#home ?? this.#homeOfName();
    if (known === null || !this.#exists) return;
    const { engine } = await this.#open(known.fleet, known.home);
    const { again } = engine.sweep({ ...SYSTEM, fleet: known.fleet });
    this.#arm(engine, again ? Date.now() + MEMORY_LIMITS.sweepPauseMs : null);
  }

  /** After a wake nobody has said yet which memory this is; the name does. */
  #homeOfName(): { readonly fleet: string; readonly home: MemoryHome } | null {
    const [region, fleet, swarm, shard] = (this.ctx.id.name ?? '').split('/');
    if (region === undefined || fleet === undefined || swarm === undefined || shard === undefined) return null;
    return { fleet, home: { region, swarm, shard: Number(shard) } };
  }

  #arm(engine: MemoryEngine, soonMs: number | null = null): void {
    const nowMs = Date.now();
    const due = [engine.nextEndMs(), engine.hasPendingMetrics ? nowMs + MEMORY_LIMITS.upkeepMs : null, soonMs].flatMap(
      (atMs) => atMs ?? [],
    );
    if (due.length === 0) return;
    const wanted = Math.max(nowMs + MEMORY_LIMITS.sweepPauseMs, Math.min(...due));
    if (this.#armedAtMs !== null && this.#armedAtMs <= wanted) return;
    this.#armedAtMs = wanted;
    void this.ctx.storage.setAlarm(wanted);
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
    case 'tampered':
    case 'forbidden':
    case 'escaped':
    case 'incompatible':
      return { kind: 'internal', detail: 'This memory cannot be read. The request id finds the reason in the log.' };
  }
}
