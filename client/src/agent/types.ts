import type { FleetManager } from '../fleet-manager.ts';
import type { FleetManagerOptions } from '../config.ts';
import type { AgentInput, Assignment, RevokedLease } from '../types.ts';

/** One attempt at a task, as a handler sees it. */
export interface AgentTask {
  readonly id: string;
  /** 1 for the first try. */
  readonly attempt: number;
  readonly payload: unknown;
  /** What an earlier attempt saved with `progress`, `undefined` if nothing. */
  readonly checkpoint: unknown;
  readonly timeoutMs: number;
  /** Local wall-clock instant at which the attempt's time is up. */
  readonly deadlineAtMs: number;
  readonly agentId: string;
  readonly pool: string;
  readonly region: string;
  readonly allocationId: string;
  /** Give it to whatever the work writes to, so that late writes of a lost lease can be refused there. */
  readonly fencingToken: number;
  /** Aborts on cancellation, timeout, a lost lease or the agent's end; its reason is one of this module's errors. */
  readonly signal: AbortSignal;
  /** Tells how far the work is, and saves a checkpoint for the next attempt. Resolves when stored; only the newest of several waiting calls is sent. */
  progress(progress: unknown, checkpoint?: unknown): Promise<void>;
}

/** Does the work; what it returns is the task's result. */
export type TaskHandler = (task: AgentTask) => unknown;

export interface RunAgentOptions extends FleetManagerOptions, Omit<AgentInput, 'liveness' | 'endpoint' | 'region'> {
  readonly handler: TaskHandler;
  /** Tasks at a time; the same as `slots`, which it overrides. */
  readonly concurrency?: number | undefined;
  /** A manager to use; otherwise one is made from `endpoint` and `token`. */
  readonly fleet?: FleetManager | undefined;
  /** `session` holds a WebSocket; `poll` uses plain requests, for those who cannot. */
  readonly mode?: 'session' | 'poll' | undefined;
  /** Drains and stops the agent. */
  readonly signal?: AbortSignal | undefined;
  /** How long held tasks may go on after a stop, 30 s by default; then they return to the queue. */
  readonly shutdownGraceMs?: number | undefined;
  /** Whether SIGINT and SIGTERM drain the agent (in Node; default true). A second one stops it at once. */
  readonly handleSignals?: boolean | undefined;
  readonly onEvent?: ((event: AgentEvent) => void) | undefined;
}

/** Why an agent stopped. */
export type StopReason = 'stopped' | 'drained' | 'unregistered';

export interface RunningAgent {
  /** Resolves once registered and able to take work. */
  readonly ready: Promise<{ readonly id: string; readonly region: string }>;
  /** Resolves when the agent has stopped, rejects when it cannot go on. */
  readonly done: Promise<StopReason>;
  /** Takes no new work, finishes what is held within the grace, unregisters. Again, with `now`: stops at once. */
  stop(options?: { readonly now?: boolean }): Promise<StopReason>;
}

export type AgentEvent =
  | { readonly type: 'registered'; readonly agentId: string; readonly region: string }
  | { readonly type: 'connected'; readonly agentId: string }
  | { readonly type: 'disconnected'; readonly reason: string; readonly retryInMs: number }
  | { readonly type: 'gone'; readonly reason: string }
  | { readonly type: 'taskStarted'; readonly taskId: string; readonly attempt: number }
  | { readonly type: 'taskAborted'; readonly taskId: string; readonly reason: Error }
  | {
      readonly type: 'taskEnded';
      readonly taskId: string;
      readonly outcome: 'completed' | 'failed';
      readonly durationMs: number;
      readonly error?: string;
    }
  | { readonly type: 'taskDropped'; readonly taskId: string; readonly reason: string }
  | { readonly type: 'draining'; readonly held: number }
  | { readonly type: 'stopped'; readonly reason: StopReason }
  | { readonly type: 'warning'; readonly message: string };

/** What the fleet answers to a report. */
export interface Ack {
  readonly cancelRequested?: boolean | undefined;
}

export interface Failure {
  readonly code: string;
  readonly message: string;
}

/** Reports of held tasks; each resolves once the fleet has stored it, over reconnects if need be. */
export interface Reports {
  accept(held: Assignment): Promise<Ack>;
  progress(held: Assignment, update: { readonly progress?: unknown; readonly checkpoint?: unknown }): Promise<Ack>;
  complete(held: Assignment, result: unknown): Promise<Ack>;
  fail(held: Assignment, error: Failure, retryable: boolean): Promise<Ack>;
  /** Gives up reports of a lost lease; they reject with `reason`. */
  forget(held: Assignment, reason: Error): void;
}

/** What a line to the fleet tells the tasks. */
export interface LinkEvents {
  assigned(assignment: Assignment): void;
  /** All that the fleet still holds for this agent: the truth after a reconnect. */
  held(assignments: readonly Assignment[]): void;
  cancelled(taskId: string, reason: string, graceMs: number): void;
  leaseLost(taskId: string, reason: string): void;
  /** The fleet took leases away; the work under them must stop now. */
  revoked(leases: readonly RevokedLease[]): void;
  allLost(reason: string): void;
  draining(deadlineMs: number): void;
}

/** How a line ended. `gone`: the fleet does not know the agent any more. `removed`: an operator took it out. */
export type LinkEnd =
  | { readonly type: 'closed' }
  | { readonly type: 'gone'; readonly reason: string }
  | { readonly type: 'removed'; readonly reason: string };

export interface Link extends Reports {
  /** Runs until closed or until the agent is gone; rejects when going on makes no sense. */
  run(): Promise<LinkEnd>;
  /** No more work, but reports still travel. */
  quiesce(): void;
  close(): void;
}
