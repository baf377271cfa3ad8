import { notFound, type FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { PoolCommandOf, RevokedAgent, RevokeStep, RevokeTerms } from '../../../shared/rpc.ts';
import type { RevokedLease } from '../../../shared/schemas/agents.ts';
import { covers, coversAgent, isOfAgents } from './lease-selector.ts';
import { endLease } from './leases.ts';
import { takeOut } from './liveness.ts';
import { returnLoan } from './loan-ends.ts';
import type { LiveAgent } from './live-agent.ts';
import type { LeaseRecord, RevocationRecord } from './records.ts';
import type { PoolState } from './state.ts';
import type { Step } from './step.ts';
import { loseAttempt } from './task-attempts.ts';

/**
 * Revokes every lease that is here now and matches. The first step fixes which: tokens up to the shard's last. From then on
 * all of them are refused (`isBeingRevoked`), also those that only a later step ends; what is granted later is not touched.
 */
export function revokeLeases(step: Step, command: PoolCommandOf<'revokeLeases'>): Result<RevokeStep, FleetError> {
  const { epoch, limit, type: _type, ...terms } = command;
  if (epoch !== null) {
    const revocation = step.revocation(epoch);
    if (revocation === null) return err(notFound('revocation'));
    return ok(revocation.endedAtMs === null ? advance(step, revocation, limit) : stepOf(revocation, false, []));
  }
  const { state } = step;
  const revocation: RevocationRecord = {
    epoch: state.epoch + 1,
    fence: state.lastFence,
    terms,
    atMs: step.nowMs,
    endedAtMs: null,
    revoked: 0,
    requeued: 0,
    cancelled: 0,
    quarantined: 0,
  };
  if (targets(state, revocation).next().done === true) return ok({ ...stepOf(revocation, false, []), epoch: 0 });
  step.emit({ type: 'revocationBegun', revocation, why: JSON.stringify(terms) });
  return ok(advance(step, revocation, limit));
}

const stepOf = (
  { epoch, fence, revoked, requeued, cancelled, quarantined }: RevocationRecord,
  more: boolean,
  agents: readonly RevokedAgent[],
): RevokeStep => ({ epoch, fence, more, revoked, requeued, cancelled, quarantined, agents });

interface Target {
  readonly agent: LiveAgent;
  readonly leases: readonly LeaseRecord[];
  readonly quarantine: boolean;
}

/** The agents that a revocation has to do with, and what of theirs it ends. */
function* targets(state: PoolState, { fence, terms }: RevocationRecord): Generator<Target, void> {
  // Idle agents go out of service first, so that what the others give up does not come to them.
  const rounds = terms.quarantine ? [(a: LiveAgent) => a.leases.size === 0, (a: LiveAgent) => a.leases.size > 0] : [() => true];
  for (const belongs of rounds) {
    for (const agent of candidates(state, terms)) {
      if (!belongs(agent) || !coversAgent(terms.selector, agent)) continue;
      const held = [...agent.leases].flatMap((id) => state.leases.get(id) ?? []);
      const leases = held.filter((lease) => lease.fencingToken <= fence && covers(terms.selector, agent, lease));
      const quarantine =
        terms.quarantine && agent.record.lifecycle !== 'quarantined' && (leases.length > 0 || isOfAgents(terms.selector));
      // In quarantine nobody holds anything, whoever granted it and when.
      if (leases.length > 0 || quarantine) yield { agent, leases: quarantine ? held : leases, quarantine };
    }
  }
}

/** Agents worth looking at: those that are named, or whose leases are, before all there are. */
function candidates(state: PoolState, { selector }: RevokeTerms): readonly LiveAgent[] {
  const { agentIds, allocationIds } = selector;
  const named = agentIds ?? allocationIds?.flatMap((id) => state.leases.get(id)?.agentId ?? []);
  return named === undefined ? [...state.agents.values()] : [...new Set(named)].flatMap((id) => state.agents.get(id) ?? []);
}

/** Ends about `limit` of the leases that are left, agent by agent. */
export function advance(step: Step, revocation: RevocationRecord, limit: number): RevokeStep {
  const { terms } = revocation;
  const counts = {
    revoked: revocation.revoked,
    requeued: revocation.requeued,
    cancelled: revocation.cancelled,
    quarantined: revocation.quarantined,
  };
  const agents: RevokedAgent[] = [];
  let spent = 0;
  let more = false;
  for (const { agent, leases, quarantine } of targets(step.state, revocation)) {
    // An agent in quarantine holds nothing, so its leases are not divided over steps.
    if (spent >= limit) {
      more = true;
      break;
    }
    const now = quarantine ? leases : leases.slice(0, limit - spent);
    if (now.length < leases.length) more = true;
    spent += now.length + (quarantine ? 1 : 0);
    if (quarantine) {
      takeOut(step, agent, terms.reason);
      counts.quarantined += 1;
    }
    if (now.length > 0) tell(step, agent, revocation, now);
    for (const lease of now) {
      counts.revoked += 1;
      const task = endRevoked(step, lease, terms);
      if (task !== null) counts[task] += 1;
    }
    if (now.length > 0) agents.push({ agentId: agent.record.id, liveness: agent.record.spec.liveness, leases: now.length });
    if (more) break;
  }
  step.emit({ type: 'revocationAdvanced', epoch: revocation.epoch, counts, endedAtMs: more ? null : step.nowMs });
  return stepOf(revocation, more, agents);
}

/** The agent learns of it over its socket or its parked poll at once, else by its next beat or poll. */
function tell(step: Step, agent: LiveAgent, { epoch, terms }: RevocationRecord, leases: readonly LeaseRecord[]): void {
  const agentId = agent.record.id;
  const revoked = leases.map(({ id, taskId, fencingToken }): RevokedLease => ({
    allocationId: id,
    ...(taskId === null ? {} : { taskId }),
    fencingToken,
    epoch,
    reason: terms.reason,
  }));
  agent.revoked = [...agent.revoked, ...revoked];
  // What it acknowledged in an earlier step of this revocation was less than this.
  agent.acknowledgedEpoch = Math.min(agent.acknowledgedEpoch, epoch - 1);
  if (agent.sessionOpen) step.effects.push({ type: 'revoke', agentId, epoch, leases: revoked });
  else if (agent.pollRoom > 0) step.effects.push({ type: 'pollReady', agentId });
}

/** Ends one lease; answers what became of its task, if it was a dispatched one. */
function endRevoked(step: Step, lease: LeaseRecord, { reason, tasks }: RevokeTerms): 'requeued' | 'cancelled' | null {
  const error = { code: 'lease_revoked', message: reason };
  const task = lease.kind === 'dispatched' && lease.taskId !== null ? step.state.tasks.get(lease.taskId) : undefined;
  if (task !== undefined && tasks === 'cancel')
    step.emit({ type: 'taskEnded', taskId: task.id, status: 'cancelled', atMs: step.nowMs, error });
  endLease(step, lease, 'revoked');
  if (lease.loan !== undefined && lease.taskId !== null) {
    // The task is a sibling's; it hears of it until it has answered.
    returnLoan(step, lease, { ...error, counted: false, backoff: false, ...(tasks === 'cancel' ? { cancel: true } : {}) });
    return tasks === 'cancel' ? 'cancelled' : 'requeued';
  }
  if (task === undefined) return null;
  if (tasks === 'cancel') return 'cancelled';
  // Not the task's doing: the attempt is given back. One that was asked to stop ends here.
  loseAttempt(step, lease, error, { counted: false, backoff: false });
  return step.state.tasks.has(task.id) ? 'requeued' : 'cancelled';
}
