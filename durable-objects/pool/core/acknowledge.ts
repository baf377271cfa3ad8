import { notFound, type FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { AcknowledgedBy, PoolCommandOf, PoolOutput } from '../../../shared/rpc.ts';
import type { RevokedLease } from '../../../shared/schemas/agents.ts';
import type { LiveAgent } from './live-agent.ts';
import type { Step } from './step.ts';

/** The agent has called, or come back, since its leases were revoked: answers those its answer must tell it of. */
export function heard(step: Step, agent: LiveAgent): readonly RevokedLease[] {
  const { revoked } = agent;
  acknowledge(step, agent, step.state.epoch, 'call');
  return revoked;
}

/** The agent's process says itself that the work has stopped. */
export function acknowledgeRevocation(
  step: Step,
  { agentId, epoch }: PoolCommandOf<'acknowledgeRevocation'>,
): Result<PoolOutput<'acknowledgeRevocation'>, FleetError> {
  const agent = step.state.agents.get(agentId);
  if (agent === undefined) return err(notFound('agent'));
  // It cannot have stopped for what has not happened yet.
  const known = Math.min(epoch, step.state.epoch);
  acknowledge(step, agent, known, 'session');
  return ok({ epoch: known });
}

/** In memory only: an agent that is heard again after a restart acknowledges again. */
function acknowledge(step: Step, agent: LiveAgent, epoch: number, by: AcknowledgedBy): void {
  if (agent.acknowledgedEpoch >= epoch) return;
  agent.acknowledgedEpoch = epoch;
  agent.acknowledgedBy = by;
  if (agent.revoked.length > 0) agent.revoked = agent.revoked.filter((lease) => lease.epoch > epoch);
  step.effects.push({ type: 'acknowledged', agentId: agent.record.id });
}
