import { LIMITS } from '../../shared/limits.ts';
import { LeaseError } from './errors.ts';
import type { CallOptions } from './http.ts';
import { backoffMs, isRetryable, sleep } from './retry.ts';
import type { AllocationInfo, TaskResult } from './types.ts';

/** What an allocation needs of the client that made it. */
export interface AllocationCalls {
  renew(id: string, fencingToken: number, leaseMs: number, options?: CallOptions): Promise<AllocationInfo>;
  release(id: string, fencingToken: number, result?: TaskResult, options?: CallOptions): Promise<AllocationInfo>;
}

/** Work stops this long before the lease does, so that nothing is done under a lease that has just ended. */
const SAFETY_MS = 500;
const ASYNC_DISPOSE: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/**
 * An agent held for a while. Renew it, or `keepAlive()` and let it renew itself; release it, or leave that to
 * `await using`. When the hold is lost, `signal` aborts: the agent may already be someone else's.
 */
export class Allocation implements AllocationInfo {
  readonly id: string;
  readonly agentId: string;
  readonly taskId?: string;
  readonly pool: string;
  readonly region: string;
  readonly slots: number;
  readonly fencingToken: number;
  readonly agent: AllocationInfo['agent'];
  readonly metadata?: Record<string, unknown>;
  leaseExpiresAtMs: number;
  status: AllocationInfo['status'];

  readonly #calls: AllocationCalls;
  readonly #leaseMs: number;
  readonly #lost = new AbortController();
  readonly #kept = new AbortController();
  #keeping = false;
  /** Monotonic moment up to which the lease surely holds; counted from before the request that granted it. */
  #safeUntil: number;

  constructor(
    info: AllocationInfo,
    calls: AllocationCalls,
    leaseMs: number = LIMITS.leaseMsDefault,
    askedAt = performance.now(),
  ) {
    this.id = info.id;
    this.agentId = info.agentId;
    if (info.taskId !== undefined) this.taskId = info.taskId;
    this.pool = info.pool;
    this.region = info.region;
    this.slots = info.slots;
    this.fencingToken = info.fencingToken;
    this.agent = info.agent;
    if (info.metadata !== undefined) this.metadata = info.metadata;
    this.leaseExpiresAtMs = info.leaseExpiresAtMs;
    this.status = info.status;
    this.#calls = calls;
    this.#leaseMs = leaseMs;
    this.#safeUntil = askedAt + leaseMs;
  }

  /** Aborts when the hold is known or must be assumed to be lost; not on release. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Extends the hold to `leaseMs` from now. */
  async renew(leaseMs: number = this.#leaseMs, options?: CallOptions): Promise<this> {
    const askedAt = performance.now();
    try {
      this.#take(await this.#calls.renew(this.id, this.fencingToken, leaseMs, options));
      this.#safeUntil = askedAt + leaseMs;
      return this;
    } catch (error) {
      if (error instanceof LeaseError) this.#lose(error);
      throw error;
    }
  }

  /** Gives the agent back. Again is harmless. */
  async release(result?: TaskResult, options?: CallOptions): Promise<void> {
    this.#kept.abort();
    if (this.status === 'released') return;
    this.#take(await this.#calls.release(this.id, this.fencingToken, result, options));
  }

  /** Renews at a third of the lease until released; aborts `signal` when that fails for too long. */
  keepAlive(): this {
    if (!this.#keeping) {
      this.#keeping = true;
      void this.#keep();
    }
    return this;
  }

  /** Releases at the end of an `await using` block; a hold already lost is no error there. */
  async [ASYNC_DISPOSE](): Promise<void> {
    try {
      await this.release();
    } catch (error) {
      if (!(error instanceof LeaseError)) throw error;
    }
  }

  async #keep(): Promise<void> {
    for (let failures = 0; !this.#kept.signal.aborted && !this.#lost.signal.aborted;) {
      const left = this.#safeUntil - SAFETY_MS - performance.now();
      if (left <= 0) return this.#lose(new Error('The lease could not be renewed in time.'));
      const pause =
        failures > 0 ? backoffMs(failures, Math.random()) : this.#safeUntil - performance.now() - (this.#leaseMs * 2) / 3;
      try {
        await sleep(Math.max(0, Math.min(pause, left)), this.#kept.signal);
        await this.renew(this.#leaseMs, {
          signal: this.#kept.signal,
          retries: 0,
          timeoutMs: Math.max(1, Math.round(this.#leaseMs / 3)),
        });
        failures = 0;
      } catch (error) {
        if (this.#kept.signal.aborted) return;
        if (!isRetryable(error)) return this.#lose(error);
        failures++;
      }
    }
  }

  #take(info: AllocationInfo): void {
    this.leaseExpiresAtMs = info.leaseExpiresAtMs;
    this.status = info.status;
  }

  #lose(reason: unknown): void {
    this.#lost.abort(reason);
  }
}
