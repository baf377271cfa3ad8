import { WorkerEntrypoint } from 'cloudflare:workers';
import type { BoosterOutcome, BoosterRpc, BoosterRun } from '../../shared/rpc-booster.ts';
import type { BoosterIsolate } from '../../shared/schemas/booster.ts';
import { log } from '../lib/log.ts';
import { createEngine, prepare } from './engine.ts';
import { SlotPool } from './slot-pool.ts';

/** Of the isolate, made with its first call: nothing may be asked of the platform before. */
let pool: SlotPool | null = null;

const poolOf = (): SlotPool =>
  (pool ??= new SlotPool(
    {
      createEngine,
      prepare,
      nowMs: () => Date.now(),
      yieldTurn: () => new Promise((resolve) => setTimeout(resolve, 0)),
      log,
    },
    crypto.randomUUID().slice(0, 8),
  ));

/** A booster Worker, as a region's Worker sees it. It keeps nothing: neither what it was sent nor what it made of it. */
export class BoosterEntry extends WorkerEntrypoint implements BoosterRpc {
  async run(call: BoosterRun): Promise<readonly BoosterOutcome[]> {
    return poolOf().run(call);
  }

  async status(fleet: string, region: string): Promise<BoosterIsolate> {
    return poolOf().status(fleet, region);
  }
}
