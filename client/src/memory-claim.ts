import type { MemoryPaths } from './api/memory.ts';
import type { CallOptions } from './http.ts';
import type { ClaimInfo } from './types.ts';

/** Paths that are held until a moment, and given back when the block ends that it was made in (`await using`). */
export class MemoryClaim implements AsyncDisposable {
  readonly #paths: MemoryPaths;
  #info: ClaimInfo;
  #isReleased = false;

  constructor(paths: MemoryPaths, info: ClaimInfo) {
    this.#paths = paths;
    this.#info = info;
  }

  get id(): string {
    return this.#info.id;
  }

  get paths(): readonly string[] {
    return this.#info.paths;
  }

  /** Rises over the whole swarm: whatever guards the files refuses a lower one than it has seen. */
  get fencingToken(): number {
    return this.#info.fencingToken;
  }

  get expiresAtMs(): number {
    return this.#info.expiresAtMs;
  }

  /** Holds it for `leaseMs` more, counted from now; by default a minute. */
  async renew(leaseMs?: number, options?: CallOptions): Promise<void> {
    const body = { fencingToken: this.fencingToken, ...(leaseMs === undefined ? {} : { leaseMs }) };
    this.#info = await this.#paths.post<ClaimInfo>(`/claims/${encodeURIComponent(this.id)}/renew`, body, options, {
      creates: false,
    });
  }

  /** Gives the paths back; again it does nothing. */
  async release(options?: CallOptions): Promise<void> {
    if (this.#isReleased) return;
    await this.#paths.post(`/claims/${encodeURIComponent(this.id)}/release`, { fencingToken: this.fencingToken }, options);
    this.#isReleased = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch(() => undefined);
  }
}
