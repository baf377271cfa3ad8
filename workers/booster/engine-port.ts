import type { BoosterReason } from '../../shared/booster.ts';
import type { BoosterInstruction } from '../../shared/schemas/booster.ts';

/** What an operation came to. Members beside these go to the caller as they are. */
export type EngineAnswer =
  | { readonly ok: true; readonly output: unknown; readonly [member: string]: unknown }
  | { readonly ok: false; readonly reason: BoosterReason; readonly detail: string; readonly [member: string]: unknown };

/**
 * One isolated instance, as the pool uses it. `run` is synchronous: an instance is never interrupted, and never runs two
 * operations at once. Whatever it throws is a failure of the instance, which is not used again.
 */
export interface PooledEngine {
  readonly memoryBytes: number;
  run(task: BoosterInstruction): EngineAnswer;
}

/** What must have ended before any instance of the isolate runs the task; null if nothing has to. */
export type Prepare = (task: BoosterInstruction) => Promise<unknown> | null;

export type CreateEngine = () => Promise<PooledEngine>;
