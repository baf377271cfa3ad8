import type { Selector } from '../../../shared/schemas/allocations.ts';
import { LIMITS } from '../../../shared/limits.ts';

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
  /** Order of arrival; kept over a requeue, so that returned work goes before newer work of its priority. */
  readonly seq: number;
  readonly demand: Demand;
}

interface Level {
  /** Entries in arrival order. */
  readonly fresh: Map<string, QueueEntry>;
  /** Entries that were already handed out once and came back. */
  readonly returned: Map<string, QueueEntry>;
}

export interface DemandGroup {
  readonly key: string;
  readonly demand: Demand;
  readonly levels: (Level | undefined)[];
  size: number;
}

const first = (map: Map<string, QueueEntry>): QueueEntry | undefined => {
  for (const entry of map.values()) return entry;
  return undefined;
};

/** Whether `a` goes before `b`: higher priority first, then order of arrival. */
export const goesBefore = (a: QueueEntry, b: QueueEntry): boolean =>
  a.priority !== b.priority ? a.priority > b.priority : a.seq < b.seq;

/** Everything that waits for an agent: tasks and waiting allocations, grouped by demand, ordered by priority then age. */
export class WaitQueue {
  readonly #groups = new Map<string, DemandGroup>();
  readonly #entries = new Map<string, { readonly entry: QueueEntry; readonly group: DemandGroup }>();

  get size(): number {
    return this.#entries.size;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  groups(): IterableIterator<DemandGroup> {
    return this.#groups.values();
  }

  groupOf(id: string): DemandGroup | undefined {
    return this.#entries.get(id)?.group;
  }

  add(entry: QueueEntry, returned = false): void {
    const key = demandKey(entry.demand);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { key, demand: entry.demand, levels: [], size: 0 };
      this.#groups.set(key, group);
    }
    const level = (group.levels[entry.priority] ??= { fresh: new Map(), returned: new Map() });
    (returned ? level.returned : level.fresh).set(entry.id, entry);
    group.size += 1;
    this.#entries.set(entry.id, { entry, group });
  }

  remove(id: string): boolean {
    const found = this.#entries.get(id);
    if (found === undefined) return false;
    const { entry, group } = found;
    const level = group.levels[entry.priority];
    if (level !== undefined && !level.returned.delete(id)) level.fresh.delete(id);
    this.#entries.delete(id);
    group.size -= 1;
    if (group.size === 0) this.#groups.delete(group.key);
    return true;
  }

  /** The entry of a group that is served next. */
  head(group: DemandGroup): QueueEntry | undefined {
    for (let p: number = LIMITS.priorityMax; p >= LIMITS.priorityMin; p -= 1) {
      const level = group.levels[p];
      if (level === undefined) continue;
      const back = first(level.returned);
      const fresh = first(level.fresh);
      if (back !== undefined && (fresh === undefined || back.seq < fresh.seq)) return back;
      if (fresh !== undefined) return fresh;
    }
    return undefined;
  }

  /** How many entries are served before this one, over all demands; 0 = next. */
  position(id: string): number | null {
    const found = this.#entries.get(id);
    if (found === undefined) return null;
    let ahead = 0;
    for (const { entry } of this.#entries.values()) if (goesBefore(entry, found.entry)) ahead += 1;
    return ahead;
  }
}

function demandKey(demand: Demand): string {
  const plain = demand.selectors.length === 0 ? '' : JSON.stringify(demand.selectors);
  return `${demand.connected ? 't' : 'a'}|${demand.slots}|${demand.count}|${demand.capabilities.toSorted().join(',')}|${plain}`;
}
