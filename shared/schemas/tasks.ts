import * as z from 'zod';
import { LIMITS } from '../limits.ts';
import {
  AnyJsonSchema,
  CapabilitiesSchema,
  DurationSchema,
  FencingTokenSchema,
  InstantSchema,
  MetadataSchema,
  PoolNameSchema,
  PrioritySchema,
  RegionNameSchema,
  ResidencySchema,
} from './common.ts';
import { SelectorSchema } from './allocations.ts';

export const TASK_STATUSES = ['queued', 'assigned', 'running', 'succeeded', 'failed', 'cancelled', 'dead'] as const;
export const TaskStatusSchema = z.enum(TASK_STATUSES);
export type TaskStatus = z.infer<typeof TaskStatusSchema>;

export const RetrySchema = z.strictObject({
  baseMs: z.int().min(0).max(3_600_000).default(1_000),
  factor: z.number().min(1).max(100).default(2),
  maxMs: z.int().min(0).max(86_400_000).default(60_000),
  jitter: z.number().min(0).max(1).default(0.2),
});
export type Retry = z.infer<typeof RetrySchema>;

const TASK_SHAPE = {
  pool: PoolNameSchema,
  payload: AnyJsonSchema,
  capabilities: CapabilitiesSchema.default([]),
  selectors: z.array(SelectorSchema).max(LIMITS.selectors).default([]),
  priority: PrioritySchema.default(LIMITS.priorityDefault),
  fairnessKey: z.string().min(1).max(64).optional(),
  fairnessWeight: z.number().positive().max(1_000).optional(),
  concurrency: z
    .strictObject({
      key: z.string().min(1).max(128),
      limit: z.int().min(1).max(100_000),
      strategy: z.enum(['queue', 'cancel_oldest', 'cancel_newest']).default('queue'),
    })
    .optional(),
  maxAttempts: z.int().min(1).max(LIMITS.maxAttempts).default(3),
  retry: RetrySchema.default({ baseMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0.2 }),
  timeoutMs: z.int().min(1_000).max(LIMITS.taskTimeoutMsMax).default(LIMITS.taskTimeoutMsDefault),
  deadlineMs: z.int().min(1).max(LIMITS.taskDelayMsMax).optional(),
  delayMs: z.int().min(0).max(LIMITS.taskDelayMsMax).optional(),
  dependsOn: z.array(z.string().max(LIMITS.nameChars)).max(64).optional(),
  resultTtlMs: z.int().min(1_000).max(LIMITS.resultTtlMsMax).optional(),
  region: RegionNameSchema.optional(),
  residency: ResidencySchema.optional(),
  durability: z.enum(['local', 'replicated']).optional(),
  metadata: MetadataSchema.optional(),
};
const hasPayload = (task: { readonly payload?: unknown }): boolean => task.payload !== undefined;
const PAYLOAD_REQUIRED = { path: ['payload'], message: 'is required (null is a value)' };

export const SubmitTaskSchema = z.strictObject(TASK_SHAPE).refine(hasPayload, PAYLOAD_REQUIRED).meta({ id: 'SubmitTask' });
export type SubmitTask = z.infer<typeof SubmitTaskSchema>;

export const TaskErrorSchema = z.object({ code: z.string(), message: z.string() }).meta({ id: 'TaskError' });
export type TaskError = z.infer<typeof TaskErrorSchema>;

export const TaskSchema = z
  .object({
    id: z.string(),
    pool: z.string(),
    region: z.string(),
    status: TaskStatusSchema,
    priority: z.int(),
    attempts: z.int(),
    agentId: z.string().optional(),
    allocationId: z.string().optional(),
    progress: z.unknown().optional(),
    result: z.unknown().optional(),
    error: TaskErrorSchema.optional(),
    createdAtMs: InstantSchema,
    startedAtMs: InstantSchema.optional(),
    completedAtMs: InstantSchema.optional(),
    cancelRequested: z.boolean().optional(),
    replayOf: z.string().optional(),
    metadata: MetadataSchema.optional(),
  })
  .meta({ id: 'Task' });
export type Task = z.infer<typeof TaskSchema>;

/** What an agent says went wrong: a sentence, or a code of its own with one. */
export const TaskFailureSchema = z.union([
  z.string().max(LIMITS.errorChars),
  z.strictObject({ code: z.string().min(1).max(64).default('agent_error'), message: z.string().max(LIMITS.errorChars) }),
]);

export const CompleteTaskSchema = z
  .strictObject({ fencingToken: FencingTokenSchema, result: AnyJsonSchema.optional() })
  .meta({ id: 'CompleteTask' });
export const FailTaskSchema = z
  .strictObject({ fencingToken: FencingTokenSchema, error: TaskFailureSchema, retryable: z.boolean().default(true) })
  .meta({ id: 'FailTask' });
export const ProgressTaskSchema = z
  .strictObject({ fencingToken: FencingTokenSchema, progress: AnyJsonSchema.optional(), checkpoint: AnyJsonSchema.optional() })
  .meta({ id: 'ProgressTask' });
export const ProgressReplySchema = z.object({
  taskId: z.string(),
  leaseExpiresAtMs: InstantSchema,
  cancelRequested: z.boolean(),
});
export { DurationSchema };

/** A task of a batch: `ref` names it there, and `dependsOn` may hold such names beside ids. Ids have dots, names do not. */
export const BatchTaskSchema = z
  .strictObject({
    ref: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1–64 letters, digits, _ or -')
      .optional(),
    ...TASK_SHAPE,
  })
  .refine(hasPayload, PAYLOAD_REQUIRED)
  .meta({ id: 'BatchTask' });
export type BatchTask = z.infer<typeof BatchTaskSchema>;

/** Each item is parsed by itself: one bad item fails alone. */
export const TaskBatchSchema = z
  .strictObject({
    tasks: z
      .array(z.unknown())
      .min(1)
      .max(LIMITS.taskBatch)
      .meta({ description: 'BatchTask items, each with an optional idempotencyKey' }),
  })
  .meta({ id: 'TaskBatch' });

const RESULT_OF = { id: z.string().max(LIMITS.nameChars) };
/** What agents without a socket say about many tasks at once. */
export const TaskResultSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('complete'), ...RESULT_OF, ...CompleteTaskSchema.shape }),
  z.strictObject({ op: z.literal('fail'), ...RESULT_OF, ...FailTaskSchema.shape }),
  z.strictObject({ op: z.literal('progress'), ...RESULT_OF, ...ProgressTaskSchema.shape }),
]);
export type TaskResult = z.infer<typeof TaskResultSchema>;

/** Each item is parsed by itself: one bad item fails alone. */
export const TaskResultsSchema = z
  .strictObject({
    results: z.array(z.unknown()).min(1).max(LIMITS.taskBatch).meta({ description: 'TaskResult items' }),
  })
  .meta({ id: 'TaskResults' });
