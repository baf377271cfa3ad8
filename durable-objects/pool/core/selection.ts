import type { Allocate, Selector } from '../../../shared/schemas/allocations.ts';
import type { Why } from '../../../shared/schemas/why.ts';
import { unreachable } from '../../../shared/result.ts';
import { loadOf, type AgentClass, type AgentIndex } from './agent-index.ts';
import type { Demand } from './queue.ts';
import type { LiveAgent } from './live-agent.ts';
import type { PoolState } from './state.ts';

export interface Preference {
  readonly strategy: Allocate['strategy'];
  readonly packing: Allocate['packing'];
}
export const DEFAULT_PREFERENCE: Preference = { strategy: 'least_loaded', packing: 'spread' };

type Labels = Readonly<Record<string, string>>;
type Expression = NonNullable<Selector['matchExpressions']>[number];

const has = (labels: Labels, key: string): boolean => Object.hasOwn(labels, key);

function matchesExpression(labels: Labels, e: Expression): boolean {
  const value = has(labels, e.key) ? labels[e.key] : undefined;
  switch (e.operator) {
    case 'In':
      return value !== undefined && e.values.includes(value);
    case 'NotIn':
      return value === undefined || !e.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Gte':
    case 'Lt':
    case 'Lte': {
      const left = value === undefined || value.trim() === '' ? Number.NaN : Number(value);
      const right = Number(e.values[0]);
      if (e.operator === 'Gt') return left > right;
      if (e.operator === 'Gte') return left >= right;
      return e.operator === 'Lt' ? left < right : left <= right;
    }
    default:
      return unreachable(e.operator);
  }
}

/** Whether labels satisfy every part of one selector. An unset or non-numeric label fails a numeric comparison. */
export function matchesSelector(labels: Labels, selector: Selector): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {}))
    if (!has(labels, key) || labels[key] !== value) return false;
  return (selector.matchExpressions ?? []).every((e) => matchesExpression(labels, e));
}

/** Whether agents of a class satisfy a demand; `selector` is the one of the ordered list being tried. */
export function classFits(
  klass: Pick<AgentClass, 'capabilities' | 'labels'>,
  demand: Demand,
  selector: Selector | undefined,
): boolean {
  for (const c of demand.capabilities) if (!klass.capabilities.has(c)) return false;
  return selector === undefined || matchesSelector(klass.labels, selector);
}

/**
 * Chooses `demand.count` different agents, or none. Selectors are tried in order and the first that can be satisfied
 * wins. `usable` is asked at the moment of choice whether an agent is really still alive; it may say no.
 */
export function choose(
  state: PoolState,
  demand: Demand,
  preference: Preference,
  usable: (agent: LiveAgent) => boolean,
): readonly LiveAgent[] | null {
  const index = demand.connected ? state.taskReady : state.selectable;
  const selectors: readonly (Selector | undefined)[] = demand.selectors.length === 0 ? [undefined] : demand.selectors;
  for (const selector of selectors) {
    const classes: AgentClass[] = [];
    for (const klass of index.classes()) if (klass.buckets.size > 0 && classFits(klass, demand, selector)) classes.push(klass);
    if (classes.length === 0) continue;
    const chosen =
      preference.strategy === 'least_loaded'
        ? byLoad(index, classes, demand, preference, usable)
        : byScore(index, classes, demand, preference, usable);
    if (chosen !== null) return chosen;
  }
  return null;
}

/** least_loaded: walks load buckets from the wanted end and takes the least recently moved agent of each. */
function byLoad(
  index: AgentIndex,
  classes: readonly AgentClass[],
  demand: Demand,
  preference: Preference,
  usable: (agent: LiveAgent) => boolean,
): readonly LiveAgent[] | null {
  const loads = [...new Set(classes.flatMap((c) => [...c.buckets.keys()]))].toSorted((a, b) =>
    preference.packing === 'pack' ? b - a : a - b,
  );
  const chosen: LiveAgent[] = [];
  for (const load of loads) {
    const streams = classes.flatMap((c) => {
      const bucket = c.buckets.get(load);
      return bucket === undefined ? [] : [[...takeFrom(bucket, demand, demand.count - chosen.length, usable)]];
    });
    const merged =
      streams.length === 1
        ? (streams[0] as LiveAgent[])
        : streams.flat().toSorted((a, b) => index.seqOf(a.record.id) - index.seqOf(b.record.id));
    for (const agent of merged) {
      chosen.push(agent);
      if (chosen.length === demand.count) return chosen;
    }
  }
  return null;
}

function* takeFrom(
  bucket: Map<string, LiveAgent>,
  demand: Demand,
  limit: number,
  usable: (agent: LiveAgent) => boolean,
): Generator<LiveAgent> {
  let taken = 0;
  // Judging an agent may take it out of this bucket; deleting the entry a Map iterator stands on is well defined.
  for (const agent of bucket.values()) {
    if (agent.record.spec.slots - agent.slotsUsed < demand.slots || !usable(agent)) continue;
    yield agent;
    taken += 1;
    if (taken === limit) return;
  }
}

