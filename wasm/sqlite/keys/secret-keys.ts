import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { SealedError } from '../errors.ts';
import { identityBytes } from '../page-cipher.ts';
import type { DatabaseIdentity } from '../types.ts';
import type { DataKey, KeyProvider } from './key-provider.ts';

const LABEL = 'fleet-manager/data-key/1';
const SECRET_BYTES_MIN = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ID = /^[A-Za-z0-9_-]{1,32}$/;

/**
 * Data keys wrapped under secrets of this region: a Worker secret in a deployment, a file of the state directory locally. The
 * first secret wraps; the others are there for what they have wrapped, until rotation has passed over it.
 *
 * A wrapping is length of the id (1) ‖ id of the secret ‖ nonce (12) ‖ ciphertext ‖ tag (16), under
 * HKDF-SHA256(secret, salt = region, info = label and identity), so it opens for its own identity only.
 */
export class SecretKeys implements KeyProvider {
  readonly #secrets: ReadonlyMap<string, Uint8Array>;
  readonly #current: string;

  constructor(secrets: ReadonlyMap<string, Uint8Array>) {
    const [current] = secrets.keys();
    if (current === undefined) throw new Error('no secret for data keys is set');
    for (const [id, secret] of secrets) {
      if (!ID.test(id)) throw new Error(`not an id of a secret: ${id}`);
      if (secret.length < SECRET_BYTES_MIN) throw new Error(`secret ${id} has fewer than ${SECRET_BYTES_MIN} bytes`);
    }
    this.#secrets = secrets;
    this.#current = current;
  }

  /** @param text `id:base64` or several, the current one first, separated by commas; at least 32 bytes each */
  static parse(text: string): SecretKeys {
    const entries = text.split(',').map((entry): [string, Uint8Array] => {
      const [id = '', secret = ''] = entry.trim().split(':');
      return [id, new Uint8Array(Buffer.from(secret, 'base64'))];
    });
    if (new Set(entries.map(([id]) => id)).size < entries.length) throw new Error('two secrets have one id');
    return new SecretKeys(new Map(entries));
  }

  generate(identity: DatabaseIdentity): Promise<DataKey> {
    const plain = new Uint8Array(randomBytes(32));
    const id = Buffer.from(this.#current);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#wrappingKey(this.#current, identity), nonce);
    cipher.setAAD(identityBytes(identity));
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    const wrapped = new Uint8Array(Buffer.concat([Buffer.of(id.length), id, nonce, sealed, cipher.getAuthTag()]));
    return Promise.resolve({ plain, wrapped });
  }

  async unwrap(identity: DatabaseIdentity, wrapped: Uint8Array): Promise<Uint8Array> {
    const idEnd = 1 + (wrapped[0] ?? 0);
    const id = Buffer.from(wrapped.subarray(1, idEnd)).toString();
    const sealedEnd = wrapped.length - TAG_BYTES;
    if (sealedEnd <= idEnd + NONCE_BYTES) throw new SealedError('key_refused', 'a wrapped key is too short');
    try {
      const key = this.#wrappingKey(id, identity);
      const decipher = createDecipheriv('aes-256-gcm', key, wrapped.subarray(idEnd, idEnd + NONCE_BYTES));
      decipher.setAAD(identityBytes(identity));
      decipher.setAuthTag(wrapped.subarray(sealedEnd));
      return new Uint8Array(Buffer.concat([decipher.update(wrapped.subarray(idEnd + NONCE_BYTES, sealedEnd)), decipher.final()]));
    } catch (cause) {
      if (cause instanceof SealedError) throw cause;
      throw new SealedError(
        'key_refused',
        `the data key does not open for ${identity.region}: another region, database or secret`,
        {
          cause,
        },
      );
    }
  }

  #wrappingKey(id: string, identity: DatabaseIdentity): Uint8Array {
    const secret = this.#secrets.get(id);
    if (secret === undefined) throw new SealedError('key_refused', `there is no secret ${ID.test(id) ? id : 'of that id'}`);
    const info = Buffer.concat([Buffer.from(LABEL), Buffer.of(0), identityBytes(identity)]);
    return new Uint8Array(hkdfSync('sha256', secret, Buffer.from(identity.region), info, 32));
  }
}
