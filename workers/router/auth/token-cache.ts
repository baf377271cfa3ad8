import { sha256Hex } from '../../lib/sha256.ts';
import { hasExpired, verifyToken, type TokenClaims } from '../../lib/tokens.ts';
import type { RouterConfig } from '../env.ts';
import { TokenBucket } from './rate-limit.ts';

/** Tokens remembered per isolate, some 1 kB each. */
const TOKENS_MAX = 10_000;

/** For so long a token is also known by itself, which spares the hash of each request of a busy caller. */
const HOT_MS = 1_000;
/** Busy callers of one isolate at one time. */
const HOT_MAX = 64;

/** A verified token: what it says, and how fast it has been used. */
export interface Identity {
  readonly claims: TokenClaims;
  readonly bucket: TokenBucket;
}

/**
 * Verified tokens by their hash, so that a signature is checked once per isolate and a dump of its memory holds none but
 * those of the last second, which the requests of that second carry anyway. Expiry is looked at each time; revocation is
 * the fleet's, and checked by the caller.
 */
export class TokenCache {
  readonly #known = new Map<string, Identity>();
  readonly #hot = new Map<string, Identity>();
  #hotSinceMs = 0;
  readonly #max: number;

  constructor(max = TOKENS_MAX) {
    this.#max = max;
  }

  /** The token's identity if it has been verified before and still holds. */
  known(token: string, nowMs: number): Identity | null {
    if (nowMs - this.#hotSinceMs >= HOT_MS || nowMs < this.#hotSinceMs || this.#hot.size >= HOT_MAX) {
      this.#hot.clear();
      this.#hotSinceMs = nowMs;
    }
    const hot = this.#hot.get(token);
    if (hot !== undefined && !hasExpired(hot.claims, nowMs)) return hot;
    const hash = sha256Hex(token);
    const identity = this.#known.get(hash);
    if (identity === undefined) return null;
    this.#known.delete(hash);
    if (hasExpired(identity.claims, nowMs)) return null;
    // Back in as the newest: the map's order is the order of use.
    this.#known.set(hash, identity);
    this.#hot.set(token, identity);
    return identity;
  }

  /** Verifies a token; null is a refusal, whose reason goes to `refused` for the log. */
  async verify(
    { keys, rateLimitPerSecond }: Pick<RouterConfig, 'keys' | 'rateLimitPerSecond'>,
    token: string,
    nowMs: number,
    refused: (reason: string) => void,
  ): Promise<Identity | null> {
    const verified = await verifyToken(keys, token, nowMs);
    if (!verified.ok) {
      refused(verified.error);
      return null;
    }
    const identity: Identity = { claims: verified.value, bucket: new TokenBucket(nowMs, rateLimitPerSecond) };
    this.#known.set(sha256Hex(token), identity);
    const oldest = this.#known.size > this.#max ? this.#known.keys().next().value : undefined;
    if (oldest !== undefined) this.#known.delete(oldest);
    return identity;
  }

  get size(): number {
    return this.#known.size;
  }
}
