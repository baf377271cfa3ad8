export { FleetManager } from './fleet-manager.ts';
export { AgentBooster } from './booster/agent-booster.ts';
export { Allocation } from './allocation.ts';
export { MemoryClaim, SwarmMemory, type MemoryConfig } from './swarm-memory.ts';
export { runAgent } from './agent/run-agent.ts';
export { NonRetryableError, LeaseLostError, TaskCancelledError, TaskTimeoutError, AgentStoppedError } from './agent/errors.ts';
export * from './errors.ts';
export type { FleetManagerConfig, FleetManagerOptions, PoolConfig } from './config.ts';
export type { CallOptions } from './http.ts';
export type { BatchResult } from './batch.ts';
export type { AllocationOperation } from './api/allocations.ts';
export type { AgentTask, RunAgentOptions, RunningAgent, AgentEvent, TaskHandler } from './agent/types.ts';
export type {
  BoosterConfig,
  BoosterDone,
  BoosterPending,
  BoosterRefused,
  BoosterTaskRequest,
  BoosterTaskResult,
  ExecuteOptions,
  MadeBy,
  PerformanceReport,
} from './booster/types.ts';
export type { BoosterReport, BoosterStatus } from '../../shared/schemas/booster.ts';
export type * from './types.ts';
