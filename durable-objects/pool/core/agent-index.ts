import type { LiveAgent } from './live-agent.ts';

/**
 * Agents with the same capabilities and labels are interchangeable to every predicate, so selection asks each class
 * once instead of each agent. Inside a class agents stand in buckets by load, each in the order of becoming free.
 */
export interface AgentClass {
  readonly key: string;
  readonly capabilities: ReadonlySet<string>;
  readonly labels: Readonly<Record<string, string>>;
  /** used/slots → agents, least recently moved first. */
  readonly buckets: Map<number, Map<string, LiveAgent>>;
  /** Agents of this class, selectable or not. */
  members: number;
}

interface Placement {
  readonly klass: AgentClass;
  load: number | null;
  member: boolean;
  /** Order of the latest placement, comparable over classes. */
  seq: number;
}

/** Load of an agent as selection sees it: share of its slots in use, 0 to 1. */
export const loadOf = (agent: LiveAgent): number => agent.slotsUsed / agent.record.spec.slots;

/** An index of agents by class and load; an agent is in a bucket exactly while it is placed as selectable. */
export class AgentIndex {
  readonly #classes = new Map<string, AgentClass>();
  readonly #placements = new Map<string, Placement>();
  #seq = 0;

  classes(): IterableIterator<AgentClass> {
    return this.#classes.values();
  }

  seqOf(agentId: string): number {
    return this.#placements.get(agentId)?.seq ?? 0;
  }

  /** Puts the agent where its load says, or takes it out. */
  place(agent: LiveAgent, selectable: boolean): void {
    const id = agent.record.id;
    let placement = this.#placements.get(id);
    if (placement === undefined) {
      if (!selectable) return;
      placement = this.#create(agent);
    }
    const load = selectable ? loadOf(agent) : null;
    if (placement.load === load) return;
    const { buckets } = placement.klass;
    if (placement.load !== null) {
      const old = buckets.get(placement.load);
      old?.delete(id);
      if (old?.size === 0) buckets.delete(placement.load);
    }
    placement.load = load;
    if (load !== null) {
      let bucket = buckets.get(load);
      if (bucket === undefined) buckets.set(load, (bucket = new Map()));
      bucket.set(id, agent);
      placement.seq = this.#seq += 1;
    }
    this.#drop(id, placement);
  }

  /** Counts the agent as one of its class whether or not it is selectable: explanations and `needsAgent` need the total. */
  member(agent: LiveAgent, isMember: boolean): void {
    const id = agent.record.id;
    let placement = this.#placements.get(id);
    if (placement === undefined) {
      if (!isMember) return;
      placement = this.#create(agent);
    }
    if (placement.member === isMember) return;
    placement.member = isMember;
    placement.klass.members += isMember ? 1 : -1;
    this.#drop(id, placement);
  }

  #create(agent: LiveAgent): Placement {
    const { capabilities, labels } = agent.record.spec;
    const key = `${capabilities.toSorted().join(',')}|${JSON.stringify(Object.entries(labels).toSorted(byKey))}`;
    let klass = this.#classes.get(key);
    if (klass === undefined) {
      klass = { key, capabilities: new Set(capabilities), labels, buckets: new Map(), members: 0 };
      this.#classes.set(key, klass);
    }
    const placement: Placement = { klass, load: null, member: false, seq: 0 };
    this.#placements.set(agent.record.id, placement);
    return placement;
  }

  #drop(id: string, placement: Placement): void {
    if (placement.load !== null || placement.member) return;
    this.#placements.delete(id);
    if (placement.klass.members === 0 && placement.klass.buckets.size === 0) this.#classes.delete(placement.klass.key);
  }
}

const byKey = (a: [string, string], b: [string, string]): number => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);
