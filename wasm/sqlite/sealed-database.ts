import { abandonCompaction, startCompaction } from './compaction.ts';
import { type Binding, Connection, firstImage, type Row } from './connection.ts';
import { SealedError } from './errors.ts';
import type { Engine, Internals } from './internals.ts';
import { makeRoom, nextUse, type OpenEngine, register, unregister } from './isolate.ts';
import type { KeyProvider } from './keys/key-provider.ts';
import { Ledger, type RestorePoint } from './ledger.ts';
import { maintain, maintenanceDueAtMs } from './maintenance.ts';
import { PageCipher } from './page-cipher.ts';
import { Pager } from './pager.ts';
import { PageStore } from './page-store.ts';
import { ROTATION_PERIOD_MS, startRotation } from './rotation.ts';
import { PAGE_BYTES } from './squeeze.ts';
import { dropRestorePoint, EXPORT_BYTES_MAX, exportChunks, type FileReader, importFile, restore } from './transfer.ts';
import type { DatabaseIdentity, HostStorage, SealedCursor, SealedSql, SealedStats, SealedStorage } from './types.ts';

/** SQLite's page cache of one database. It bounds what an open database holds in memory, whatever its size. */
export const CACHE_BYTES = 16 * 2 ** 20;

export interface SealedDatabaseOptions {
  readonly storage: HostStorage;
  readonly identity: DatabaseIdentity;
  readonly keys: KeyProvider;
  /** `loadSqlJs` of `load-worker.ts` or `load-node.ts`. */
  readonly engine: () => Promise<Internals['sqlJs']>;
  readonly cacheBytes?: number | undefined;
  readonly nowMs?: (() => number) | undefined;
  /** How long a data key is used. Default: 90 days. */
  readonly rotationPeriodMs?: number | undefined;
}

/** Where the keys of a database stand. */
export interface KeyStatus {
  readonly keyId: number;
  readonly createdAtMs: number;
  /** An upper bound of the boxes sealed under it. */
  readonly seals: number;
  /** Keys that are still needed for pages not yet sealed anew. */
  readonly olderKeyIds: readonly number[];
}

/**
 * A SQLite database whose pages lie sealed in an object's storage. It is used like the object's own SQL; everything in it, the
 * schema included, is ciphertext on disk, bound to region, fleet and database.
 *
 * The engine (connection, pager, pager row in memory) is opened at first use and dropped whenever it and the storage may
 * differ: after a failed commit, after a guard has found it past its pager. Storage is the truth, and the next call opens it.
 */
export class SealedDatabase implements SealedStorage {
  readonly #internals: Internals;
  /** Tells databases of an isolate apart. */
  readonly #name: string;
  readonly #cacheBytes: number;
  readonly #rotationPeriodMs: number;
  #engine: LiveEngine | null = null;
  #depth = 0;
  /** A fault inside the running transaction: it must not be committed. */
  #poison: SealedError | null = null;
  #opens = 0;
  #commits = 0;
  #closed = false;

  readonly sql: SealedSql;

  private constructor(options: SealedDatabaseOptions, sqlJs: Internals['sqlJs']) {
    const { storage, identity, keys } = options;
    this.#name = JSON.stringify([identity.region, identity.fleet, identity.database]);
    this.#cacheBytes = options.cacheBytes ?? CACHE_BYTES;
    this.#rotationPeriodMs = options.rotationPeriodMs ?? ROTATION_PERIOD_MS;
    this.#internals = {
      storage,
      identity,
      keys,
      sqlJs,
      store: new PageStore(storage.sql),
      cipher: new PageCipher(identity),
      nowMs: options.nowMs ?? Date.now,
      engine: () => this.#use(),
      step: (body) => this.#step(body),
    };
    this.sql = new Sql(this, (query, bindings) => this.#exec(query, bindings));
  }

