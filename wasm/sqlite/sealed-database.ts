import { type Binding, Connection, firstImage, type Row } from './connection.ts';
import { SealedError } from './errors.ts';
import { makeRoom, nextUse, type OpenEngine, register, unregister } from './isolate.ts';
import type { KeyProvider } from './keys/key-provider.ts';
import { Ledger } from './ledger.ts';
import { PageCipher } from './page-cipher.ts';
import { Pager } from './pager.ts';
import { PageStore } from './page-store.ts';
import type { SqlJs } from './sql-js.ts';
import { PAGE_BYTES } from './squeeze.ts';
import type { DatabaseIdentity, HostStorage, SealedCursor, SealedSql, SealedStats, SealedStorage } from './types.ts';

/** SQLite's page cache of one database. It bounds what an open database holds in memory, whatever its size. */
export const CACHE_BYTES = 16 * 2 ** 20;

export interface SealedDatabaseOptions {
  readonly storage: HostStorage;
  readonly identity: DatabaseIdentity;
  readonly keys: KeyProvider;
  readonly engine: () => Promise<SqlJs>;
  readonly cacheBytes?: number | undefined;
  readonly nowMs?: (() => number) | undefined;
}

/**
 * A SQLite database whose pages lie sealed in an object's storage. It is used like the object's own SQL; everything in it, the
 * schema included, is ciphertext on disk, bound to region, fleet and database.
 *
 * The engine (connection, pager, pager row in memory) is opened at first use and dropped whenever it and the storage may
 * differ: after a failed commit, after a guard has found it past its pager. Storage is the truth, and the next call opens it.
 */
export class SealedDatabase implements SealedStorage {
  readonly #storage: HostStorage;
  readonly #identity: DatabaseIdentity;
  readonly #name: string;
  readonly #keys: KeyProvider;
  readonly #sqlJs: SqlJs;
  readonly #cacheBytes: number;
  readonly #nowMs: () => number;
  readonly #store: PageStore;
  readonly #cipher: PageCipher;
  #engine: Engine | null = null;
  #depth = 0;
  /** A fault inside the running transaction: it must not be committed. */
  #poison: unknown = null;
  #opens = 0;
  #commits = 0;
  #closed = false;

  readonly sql: SealedSql;

  private constructor(options: SealedDatabaseOptions, sqlJs: SqlJs) {
    this.#storage = options.storage;
    this.#identity = options.identity;
    this.#name = JSON.stringify([options.identity.region, options.identity.fleet, options.identity.database]);
    this.#keys = options.keys;
    this.#sqlJs = sqlJs;
    this.#cacheBytes = options.cacheBytes ?? CACHE_BYTES;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#store = new PageStore(options.storage.sql);
    this.#cipher = new PageCipher(options.identity);
    const database = this;
    this.sql = {
      exec: (query, ...bindings) => this.#exec(query, bindings),
      get databaseSize() {
        return database.databaseSize;
      },
    };
  }

  /** Opens the database of this storage, or makes it. Call it before anything else may run in the object. */
  static async open(options: SealedDatabaseOptions): Promise<SealedDatabase> {
    const database = new SealedDatabase(options, await options.engine());
    await (database.#store.exists ? database.#loadKeys() : database.#create());
    database.#open();
    return database;
  }

  get databaseSize(): number {
    return this.#use().connection.pageCount * PAGE_BYTES;
  }

  transactionSync<T>(closure: () => T): T {
    const { connection } = this.#use();
    if (this.#depth > 0) return this.#nested(connection, closure);
    this.#guarded(() => connection.begin());
    this.#depth = 1;
    this.#poison = null;
    let value: T;
    try {
      value = synchronous(closure());
      if (this.#poison !== null) throw this.#poison;
    } catch (error) {
      this.#depth = 0;
      this.#rollback(connection);
      throw error;
    }
    this.#depth = 0;
    this.#commit(connection);
    return value;
  }

  sync(): Promise<void> {
    return this.#storage.sync();
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

  /** Gives its memory back. A later call is an error. */
  close(): void {
    this.#drop();
    this.#closed = true;
  }

  #exec<T extends Row>(query: string, bindings: readonly Binding[]): SealedCursor<T> {
    const { connection, pager } = this.#use();
    if (this.#poison !== null) throw this.#poison;
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

  #commit(connection: Connection): void {
    try {
      connection.commit();
    } catch (error) {
      // A deferred constraint fails here and leaves the transaction open; everything else ends the engine as well.
      this.#rollback(connection);
      throw error;
    }
    if (!connection.pager.hasPending) return;
    try {
      this.#storage.transactionSync(() => connection.pager.flush());
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

  #onFault(error: SealedError): void {
    if (this.#depth > 0) this.#poison ??= error;
    else this.#drop();
  }

  #use(): Engine {
    const engine = this.#engine ?? this.#open();
    engine.usedAt = nextUse();
    return engine;
  }

  #open(): Engine {
    if (this.#closed) throw new Error('the database was closed');
    makeRoom(this.#name);
    const ledger = Ledger.read({ store: this.#store, cipher: this.#cipher, region: this.#identity.region });
    const { set, pages } = ledger.header;
    const pager = new Pager({ store: this.#store, cipher: this.#cipher, ledger, set });
    const connection = new Connection({ engine: this.#sqlJs, pager, pages, cacheBytes: this.#cacheBytes });
    const database = this;
    const engine: Engine = {
      connection,
      pager,
      ledger,
      cacheBytes: this.#cacheBytes,
      usedAt: nextUse(),
      get idle() {
        return database.#depth === 0;
      },
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
    const { region } = this.#store.readHeader();
    if (region !== this.#identity.region) {
      throw new SealedError('wrong_region', `this storage belongs to ${region}, not to ${this.#identity.region}`);
    }
    for (const { id, wrapped } of this.#store.wrappedKeys()) {
      this.#cipher.addKey(id, await this.#keys.unwrap(this.#identity, wrapped));
    }
  }

  async #create(): Promise<void> {
    const keyId = 1;
    const key = await this.#keys.generate(this.#identity);
    this.#cipher.addKey(keyId, key.plain);
    this.#storage.transactionSync(() => {
      this.#store.create();
      this.#store.addWrappedKey(keyId, key.wrapped);
      this.#store.createSet(1);
      const { region } = this.#identity;
      const ledger = Ledger.create({ store: this.#store, cipher: this.#cipher, region, keyId, nowMs: this.#nowMs() });
      const pager = new Pager({ store: this.#store, cipher: this.#cipher, ledger, set: 1 });
      writeImage(pager, firstImage(this.#sqlJs));
      pager.flush();
    });
  }
}

interface Engine extends OpenEngine {
  readonly connection: Connection;
  readonly pager: Pager;
  readonly ledger: Ledger;
  usedAt: number;
}

function writeImage(pager: Pager, image: Uint8Array): void {
  for (let at = 0; at < image.length; at += PAGE_BYTES) pager.set(image.subarray(at, at + PAGE_BYTES), at);
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
