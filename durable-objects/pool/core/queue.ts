import type { Selector } from '../../../shared/schemas/allocations.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { Flow } from './flow.ts';

/** What an agent must offer. Entries with the same demand share a group, so a long queue costs no more than a short one. */
export interface Demand {
  readonly capabilities: readonly string[];
  readonly selectors: readonly Selector[];
  readonly slots: number;
  readonly count: number;
  /** Tasks need an agent that is connected; a waiting allocation takes any live one. */
  readonly connected: boolean;
}

export interface QueueEntry {
  readonly id: string;
  readonly kind: 'task' | 'waiter';
  readonly priority: number;
  /** Order of arrival; kept over a requeue. */
  readonly seq: number;
  /** When the entry first came to wait; ageing counts from here, over requeues too. */
  readonly sinceMs: number;
  /** It was handed out before and came back: among equals started work is finished first. */
  readonly started: boolean;
  /** Whose share this work is counted on; entries without a key share one. */
  readonly fairnessKey: string;
  readonly fairnessWeight: number;
  readonly demand: Demand;
}

interface Level {
  /** Entries that were already handed out once and came back. */
  readonly returned: Flow<QueueEntry>;
  /** The others, by fairness key. */
  readonly flows: Map<string, Flow<QueueEntry>>;
}

export interface DemandGroup {
  readonly key: string;
  readonly demand: Demand;
  readonly levels: (Level | undefined)[];
  size: number;
}

/** An entry with what its order is decided by. */
export interface Candidate {
  readonly entry: QueueEntry;
  readonly group: DemandGroup;
  /** Priority plus one for each `ageingStepMs` waited. */
  readonly effective: number;
  /** Start tag of the entry's fairness key (start-time fair queueing); smaller has had less than its share. */
  readonly tag: number;
}

/** Whether `a` is served before `b`: effective priority, started work, the smaller share so far, then arrival. */
export function goesBefore(a: Candidate, b: Candidate): boolean {
  if (a.effective !== b.effective) return a.effective > b.effective;
  if (a.entry.started !== b.entry.started) return a.entry.started;
  if (a.tag !== b.tag) return a.tag < b.tag;
  return a.entry.sinceMs === b.entry.sinceMs ? a.entry.seq < b.entry.seq : a.entry.sinceMs < b.entry.sinceMs;
}

/**
 * Everything that waits for an agent: tasks and waiting allocations. Higher priority goes first; waiting lifts an entry by
 * one priority per `ageingStepMs`, so that nothing starves; inside a priority, keys share by weight (start-time fair
 * queueing, Goyal, Vin and Cheng 1996), and each key is served in order of arrival.
 */
export class WaitQueue {
  readonly #groups = new Map<string, DemandGroup>();
  readonly #entries = new Map<string, { readonly entry: QueueEntry; readonly group: DemandGroup }>();
  /** Per priority: virtual time (start tag last served), and the finish tag of each key's latest entry served. */
  readonly #shares: ({ virtual: number; readonly finish: Map<string, number> } | undefined)[] = [];

  get size(): number {
    return this.#entries.size;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  ids(): IterableIterator<string> {
    return this.#entries.keys();
  }

  groups(): IterableIterator<DemandGroup> {
    return this.#groups.values();
  }

  groupOf(id: string): DemandGroup | undefined {
    return this.#entries.get(id)?.group;
  }

