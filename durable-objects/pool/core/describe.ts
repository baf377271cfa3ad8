import type { Why } from '../../../shared/schemas/why.ts';
import { isoOf } from './near-misses.ts';

type Facts = Omit<Why, 'detail'>;

const count = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;
const failing = ({ failed }: Facts, predicate: string): number => failed.find((f) => f.predicate === predicate)?.agents ?? 0;

/** What the facts come to, for whoever has to do something about it: what is missing, who is nearest, what would help. */
export function describeWhy(why: Facts): string {
  return `${lineOf(why)}${agentsOf(why)}${deadlineOf(why)}`;
}

/** Where something that waits for an agent stands. */
function lineOf({ waitsFor, position }: Facts): string {
  if (waitsFor?.for !== 'agent') return '';
  if (position === undefined) return 'Thousands that could go to the same agents are served before it. ';
  if (position === 0) return 'It is first in line. ';
  return `${count(position, 'other that could go to the same agents is', 'others that could go to the same agents are')} served before it. `;
}

function deadlineOf({ waitsFor, estimatedStartAtMs }: Facts): string {
  if (waitsFor?.for !== 'agent' || waitsFor.untilMs === undefined) return '';
  const late = estimatedStartAtMs !== undefined && estimatedStartAtMs >= waitsFor.untilMs;
  return ` It fails at its deadline, ${isoOf(waitsFor.untilMs)}${late ? ', which is before that' : ''}.`;
}

function agentsOf(why: Facts): string {
  const { agents, eligible, needed = 1, limitedBy } = why;
  if (limitedBy?.scope === 'caller') {
    const holds = limitedBy.inUse === undefined ? '' : ` and holds ${limitedBy.inUse}`;
    return `This caller may hold ${count(limitedBy.limit, 'lease', 'leases')} in a pool of one region at a time${holds}. Release some first; ${eligible} of ${count(agents, 'agent', 'agents')} could take this now.`;
  }
  if (agents === 0) return 'The pool has no agents in this region. Register some, or scale it up.';
  const could = `${eligible} of ${count(agents, 'agent', 'agents')} could take this now`;
  if (eligible >= needed) return `${could}.${limitOf(why)}`;
  return `${could}, ${needed} needed: ${reasonOf(why)}.${nearestOf(why)}${startOf(why)}${limitOf(why)} ${adviceOf(why)}`;
}

function reasonOf(why: Facts): string {
  const { agents, eligible, needed = 1, matching, fitting = 0, failed } = why;
  if (matching === undefined) return failed.map((f) => `${f.agents} fail ${f.predicate}`).join(', ') || 'none is free';
  if (matching === 0) {
    if (failing(why, 'capabilities') === agents) return 'none has every capability asked for';
    if (failing(why, 'selectors') === agents) return 'none matches a selector';
    return 'none has both the capabilities and the labels asked for';
  }
  const those = count(matching, 'agent has', 'agents have');
  if (fitting === 0) return `${those} what is asked for, but none is ready for it (${outsOf(why)})`;
  const silent = failing(why, 'silent');
  const free = eligible === 0 ? 'none of them is free' : `${eligible} of them ${eligible === 1 ? 'is' : 'are'} free`;
  const short = fitting < needed ? `, fewer than ${needed}` : '';
  return `${count(fitting, 'agent fits', 'agents fit')}${short}, ${free}${silent === 0 ? '' : ` (${silent} silent)`}`;
}

/** Everyone of the pool who is given nothing, by reason. */
function outsOf({ failed }: Facts): string {
  const outs = failed.flatMap(({ predicate, agents }) => {
    if (predicate.startsWith('status:')) return [`${agents} ${predicate.slice('status:'.length)}`];
    if (predicate === 'connected') return [`${agents} without a session or a parked poll`];
    return predicate === 'freeSlots' ? [`${agents} without enough free slots`] : [];
  });
  return `in the pool: ${outs.length === 0 ? 'none is in service' : outs.join(', ')}`;
}

function nearestOf({ nearMisses }: Facts): string {
  const nearest = nearMisses?.[0];
  return nearest === undefined ? '' : ` The nearest is ${nearest.agentId}: ${nearest.failed.map((f) => f.detail).join('; ')}.`;
}

const startOf = ({ estimatedStartAtMs }: Facts): string =>
  estimatedStartAtMs === undefined ? '' : ` It should start at about ${isoOf(estimatedStartAtMs)}.`;

function limitOf({ limitedBy }: Facts): string {
  if (limitedBy === undefined) return '';
  const { scope, limit, inUse } = limitedBy;
  if (scope === 'pool') return ` The pool is at its maximum of ${count(limit, 'agent', 'agents')}.`;
  if (scope === 'queue') return ` The queue is full: ${limit} wait already.`;
  return ` It is held back by ${scope}: ${inUse === undefined ? '' : `${inUse} in use, `}${limit} allowed.`;
}

function adviceOf(why: Facts): string {
  const { matching, fitting = 0, needed = 1, limitedBy } = why;
  const more = limitedBy?.scope === 'pool' ? 'raise the maximum of the pool and add agents' : 'add agents that fit';
  if (matching === 0) return `Ask for less, or ${more}.`;
  if (matching !== undefined && fitting < needed)
    return `${failing(why, 'connected') > 0 ? 'Connect agents that fit' : 'Bring agents that fit back into service'}, or ${more}.`;
  return `Wait for one to become free, or ${more}.`;
}
