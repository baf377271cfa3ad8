import type { BoosterReason } from '../../../shared/booster.ts';
import type { BoosterReport } from '../../../shared/schemas/booster.ts';
import type { BoosterInput } from '../api/booster.ts';
import type { FleetManagerOptions } from '../config.ts';
import type { CallOptions } from '../http.ts';

/** What an {@link AgentBooster} is made with: how to reach the fleet, and the settings of SPECIFICATION §2.2. */
export interface BoosterConfig extends FleetManagerOptions {
  /** `false`: every operation is refused as `unsupported`, and nothing is sent. */
  readonly enabled?: boolean | undefined;
  /** Slots the caller counts on. They belong to the deployment: `initialize()` warns when there are fewer. */
  readonly poolSize?: number | undefined;
  /** Most memory of one instance in MiB. Instances are replaced at 24 MiB, so less cannot be had. */
  readonly memoryLimit?: number | undefined;
  /** Whether an agent does what the booster leaves undone. Default: only when a `fallbackPool` is named. */
  readonly fallbackEnabled?: boolean | undefined;
  /** The pool of those agents. Default: the one for the kind of work, `coder` for edits. */
  readonly fallbackPool?: string | undefined;
  /** `false`: nothing is measured here; the fleet's own report stays. */
  readonly performanceTracking?: boolean | undefined;
  /** Answers kept, 256 by default; 0: none. */
  readonly cacheEntries?: number | undefined;
  /** Characters of kept answers, 16 Mi by default. */
  readonly cacheChars?: number | undefined;
  /** How long `executeTask` waits for an agent, 5 minutes by default; then the caller gets the task to wait for. */
  readonly agentTimeoutMs?: number | undefined;
}

/** One operation. `fallback: false` keeps it from agents whatever the configuration says. */
export type BoosterTaskRequest = Omit<BoosterInput, 'fallback'> & {
  readonly fallback?: BoosterInput['fallback'] | false | undefined;
};

export interface ExecuteOptions extends CallOptions {
  /** `false`: an agent's task is answered as that, at once. */
  readonly wait?: boolean | undefined;
}

/** Who made a result. */
export type MadeBy =
  | { readonly kind: 'booster'; readonly engine: string; readonly cached: boolean }
  | { readonly kind: 'agent'; readonly agentId: string | undefined; readonly taskId: string; readonly pool: string };

/** It is done. `proofs` is empty for what an agent made: nobody proved that. */
export interface BoosterDone {
  readonly ok: true;
  readonly output: unknown;
  readonly proofs: readonly string[];
  readonly madeBy: MadeBy;
  /** Everything else the booster said. */
  readonly [member: string]: unknown;
}

/** It is not done, and the input is as it was. */
export interface BoosterRefused {
  readonly ok: false;
  readonly taskId?: undefined;
  readonly reason: BoosterReason | 'agent_failed';
  readonly detail: string;
  readonly candidates?: readonly unknown[] | undefined;
  readonly madeBy: MadeBy;
  readonly [member: string]: unknown;
}

/** An agent has it. */
export interface BoosterPending {
  readonly ok: false;
  readonly taskId: string;
  readonly pool: string;
  readonly region: string;
  readonly reason: BoosterReason | 'standard';
  readonly detail: string;
  /** What became of it, once the agent is done. */
  wait(options?: CallOptions): Promise<BoosterDone | BoosterRefused>;
}

export type BoosterTaskResult = BoosterDone | BoosterRefused | BoosterPending;

/** What this client saw, beside what the fleet measured. */
export interface PerformanceReport extends BoosterReport {
  readonly client: {
    readonly tasks: number;
    readonly cacheHits: number;
    readonly cacheHitRate: number;
    readonly handedOver: number;
    readonly meanMs: number;
  };
}