  add(entry: QueueEntry): void {
    this.remove(entry.id);
    const key = demandKey(entry.demand);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { key, demand: entry.demand, levels: [], size: 0 };
      this.#groups.set(key, group);
    }
    const level = (group.levels[entry.priority] ??= { returned: new Flow(), flows: new Map() });
    if (entry.started) level.returned.add(entry);
    else {
      let flow = level.flows.get(entry.fairnessKey);
      if (flow === undefined) level.flows.set(entry.fairnessKey, (flow = new Flow<QueueEntry>()));
      flow.add(entry);
    }
    group.size += 1;
    this.#entries.set(entry.id, { entry, group });
  }

  /** Takes an entry out without serving it. */
  remove(id: string): boolean {
    const found = this.#entries.get(id);
    if (found === undefined) return false;
    const { entry, group } = found;
    const level = group.levels[entry.priority];
    if (entry.started) level?.returned.remove(entry);
    else {
      const flow = level?.flows.get(entry.fairnessKey);
      flow?.remove(entry);
      if (flow?.size === 0) level?.flows.delete(entry.fairnessKey);
    }
    this.#entries.delete(id);
    group.size -= 1;
    if (group.size === 0) this.#groups.delete(group.key);
    return true;
  }

  /** Fairness keys that are remembered though nothing of theirs may wait; bounded. */
  get keysRemembered(): number {
    return this.#shares.reduce((sum, share) => sum + (share?.finish.size ?? 0), 0);
  }

  /** Takes an entry out because it is served, and charges its key. Work that returns was charged the first time. */
  serve(id: string): void {
    const entry = this.#entries.get(id)?.entry;
    if (entry === undefined) return;
    if (!entry.started) {
      const share = (this.#shares[entry.priority] ??= { virtual: 0, finish: new Map() });
      const tag = this.#tag(entry);
      share.virtual = Math.max(share.virtual, tag);
      // The latest served stand last. Keys that come once each stay ahead of the virtual time for ever: the oldest goes.
      share.finish.delete(entry.fairnessKey);
      share.finish.set(entry.fairnessKey, tag + 1 / entry.fairnessWeight);
      const [oldest] = share.finish.keys();
      if (share.finish.size > SHARES_MAX && oldest !== undefined) share.finish.delete(oldest);
    }
    this.remove(id);
  }

  #tag(entry: QueueEntry): number {
    const share = this.#shares[entry.priority];
    return share === undefined ? 0 : Math.max(share.virtual, share.finish.get(entry.fairnessKey) ?? 0);
  }

  #candidate(entry: QueueEntry, group: DemandGroup, nowMs: number): Candidate {
    const waitedMs = Math.max(0, nowMs - entry.sinceMs);
    return { entry, group, effective: entry.priority + Math.floor(waitedMs / LIMITS.ageingStepMs), tag: this.#tag(entry) };
  }

  /** The entry of a group that is served next. */
  head(group: DemandGroup, nowMs: number): Candidate | undefined {
    let best: Candidate | undefined;
    const consider = (entry: QueueEntry | undefined): void => {
      if (entry === undefined) return;
      const candidate = this.#candidate(entry, group, nowMs);
      if (best === undefined || goesBefore(candidate, best)) best = candidate;
    };
    for (const level of group.levels) {
      if (level === undefined) continue;
      consider(level.returned.head);
      for (const flow of level.flows.values()) consider(flow.head);
    }
    return best;
  }

  /** Of these entries those that stand in the queue, the best first, at most `limit`. */
  best(ids: readonly string[], nowMs: number, limit: number): readonly string[] {
    const found = ids.flatMap((id) => this.#entries.get(id) ?? []);
    const candidates = found.map(({ entry, group }) => this.#candidate(entry, group, nowMs));
    return candidates
      .toSorted((a, b) => (goesBefore(a, b) ? -1 : 1))
      .slice(0, limit)
      .map(({ entry }) => entry.id);
  }

  /** How many entries would be served before this one as things stand, over all demands; 0 = next. */
  position(id: string, nowMs: number): number | null {
    const found = this.#entries.get(id);
    if (found === undefined) return null;
    const mine = this.#candidate(found.entry, found.group, nowMs);
    let ahead = 0;
    for (const { entry, group } of this.#entries.values())
      if (entry !== found.entry && goesBefore(this.#candidate(entry, group, nowMs), mine)) ahead += 1;
    return ahead;
  }
}

/** Fairness keys remembered per priority; who has not been served for so many others starts anew. */
const SHARES_MAX = 1_000;

function demandKey(demand: Demand): string {
  const plain = demand.selectors.length === 0 ? '' : JSON.stringify(demand.selectors);
  return `${demand.connected ? 't' : 'a'}|${demand.slots}|${demand.count}|${demand.capabilities.toSorted().join(',')}|${plain}`;
}
