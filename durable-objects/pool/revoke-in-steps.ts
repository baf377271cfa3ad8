import type { FleetError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { ok, type Result } from '../../shared/result.ts';
import type { IdempotencyRef, PoolRequest, RevokedAgent, RevokeStep, RevokeTerms, ShardRevocation } from '../../shared/rpc.ts';

export const NOTHING_REVOKED: ShardRevocation = {
  epoch: 0,
  fence: 0,
  revoked: 0,
  requeued: 0,
  cancelled: 0,
  quarantined: 0,
  agents: [],
};

/**
 * A whole revocation, transaction by transaction, so that other callers are served in between. Each step has a key of its
 * own under the request's: a repeat walks over what is done and goes on where it broke off, with the same fence.
 */
export async function revokeInSteps(
  terms: RevokeTerms,
  idempotency: IdempotencyRef | null,
  run: (request: PoolRequest) => Promise<Result<RevokeStep, FleetError>>,
): Promise<Result<ShardRevocation, FleetError>> {
  const agents = new Map<string, RevokedAgent>();
  for (let epoch: number | null = null, step = 0; ; step += 1) {
    const reply: Result<RevokeStep, FleetError> = await run({
      command: { type: 'revokeLeases', ...terms, epoch, limit: LIMITS.revokeStep },
      ...(idempotency === null ? {} : { idempotency: stepKey(idempotency, step) }),
    });
    if (!reply.ok) return reply;
    const { more, ...done } = reply.value;
    for (const agent of done.agents) {
      const before = agents.get(agent.agentId)?.leases ?? 0;
      agents.set(agent.agentId, { ...agent, leases: before + agent.leases });
    }
    if (!more) return ok({ ...done, agents: [...agents.values()] });
    epoch = done.epoch;
  }
}

/** With the body in it: after a call that was not completed the key is free again, and may come with another body. */
const stepKey = ({ key, bodyHash }: IdempotencyRef, step: number): IdempotencyRef => ({
  key: `${key}\n${bodyHash}\n${step}`,
  bodyHash,
});
