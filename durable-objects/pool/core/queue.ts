import type { Selector } from '../../../shared/schemas/allocations.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { Flow } from './flow.ts';
import { Shares } from './shares.ts';

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

export interface Level {
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

export function candidateOf(entry: QueueEntry, group: DemandGroup, shares: Shares, nowMs: number): Candidate {
  const waitedMs = Math.max(0, nowMs - entry.sinceMs);
  return { entry, group, effective: entry.priority + Math.floor(waitedMs / LIMITS.ageingStepMs), tag: shares.tag(entry) };
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
  readonly shares = new Shares();

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

  get keysRemembered(): number {
    return this.shares.keysRemembered;
  }

  entry(id: string): QueueEntry | undefined {
    return this.#entries.get(id)?.entry;
  }

  /** Takes an entry out because it is served, and charges its key. */
  serve(id: string): void {
    const entry = this.entry(id);
    if (entry === undefined) return;
    this.shares.charge(entry);
    this.remove(id);
  }

  /** The entry of a group that is served next. */
  head(group: DemandGroup, nowMs: number): Candidate | undefined {
    let best: Candidate | undefined;
    const consider = (entry: QueueEntry | undefined): void => {
      if (entry === undefined) return;
      const candidate = candidateOf(entry, group, this.shares, nowMs);
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
    const candidates = found.map(({ entry, group }) => candidateOf(entry, group, this.shares, nowMs));
    return candidates
      .toSorted((a, b) => (goesBefore(a, b) ? -1 : 1))
      .slice(0, limit)
      .map(({ entry }) => entry.id);
  }
}

function demandKey(demand: Demand): string {
  const plain = demand.selectors.length === 0 ? '' : JSON.stringify(demand.selectors);
  return `${demand.connected ? 't' : 'a'}|${demand.slots}|${demand.count}|${demand.capabilities.toSorted().join(',')}|${plain}`;
}
