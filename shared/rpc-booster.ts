/** What crosses between a region's Worker and its booster Workers. Answers travel as JSON text: nobody between looks inside. */
import type { BoosterReason } from './booster.ts';
import type { BoosterInstruction, BoosterIsolate } from './schemas/booster.ts';
import type { JsonText } from './schemas/common.ts';

/** One answer: `json` is the `BoosterAnswer` as the caller gets it. */
export interface BoosterOutcome {
  /** Null when it was done. */
  readonly reason: BoosterReason | null;
  readonly json: JsonText;
}

export interface BoosterRun {
  /** Counted apart; never part of what an engine sees. */
  readonly fleet: string;
  readonly region: string;
  readonly requestId: string;
  readonly tasks: readonly BoosterInstruction[];
}

/** RPC methods of a booster Worker (entrypoint `BoosterEntry`). It runs where its caller runs and keeps nothing. */
export interface BoosterRpc {
  /** Answers in the order of the tasks. */
  run(call: BoosterRun): Promise<readonly BoosterOutcome[]>;
  status(fleet: string, region: string): Promise<BoosterIsolate>;
}
