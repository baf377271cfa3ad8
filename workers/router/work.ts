import type { RegionId } from '../../regions/table.ts';
import type { IdempotencyRef, PoolCommand } from '../../shared/rpc.ts';

/** New work that may go to one of several regions. */
export interface WorkItem {
  readonly pool: string;
  /** At least one, in the order to try them. */
  readonly order: readonly RegionId[];
  /** What is asked of each region while others may follow: it neither waits nor queues. */
  readonly tried: PoolCommand;
  /**
   * What is asked when all have refused, of the first region that can be reached, for allocations one with fitting agents
   * before one without; null when their refusal is the answer.
   */
  readonly settled: PoolCommand | null;
  /** How long `settled` may take beyond an ordinary call. */
  readonly waitMs: number;
  readonly idempotency: IdempotencyRef | null;
  /** The caller named the first region: then the order follows from the request alone, and need not be remembered. */
  readonly named: boolean;
  /** Whether a refusal for want of room sends it on to the next region; otherwise only trouble there does. */
  readonly passes: boolean;
}
