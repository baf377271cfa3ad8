import { ulid } from 'ulid';
import { LIMITS } from '../../shared/limits.ts';
import type { AgentView } from '../../shared/rpc.ts';
import { signToken, type TokenSubject } from '../lib/tokens.ts';
import type { RequestContext } from './context.ts';

/** A token older than this is renewed when its agent calls: it always has hours to come back. */
const RENEW_AFTER_MS = LIMITS.agentTokenTtlMs / 2;
const ID_PREFIX = 'tka.';

type AgentFacts = Pick<AgentView, 'id' | 'swarms' | 'region' | 'pool'>;

/**
 * Ids of agents' tokens name the agent: registration hands out thousands at once, so they are not recorded one by one, and
 * the id alone must tell what revoking it is about.
 */
export const agentTokenId = (agentId: string): string => `${ID_PREFIX}${agentId}.${ulid()}`;

/** The agent that a token id names; null for an id of another kind. */
export function agentOfTokenId(id: string): string | null {
  const match = /^tka\.(agt\.[^/\s]{1,128})\.[0-9A-HJKMNP-TV-Z]{26}$/.exec(id);
  return match?.[1] ?? null;
}

export function agentSubject(context: RequestContext, agent: AgentFacts, jti: string): TokenSubject {
  return {
    sub: agent.id,
    jti,
    fleet: context.claims.fleet,
    gen: context.view.snapshot.generation,
    role: 'agent',
    agentId: agent.id,
    swarms: [...agent.swarms],
    region: agent.region,
    pool: agent.pool,
  };
}

/** A day's token for an agent that has just registered. */
export function mintAgentToken(context: RequestContext, agent: AgentFacts): Promise<string> {
  const nowMs = Date.now();
  return signToken(context.config.keys, agentSubject(context, agent, agentTokenId(agent.id)), {
    nowMs,
    expiresAtMs: nowMs + LIMITS.agentTokenTtlMs,
  });
}

/**
 * A fresh token for an agent whose present one is half used, or null. It keeps its id: renewing is going on with the same
 * credential, so revoking that id ends all of them.
 */
export async function renewedToken(context: RequestContext): Promise<string | null> {
  const { claims } = context;
  const nowMs = Date.now();
  const expiresAtMs = nowMs + LIMITS.agentTokenTtlMs;
  if (claims.role !== 'agent' || nowMs - claims.iat * 1_000 < RENEW_AFTER_MS || claims.exp * 1_000 >= expiresAtMs) return null;
  const { iat: _iat, exp: _exp, ...subject } = claims;
  return signToken(context.config.keys, subject, { nowMs, expiresAtMs });
}
