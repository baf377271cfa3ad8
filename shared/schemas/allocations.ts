import * as z from 'zod';
import { LIMITS } from '../limits.ts';
import { LivenessSchema } from './agents.ts';
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

const ids = (chars: number) => z.array(z.string().min(1).max(chars)).min(1).max(LIMITS.revokeIds);
/** A label selector without a condition matches everything, which nobody may say by accident. */
const ConditionSchema = SelectorSchema.refine(
  (s) => Object.keys(s.matchLabels ?? {}).length + (s.matchExpressions?.length ?? 0) > 0,
  'must have a condition: an empty one would match every agent',
);

/** Which leases: every member that is there must match; of a list one entry is enough, of `capabilities` all are needed. */
const LEASE_SELECTOR = {
  pool: PoolNameSchema.optional(),
  region: RegionNameSchema.optional(),
  agentIds: ids(LIMITS.nameChars).optional(),
  allocationIds: ids(LIMITS.nameChars).optional(),
  taskIds: ids(256).optional().meta({ description: 'Tasks of the fleet, or the names that callers gave their allocations' }),
  holder: z.string().min(1).max(160).optional().meta({ description: 'Subject of the token that allocated: the token’s id' }),
  capabilities: CapabilitiesSchema.min(1).optional(),
  selectors: z.array(ConditionSchema).min(1).max(LIMITS.selectors).optional().meta({ description: 'Labels of the agents' }),
};

export const RevokeLeasesSchema = z
  .strictObject({
    all: z.literal(true).optional().meta({ description: 'Every lease of the fleet; goes with no selector' }),
    ...LEASE_SELECTOR,
    reason: z.string().min(1).max(1_000).meta({ description: 'Kept in the audit, and told to the agents' }),
    waitMs: WaitMsSchema.default(LIMITS.revokeWaitMsDefault).meta({ description: 'How long to wait for acknowledgements' }),
    tasks: z.enum(['requeue', 'cancel']).default('requeue').meta({ description: 'What becomes of dispatched tasks' }),
    quarantine: z.boolean().default(false).meta({ description: 'Take the agents out of service, too' }),
  })
  .superRefine((body, context) => {
    const narrowed = Object.keys(LEASE_SELECTOR).some((key) => body[key as keyof typeof LEASE_SELECTOR] !== undefined);
    if (narrowed === (body.all === undefined)) return;
    const message = narrowed ? 'goes with no selector: leave out one of them' : 'say which leases, or all: true';
    context.addIssue({ code: 'custom', path: ['all'], message });
  })
  .meta({ id: 'RevokeLeases' });
export type RevokeLeases = z.infer<typeof RevokeLeasesSchema>;

/** How an agent acknowledged: its process said so over the session, or it has called since and was told in the answer. */
export const ACKNOWLEDGED_BY = ['session', 'call'] as const;
export const RevocationSchema = z
  .object({
    complete: z.boolean().meta({ description: 'Every shard that may have held a matching lease has answered' }),
    unanswered: z.array(z.object({ region: z.string(), pool: z.string().optional(), shard: z.int().optional() })),
    revoked: z.int().meta({ description: 'Leases' }),
    requeued: z.int().meta({ description: 'Tasks' }),
    cancelled: z.int().meta({ description: 'Tasks' }),
    quarantined: z.int().meta({ description: 'Agents' }),
    acknowledged: z.int().meta({ description: 'Agents' }),
    unacknowledged: z.int().meta({ description: 'Agents' }),
    agents: z
      .array(
        z.object({
          agentId: z.string(),
          pool: z.string(),
          region: z.string(),
          leases: z.int(),
          liveness: LivenessSchema,
          acknowledged: z.boolean(),
          by: z.enum(ACKNOWLEDGED_BY).optional(),
        }),
      )
      .meta({ description: 'Those that have not acknowledged first' }),
    agentsOmitted: z.int(),
    shards: z
      .array(z.object({ region: z.string(), pool: z.string(), shard: z.int(), epoch: z.int(), fence: z.int(), revoked: z.int() }))
      .meta({ description: 'Where something matched: of tokens up to `fence`, those that matched are refused from then on' }),
  })
  .meta({ id: 'Revocation' });
export type Revocation = z.infer<typeof RevocationSchema>;
