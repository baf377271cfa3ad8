import * as z from 'zod';
import { LIMITS } from '../limits.ts';
import {
  AnyJsonSchema,
  CapabilitiesSchema,
  dictionary,
  DurationSchema,
  FencingTokenSchema,
  IdempotencyKeySchema,
  InstantSchema,
  LeaseMsSchema,
  MetadataSchema,
  PoolNameSchema,
  PrioritySchema,
  RegionNameSchema,
  ResidencySchema,
  WaitMsSchema,
} from './common.ts';

const KEY = z.string().min(1).max(LIMITS.nameChars);
const ExpressionSchema = z.strictObject({
  key: KEY,
  operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Gte', 'Lt', 'Lte']),
  values: z.array(z.string().max(256)).max(64).default([]),
});
/** Ordered label selectors: the first that any free agent matches wins (SEMANTICS §3). */
export const SelectorSchema = z
  .strictObject({
    matchLabels: dictionary(KEY, z.string().max(256)).optional(),
    matchExpressions: z.array(ExpressionSchema).max(32).optional(),
  })
  .meta({ id: 'Selector' });
export type Selector = z.infer<typeof SelectorSchema>;

export const STRATEGIES = ['priority_based', 'round_robin', 'least_loaded', 'capability_match', 'performance_based'] as const;
export const StrategySchema = z.enum(STRATEGIES);
export const PackingSchema = z.enum(['spread', 'pack']);

export const AllocateSchema = z
  .strictObject({
    pool: PoolNameSchema,
    taskId: z.string().min(1).max(256).optional(),
    capabilities: CapabilitiesSchema.default([]),
    selectors: z.array(SelectorSchema).max(LIMITS.selectors).default([]),
    slots: z.int().min(1).max(LIMITS.slots).default(1),
    count: z.int().min(1).max(LIMITS.gangCount).default(1),
    priority: PrioritySchema.default(LIMITS.priorityDefault),
    leaseMs: LeaseMsSchema.default(LIMITS.leaseMsDefault),
    waitMs: WaitMsSchema.default(0),
    strategy: StrategySchema.default('least_loaded'),
    packing: PackingSchema.default('spread'),
    region: RegionNameSchema.optional(),
    residency: ResidencySchema.optional(),
    metadata: MetadataSchema.optional(),
  })
  .meta({ id: 'Allocate' });
export type Allocate = z.infer<typeof AllocateSchema>;

export const ALLOCATION_STATUSES = ['active', 'released', 'expired', 'revoked'] as const;
export const AllocationStatusSchema = z.enum(ALLOCATION_STATUSES);
export type AllocationStatus = z.infer<typeof AllocationStatusSchema>;

export const AllocationSchema = z
  .object({
    id: z.string(),
    agentId: z.string(),
    taskId: z.string().optional(),
    pool: z.string(),
    region: z.string(),
    slots: z.int(),
    fencingToken: FencingTokenSchema,
    leaseExpiresAtMs: InstantSchema,
    status: AllocationStatusSchema,
    agent: z.object({
      id: z.string(),
      endpoint: z.string().optional(),
      capabilities: z.array(z.string()),
      labels: z.record(z.string(), z.string()),
    }),
    metadata: MetadataSchema.optional(),
  })
  .meta({ id: 'Allocation' });
export type Allocation = z.infer<typeof AllocationSchema>;
export const AllocationsSchema = z.object({ allocations: z.array(AllocationSchema) });

export const RenewSchema = z
  .strictObject({ fencingToken: FencingTokenSchema, leaseMs: LeaseMsSchema.default(LIMITS.leaseMsDefault) })
  .meta({ id: 'Renew' });
export const ReleaseSchema = z
  .strictObject({
    fencingToken: FencingTokenSchema,
    result: z
      .strictObject({
        success: z.boolean(),
        durationMs: DurationSchema.optional(),
        error: z.string().max(LIMITS.errorChars).optional(),
        data: AnyJsonSchema.optional(),
      })
      .optional(),
  })
  .meta({ id: 'Release' });
export type Release = z.infer<typeof ReleaseSchema>;

export const AllocationOperationSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('allocate'), idempotencyKey: IdempotencyKeySchema.optional(), ...AllocateSchema.shape }),
  z.strictObject({
    op: z.literal('renew'),
    id: z.string().max(LIMITS.nameChars),
    idempotencyKey: IdempotencyKeySchema.optional(),
    ...RenewSchema.shape,
  }),
  z.strictObject({
    op: z.literal('release'),
    id: z.string().max(LIMITS.nameChars),
    idempotencyKey: IdempotencyKeySchema.optional(),
    ...ReleaseSchema.shape,
  }),
]);
export type AllocationOperation = z.infer<typeof AllocationOperationSchema>;

/** Each item is parsed by itself: one bad item fails alone. */
export const AllocationBatchSchema = z
  .strictObject({
    operations: z.array(z.unknown()).min(1).max(LIMITS.allocationBatch).meta({ description: 'AllocationOperation items' }),
  })
  .meta({ id: 'AllocationBatch' });
