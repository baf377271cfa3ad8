import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { calculateJwkThumbprint, createLocalJWKSet, exportJWK, generateKeyPair, importJWK, jwtVerify, SignJWT } from 'jose';
import { ulid } from 'ulid';
import * as z from 'zod';
import { readIfPresent, type StateDir, writePrivately } from './state-dir.ts';

/** A private Ed25519 key as RFC 8037 writes it. */
const SigningKeySchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  d: z.string(),
  x: z.string(),
  kid: z.string(),
  alg: z.literal('EdDSA'),
  use: z.literal('sig'),
});
type SigningKey = z.infer<typeof SigningKeySchema>;

/** The first key signs, all verify. */
const KeySetSchema = z.object({ keys: z.array(SigningKeySchema).min(1) });
export type KeySet = z.infer<typeof KeySetSchema>;

const ISSUER = 'fleet-manager';
const DAY_S = 86_400;
const TOKEN_LIFE_S = 90 * DAY_S;
/** A token is renewed while it still works for a month: nobody finds it expired after a holiday. */
const TOKEN_RENEW_S = 30 * DAY_S;

/** The fleet's signing keys, made on first use. A file that cannot be read is an error: new keys would void every token. */
export async function openSigningKeys(dir: StateDir): Promise<KeySet> {
  const text = readIfPresent(dir.signingKeys);
  if (text === null) {
    const keys = { keys: [await newSigningKey()] };
    writeKeys(dir, keys);
    return keys;
  }
  return readKeys(text, dir.signingKeys);
}

/**
 * Puts a new signing key in front. The older ones go on verifying, so that tokens already given out stay good;
 * `dropOld` ends those tokens at once.
 */
export async function rotateSigningKeys(dir: StateDir, options: { readonly dropOld: boolean }): Promise<KeySet> {
  const text = readIfPresent(dir.signingKeys);
  const old = text === null || options.dropOld ? [] : readKeys(text, dir.signingKeys).keys;
  const keys = { keys: [await newSigningKey(), ...old] };
  writeKeys(dir, keys);
  return keys;
}

/** The root administrator's token: the one on disk, or a new one if that is near its end or signed by a dropped key. */
export async function openAdminToken(dir: StateDir, keys: KeySet): Promise<string> {
  const present = readIfPresent(dir.adminToken)?.trim();
  if (present !== undefined && (await stillGood(present, keys))) return present;
  const token = await mintAdminToken(keys);
  writePrivately(dir.adminToken, `${token}\n`);
  return token;
}

/**
 * The secrets that a region's memory is sealed under, made on first use: one file per region, so that no region can open what
 * another one stored. Without its file a memory cannot be read any more, so a file that is empty is an error.
 */
export function openMemoryKeys(dir: StateDir, region: string): string {
  const file = path.join(dir.memoryKeys, region);
  const present = readIfPresent(file)?.trim();
  if (present === '') throw new Error(`${file} is empty. Restore it, or delete it and the memory of ${region} with it.`);
  if (present !== undefined) return present;
  mkdirSync(dir.memoryKeys, { recursive: true, mode: 0o700 });
  const secret = `local-1:${randomBytes(32).toString('base64')}`;
  writePrivately(file, `${secret}\n`);
  return secret;
}

/** The keys as the router's secret carries them. */
export const keysAsSecret = (keys: KeySet): string => JSON.stringify(keys);

async function newSigningKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = await exportJWK(privateKey);
  return SigningKeySchema.parse({ ...jwk, kid: await calculateJwkThumbprint(jwk), alg: 'EdDSA', use: 'sig' });
}

async function mintAdminToken(keys: KeySet): Promise<string> {
  const [signing] = keys.keys;
  if (signing === undefined) throw new Error('a key set has at least one key');
  const nowS = Math.floor(Date.now() / 1000);
  return new SignJWT({ fleet: 'default', role: 'admin', root: true })
    .setProtectedHeader({ alg: 'EdDSA', kid: signing.kid, typ: 'JWT' })
    .setIssuer(ISSUER)
    .setAudience(ISSUER)
    .setSubject('local-admin')
    .setJti(ulid())
    .setIssuedAt(nowS)
    .setExpirationTime(nowS + TOKEN_LIFE_S)
    .sign(await importJWK(signing, 'EdDSA'));
}

async function stillGood(token: string, keys: KeySet): Promise<boolean> {
  try {
    const verifying = createLocalJWKSet({ keys: keys.keys.map(({ d: _private, ...rest }) => rest) });
    const { payload } = await jwtVerify(token, verifying, { issuer: ISSUER, audience: ISSUER, algorithms: ['EdDSA'] });
    return (payload.exp ?? 0) - Date.now() / 1000 > TOKEN_RENEW_S && payload['root'] === true;
  } catch {
    return false;
  }
}

function readKeys(text: string, file: string): KeySet {
  try {
    return KeySetSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`${file} holds no signing keys. Restore it, or delete it and every token made with it.`, { cause });
  }
}

const writeKeys = (dir: StateDir, keys: KeySet): void => writePrivately(dir.signingKeys, `${JSON.stringify(keys, null, 2)}\n`);
