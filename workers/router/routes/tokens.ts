import { ulid } from 'ulid';
import type { TokenRecord } from '../../../durable-objects/fleet/fleet-rpc.ts';
import { notFound, type FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, type Result } from '../../../shared/result.ts';
import type { AgentView } from '../../../shared/rpc.ts';
import { MintedTokenSchema, MintTokenSchema } from '../../../shared/schemas/fleet.ts';
import { signToken, type TokenSubject } from '../../lib/tokens.ts';
import { agentOfTokenId, agentSubject, agentTokenId } from '../agent-tokens.ts';
import { itemId } from '../batches.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { requestKey } from '../idempotency.ts';
import { rememberFleet } from '../isolate.ts';
import { findAgent } from '../lookup.ts';
import { callRegion, PLACING_TIMEOUT_MS } from '../region-calls.ts';
import { reply, replyJson } from '../reply.ts';

/** Only the local fleet's root creates fleets and mints for them: elsewhere that is the deployment's own business. */
const isRoot = (context: RequestContext): boolean => context.claims.root === true && context.config.local;

async function agentNamed(context: RequestContext, agentId: string): Promise<Result<AgentView, FleetError>> {
  const id = itemId(context, 'agent', agentId);
  return id.ok ? findAgent(context, id.value) : id;
}

/**
 * Sessions outlive the check of their token, so those of a revoked one are closed: at once, and once more when no isolate
 * can still have let one in.
 */
async function endSessions(context: RequestContext, agentId: string, tokenId: string): Promise<void> {
  const id = itemId(context, 'agent', agentId);
  if (!id.ok) return;
  const end = (): Promise<unknown> =>
    callRegion(context, id.value.region, PLACING_TIMEOUT_MS, (binding) => binding.endSessions(context.caller, agentId, tokenId));
  await end();
  const later = new Promise((resolve) => setTimeout(resolve, LIMITS.revocationDelayMs)).then(end);
  context.execution.waitUntil(later);
}

export const TOKEN_ENDPOINTS = [
  endpoint({
    name: 'mintToken',
    doc: {
      summary: 'Mint a token',
      description:
        'Agents’ tokens live a day and are renewed while the agent calls. `fleet` works only with the local root token, and creates that fleet.',
      responses: { 201: MintedTokenSchema },
    },
    body: MintTokenSchema,
    keyed: true,
    async handle(context, { body }) {
      const name = body.fleet ?? context.claims.fleet;
      if (body.fleet !== undefined && !isRoot(context)) {
        return err({ kind: 'forbidden', detail: 'Only the local root token may name a fleet.' });
      }
      const agent = body.agentId === undefined ? null : await agentNamed(context, body.agentId);
      if (agent !== null && !agent.ok) return agent;
      // An agent lives in the caller's fleet; in another one it does not exist.
      if (agent !== null && name !== context.claims.fleet) return err(notFound('agent'));
      const fleet = context.fleet(name);
      if (name !== context.claims.fleet) rememberFleet(await fleet.create(name, context.caller));
      const nowMs = Date.now();
      const id = agent === null ? `tok.${ulid()}` : agentTokenId(agent.value.id);
      const lifeMs = body.expiresInMs ?? (agent === null ? LIMITS.tokenTtlMsDefault : LIMITS.agentTokenTtlMs);
      const asked: TokenRecord = {
        id,
        role: body.role,
        subject: agent === null ? id : agent.value.id,
        issuedAtMs: nowMs,
        // Whole seconds, as the token itself has them: what is promised is what holds.
        expiresAtMs: Math.ceil((nowMs + lifeMs) / 1_000) * 1_000,
        ...(agent === null ? {} : { agentId: agent.value.id }),
        ...(body.maxLeases === undefined ? {} : { maxLeases: body.maxLeases }),
      };
      const minted = await fleet.mintToken(name, context.caller, asked, requestKey(context));
      if (!minted.ok) return minted;
      const { record, replayed, generation } = minted.value;
      const subject: TokenSubject =
        agent === null
          ? {
              sub: record.subject,
              jti: record.id,
              fleet: name,
              gen: generation,
              role: record.role,
              ...(record.maxLeases === undefined ? {} : { maxLeases: record.maxLeases }),
            }
          : agentSubject(context, agent.value, record.id);
      const token = await signToken(context.config.keys, subject, { nowMs: record.issuedAtMs, expiresAtMs: record.expiresAtMs });
      return replyJson(201, { id: record.id, token, expiresAtMs: record.expiresAtMs }, { replayed });
    },
  }),

  endpoint({
    name: 'revokeToken',
    doc: { summary: 'Refuse a token everywhere within five seconds', responses: { 204: null } },
    async handle(context) {
      const id = context.params['id'] ?? '';
      const agentId = agentOfTokenId(id);
      if (agentId !== null) {
        const agent = await agentNamed(context, agentId);
        // Its region may be down; a token is refused all the same. One of an agent that is gone is dead already.
        if (!agent.ok && agent.error.kind === 'not_found') return err(notFound('token'));
      }
      const expiresAtMs = Date.now() + LIMITS.agentTokenTtlMs;
      const revoked = await context
        .fleet()
        .revokeToken(context.claims.fleet, context.caller, { id, unrecorded: agentId !== null, expiresAtMs });
      if (!revoked.ok) return revoked;
      rememberFleet(revoked.value);
      if (agentId !== null) await endSessions(context, agentId, id);
      return reply(204, null);
    },
  }),
];
