import type { FleetError } from '../../../shared/errors.ts';
import { ok, unreachable, type Result } from '../../../shared/result.ts';
import type { IdempotencyRef, PoolCommand, PoolOutput } from '../../../shared/rpc.ts';
import { acknowledgeRevocation } from './acknowledge.ts';
import { deregisterAgent, drainAgent, heartbeat, quarantineAgent, registerAgent } from './agents.ts';
import { allocate, release, renew } from './allocations.ts';
import { settle } from './dispatch.ts';
import { runDue, trimTimers } from './due.ts';
import { armBorrow } from './lent.ts';
import { armLoanBeat } from './loans.ts';
import { armSweep, judgeOverdue, touch } from './liveness.ts';
import { revokeLeases } from './revocations.ts';
import type { Step } from './step.ts';
import { cancelTask, completeTask, failTask, progressTask, replayTask, submitTask } from './tasks.ts';

export type Decision = Result<PoolOutput | 'parked', FleetError>;

/**
 * Frames any change of the state: what was due by the clock happens first, what became possible happens last. So every
 * command ends settled: nothing that could be served is left waiting.
 */
export function within<T>(step: Step, change: () => T): T {
  const self = step.caller?.agentId === undefined ? undefined : step.state.agents.get(step.caller.agentId);
  // The caller's own sign of life comes before any judgement of silence.
  if (self !== undefined) touch(step, self);
  // Late or lost alarms must not show: expiry is judged by the clock, here, before anything is decided.
  const due = runDue(step);
  if (due.prune) step.pruneDue = true;
  judgeOverdue(step);
  settle(step);
  const result = change();
  settle(step);
  armSweep(step);
  armLoanBeat(step);
  armBorrow(step);
  trimTimers(step.state);
  return result;
}

/**
 * Decides one command, inside `within`: pure in (state, command, context). A refusal changes nothing but what was observed of
 * agents' liveness on the way.
 */
export function decide(step: Step, command: PoolCommand, idempotency: IdempotencyRef | null = null): Decision {
  switch (command.type) {
    case 'registerAgent':
      return registerAgent(step, command);
    case 'deregisterAgent':
      return deregisterAgent(step, command);
    case 'heartbeat':
      return heartbeat(step, command);
    case 'drainAgent':
      return drainAgent(step, command);
    case 'quarantineAgent':
      return quarantineAgent(step, command);
    case 'allocate': {
      const outcome = allocate(step, command, idempotency);
      if (!outcome.ok) return outcome;
      return ok(outcome.value.parked ? 'parked' : outcome.value.views);
    }
    case 'renew':
      return renew(step, command);
    case 'release':
      return release(step, command);
    case 'revokeLeases':
      return revokeLeases(step, command);
    case 'acknowledgeRevocation':
      return acknowledgeRevocation(step, command);
    case 'submitTask':
      return submitTask(step, command);
    case 'cancelTask':
      return cancelTask(step, command);
    case 'replayTask':
      return replayTask(step, command);
    case 'completeTask':
      return completeTask(step, command);
    case 'failTask':
      return failTask(step, command);
    case 'progressTask':
      return progressTask(step, command);
    default:
      return unreachable(command);
  }
}
