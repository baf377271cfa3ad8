import { unreachable } from '../../../shared/result.ts';
import type { AgentStatus } from '../../../shared/schemas/agents.ts';
import type { Selector } from '../../../shared/schemas/allocations.ts';
import type { LiveAgent } from './live-agent.ts';
import type { Demand } from './queue.ts';

type Labels = Readonly<Record<string, string>>;
type Expression = NonNullable<Selector['matchExpressions']>[number];

/** What agents with the same capabilities and labels have in common. */
export interface Traits {
  readonly capabilities: ReadonlySet<string>;
  readonly labels: Labels;
}

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
  const { matchLabels, matchExpressions } = selector;
  if (matchLabels !== undefined)
    for (const key of Object.keys(matchLabels)) if (!has(labels, key) || labels[key] !== matchLabels[key]) return false;
  return matchExpressions === undefined || matchExpressions.every((e) => matchesExpression(labels, e));
}

/** Whether one of the selectors is satisfied; none asked is satisfied by all. */
export const matchesAny = (labels: Labels, selectors: readonly Selector[]): boolean =>
  selectors.length === 0 || selectors.some((selector) => matchesSelector(labels, selector));

export function hasCapabilities(has: ReadonlySet<string>, wanted: readonly string[]): boolean {
  for (const c of wanted) if (!has.has(c)) return false;
  return true;
}

/** Whether agents of a class satisfy a demand; `selector` is the one of the ordered list being tried. */
export const classFits = (klass: Traits, demand: Pick<Demand, 'capabilities'>, selector: Selector | undefined): boolean =>
  hasCapabilities(klass.capabilities, demand.capabilities) && (selector === undefined || matchesSelector(klass.labels, selector));

/** As `classFits`, whichever of the demand's selectors it is. */
export const classFitsAny = (klass: Traits, demand: Pick<Demand, 'capabilities' | 'selectors'>): boolean =>
  hasCapabilities(klass.capabilities, demand.capabilities) && matchesAny(klass.labels, demand.selectors);

export type OutOfService = Exclude<AgentStatus, 'idle' | 'busy'>;

/**
 * Why an agent is given nothing at all, or null. Order matters: what an operator decided outranks health, health outranks
 * whether it has begun.
 */
export function outOfService({ record }: LiveAgent): OutOfService | null {
  const { lifecycle } = record;
  if (lifecycle === 'quarantined' || lifecycle === 'offline' || lifecycle === 'draining') return lifecycle;
  if (record.suspectSinceMs !== null || record.zombieSinceMs !== null) return 'unhealthy';
  return lifecycle === 'starting' ? 'starting' : null;
}

/** Whether the agent can be told of a task this moment: by its socket, or by a poll that is parked. */
export const isConnected = (agent: LiveAgent): boolean => agent.sessionOpen || agent.pollRoom > 0;

export const freeSlots = (agent: LiveAgent): number => agent.record.spec.slots - agent.slotsUsed;

export type Predicate = 'capabilities' | 'selectors' | `status:${OutOfService}` | 'connected' | 'freeSlots' | 'silent';

/**
 * The predicates an agent fails, in the order they are told. Whoever is out of service offers neither slots nor a line, so
 * these are asked of the others only. Silence is asked last, as the choice does: of those that nothing else keeps away.
 */
export function failedPredicates(
  agent: LiveAgent,
  traits: Traits,
  demand: Demand,
  isSilent: (agent: LiveAgent) => boolean,
): Predicate[] {
  const failed: Predicate[] = [];
  if (!hasCapabilities(traits.capabilities, demand.capabilities)) failed.push('capabilities');
  if (!matchesAny(traits.labels, demand.selectors)) failed.push('selectors');
  const out = outOfService(agent);
  if (out !== null) failed.push(`status:${out}`);
  else {
    if (demand.connected && !isConnected(agent)) failed.push('connected');
    if (freeSlots(agent) < demand.slots) failed.push('freeSlots');
  }
  if (failed.length === 0 && isSilent(agent)) failed.push('silent');
  return failed;
}