  /** Opens the database of this storage, or makes it. Call it before anything else may run in the object. */
  static async open(options: SealedDatabaseOptions): Promise<SealedDatabase> {
    const database = new SealedDatabase(options, await options.engine());
    await (database.#internals.store.exists ? database.#loadKeys() : database.#create());
    database.#open();
    return database;
  }

  get databaseSize(): number {
    return this.#use().connection.pageCount * PAGE_BYTES;
  }

  transactionSync<T>(closure: () => T): T {
    const engine = this.#use();
    const { connection } = engine;
    if (this.#depth > 0) return this.#nested(connection, closure);
    this.#guarded(() => connection.begin());
    this.#depth = 1;
    this.#poison = null;
    let value: T;
    try {
      value = synchronous(closure());
      this.#throwPoison();
    } catch (error) {
      this.#depth = 0;
      this.#rollback(connection);
      throw error;
    }
    this.#depth = 0;
    this.#commit(engine);
    return value;
  }

  sync(): Promise<void> {
    return this.#internals.storage.sync();
  }

  stats(): SealedStats {
    const engine = this.#use();
    return {
      pages: engine.connection.pageCount,
      pageReads: engine.pager.reads,
      pageWrites: engine.pager.writes,
      opens: this.#opens,
      commits: this.#commits,
    };
  }

  get keyStatus(): KeyStatus {
    const { current, header } = this.#use().ledger;
    const { id: keyId, createdAtMs, seals } = current;
    return { keyId, createdAtMs, seals, olderKeyIds: header.keys.filter(({ id }) => id !== keyId).map(({ id }) => id) };
  }

  /** When `maintain` wants to be called, by the object's alarm. */
  get maintenanceDueAtMs(): number {
    return maintenanceDueAtMs(this.#internals, this.#rotationPeriodMs);
  }

  /**
   * One bounded step (some ten milliseconds) of rotation, compaction or clearing up; starts a rotation that is due. Answers
   * when it wants to be called next. Throws what stopped it; the database is served all the same.
   */
  async maintain(): Promise<number> {
    await maintain(this.#internals, this.#rotationPeriodMs);
    return this.maintenanceDueAtMs;
  }

  /** A new key now; `maintain` moves the pages. False while an earlier rotation has not ended. */
  startRotation(): Promise<boolean> {
    return startRotation(this.#internals);
  }

  /** Starts to write the rows into a fresh page set; `maintain` goes on with it. False while an earlier one has not ended. */
  startCompaction(): boolean {
    return startCompaction(this.#internals);
  }

  /** The database as a standard SQLite file, in clear. Throws `too_large` over `EXPORT_BYTES_MAX`. */
  exportFile(): Uint8Array<ArrayBuffer> {
    const size = this.databaseSize;
    if (size > EXPORT_BYTES_MAX) throw new SealedError('too_large', `a database of ${size} bytes leaves in chunks only`);
    const file = new Uint8Array(size);
    let at = 0;
    for (const chunk of this.exportChunks()) {
      file.set(chunk, at);
      at += chunk.length;
    }
    return file;
  }

  /** The same file in pieces. Between them the object may serve, but a write ends it with `changed`. */
  exportChunks(): Iterable<Uint8Array<ArrayBuffer>> {
    // Its log and triggers would be in the file.
    abandonCompaction(this.#internals);
    return exportChunks(this.#internals, () => this.#commits);
  }

  /**
   * Replaces all rows by those of a standard SQLite file with exactly this database's schema. The state before stays as a
   * restore point, whose id is answered. `accept` may read the file and throw what speaks against it.
   */
  importFile(file: Uint8Array, accept: (read: FileReader) => void = () => undefined, reason = 'before an import'): number {
    return importFile(this.#internals, file, accept, reason);
  }

  get restorePoints(): readonly RestorePoint[] {
    return this.#use().ledger.header.restorePoints;
  }

  /** Goes back to a restore point; what is replaced becomes one, whose id is answered. */
  restore(id: number, reason = `before going back to ${id}`): number {
    return restore(this.#internals, id, reason);
  }

  dropRestorePoint(id: number): void {
    dropRestorePoint(this.#internals, id);
  }

  /** Destroys keys and pages. The database is closed; opening it again makes an empty one. */
  erase(): void {
    this.close();
    this.#internals.storage.transactionSync(() => this.#internals.store.destroy());
  }

  /** Gives its memory back. A later call is an error. */
  close(): void {
    this.#drop();
    this.#closed = true;
  }

  #exec<T extends Row>(query: string, bindings: readonly Binding[]): SealedCursor<T> {
    const { connection, pager } = this.#use();
    this.#throwPoison();
    // A statement that may write has a transaction of its own, so that its pages reach storage with it.
    if (this.#depth === 0 && connection.kindOf(query) !== 'read')
      return this.transactionSync(() => this.#exec<T>(query, bindings));
    try {
      const cursor = connection.exec<T>(query, bindings);
      if (this.#depth === 0 && (pager.hasPending || pager.detached))
        throw new SealedError('escaped', 'a reading statement wrote pages');
      return cursor;
    } catch (error) {
      if (isFault(error)) this.#onFault(error);
      throw error;
    }
  }

  #nested<T>(connection: Connection, closure: () => T): T {
    this.#depth += 1;
    try {
      return connection.savepoint(`nested_${this.#depth}`, () => synchronous(closure()));
    } finally {
      this.#depth -= 1;
    }
  }

  #rollback(connection: Connection): void {
    this.#poison = null;
    try {
      connection.rollback();
    } catch {
      // It may have ended by itself (an I/O error does that). Nothing has reached storage: begin anew from there.
      this.#drop();
    }
  }

  #commit({ connection, pager }: Engine): void {
    try {
      connection.commit();
    } catch (error) {
      // A deferred constraint fails here and leaves the transaction open; everything else ends the engine as well.
      this.#rollback(connection);
      throw error;
    }
    if (!pager.hasPending) return;
    try {
      if (pager.flushIsAtomic) pager.flush();
      else this.#internals.storage.transactionSync(() => pager.flush());
    } catch (error) {
      // The storage is rolled back, the engine has committed: they differ.
      this.#drop();
      throw error;
    }
    this.#commits += 1;
  }

  #guarded<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (isFault(error)) this.#onFault(error);
      throw error;
    }
  }

  /** After a fault the transaction goes no further, even when its error was caught. */
  #throwPoison(): void {
    if (this.#poison instanceof SealedError) throw this.#poison;
  }

  #onFault(error: SealedError): void {
    if (this.#depth > 0) this.#poison ??= error;
    else this.#drop();
  }

  /** Maintenance: a host transaction of its own, after which a changed page set is opened anew. */
  #step<T>(body: (engine: Engine) => T): T {
    if (this.#depth > 0) throw new Error('maintenance inside a transaction');
    const engine = this.#use();
    const { set } = engine.ledger.header;
    try {
      const value = this.#internals.storage.transactionSync(() => body(engine));
      this.#commits += 1;
      if (engine.ledger.header.set !== set) this.#drop();
      return value;
    } catch (error) {
      // What is in memory may have run ahead of the storage, which is rolled back.
      this.#drop();
      throw error;
    }
  }

  #use(): LiveEngine {
    const engine = this.#engine ?? this.#open();
    engine.usedAt = nextUse();
    return engine;
  }

  #open(): LiveEngine {
    if (this.#closed) throw new Error('the database was closed');
    makeRoom(this.#name);
    const { store, cipher, identity, sqlJs } = this.#internals;
    const ledger = Ledger.read({ store, cipher, region: identity.region });
    const { set, pages } = ledger.header;
    const pager = new Pager({ store, cipher, ledger, set });
    const connection = new Connection({ engine: sqlJs, pager, pages, cacheBytes: this.#cacheBytes });
    const engine: LiveEngine = {
      connection,
      pager,
      ledger,
      cacheBytes: this.#cacheBytes,
      usedAt: nextUse(),
      isIdle: () => this.#depth === 0,
      setCacheBytes: (bytes) => connection.setCacheBytes(bytes),
      drop: () => this.#drop(),
    };
    this.#engine = engine;
    this.#opens += 1;
    register(this.#name, engine);
    return engine;
  }

  #drop(): void {
    const engine = this.#engine;
    if (engine === null) return;
    this.#engine = null;
    unregister(this.#name, engine);
    engine.connection.close();
  }

  async #loadKeys(): Promise<void> {
    const { store, cipher, identity, keys } = this.#internals;
    const { region } = store.readHeader();
    if (region !== identity.region) {
      throw new SealedError('wrong_region', `this storage belongs to ${region}, not to ${identity.region}`);
    }
    for (const { id, wrapped } of store.wrappedKeys()) cipher.addKey(id, await keys.unwrap(identity, wrapped));
  }

  async #create(): Promise<void> {
    const { storage, store, cipher, identity, sqlJs, keys, nowMs } = this.#internals;
    const keyId = 1;
    const key = await keys.generate(identity);
    cipher.addKey(keyId, key.plain);
    storage.transactionSync(() => {
      store.create();
      store.addWrappedKey(keyId, key.wrapped);
      store.createSet(1);
      const ledger = Ledger.create({ store, cipher, region: identity.region, keyId, nowMs: nowMs() });
      const pager = new Pager({ store, cipher, ledger, set: 1 });
      pager.set(firstImage(sqlJs), 0);
      pager.flush();
    });
  }
}

/** `sql` of a database. */
class Sql implements SealedSql {
  readonly #database: { readonly databaseSize: number };
  readonly #run: <T extends Row>(query: string, bindings: readonly Binding[]) => SealedCursor<T>;

  constructor(
    database: { readonly databaseSize: number },
    run: <T extends Row>(query: string, bindings: readonly Binding[]) => SealedCursor<T>,
  ) {
    this.#database = database;
    this.#run = run;
  }

  exec<T extends Row>(query: string, ...bindings: readonly Binding[]): SealedCursor<T> {
    return this.#run<T>(query, bindings);
  }

  get databaseSize(): number {
    return this.#database.databaseSize;
  }
}

interface LiveEngine extends Engine, OpenEngine {
  usedAt: number;
}

/** What makes engine and storage doubtful, as opposed to a mistake in a statement. */
const isFault = (error: unknown): error is SealedError =>
  error instanceof SealedError && (error.code === 'tampered' || error.code === 'escaped');

function synchronous<T>(value: T): T {
  if (typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function') {
    throw new Error('a transaction must be synchronous');
  }
  return value;
}
