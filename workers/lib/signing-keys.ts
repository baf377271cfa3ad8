import { importJWK, type JWK } from 'jose';
import * as z from 'zod';
import { err, ok, type Result } from '../../shared/result.ts';

/** The one signature algorithm: pinned here, never taken from a token. */
export const ALGORITHM = 'EdDSA';

export interface SigningKeys {
  /** The first key of the set signs; a new one is put in front, the old one stays until its tokens have ended. */
  readonly signer: { readonly kid: string; readonly key: CryptoKey };
  /** Every key verifies, found by its id alone. */
  readonly verifiers: ReadonlyMap<string, CryptoKey>;
}

const KEYS_MAX = 16;
const KEY_BYTES = 32;
/** Of 32 random bytes fewer than 16 different ones never come up; typed or repeated ones do. */
const DISTINCT_BYTES_MIN = 16;
/** Private keys printed in RFC 8032 §7.1 and RFC 8037 A.1: whoever copied one has no secret. */
const PUBLISHED = new Set([
  'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
  'TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs',
  'xaqN9D-fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc',
]);

const BASE64URL = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be 32 bytes of base64url');
const KeySchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  kid: z.string().min(1).max(128),
  x: BASE64URL,
  d: BASE64URL,
  alg: z.enum(['EdDSA', 'Ed25519']).optional(),
  use: z.literal('sig').optional(),
});
const KeySetSchema = z.object({ keys: z.array(KeySchema).min(1).max(KEYS_MAX) });

/**
 * Reads the secret FLEET_SIGNING_KEYS, a private JWKS. There is no default: absent, malformed or weak is a refusal, in
 * words that may be logged (they name fields, never values).
 */
export async function loadSigningKeys(text: string | undefined): Promise<Result<SigningKeys, string>> {
  if (text === undefined || text.trim() === '') return err('FLEET_SIGNING_KEYS is not set');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return err('FLEET_SIGNING_KEYS is not JSON');
  }
  const parsed = KeySetSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return err(`FLEET_SIGNING_KEYS is not a private Ed25519 JWKS: ${issue?.path.join('.')} ${issue?.message}`);
  }
  const verifiers = new Map<string, CryptoKey>();
  let signer: SigningKeys['signer'] | null = null;
  for (const jwk of parsed.data.keys) {
    const weakness = weaknessOf(jwk.d);
    if (weakness !== null) return err(`FLEET_SIGNING_KEYS: key ${jwk.kid} ${weakness}`);
    if (verifiers.has(jwk.kid)) return err(`FLEET_SIGNING_KEYS: two keys have the id ${jwk.kid}`);
    const pair = await importPair(jwk);
    if (pair === null) return err(`FLEET_SIGNING_KEYS: x and d of key ${jwk.kid} do not belong together`);
    verifiers.set(jwk.kid, pair.publicKey);
    signer ??= { kid: jwk.kid, key: pair.privateKey };
  }
  return signer === null ? err('FLEET_SIGNING_KEYS has no key') : ok({ signer, verifiers });
}

function weaknessOf(d: string): string | null {
  if (PUBLISHED.has(d)) return 'is a published example';
  const bytes = Uint8Array.from(atob(d.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  if (bytes.length !== KEY_BYTES) return 'does not have 32 bytes';
  return new Set(bytes).size < DISTINCT_BYTES_MIN ? 'is not random' : null;
}

async function importPair(jwk: z.infer<typeof KeySchema>): Promise<{ privateKey: CryptoKey; publicKey: CryptoKey } | null> {
  const { kty, crv, x, d } = jwk;
  try {
    const privateKey = await importKey({ kty, crv, x, d });
    const publicKey = await importKey({ kty, crv, x });
    const probe = new TextEncoder().encode('fleet-manager key check');
    const signature = await crypto.subtle.sign('Ed25519', privateKey, probe);
    return (await crypto.subtle.verify('Ed25519', publicKey, signature, probe)) ? { privateKey, publicKey } : null;
  } catch {
    return null;
  }
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, ALGORITHM);
  if (key instanceof Uint8Array) throw new TypeError('not an asymmetric key');
  return key;
}
