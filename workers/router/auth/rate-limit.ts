import { LIMITS } from '../../../shared/limits.ts';

/**
 * A token bucket. One per token and isolate: it protects an isolate from one caller and costs no call, so a caller that is
 * spread over many isolates may get a multiple of the rate. Exact quotas are the objects' business.
 */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(nowMs: number, perSecond: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond * LIMITS.rateLimitBurstSeconds;
    this.#atMs = nowMs;
  }

  /** Takes one request; answers 0, or after how many milliseconds there is room again. */
  take(nowMs: number): number {
    // A clock that went back must not drain the bucket.
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#perSecond * LIMITS.rateLimitBurstSeconds, this.#tokens + (elapsedMs * this.#perSecond) / 1_000);
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return Math.ceil(((1 - this.#tokens) * 1_000) / this.#perSecond);
  }
}
