import type { AllocateSpec, LeaseQuota } from '../../../shared/rpc.ts';
import type { Why, WhyLimit, WhyWait } from '../../../shared/schemas/why.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { demandOfAllocate, entryOfWaiter } from './demand.ts';
import { describeWhy } from './describe.ts';
import { estimateStart } from './estimate.ts';
import type { LiveAgent } from './live-agent.ts';
import { nearMisses } from './near-misses.ts';
import type { Demand, QueueEntry } from './queue.ts';
import { hasRoom } from './quotas.ts';
import { servedBefore } from './service-order.ts';
import { waitingCount, type PoolState } from './state.ts';
import { competition, tally } from './tally.ts';

/** What an explanation knows of the world, and how far it may go into the matter. */
export interface Look {
  readonly nowMs: number;
  /** Whether an agent has been silent for too long to be chosen; null: the choice has just judged all who are eligible. */
  readonly isSilent: ((agent: LiveAgent) => boolean) | null;
  /** Agents and entries ahead above which nothing is estimated. */
  readonly most: { readonly agents: number; readonly ahead: number };
}

/** Of one who asks. */
export const ASKED = { agents: 20_000, ahead: 10_000 } as const;
/** Of one who is refused: a refusal must stay cheap when everything is taken. */
export const REFUSED = { agents: 256, ahead: 64 } as const;

/** Where an entry stands among those that want the same agents, and when it should start. */
export interface Place {
  readonly position?: number;
  readonly estimatedStartAtMs?: number;
}

export function placeOf(state: PoolState, entry: QueueEntry, { nowMs, most }: Look): Place {
  const before =
    state.queue.size === 0 ? [] : servedBefore(state.queue, entry, competes(state, entry.demand), { nowMs, most: most.ahead });
  if (before === null) return {};
  const position = before.length;
  if (state.agents.size > most.agents) return { position };
  const ahead = before.reduce((agents, { demand }) => agents + demand.count, 0);
  const estimatedStartAtMs = estimateStart(state, entry.demand, ahead, nowMs);
  return { position, ...(estimatedStartAtMs === null ? {} : { estimatedStartAtMs }) };
}

function competes(state: PoolState, demand: Demand): (group: { readonly demand: Demand }) => boolean {
  const overlaps = competition(state, demand);
  return (group) => overlaps(group.demand);
}

/** What the caller of `explain` has found out about what waits. */
export interface Known extends Place {
  readonly limitedBy?: WhyLimit;
  readonly waitsFor?: WhyWait;
}

/**
 * How a demand fares with the agents, by the predicates that the choice itself asks. Changes nothing.
 */
export function explain(state: PoolState, demand: Demand, look: Look, known: Known = {}): Why {
  const found = tally(state, demand, look.isSilent);
  const short = found.eligible < demand.count;
  const near = short ? nearMisses(state, demand, look.isSilent ?? (() => false), look.nowMs) : [];
  // Before anything waits for agents, their number is in nobody's way.
  const forAgents = known.waitsFor === undefined || known.waitsFor.for === 'agent';
  const limitedBy = known.limitedBy ?? (short && forAgents ? poolLimit(state) : null);
  const facts = {
    agents: found.agents,
    eligible: found.eligible,
    needed: demand.count,
    matching: found.matching,
    fitting: found.fitting,
    failed: found.failed.map((f) => ({ ...f })),
    ...(near.length === 0 ? {} : { nearMisses: near }),
    ...known,
    ...(limitedBy === null ? {} : { limitedBy }),
  };
  return { ...facts, detail: describeWhy(facts) };
}

/** The pool's maximum, once it is in the way of further agents. A lost agent makes room. */
function poolLimit({ agentCounts, config }: PoolState): WhyLimit | null {
  const inUse = agentCounts.total - agentCounts.offline;
  return inUse < config.maxAgents ? null : { scope: 'pool', limit: config.maxAgents, inUse };
}

/** Who asks for an allocation, with what may bound it. */
export interface Asks {
  readonly subject: string;
  readonly quota: LeaseQuota | null;
}

/** Why an allocation would be, or was, refused; or that it would not. */
export function explainAllocation(state: PoolState, spec: AllocateSpec, look: Look, asks: Asks): Why {
  const demand = demandOfAllocate(spec);
  const limitedBy = limitOfAllocation(state, spec, asks);
  // It would come after everything that waits already.
  const waiter = { id: '', spec, callerSubject: '', requestId: '', idempotency: null, endsAtMs: 0, quota: null };
  const entry = entryOfWaiter(waiter, state.nextTaskSeq, look.nowMs);
  // When its own caller gives something back is nobody's to know.
  const { estimatedStartAtMs } = limitedBy?.scope === 'caller' ? {} : placeOf(state, entry, look);
  return explain(state, demand, look, {
    ...(estimatedStartAtMs === undefined ? {} : { estimatedStartAtMs }),
    ...(limitedBy === null ? {} : { limitedBy }),
  });
}

/** What other than the agents refuses an allocation, or null: its caller's quota; the bound of the queue, if it would wait. */
function limitOfAllocation(state: PoolState, spec: AllocateSpec, { subject, quota }: Asks): WhyLimit | null {
  if (quota !== null && !hasRoom(state, subject, quota, spec.count))
    return { scope: 'caller', limit: quota.limit, inUse: state.holdings.of(subject) };
  const waiting = waitingCount(state);
  if (spec.waitMs === 0 || waiting < LIMITS.queuePerShard) return null;
  return { scope: 'queue', limit: LIMITS.queuePerShard, inUse: waiting };
}
