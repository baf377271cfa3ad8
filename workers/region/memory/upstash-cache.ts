import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { Redis } from '@upstash/redis/cloudflare';
import * as z from 'zod';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { CachedEntry } from './entry-cache.ts';
import type { CacheName, SharedCache } from './shared-cache.ts';

/** `MEMORY_CACHE`, as JSON: a database of this region, and the key that is ours alone. */
const SettingsSchema = z.strictObject({
  url: z.url(),
  token: z.string().min(1),
  key: z.base64().refine((text) => text.length >= 44, 'must be at least 32 bytes in base64'),
});

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Larger values are fetched from the memory sooner than from here. */
const VALUE_BYTES_MAX = 262_144;
/** A cache that is slower than the memory behind it is worse than none. */
const TIMEOUT_MS = 500;

/**
 * The shared cache in an Upstash database of the same region, over its REST interface. Names are keyed hashes and values are
 * sealed under a key of this region, bound to their names, so the database holds nothing that could be read or swapped.
 */
export class UpstashCache implements SharedCache {
  readonly #redis: Redis;
  readonly #region: string;
  readonly #sealing: Uint8Array;
  readonly #naming: Uint8Array;

  constructor(options: { readonly url: string; readonly token: string; readonly key: Uint8Array; readonly region: string }) {
    this.#redis = new Redis({
      url: options.url,
      token: options.token,
      retry: false,
      // Values are texts of ours: a parser that guesses would change them.
      automaticDeserialization: false,
      responseEncoding: false,
      enableTelemetry: false,
      signal: () => AbortSignal.timeout(TIMEOUT_MS),
    });
    this.#region = options.region;
    const derived = (use: string): Uint8Array =>
      new Uint8Array(hkdfSync('sha256', options.key, options.region, `fleet/memory/cache/${use}`, 32));
    this.#sealing = derived('values');
    this.#naming = derived('names');
  }

  async get(name: CacheName): Promise<CachedEntry | null> {
    const key = this.#keyOf(name);
    const sealed = await this.#redis.get<string>(key);
    return sealed === null ? null : this.#open(key, sealed);
  }

  async put(name: CacheName, cached: CachedEntry): Promise<void> {
    const text = JSON.stringify(cached);
    if (text.length > VALUE_BYTES_MAX) return;
    const key = this.#keyOf(name);
    const pipeline = this.#redis.pipeline();
    pipeline.set(key, this.#seal(key, text), { px: MEMORY_LIMITS.sharedCacheTtlMs });
    // What is known of an entry and of a swarm, so that it can be found when it must go.
    for (const list of [this.#listOf(name.fleet, name.swarm, name.key), this.#listOf(name.fleet, name.swarm)]) {
      pipeline.sadd(list, key);
      pipeline.pexpire(list, MEMORY_LIMITS.sharedCacheTtlMs);
    }
    await pipeline.exec();
  }

  invalidate({ fleet, swarm, key }: Pick<CacheName, 'fleet' | 'swarm' | 'key'>): Promise<void> {
    return this.#drop(this.#listOf(fleet, swarm, key));
  }

  clear({ fleet, swarm }: Pick<CacheName, 'fleet' | 'swarm'>): Promise<void> {
    return this.#drop(this.#listOf(fleet, swarm));
  }

  async #drop(list: string): Promise<void> {
    const keys = await this.#redis.smembers(list);
    await this.#redis.del(list, ...keys);
  }

  #name(parts: readonly string[]): string {
    return createHmac('sha256', this.#naming)
      .update(JSON.stringify([this.#region, ...parts]))
      .digest('base64url');
  }

  #keyOf({ fleet, swarm, key, identity }: CacheName): string {
    return `fm:v:${this.#name([fleet, swarm, key, identity])}`;
  }

  #listOf(fleet: string, swarm: string, key?: string): string {
    return `fm:l:${this.#name(key === undefined ? [fleet, swarm] : [fleet, swarm, key])}`;
  }

  #seal(key: string, text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#sealing, nonce);
    cipher.setAAD(Buffer.from(key));
    return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64');
  }

  /** Null for what does not open: another key's, another name's, or damaged. */
  #open(key: string, sealed: string): CachedEntry | null {
    const box = Buffer.from(sealed, 'base64');
    if (box.length < NONCE_BYTES + TAG_BYTES) return null;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#sealing, box.subarray(0, NONCE_BYTES));
      decipher.setAAD(Buffer.from(key));
      decipher.setAuthTag(box.subarray(-TAG_BYTES));
      const text = Buffer.concat([decipher.update(box.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8');
      return JSON.parse(text) as CachedEntry;
    } catch {
      return null;
    }
  }
}

const CACHES = new Map<string, UpstashCache>();

/** The shared cache of this region, or null where none is configured, which is the ordinary case. */
export function sharedCacheOf(settings: string | undefined, region: string): SharedCache | null {
  if (settings === undefined || settings === '') return null;
  const known = CACHES.get(settings);
  if (known !== undefined) return known;
  const { url, token, key } = SettingsSchema.parse(JSON.parse(settings));
  const cache = new UpstashCache({ url, token, key: new Uint8Array(Buffer.from(key, 'base64')), region });
  CACHES.set(settings, cache);
  return cache;
}
