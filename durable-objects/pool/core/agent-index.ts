import type { Selector } from '../../../shared/schemas/allocations.ts';
import { ClassViews, type ClassView } from './class-views.ts';
import { LabelIndex } from './label-index.ts';
import type { LiveAgent } from './live-agent.ts';
import { classFits, freeSlots, hasCapabilities, type Traits } from './predicates.ts';
import type { Demand } from './queue.ts';
import { Run, type Placement } from './runs.ts';

interface Tally {
  /** Agents, selectable or not. */
  members: number;
  /** Of them those in service, and those in service and connected. Kept by `count` where it is told. */
  inService: number;
  connected: number;
  /** Of them those that stand in a run. */
  placed: number;
}

/** The classes with the same capabilities. */
export interface AgentKind extends Tally {
  readonly key: string;
  readonly capabilities: ReadonlySet<string>;
  readonly classes: Set<AgentClass>;
}

/**
 * Agents with the same capabilities, labels and number of slots are interchangeable to every predicate, so selection asks
 * each class once instead of each agent.
 */
export interface AgentClass extends Traits {
  readonly key: string;
  readonly kind: AgentKind;
  readonly slots: number;
  /** Free slots → the agents that have as many; an empty run goes. */
  readonly runs: Map<number, Run>;
  /** Everyone of this class that is counted. */
  readonly members: Set<Placement>;
  inService: number;
  connected: number;
  /** Orders over many classes that this one is in; told when its agents move. */
  views: ClassView[];
}

const COUNTED = { member: 1, inService: 2, connected: 4 } as const;

/** Classes that are looked at one by one; more are kept in order by a view. */
const FEW_CLASSES = 32;
/** Kinds that are looked at one by one; more are found by their rarest capability. */
const FEW_KINDS = 64;

