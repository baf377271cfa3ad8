import type { QueueEntry } from './queue.ts';

/** Fairness keys remembered per priority; who has not been served for so many others starts anew. */
const SHARES_MAX = 1_000;

interface Share {
  /** Start tag last served. */
  virtual: number;
  /** Finish tag of each key's latest entry served, the latest served last. */
  readonly finish: Map<string, number>;
}

/** What each fairness key has had, per priority: start-time fair queueing (Goyal, Vin and Cheng 1996). */
export class Shares {
  readonly #shares: (Share | undefined)[] = [];

  /** For a look at what would come, without doing it. */
  copy(): Shares {
    const copy = new Shares();
    for (const [priority, share] of this.#shares.entries())
      if (share !== undefined) copy.#shares[priority] = { virtual: share.virtual, finish: new Map(share.finish) };
    return copy;
  }

  /** Keys that are remembered though nothing of theirs may wait; bounded. */
  get keysRemembered(): number {
    return this.#shares.reduce((sum, share) => sum + (share?.finish.size ?? 0), 0);
  }

  /** Start tag of the next entry of this one's key; smaller has had less than its share. */
  tag({ priority, fairnessKey }: QueueEntry): number {
    const share = this.#shares[priority];
    return share === undefined ? 0 : Math.max(share.virtual, share.finish.get(fairnessKey) ?? 0);
  }

  /** The entry is served. Answers the key that is forgotten for it, if one is. Work that returns was charged the first time. */
  charge(entry: QueueEntry): string | null {
    if (entry.started) return null;
    const share = (this.#shares[entry.priority] ??= { virtual: 0, finish: new Map() });
    const tag = this.tag(entry);
    share.virtual = Math.max(share.virtual, tag);
    // The latest served stand last. Keys that come once each stay ahead of the virtual time for ever: the oldest goes.
    share.finish.delete(entry.fairnessKey);
    share.finish.set(entry.fairnessKey, tag + 1 / entry.fairnessWeight);
    const [oldest] = share.finish.keys();
    if (share.finish.size <= SHARES_MAX || oldest === undefined) return null;
    share.finish.delete(oldest);
    return oldest;
  }
}
