import type { Why, WhyFailure } from '../../../shared/schemas/why.ts';
import type { Selector } from '../../../shared/schemas/allocations.ts';
import { unreachable } from '../../../shared/result.ts';
import type { AgentClass } from './agent-index.ts';
import type { LiveAgent } from './live-agent.ts';
import { failedPredicates, freeSlots, hasCapabilities, matchesAny, matchesSelector, type Predicate } from './predicates.ts';
import type { Demand } from './queue.ts';
import type { LeaseRecord } from './records.ts';
import type { PoolState } from './state.ts';

export type NearMisses = NonNullable<Why['nearMisses']>;
/** Agents named as near misses. */
export const NEAR_MISSES = 5;
/** Agents compared for it among those that fail equally few. */
const COMPARED = 16;

interface Miss {
  readonly agent: LiveAgent;
  readonly klass: AgentClass;
  readonly failed: readonly Predicate[];
  readonly distance: number;
}

/**
 * The agents that fail the fewest predicates, the nearest first. Classes are looked at by how many predicates all of their
 * agents fail at least, so that as a rule few agents are.
 */
export function nearMisses(state: PoolState, demand: Demand, isSilent: (agent: LiveAgent) => boolean, nowMs: number): NearMisses {
  const kept: Miss[][] = [];
  const keptUpTo = (failures: number): number => kept.slice(0, failures + 1).reduce((sum, misses) => sum + misses.length, 0);
  search: for (const [least, classes] of byLeastFailures(state, demand).entries()) {
    for (const klass of classes) {
      // Nobody who follows fails fewer.
      if (keptUpTo(Math.max(1, least)) >= COMPARED) break search;
      for (const { agent } of klass.members) {
        const failed = failedPredicates(agent, klass, demand, isSilent);
        if (failed.length === 0) continue;
        const misses = (kept[failed.length] ??= []);
        if (misses.length >= COMPARED) continue;
        misses.push({ agent, klass, failed, distance: distanceOf(state, demand, { agent, klass, failed }) });
        if (keptUpTo(Math.max(1, least)) >= COMPARED) break search;
      }
    }
  }
  return kept
    .flatMap((misses) => misses.toSorted((a, b) => a.distance - b.distance))
    .slice(0, NEAR_MISSES)
    .map(({ agent, klass, failed }) => ({
      agentId: agent.record.id,
      failed: failed.map((predicate) => describeFailure(state, demand, { agent, klass, predicate, nowMs })),
    }));
}

/** Classes by the number of predicates that even the best of their agents fails, as far as the class tells. */
function byLeastFailures(state: PoolState, demand: Demand): readonly (readonly AgentClass[])[] {
  const classes: AgentClass[][] = [[], [], [], []];
  for (const kind of state.selectable.kinds()) {
    const incapable = hasCapabilities(kind.capabilities, demand.capabilities) ? 0 : 1;
    for (const klass of kind.classes) {
      const unselected = matchesAny(klass.labels, demand.selectors) ? 0 : 1;
      const taken = hasRoom(klass, demand.slots) ? 0 : 1;
      classes[incapable + unselected + taken]?.push(klass);
    }
  }
  return classes;
}

function hasRoom(klass: AgentClass, slots: number): boolean {
  for (const free of klass.runs.keys()) if (free >= slots) return true;
  return false;
}

/** Among agents that fail equally many predicates: who lacks less, then who is free sooner. */
function distanceOf(state: PoolState, demand: Demand, { agent, klass, failed }: Omit<Miss, 'distance'>): number {
  const lacking = failed.includes('capabilities') ? demand.capabilities.filter((c) => !klass.capabilities.has(c)).length : 0;
  const untilMs = failed.includes('freeSlots') ? (roomOf(state, agent, demand.slots)?.atMs ?? Number.MAX_SAFE_INTEGER) : 0;
  return lacking * Number.MAX_SAFE_INTEGER + untilMs;
}

/** When an agent has so many slots free at the latest, and whether a renewal can put that off; null: never. */
function roomOf(
  state: PoolState,
  agent: LiveAgent,
  slots: number,
): { readonly atMs: number; readonly renewable: boolean } | null {
  const ends: { readonly atMs: number; readonly lease: LeaseRecord }[] = [];
  for (const id of agent.leases) {
    const lease = state.leases.get(id);
    if (lease !== undefined) ends.push({ atMs: lease.timeoutAtMs ?? lease.expiresAtMs, lease });
  }
  if (ends.length > 1) ends.sort((a, b) => a.atMs - b.atMs);
  let free = freeSlots(agent);
  let renewable = false;
  for (const { atMs, lease } of ends) {
    free += lease.slots;
    renewable ||= lease.kind === 'direct';
    if (free >= slots) return { atMs, renewable };
  }
  return null;
}

// oxlint-disable-next-line no-restricted-globals -- writes an instant that was told, and reads no clock
export const isoOf = (atMs: number): string => new Date(atMs).toISOString();