/** The other strategies compare every agent that fits. */
function byScore(
  index: AgentIndex,
  classes: readonly AgentClass[],
  demand: Demand,
  preference: Preference,
  usable: (agent: LiveAgent) => boolean,
): readonly LiveAgent[] | null {
  const fitting = classes
    .flatMap((c) => [...c.buckets.values()].flatMap((b) => [...b.values()]))
    .filter((a) => a.record.spec.slots - a.slotsUsed >= demand.slots)
    .map((agent) => ({
      agent,
      score: scoreOf(agent, demand, preference.strategy),
      load: loadOf(agent) * (preference.packing === 'pack' ? -1 : 1),
    }))
    .toSorted((a, b) => a.score - b.score || a.load - b.load || index.seqOf(a.agent.record.id) - index.seqOf(b.agent.record.id));
  const chosen: LiveAgent[] = [];
  for (const { agent } of fitting) {
    if (!usable(agent)) continue;
    chosen.push(agent);
    if (chosen.length === demand.count) return chosen;
  }
  return null;
}

/** Smaller is better. */
function scoreOf(agent: LiveAgent, demand: Demand, strategy: Exclude<Preference['strategy'], never>): number {
  const { record } = agent;
  switch (strategy) {
    case 'least_loaded':
      return loadOf(agent);
    case 'round_robin':
      return agent.grantSeq;
    case 'capability_match':
      // Best fit: the fewest capabilities that the demand does not need, so that generalists stay free.
      return record.spec.capabilities.length - demand.capabilities.length;
    case 'priority_based': {
      const priority = Number(record.spec.labels['priority'] ?? Number.NaN);
      return Number.isFinite(priority) ? -priority : 0;
    }
    case 'performance_based': {
      // Laplace's rule of succession: an agent without history counts as one half, not as perfect or useless.
      const finished = record.completed + record.failed;
      const rate = (record.completed + 1) / (finished + 2);
      const meanMs = finished === 0 ? 0 : record.totalDurationMs / finished;
      return -rate + Math.min(meanMs, 1e9) * 1e-12;
    }
    default:
      return unreachable(strategy);
  }
}

/**
 * Why a demand cannot be met now: for each predicate how many agents fail it. Reads classes and counters, so it costs
 * the number of different kinds of agents, not the number of agents.
 */
export function explain(state: PoolState, demand: Demand): Why {
  const { agentCounts: counts } = state;
  const failed: { predicate: string; agents: number }[] = [];
  const note = (predicate: string, agents: number): void => {
    if (agents > 0) failed.push({ predicate, agents });
  };
  let withoutCapabilities = 0;
  let withoutLabels = 0;
  let fitting = 0;
  for (const klass of state.selectable.classes()) {
    if (!classFits(klass, demand, undefined)) withoutCapabilities += klass.members;
    else if (demand.selectors.length > 0 && !demand.selectors.some((s) => classFits(klass, demand, s)))
      withoutLabels += klass.members;
    else fitting += klass.members;
  }
  let eligible = 0;
  const index = demand.connected ? state.taskReady : state.selectable;
  for (const klass of index.classes()) {
    if (
      demand.selectors.length === 0
        ? !classFits(klass, demand, undefined)
        : !demand.selectors.some((s) => classFits(klass, demand, s))
    )
      continue;
    for (const bucket of klass.buckets.values()) {
      if (demand.slots === 1) eligible += bucket.size;
      else for (const agent of bucket.values()) if (agent.record.spec.slots - agent.slotsUsed >= demand.slots) eligible += 1;
    }
  }
  note('capabilities', withoutCapabilities);
  note('selectors', withoutLabels);
  for (const status of ['starting', 'draining', 'unhealthy', 'quarantined', 'offline'] as const)
    note(`status:${status}`, counts[status]);
  const outOfService = counts.starting + counts.draining + counts.unhealthy + counts.quarantined + counts.offline;
  // Of the fitting agents that are in service the rest is full, or (for tasks) not connected.
  note(
    demand.connected ? 'connectedWithFreeSlots' : 'freeSlots',
    Math.max(0, Math.min(fitting, counts.total - outOfService) - eligible),
  );
  return { agents: counts.total, eligible, failed, detail: sentence(counts.total, eligible, demand, failed) };
}

function sentence(
  total: number,
  eligible: number,
  demand: Demand,
  failed: readonly { predicate: string; agents: number }[],
): string {
  if (total === 0) return 'The pool has no agents in this region.';
  if (eligible >= demand.count) return `${eligible} of ${total} agents could take this now.`;
  const reasons = failed.map((f) => `${f.agents} fail ${f.predicate}`).join(', ');
  return `${eligible} of ${total} agents could take this now, ${demand.count} needed: ${reasons === '' ? 'none is free' : reasons}.`;
}
