import { err, ok } from '../../shared/result.ts';
import type { AllocationView, PoolReply } from '../../shared/rpc.ts';
import { viewOf } from './core/allocations.ts';
import type { Effect } from './core/events.ts';
import { explainAllocation, REFUSED, type Look } from './core/explain.ts';
import { endPoll, unaccepted, type PolledLeases } from './core/polls.ts';
import { quotaExceeded } from './core/quotas.ts';
import type { Waiter } from './core/state.ts';
import type { Step } from './core/step.ts';

/** What the shell does when the commit is durable; waiting callers are answered by id. */
export type Outcome =
  | Exclude<Effect, { readonly type: 'waiterGranted' | 'waiterServed' | 'waiterTimedOut' | 'pollReady' }>
  | { readonly type: 'waiterDone'; readonly waiterId: string; readonly reply: PoolReply }
  | ({ readonly type: 'pollDone'; readonly agentId: string } & PolledLeases);

/** What an outcome is made with beside the step. */
export interface Answering {
  readonly look: () => Look;
  /** Keeps what a waiting caller is told, for a repeat of its request. */
  readonly remember: (waiter: Waiter, reply: PoolReply) => void;
}

/** The effects of a step, each with the answer that those who waited for it get. */
export function outcomesOf(step: Step, answering: Answering): Outcome[] {
  const served = (waiter: Waiter, reply: PoolReply): Outcome => {
    answering.remember(waiter, reply);
    return { type: 'waiterDone', waiterId: waiter.id, reply };
  };
  const outcomes: Outcome[] = [];
  const polled = new Set<string>();
  for (const effect of step.effects) {
    if (effect.type === 'pollReady') polled.add(effect.agentId);
    else if (effect.type === 'waiterGranted') outcomes.push(served(effect.waiter, ok(viewsOf(step, effect.leaseIds))));
    // The caller goes on to another shard now: a repeat must find the grant there.
    else if (effect.type === 'waiterTimedOut') outcomes.push(served(effect.waiter, timedOut(step, effect, answering.look())));
    else if (effect.type === 'waiterServed') outcomes.push(served(effect.waiter, ok(effect.views)));
    else outcomes.push(effect);
  }
  for (const agentId of polled) {
    const agent = step.state.agents.get(agentId);
    endPoll(step.state, agentId, step.nowMs);
    if (agent === undefined) continue;
    outcomes.push({ type: 'pollDone', agentId, leaseIds: unaccepted(step, agent), revoked: agent.revoked });
    // Told, but only its next call says that it has heard.
    agent.revoked = [];
  }
  return outcomes;
}

type TimedOut = Extract<Effect, { readonly type: 'waiterTimedOut' }>;

function timedOut(step: Step, { waiter, atQuota }: TimedOut, look: Look): PoolReply {
  const quota = atQuota ? waiter.quota : null;
  const asks = { subject: waiter.callerSubject, quota };
  const why = explainAllocation(step.state, waiter.spec, { ...look, most: REFUSED }, asks);
  return err(
    quota === null
      ? ({ kind: 'no_capacity', why, detail: `No agent became free within waitMs. ${why.detail}` } as const)
      : quotaExceeded(quota, why),
  );
}

function viewsOf(step: Step, leaseIds: readonly string[]): readonly AllocationView[] {
  return leaseIds.flatMap((id): AllocationView[] => {
    // The same step may have revoked it again (its agent was quarantined): the caller learns of both.
    const lease = step.lease(id);
    return lease === null ? [] : [viewOf(step, lease)];
  });
}
