import type { QueueEntry } from './queue.ts';

/** A wait that stands outside the queue. */
interface Outside {
  readonly entry: QueueEntry;
  /** It may come in when its caller holds no more than this many leases. */
  readonly whenHeld: number;
}

/**
 * How many live direct leases each caller holds here, and the waits of callers that hold their quota: in the queue they would
 * stand before others that can be served. Derived from leases and waits; rebuilt on every load.
 */
export class Holdings {
  readonly #leases = new Map<string, number>();
  /** By caller, each in the order of arrival. */
  readonly #outside = new Map<string, Map<string, Outside>>();
  readonly #subjects = new Map<string, string>();

  of(subject: string): number {
    return this.#leases.get(subject) ?? 0;
  }

  entries(): IterableIterator<[string, number]> {
    return this.#leases.entries();
  }

  granted(subject: string): void {
    this.#leases.set(subject, this.of(subject) + 1);
  }

  /** A lease ended: answers the waits of its holder that may come into the queue now. */
  ended(subject: string): readonly QueueEntry[] {
    const left = this.of(subject) - 1;
    if (left === 0) this.#leases.delete(subject);
    else this.#leases.set(subject, left);
    const waits = this.#outside.get(subject);
    if (waits === undefined) return NONE;
    // All that fit by themselves: which of them an agent fits, and in what order, is the queue's to say.
    const entries = [...waits.values()].filter(({ whenHeld }) => left <= whenHeld).map(({ entry }) => entry);
    for (const { id } of entries) this.forget(id);
    return entries;
  }

  /** Keeps a wait outside until its caller holds at most `whenHeld` leases. */
  keepOut(subject: string, entry: QueueEntry, whenHeld: number): void {
    const waits = this.#outside.get(subject) ?? new Map<string, Outside>();
    this.#outside.set(subject, waits.set(entry.id, { entry, whenHeld }));
    this.#subjects.set(entry.id, subject);
  }

  isOutside(waiterId: string): boolean {
    return this.#subjects.has(waiterId);
  }

  /** The wait is over, or in the queue. */
  forget(waiterId: string): void {
    const subject = this.#subjects.get(waiterId);
    if (subject === undefined) return;
    this.#subjects.delete(waiterId);
    const waits = this.#outside.get(subject);
    waits?.delete(waiterId);
    if (waits?.size === 0) this.#outside.delete(subject);
  }
}

const NONE: readonly QueueEntry[] = [];
