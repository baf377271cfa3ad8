import type { Pages } from './connection.ts';
import { SealedError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import type { PageCipher } from './page-cipher.ts';
import { PAGES_AT_ONCE, type PageStore } from './page-store.ts';
import type { FileContents, FileImage } from './sql-js.ts';
import { PAGE_BYTES, squeeze, unsqueeze } from './squeeze.ts';

/**
 * The error sql.js's file system turns into an I/O error of SQLite, which then unwinds in order; any other error would tear
 * through the WebAssembly stack of an instance that other databases share. The file system knows it by its name and takes
 * the number from a property whose name depends on the build, hence the proxy. 29 is EIO.
 */
const IO_ERROR = new Proxy(new Error('I/O error'), { get: (_, property) => (property === 'name' ? 'ErrnoError' : 29) });

/**
 * Stands where the file system of sql.js keeps a file's bytes: `subarray` is a page read, `set` is a page write. Reads come
 * from storage one page at a time, are verified and opened; writes are kept until `flush` seals them.
 *
 * What SQLite might do that does not belong into pages (truncate, copy, write elsewhere) makes the pager `detached`: the
 * engine must be dropped, and nothing of the transaction is stored.
 */
export class Pager implements FileContents, Pages {
  readonly #store: PageStore;
  readonly #cipher: PageCipher;
  readonly #ledger: Ledger;
  readonly #set: number;
  /** Pages written since the last flush, sealed already: the engine's own cache has them in clear and hardly asks again. */
  readonly #pending = new Map<number, Uint8Array<ArrayBuffer>>();
  /** Reads are copied out by the caller at once, and writes sealed at once, so one buffer serves each. */
  readonly #scratch = new Uint8Array(PAGE_BYTES);
  readonly #squeezed = new Uint8Array(PAGE_BYTES);
  #fault: SealedError | null = null;
  #detached = false;
  reads = 0;
  writes = 0;

  constructor(options: {
    readonly store: PageStore;
    readonly cipher: PageCipher;
    readonly ledger: Ledger;
    readonly set: number;
  }) {
    this.#store = options.store;
    this.#cipher = options.cipher;
    this.#ledger = options.ledger;
    this.#set = options.set;
  }

  /** More than any file will have: the file system never "grows" us, which would mean to replace us by an array. */
  get length(): number {
    return 2 ** 45;
  }

  get buffer(): undefined {
    return undefined;
  }

  /**
   * What the file system is given for a file of so many pages; it takes `this` in. Throws when the first page does not open:
   * the engine would read it while it opens the file, and one that fails to open cannot be closed.
   */
  image(pages: number): FileImage {
    try {
      this.#read(0);
    } catch (error) {
      throw this.takeFault() ?? error;
    }
    return {
      length: pages * PAGE_BYTES,
      buffer: undefined,
      subarray: () => this.#detach('the file was read before it was opened'),
      slice: () => this,
    };
  }

  subarray(from: number, to: number): Uint8Array {
    const no = Math.floor(from / PAGE_BYTES);
    const start = from - no * PAGE_BYTES;
    const end = start + to - from;
    // A truncated file is copied into an array, and VACUUM or a rollback after a spill truncate.
    if (end > PAGE_BYTES || to <= from) this.#detach('the file was truncated or copied');
    const page = this.#read(no);
    return end - start === PAGE_BYTES ? page : page.subarray(start, end);
  }

  set(bytes: Uint8Array | Int8Array, position: number): void {
    const no = position / PAGE_BYTES;
    if (bytes.length !== PAGE_BYTES || !Number.isInteger(no)) this.#detach('a write is not one whole page');
    try {
      this.#ledger.spend(1);
      // The engine hands out a view of its memory, as signed bytes.
      const page = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      const kept = squeeze(page, no, this.#squeezed);
      this.#pending.set(no, this.#cipher.seal({ kind: 'page', set: this.#set, no }, this.#ledger.header.keyId, kept));
    } catch (error) {
      this.#fail(error, no);
    }
  }

  get hasPending(): boolean {
    return this.#pending.size > 0;
  }

  get detached(): boolean {
    return this.#detached;
  }

  /** The reason behind an I/O error of SQLite, once. */
  takeFault(): SealedError | null {
    const fault = this.#fault;
    this.#fault = null;
    return fault;
  }

  /** Whether `flush` is one statement, which is atomic by itself: the host's transaction would cost more than it does. */
  get flushIsAtomic(): boolean {
    return this.#pending.size <= PAGES_AT_ONCE && !this.#ledger.isDirty && !this.#grows();
  }

  /** Every page written since the last flush goes to storage, sealed; in the host's transaction unless `flushIsAtomic`. */
  flush(): void {
    this.#store.writePages(this.#set, this.#pending);
    if (this.#set === this.#ledger.header.set) for (const no of this.#pending.keys()) this.#ledger.reserve(no);
    this.writes += this.#pending.size;
    this.#pending.clear();
    this.#ledger.save();
  }

  /** One page in clear; for export. The buffer is used again by the next read. */
  page(no: number): Uint8Array {
    return this.#read(no);
  }

  /** Whether a new page is beyond what the pager row has reserved. */
  #grows(): boolean {
    const { set, pages } = this.#ledger.header;
    if (this.#set !== set) return false;
    for (const no of this.#pending.keys()) if (no >= pages) return true;
    return false;
  }

  #read(no: number): Uint8Array {
    this.reads += 1;
    try {
      const box = this.#pending.get(no) ?? this.#store.readPage(this.#set, no);
      if (box === null) throw new SealedError('tampered', `page ${no} of set ${this.#set} is missing`, { page: no });
      const plain = this.#cipher.open({ kind: 'page', set: this.#set, no }, box);
      if (!unsqueeze(plain, this.#scratch)) {
        throw new SealedError('tampered', `page ${no} of set ${this.#set} has no page's length`, { page: no });
      }
      return this.#scratch;
    } catch (error) {
      return this.#fail(error, no);
    }
  }

  #fail(error: unknown, no: number): never {
    const known = error instanceof SealedError;
    this.#fault = known ? error : new SealedError('escaped', `page ${no} could not be moved`, { page: no, cause: error });
    throw IO_ERROR;
  }

  #detach(what: string): never {
    this.#detached = true;
    this.#fault = new SealedError('escaped', `${what}; the engine is opened anew`);
    throw IO_ERROR;
  }
}
