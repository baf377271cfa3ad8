import { jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { parseIdOf } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import { ROLES } from '../../shared/roles.ts';
import { ALGORITHM, type SigningKeys } from './signing-keys.ts';

export const ISSUER = 'fleet-manager';
export const AUDIENCE = 'fleet-manager';
/** How far ahead the clock of the machine that signed may be. Expiry gets no such leeway: it would be time a dead token lives on. */
const LEEWAY_S = 5;
const TOKEN_CHARS_MAX = 4_096;

const ClaimsSchema = z
  .object({
    sub: z.string().min(1).max(160),
    jti: z.string().min(1).max(160),
    fleet: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
    role: z.enum(ROLES),
    /** Generation of the fleet: deleting a fleet starts a new one, and tokens of the old are refused. */
    gen: z.int().min(0).default(0),
    agentId: z.string().optional(),
    swarms: z.array(z.string()).optional(),
    region: z.string().optional(),
    pool: z.string().optional(),
    /** The operator of a local fleet: survives the deletion of its fleet and may create others. Only honoured locally. */
    root: z.boolean().optional(),
    /** Lease quota of this token, in place of the fleet’s. */
    maxLeases: z.int().min(0).optional(),
    iat: z.int(),
    exp: z.int(),
  })
  .refine((c) => (c.role === 'agent') === (c.agentId !== undefined))
  .refine((c) => c.agentId === undefined || parseIdOf('agent', c.agentId) !== null)
  .refine((c) => c.root !== true || c.role === 'admin');
export type TokenClaims = z.infer<typeof ClaimsSchema>;
/** What a minter decides; the rest follows from the clock and the key. */
export type TokenSubject = Omit<TokenClaims, 'iat' | 'exp'>;

/** Signs a token. Times are whole seconds, rounded so that it never outlives what was asked. */
export function signToken(
  keys: SigningKeys,
  subject: TokenSubject,
  times: { nowMs: number; expiresAtMs: number },
): Promise<string> {
  const claims = { ...subject, ...(subject.gen === 0 ? { gen: undefined } : {}) };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: keys.signer.kid })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt(Math.floor(times.nowMs / 1_000))
    .setExpirationTime(Math.floor(times.expiresAtMs / 1_000))
    .sign(keys.signer.key);
}

/** Verifies signature, issuer, audience and times. The reason of a refusal is for the log: callers are told 401 and no more. */
export async function verifyToken(keys: SigningKeys, token: string, nowMs: number): Promise<Result<TokenClaims, string>> {
  if (token.length > TOKEN_CHARS_MAX) return err('too long');
  let payload: unknown;
  try {
    const verified = await jwtVerify(
      token,
      (header) => {
        const key = header.kid === undefined ? undefined : keys.verifiers.get(header.kid);
        if (key === undefined) throw new Error('unknown key');
        return key;
      },
      {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'jti', 'exp', 'iat'],
        clockTolerance: LEEWAY_S,
        currentDate: new Date(nowMs),
      },
    );
    payload = verified.payload;
  } catch (error) {
    return err(error instanceof Error ? error.message : 'not verified');
  }
  const claims = ClaimsSchema.safeParse(payload);
  if (!claims.success) return err('claims do not fit');
  const { iat, exp, root } = claims.data;
  if (hasExpired(claims.data, nowMs)) return err('expired');
  if (iat > nowMs / 1_000 + LEEWAY_S) return err('issued in the future');
  // Nothing of ours lives longer; the local root token is as old as its state directory.
  if (root !== true && exp - iat > LIMITS.tokenTtlMsMax / 1_000 + LEEWAY_S) return err('lives too long');
  return ok(claims.data);
}

/** Whether verified claims have run out since: a verified token is remembered, its end is not. */
export const hasExpired = (claims: TokenClaims, nowMs: number): boolean => claims.exp <= nowMs / 1_000;
