import { SealedError } from './errors.ts';
import { type PageCipher, SEALS_MAX } from './page-cipher.ts';
import type { PageStore } from './page-store.ts';

/** Pages and seals are reserved in blocks, so that most commits need not write the pager row. */
const PAGES_BLOCK = 64;
const SEALS_BLOCK = 4_096;

/** The pager row: what must be known before the first page can be read. Sealed as one box under the current key. */
export interface Header {
  readonly format: 1;
  /** The page set that is served, and the number of the next one. */
  readonly set: number;
  readonly nextSet: number;
  /** At least as many as the database has; SQLite's own first page has the exact number. */
  readonly pages: number;
  readonly keyId: number;
  readonly keys: readonly KeyRecord[];
  readonly rotation: Rotation | null;
  readonly compaction: Compaction | null;
  readonly restorePoints: readonly RestorePoint[];
  /** Page sets that nothing needs any more; maintenance removes them in steps. */
  readonly doomed: readonly number[];
}

export interface KeyRecord {
  readonly id: number;
  readonly createdAtMs: number;
  /** At least as many as it has sealed. */
  readonly seals: number;
}

/** Pages before (`sets[0]`, `no`) are under the current key, and so are those of sets that are no longer listed. */
export interface Rotation {
  readonly sets: readonly number[];
  readonly no: number;
}

export interface Compaction {
  /** The set that is being written, and how many pages it has. */
  readonly set: number;
  readonly pages: number;
  /** Of the source, with the triggers that log its changes. */
  readonly schemaVersion: number;
  /** Tables that are copied, in the order of their names; when all are, the log is worked off. */
  readonly tablesCopied: number;
}

export interface RestorePoint {
  /** The number of its page set. */
  readonly id: number;
  readonly pages: number;
  readonly createdAtMs: number;
  readonly reason: string;
}

/**
 * The pager row in memory. Changes are written by `save`, inside the host transaction whose pages they belong to; after a
 * failed one the whole engine is dropped and the row is read again, so memory never runs ahead of storage.
 */
export class Ledger {
  readonly #store: PageStore;
  readonly #cipher: PageCipher;
  readonly #region: string;
  #header: Header;
  #spent: number;
  #dirty = false;

  private constructor(options: { store: PageStore; cipher: PageCipher; region: string; header: Header; spent: number }) {
    this.#store = options.store;
    this.#cipher = options.cipher;
    this.#region = options.region;
    this.#header = options.header;
    this.#spent = options.spent;
  }

  static create(options: {
    readonly store: PageStore;
    readonly cipher: PageCipher;
    readonly region: string;
    readonly keyId: number;
    readonly nowMs: number;
  }): Ledger {
    const key = { id: options.keyId, createdAtMs: options.nowMs, seals: SEALS_BLOCK };
    const header: Header = {
      format: 1,
      set: 1,
      nextSet: 2,
      pages: 0,
      keyId: key.id,
      keys: [key],
      rotation: null,
      compaction: null,
      restorePoints: [],
      doomed: [],
    };
    const ledger = new Ledger({ ...options, header, spent: 0 });
    ledger.#dirty = true;
    return ledger;
  }

  static read(options: { readonly store: PageStore; readonly cipher: PageCipher; readonly region: string }): Ledger {
    const { box } = options.store.readHeader();
    const plain = options.cipher.open({ kind: 'header', set: 0, no: 0 }, box);
    const header = JSON.parse(new TextDecoder().decode(plain)) as Header;
    // Sealed by ourselves, so its shape is ours: only another version of this code could have written another one.
    if (header.format !== 1) throw new SealedError('incompatible', `the pager row has format ${String(header.format)}`);
    // What a predecessor left of its block is not used again; the count is an upper bound.
    const spent = header.keys.find(({ id }) => id === header.keyId)?.seals ?? SEALS_MAX;
    return new Ledger({ ...options, header, spent });
  }

  /** Whether `save` has something to write. */
  get isDirty(): boolean {
    return this.#dirty;
  }

  get header(): Header {
    return this.#header;
  }

  get current(): KeyRecord {
    const { keyId, keys } = this.#header;
    const key = keys.find(({ id }) => id === keyId);
    if (key === undefined) throw new SealedError('tampered', `the pager row does not list its own key ${keyId}`);
    return key;
  }

  change(change: Partial<Header>): void {
    const rekeyed = change.keyId !== undefined && change.keyId !== this.#header.keyId;
    this.#header = { ...this.#header, ...change };
    if (rekeyed) this.#spent = 0;
    this.#dirty = true;
  }

  /** That the served set has a page `no`. */
  reserve(no: number): void {
    if (no < this.#header.pages) return;
    this.change({ pages: (Math.floor(no / PAGES_BLOCK) + 1) * PAGES_BLOCK });
  }

  /** Before `count` boxes are sealed under the current key. */
  spend(count: number): void {
    this.#spent += count;
    const { current } = this;
    if (this.#spent <= current.seals) return;
    const seals = this.#spent + SEALS_BLOCK;
    if (seals > SEALS_MAX)
      throw new SealedError('nonces_spent', `key ${current.id} has sealed ${current.seals} times: rotate it`);
    this.change({ keys: this.#header.keys.map((key) => (key.id === current.id ? { ...key, seals } : key)) });
  }

  /** Inside the host's transaction. */
  save(): void {
    if (!this.#dirty) return;
    this.spend(1);
    const plain = new TextEncoder().encode(JSON.stringify(this.#header));
    this.#store.writeHeader(this.#region, this.#cipher.seal({ kind: 'header', set: 0, no: 0 }, this.#header.keyId, plain));
    this.#dirty = false;
  }
}
