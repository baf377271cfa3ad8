import { createCipheriv, createDecipheriv, createSecretKey, getRandomValues, hkdfSync, type KeyObject } from 'node:crypto';
import { SealedError } from './errors.ts';
import type { DatabaseIdentity } from './types.ts';

/** Page keys are derived with this; a change of format changes it. */
const LABEL = 'fleet-manager/sealed-sqlite/1';
const KEY_ID_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD = KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES;
/** Random bytes are drawn for this many seals at once. */
const NONCES_DRAWN = 64;

/**
 * NIST SP 800-38D, 8.3: with random 96-bit nonces at most 2^32 seals under one key. A key is due for replacement at half of
 * it; at the bound itself it seals nothing more.
 */
export const SEALS_MAX = 2 ** 32;
export const SEALS_DUE = 2 ** 31;

/** Where a box belongs: a page of a page set, or the one header of a database. */
export interface Place {
  readonly kind: 'page' | 'header';
  readonly set: number;
  readonly no: number;
}

/**
 * AES-256-GCM, synchronous, so that a commit and its sealing are one section that nothing interrupts. A box is
 * key id (4) ‖ nonce (12) ‖ ciphertext ‖ tag (16).
 *
 * Region, fleet and database are in the derivation of each key and, with kind, page set, page number and key id, in the
 * authenticated data: a box opens at its own place and nowhere else.
 */
export class PageCipher {
  readonly #identity: DatabaseIdentity;
  readonly #keys = new Map<number, KeyObject>();
  /** Built once; only its last 13 bytes differ from box to box. */
  readonly #aad: Uint8Array;
  readonly #aadTail: DataView;
  #nonces = new Uint8Array(0);
  #nonceAt = 0;

  constructor(identity: DatabaseIdentity) {
    this.#identity = identity;
    const prefix = identityBytes(identity);
    this.#aad = new Uint8Array(prefix.length + 13);
    this.#aad.set(prefix);
    this.#aadTail = new DataView(this.#aad.buffer, prefix.length);
  }

  /** @param dataKey 32 bytes, from the key provider; they are wiped */
  addKey(id: number, dataKey: Uint8Array): void {
    if (dataKey.length !== 32) throw new SealedError('key_refused', `key ${id} has ${dataKey.length} bytes instead of 32`);
    const info = new Uint8Array([...text(LABEL), 0, ...identityBytes(this.#identity)]);
    const derived = hkdfSync('sha256', dataKey, text(this.#identity.region), info, 32);
    // A key object, not bytes: workerd sets a cipher up in half the time with it.
    this.#keys.set(id, createSecretKey(new Uint8Array(derived)));
    dataKey.fill(0);
  }

  removeKey(id: number): void {
    this.#keys.delete(id);
  }

  get keyIds(): readonly number[] {
    return [...this.#keys.keys()];
  }

  seal(place: Place, keyId: number, plain: Uint8Array): Uint8Array<ArrayBuffer> {
    const nonce = this.#nonce();
    const cipher = createCipheriv('aes-256-gcm', this.#key(keyId), nonce);
    cipher.setAAD(this.#placeBytes(place, keyId));
    const sealed = cipher.update(plain);
    cipher.final();
    const box = new Uint8Array(OVERHEAD + sealed.length);
    box[0] = keyId >>> 24;
    box[1] = keyId >>> 16;
    box[2] = keyId >>> 8;
    box[3] = keyId;
    box.set(nonce, KEY_ID_BYTES);
    box.set(sealed, KEY_ID_BYTES + NONCE_BYTES);
    box.set(cipher.getAuthTag(), box.length - TAG_BYTES);
    return box;
  }

  /** Throws `tampered` for anything but a box that was sealed for this place with a key we hold. */
  open(place: Place, box: Uint8Array): Uint8Array {
    if (box.length < OVERHEAD) throw tampered(place, 'is too short for a sealed page');
    const id = keyIdOf(box);
    const key = this.#keys.get(id);
    if (key === undefined) throw tampered(place, `names key ${id}, which this database does not have`);
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(KEY_ID_BYTES, KEY_ID_BYTES + NONCE_BYTES));
      decipher.setAAD(this.#placeBytes(place, id));
      decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
      const plain = decipher.update(box.subarray(KEY_ID_BYTES + NONCE_BYTES, box.length - TAG_BYTES));
      decipher.final();
      return plain;
    } catch (cause) {
      throw tampered(place, 'does not open: it was changed, moved, or comes from elsewhere', cause);
    }
  }

  #key(id: number): KeyObject {
    const key = this.#keys.get(id);
    if (key === undefined) throw new Error(`no key ${id}`);
    return key;
  }

  #placeBytes(place: Place, keyId: number): Uint8Array {
    const tail = this.#aadTail;
    tail.setUint8(0, place.kind === 'page' ? 1 : 2);
    tail.setUint32(1, place.set);
    tail.setUint32(5, place.no);
    tail.setUint32(9, keyId);
    return this.#aad;
  }

  #nonce(): Uint8Array {
    if (this.#nonceAt === this.#nonces.length) {
      this.#nonces = getRandomValues(new Uint8Array(NONCES_DRAWN * NONCE_BYTES));
      this.#nonceAt = 0;
    }
    return this.#nonces.subarray(this.#nonceAt, (this.#nonceAt += NONCE_BYTES));
  }
}

function tampered(place: Place, what: string, cause?: unknown): SealedError {
  const isPage = place.kind === 'page';
  return new SealedError('tampered', `${isPage ? `page ${place.no} of set ${place.set}` : 'the pager row'} ${what}`, {
    ...(isPage ? { page: place.no } : {}),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The key a box says it was sealed with; not yet authenticated. */
export const keyIdOf = (box: Uint8Array): number =>
  (((box[0] ?? 0) << 24) | ((box[1] ?? 0) << 16) | ((box[2] ?? 0) << 8) | (box[3] ?? 0)) >>> 0;

/** Each part with its length before it, so that no two identities are written alike. */
export function identityBytes({ region, fleet, database }: DatabaseIdentity): Uint8Array {
  const parts = [region, fleet, database].map(text);
  return new Uint8Array(parts.flatMap((part) => [part.length >> 8, part.length & 255, ...part]));
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
