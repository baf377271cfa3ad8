/** The two calls of `DurableObjectStorage` that a group needs; a test gives a fake. */
export type CommitStorage = Pick<DurableObjectStorage, 'transactionSync' | 'sync'>;

/**
 * Works of one transaction. It bounds how long one group holds the thread: at some 20 µs of SQL each, 256 take about as
 * long as the fsync they share, so a larger group would add to everybody's wait and save next to nothing.
 */
export const GROUP_MAX = 256;

/** Works that wait for a group. At the few thousand a second one object can do, more than this would wait over a second. */
export const QUEUED_MAX = 4_096;

/**
 * Too much waits already; nothing was done. The field is the platform's own mark for an object that is asked too much: it
 * survives RPC, where the class does not.
 */
export class OverloadedError extends Error {
  override readonly name = 'OverloadedError';
  readonly overloaded = true;
  constructor(queued: number) {
    super(`${queued} calls wait for this object already`);
  }
}

/** Thrown by a work that stopped before it changed anything, row or memory: only its own caller is refused. */
export class UnchangedError extends Error {
  override readonly name = 'UnchangedError';
}

interface Item {
  /** Runs the work inside the group's transaction and keeps its outcome. Throws what must undo the whole group. */
  readonly execute: () => void;
  readonly settle: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: at once when no commit is in flight, otherwise works collect until `sync()` of the running commit resolves
 * and are committed together. Every commit costs an fsync, so a group shares one; a lone caller waits for no timer.
 *
 * What holds:
 * - Works run one after the other, in the order of `run`, each synchronously, inside one `transactionSync` per group.
 * - A promise resolves only after `sync()` of its group resolved: what a caller was told survives a crash (I4).
 * - Expected outcomes are values. A work that throws is our bug, and as it may have changed memory as well as rows, the
 *   group is rolled back, every caller that waits is rejected, and `onFault` must make the object forget its memory.
 *   `UnchangedError` is the exception: its thrower vouches that nothing happened.
 */
export class GroupCommit {
  readonly #storage: CommitStorage;
  readonly #onFault: (error: unknown) => void;
  readonly #beforeCommit: () => void;
  readonly #maxGroup: number;
  readonly #maxQueued: number;
  #queue: Item[] = [];
  #committing = false;
  /** Effects of the group that runs now; null outside of a work. */
  #effects: (() => void)[] | null = null;
  #fault: Error | null = null;

  constructor(options: {
    readonly storage: CommitStorage;
    readonly onFault: (error: unknown) => void;
    /** Runs inside the transaction, after the last work of the group: what its works have in common is written once. */
    readonly beforeCommit?: () => void;
    readonly maxGroup?: number;
    readonly maxQueued?: number;
  }) {
    this.#storage = options.storage;
    this.#onFault = options.onFault;
    this.#beforeCommit = options.beforeCommit ?? (() => undefined);
    this.#maxGroup = options.maxGroup ?? GROUP_MAX;
    this.#maxQueued = options.maxQueued ?? QUEUED_MAX;
  }

  /** Works that wait for the commit in flight. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Runs `work` in a group's transaction and answers its value once that is durable. */
  run<T>(work: () => T): Promise<T> {
    if (this.#fault !== null) return Promise.reject(this.#fault);
    if (this.#queue.length >= this.#maxQueued) return Promise.reject(new OverloadedError(this.#queue.length));
    return new Promise<T>((resolve, reject) => {
      this.#queue.push(makeItem(() => this.#attempt(work), resolve, reject));
      if (!this.#committing) void this.#commitAll();
    });
  }

  /** Takes nothing more: the memory its works knew is about to be replaced. A commit in flight still answers. */
  close(reason: Error): void {
    this.#fault ??= reason;
    const waiting = this.#queue;
    this.#queue = [];
    for (const item of waiting) item.reject(reason);
  }

  /** Inside a work: `effect` runs when the group is durable, in order of registration, before any caller is answered. */
  afterCommit(effect: () => void): void {
    if (this.#effects === null) throw new Error('afterCommit outside of a work');
    this.#effects.push(effect);
  }

  /** A work that changed nothing leaves no effect behind either. */
  #attempt<T>(work: () => T): T {
    const effectsBefore = this.#effects?.length ?? 0;
    try {
      return work();
    } catch (error) {
      if (error instanceof UnchangedError && this.#effects !== null) this.#effects.length = effectsBefore;
      throw error;
    }
  }

  /** Runs synchronously up to the first `sync()`, so the first caller's transaction is done before `run` returns. */
  async #commitAll(): Promise<void> {
    this.#committing = true;
    while (this.#queue.length > 0) {
      const group = this.#queue.splice(0, this.#maxGroup);
      let effects: readonly (() => void)[];
      try {
        effects = this.#transact(group);
        await this.#storage.sync();
      } catch (error) {
        this.#fail(group, error);
        return;
      }
      const broken = runEffects(effects);
      for (const item of group) item.settle();
      if (broken !== null) {
        this.#fail([], broken.error);
        return;
      }
    }
    // No await between the last look at the queue and this line: a `run` from here on starts its own loop.
    this.#committing = false;
  }

  #transact(group: readonly Item[]): readonly (() => void)[] {
    const effects: (() => void)[] = [];
    this.#effects = effects;
    try {
      this.#storage.transactionSync(() => {
        for (const item of group) item.execute();
        this.#beforeCommit();
      });
    } finally {
      this.#effects = null;
    }
    return effects;
  }

  /** Memory and rows may differ from here on, so nothing more is taken: `#committing` stays set on purpose. */
  #fail(group: readonly Item[], error: unknown): void {
    const reason = asError(error);
    for (const item of group) item.reject(reason);
    this.close(reason);
    this.#onFault(error);
  }
}

function makeItem<T>(attempt: () => T, resolve: (value: T) => void, reject: (error: unknown) => void): Item {
  let settle = (): void => {};
  const execute = (): void => {
    try {
      const value = attempt();
      settle = () => resolve(value);
    } catch (error) {
      if (!(error instanceof UnchangedError)) throw error;
      settle = () => reject(error);
    }
  };
  return { execute, settle: () => settle(), reject };
}

/** Runs every effect, also after one threw: the rows are committed, so each of them is owed. */
function runEffects(effects: readonly (() => void)[]): { readonly error: unknown } | null {
  let broken: { readonly error: unknown } | null = null;
  for (const effect of effects) {
    try {
      effect();
    } catch (error) {
      broken ??= { error };
    }
  }
  return broken;
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
