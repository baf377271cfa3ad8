import type { LeaseRevocation } from '../../shared/memory-rpc.ts';
import type { RegionEnv } from '../env.ts';
import { logError } from '../lib/log.ts';
import { memoryStub } from '../stubs.ts';

const RETRY_MS = [0, 200, 1_000];

/**
 * Tells the memories of an agent's swarms that a lease was taken back, after the commit that did it. A notice may be lost with
 * this object; a memory asks for itself when the last word on a lease is a few seconds old, so it only shortens that time.
 */
export class MemoryNotices {
  readonly #env: RegionEnv;
  readonly #fleet: () => string | null;
  #waiting = new Map<string, LeaseRevocation[]>();

  constructor(env: RegionEnv, fleet: () => string | null) {
    this.#env = env;
    this.#fleet = fleet;
  }

  /** Notices of one commit to one memory share a call. */
  revoked({ swarms, agentId, allocationId, fencingToken }: LeaseRevocation & { readonly swarms: readonly string[] }): void {
    if (this.#waiting.size === 0) queueMicrotask(() => this.#flush());
    for (const swarm of swarms) {
      const notices = this.#waiting.get(swarm) ?? [];
      notices.push({ agentId, allocationId, fencingToken });
      this.#waiting.set(swarm, notices);
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    const fleet = this.#fleet();
    if (fleet === null) return;
    for (const [swarm, notices] of waiting) void this.#tell(fleet, swarm, notices);
  }

  async #tell(fleet: string, swarm: string, notices: readonly LeaseRevocation[]): Promise<void> {
    const home = { region: this.#env.REGION, swarm, shard: 0 };
    for (const [attempt, waitMs] of RETRY_MS.entries()) {
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      try {
        await memoryStub(this.#env, fleet, home).leasesRevoked(fleet, home, notices);
        return;
      } catch (error) {
        if (attempt === RETRY_MS.length - 1) logError('memory not told of revoked leases', error);
      }
    }
  }
}