function describeFailure(
  state: PoolState,
  demand: Demand,
  {
    agent,
    klass,
    predicate,
    nowMs,
  }: { readonly agent: LiveAgent; readonly klass: AgentClass; readonly predicate: Predicate; readonly nowMs: number },
): WhyFailure {
  const { record } = agent;
  switch (predicate) {
    case 'capabilities': {
      const wanted = [...new Set(demand.capabilities)];
      const lacking = wanted.filter((c) => !klass.capabilities.has(c));
      return {
        predicate,
        wanted: wanted.join(', '),
        actual: [...klass.capabilities].join(', '),
        detail: `has ${wanted.length - lacking.length} of ${wanted.length} capabilities: lacks ${lacking.join(', ')}`,
      };
    }
    case 'selectors': {
      const { part, name } = firstMismatch(klass.labels, demand.selectors);
      const value = Object.hasOwn(klass.labels, name) ? klass.labels[name] : undefined;
      return {
        predicate,
        wanted: part,
        ...(value === undefined ? {} : { actual: `${name}=${value}` }),
        detail: `label ${name} is ${value === undefined ? 'not set' : `"${value}"`}, ${part} is wanted`,
      };
    }
    case 'connected':
      return {
        predicate,
        wanted: 'an open session or a parked poll',
        actual: 'neither',
        detail: 'in service, but not connected: no session is open and no poll is parked',
      };
    case 'freeSlots': {
      const room = roomOf(state, agent, demand.slots);
      const free = freeSlots(agent);
      const { slots } = record.spec;
      const until =
        room === null ? '' : ` until ${isoOf(room.atMs)} at the latest${room.renewable ? ', unless its lease is renewed' : ''}`;
      return {
        predicate,
        wanted: String(demand.slots),
        actual: String(free),
        ...(room === null ? {} : { untilMs: room.atMs }),
        detail:
          slots < demand.slots
            ? `has ${slots} slots in all, ${demand.slots} are wanted`
            : `${free === 0 ? 'full' : `has ${free} of ${slots} slots free, ${demand.slots} are wanted,`}${until}`,
      };
    }
    case 'silent':
      return {
        predicate,
        wanted: 'a sign of life in the last 7.5 s',
        detail: `has shown no sign of life since ${isoOf(agent.aliveAsOfMs)}, ${Math.round((nowMs - agent.aliveAsOfMs) / 1_000)} s ago`,
      };
    case 'status:draining': {
      const { drainDeadlineAtMs } = record;
      return {
        predicate,
        wanted: 'in service',
        actual: 'draining',
        ...(drainDeadlineAtMs === null ? {} : { untilMs: drainDeadlineAtMs }),
        detail: 'draining: it takes nothing new',
      };
    }
    case 'status:starting':
      return { predicate, wanted: 'in service', actual: 'starting', detail: 'starting: its session has not been opened yet' };
    case 'status:unhealthy':
      return {
        predicate,
        wanted: 'in service',
        actual: 'unhealthy',
        detail:
          record.zombieSinceMs === null
            ? `unhealthy: silent or disconnected since ${isoOf(record.suspectSinceMs ?? record.lastSeenAtMs)}`
            : `unhealthy: it let an assignment lie at ${isoOf(record.zombieSinceMs)} and has shown no work since`,
      };
    case 'status:quarantined':
      return {
        predicate,
        wanted: 'in service',
        actual: 'quarantined',
        detail: 'quarantined by an operator: deregister it and start another',
      };
    case 'status:offline':
      return {
        predicate,
        wanted: 'in service',
        actual: 'offline',
        detail: `offline: lost at ${isoOf(record.lostAtMs ?? record.lastSeenAtMs)}`,
      };
    default:
      return unreachable(predicate);
  }
}

/** The part of a selector that labels fail, of the selector they fail the fewest parts of; an agent that matches one fails it as part of a gang. */
function firstMismatch(
  labels: Readonly<Record<string, string>>,
  selectors: readonly Selector[],
): { readonly part: string; readonly name: string } {
  let fewest: readonly { readonly part: string; readonly name: string }[] | null = null;
  for (const selector of selectors) {
    const parts = partsOf(selector).filter(({ alone }) => !matchesSelector(labels, alone));
    if (fewest === null || parts.length < fewest.length) fewest = parts;
  }
  return fewest?.[0] ?? { part: 'the selector of the others of the gang', name: '' };
}

const OPERATORS: Readonly<Record<string, string>> = { Gt: '>', Gte: '≥', Lt: '<', Lte: '≤' };

function partsOf(selector: Selector): readonly { readonly alone: Selector; readonly part: string; readonly name: string }[] {
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([name, value]) => ({
      alone: { matchLabels: { [name]: value } },
      part: `${name}=${value}`,
      name,
    })),
    ...(selector.matchExpressions ?? []).map((e) => ({
      alone: { matchExpressions: [e] },
      part: `${e.key} ${OPERATORS[e.operator] ?? e.operator}${e.values.length === 0 ? '' : ` ${e.values.slice(0, 5).join(', ')}${e.values.length > 5 ? ', …' : ''}`}`,
      name: e.key,
    })),
  ];
}