/** An index of agents by class and free slots; an agent is in a run exactly while it is placed as selectable. */
export class AgentIndex {
  readonly #kinds = new Map<string, AgentKind>();
  readonly #classes = new Map<string, AgentClass>();
  readonly #places = new Map<string, Placement>();
  readonly #labels = new LabelIndex();
  /** Capability → kinds that have it; made when there are too many kinds to look at. */
  #byCapability: Map<string, Set<AgentKind>> | null = null;
  #seq = 0;
  /** Rises whenever an order may have changed. */
  #version = 0;
  readonly total: Tally = { members: 0, inService: 0, connected: 0, placed: 0 };
  readonly views = new ClassViews(this);

  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#classes.size;
  }

  classes(): IterableIterator<AgentClass> {
    return this.#classes.values();
  }

  kinds(): IterableIterator<AgentKind> {
    return this.#kinds.values();
  }

  placeOf(agentId: string): Placement | undefined {
    return this.#places.get(agentId);
  }

  /** Puts the agent where its free slots say, or takes it out. */
  place(agent: LiveAgent, selectable: boolean): void {
    const place = this.#places.get(agent.record.id) ?? (selectable ? this.#create(agent) : undefined);
    if (place === undefined) return;
    const { klass, run } = place;
    const free = selectable ? freeSlots(agent) : 0;
    if ((run?.free ?? 0) === free) {
      if (run?.refresh(place) === true) this.#moved(klass);
      return;
    }
    if (run !== null) {
      run.delete(place);
      if (run.places.size === 0) klass.runs.delete(run.free);
    }
    if (free > 0) {
      place.seq = this.#seq += 1;
      let next = klass.runs.get(free);
      if (next === undefined) klass.runs.set(free, (next = new Run(free, klass.slots)));
      next.add(place);
      place.run = next;
    } else place.run = null;
    const more = Number(place.run !== null) - Number(run !== null);
    klass.kind.placed += more;
    this.total.placed += more;
    this.#moved(klass);
    this.#drop(place);
  }

  #moved(klass: AgentClass): void {
    this.#version += 1;
    for (const view of klass.views) view.moved(klass);
  }

  /** Counts the agent as one of its class whether or not it is selectable: explanations and `needsAgent` need the totals. */
  count(agent: LiveAgent, as: { readonly member: boolean; readonly inService: boolean; readonly connected: boolean }): void {
    const counted =
      (as.member ? COUNTED.member : 0) | (as.inService ? COUNTED.inService : 0) | (as.connected ? COUNTED.connected : 0);
    const place = this.#places.get(agent.record.id) ?? (counted === 0 ? undefined : this.#create(agent));
    if (place === undefined || place.counted === counted) return;
    const { klass } = place;
    const by = (bit: number): number => Number((counted & bit) !== 0) - Number((place.counted & bit) !== 0);
    const members = by(COUNTED.member);
    if (members > 0) klass.members.add(place);
    else if (members < 0) klass.members.delete(place);
    const [inService, connected] = [by(COUNTED.inService), by(COUNTED.connected)];
    for (const tally of [klass.kind, this.total]) tally.members += members;
    for (const tally of [klass, klass.kind, this.total]) {
      tally.inService += inService;
      tally.connected += connected;
    }
    place.counted = counted;
    this.#drop(place);
  }

  /** Whether a member is in service, and connected if that is asked. */
  isServing({ counted }: Placement, connected: boolean): boolean {
    return (counted & (connected ? COUNTED.connected : COUNTED.inService)) !== 0;
  }

  /** The classes that fit, some of them perhaps without anyone free, when they are few; null: too many for each to be looked at. */
  few(demand: Demand, selector: Selector | undefined): readonly AgentClass[] | null {
    const { capabilities } = demand;
    if (this.#classes.size <= FEW_CLASSES) return pick(this.#classes.values(), demand, selector);
    const labelled = this.#labels.narrowest(selector, this.#classes, FEW_CLASSES);
    if (labelled !== null) return pick(labelled, demand, selector);
    const kinds = this.#kindsWith(capabilities, FEW_KINDS);
    if (kinds === null) return null;
    let classes = 0;
    for (const kind of kinds) classes += kind.classes.size;
    return classes > FEW_CLASSES ? null : kinds.flatMap((kind) => pick(kind.classes, demand, selector));
  }

  /** Every class that fits, however many. */
  *fitting(demand: Pick<Demand, 'capabilities'>, selector: Selector | undefined): Generator<AgentClass> {
    const labelled =
      this.#classes.size <= FEW_CLASSES ? null : this.#labels.narrowest(selector, this.#classes, Number.POSITIVE_INFINITY);
    if (labelled !== null) {
      for (const klass of labelled) if (classFits(klass, demand, selector)) yield klass;
      return;
    }
    for (const kind of this.#kindsWith(demand.capabilities, Number.POSITIVE_INFINITY) ?? [])
      for (const klass of kind.classes) if (classFits(klass, demand, selector)) yield klass;
  }

  /** Kinds with all of these capabilities; null when more than `most` would have to be looked at. */
  #kindsWith(capabilities: readonly string[], most: number): readonly AgentKind[] | null {
    let candidates: Iterable<AgentKind> & { readonly size: number } = {
      size: this.#kinds.size,
      [Symbol.iterator]: () => this.#kinds.values(),
    };
    if (this.#kinds.size > FEW_KINDS) {
      const index = (this.#byCapability ??= this.#indexCapabilities());
      for (const c of capabilities) {
        const having = index.get(c) ?? NONE;
        if (having.size < candidates.size) candidates = having;
      }
    }
    if (candidates.size > most) return null;
    return [...candidates].filter((kind) => hasCapabilities(kind.capabilities, capabilities));
  }

  #indexCapabilities(): Map<string, Set<AgentKind>> {
    const index = new Map<string, Set<AgentKind>>();
    for (const kind of this.#kinds.values()) addKind(index, kind);
    return index;
  }

  #create(agent: LiveAgent): Placement {
    const { capabilities, labels, slots } = agent.record.spec;
    const kindKey = capabilities.toSorted().join(',');
    const key = `${kindKey}|${slots}|${JSON.stringify(Object.entries(labels).toSorted(byKey))}`;
    const klass = this.#classes.get(key) ?? this.#createClass(key, kindKey, agent);
    const place: Placement = { agent, klass, run: null, counted: 0, seq: 0 };
    this.#places.set(agent.record.id, place);
    return place;
  }

  #createClass(key: string, kindKey: string, agent: LiveAgent): AgentClass {
    const { capabilities, labels, slots } = agent.record.spec;
    let kind = this.#kinds.get(kindKey);
    if (kind === undefined) {
      const empty = { members: 0, inService: 0, connected: 0, placed: 0 };
      kind = { key: kindKey, capabilities: new Set(capabilities), classes: new Set(), ...empty };
      this.#kinds.set(kindKey, kind);
      if (this.#byCapability !== null) addKind(this.#byCapability, kind);
    }
    const klass: AgentClass = {
      key,
      kind,
      capabilities: kind.capabilities,
      labels,
      slots,
      runs: new Map(),
      members: new Set(),
      inService: 0,
      connected: 0,
      views: [],
    };
    kind.classes.add(klass);
    this.#classes.set(key, klass);
    this.#labels.add(klass);
    this.views.created(klass);
    return klass;
  }

  #drop(place: Placement): void {
    if (place.run !== null || place.counted !== 0) return;
    this.#places.delete(place.agent.record.id);
    const { klass } = place;
    if (klass.members.size > 0 || klass.runs.size > 0) return;
    this.#classes.delete(klass.key);
    this.#labels.delete(klass);
    this.views.dropped(klass);
    const { kind } = klass;
    kind.classes.delete(klass);
    if (kind.classes.size > 0) return;
    this.#kinds.delete(kind.key);
    if (this.#byCapability === null) return;
    for (const c of kind.capabilities) {
      const having = this.#byCapability.get(c);
      having?.delete(kind);
      if (having?.size === 0) this.#byCapability.delete(c);
    }
  }
}

const NONE: ReadonlySet<AgentKind> = new Set();

const pick = (classes: Iterable<AgentClass>, demand: Demand, selector: Selector | undefined): AgentClass[] => {
  const fitting: AgentClass[] = [];
  for (const klass of classes) if (klass.runs.size > 0 && classFits(klass, demand, selector)) fitting.push(klass);
  return fitting;
};

function addKind(index: Map<string, Set<AgentKind>>, kind: AgentKind): void {
  for (const c of kind.capabilities) {
    const having = index.get(c);
    if (having === undefined) index.set(c, new Set([kind]));
    else having.add(kind);
  }
}

const byKey = (a: [string, string], b: [string, string]): number => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);
