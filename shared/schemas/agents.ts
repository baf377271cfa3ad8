import * as z from 'zod';
import { LIMITS } from '../limits.ts';
import {
  CapabilitiesSchema,
  dictionary,
  DurationSchema,
  FencingTokenSchema,
  IdempotencyKeySchema,
  InstantSchema,
  LabelsSchema,
  LeaseMsSchema,
  MetadataSchema,
  PoolNameSchema,
  RegionNameSchema,
  SwarmNameSchema,
  WaitMsSchema,
} from './common.ts';

export const AGENT_STATUSES = ['starting', 'idle', 'busy', 'draining', 'unhealthy', 'quarantined', 'offline'] as const;
export const AgentStatusSchema = z.enum(AGENT_STATUSES);
export type AgentStatus = z.infer<typeof AgentStatusSchema>;

export const LivenessSchema = z.enum(['heartbeat', 'session', 'none']);
export type Liveness = z.infer<typeof LivenessSchema>;

const ResourcesSchema = z.strictObject({ memoryMb: z.number().positive().max(1e9), cpu: z.number().positive().max(1e6) });

export const RegisterAgentSchema = z
  .strictObject({
    pool: PoolNameSchema,
    capabilities: CapabilitiesSchema.default([]),
    labels: LabelsSchema.default({}),
    slots: z.int().min(1).max(LIMITS.slots).default(1),
    resources: ResourcesSchema.optional(),
    endpoint: z
      .url({ protocol: /^https$/ })
      .max(2_048)
      .optional(),
    region: RegionNameSchema.optional(),
    liveness: LivenessSchema.default('heartbeat'),
    swarms: z.array(SwarmNameSchema).max(LIMITS.swarms).default([]),
    metadata: MetadataSchema.optional(),
  })
  .refine((a) => a.liveness !== 'none' || a.endpoint !== undefined, {
    path: ['endpoint'],
    message: 'is required when liveness is none',
  })
  .meta({ id: 'RegisterAgent' });
export type RegisterAgent = z.infer<typeof RegisterAgentSchema>;

export const AgentSchema = z
  .object({
    id: z.string(),
    pool: z.string(),
    region: z.string(),
    status: AgentStatusSchema,
    slots: z.int(),
    slotsFree: z.int(),
    capabilities: z.array(z.string()),
    labels: z.record(z.string(), z.string()),
    swarms: z.array(z.string()),
    liveness: LivenessSchema,
    endpoint: z.string().optional(),
    resources: ResourcesSchema.optional(),
    stats: z.object({
      completed: z.int(),
      failed: z.int(),
      meanDurationMs: z.number().nullable(),
      successRate: z.number().nullable(),
    }),
    lastSeenAtMs: InstantSchema,
    createdAtMs: InstantSchema,
    metadata: MetadataSchema,
  })
  .meta({ id: 'Agent' });
export type Agent = z.infer<typeof AgentSchema>;

export const RegisteredAgentSchema = AgentSchema.extend({ heartbeatIntervalMs: DurationSchema, token: z.string() }).meta({
  id: 'RegisteredAgent',
});
export type RegisteredAgent = z.infer<typeof RegisteredAgentSchema>;

/** Each item is parsed by itself: one bad item fails alone. */
export const RegisterAgentsSchema = z
  .strictObject({
    agents: z
      .array(z.unknown())
      .min(1)
      .max(LIMITS.agentBatch)
      .meta({ description: 'RegisterAgent items, each with an optional idempotencyKey' }),
  })
  .meta({ id: 'RegisterAgents' });
export const HeartbeatsSchema = z
  .strictObject({
    agents: z.array(z.unknown()).min(1).max(LIMITS.agentBatch).meta({ description: 'Heartbeat items, each with the agent id' }),
  })
  .meta({ id: 'Heartbeats' });

const METRICS = dictionary(z.string().min(1).max(64), z.number()).refine(
  (m) => Object.keys(m).length <= 64,
  'at most 64 metrics',
);
export const LeaseBeatSchema = z.strictObject({
  allocationId: z.string().max(LIMITS.nameChars),
  fencingToken: FencingTokenSchema,
  leaseMs: LeaseMsSchema.optional(),
});
export const HeartbeatSchema = z
  .strictObject({ metrics: METRICS.optional(), leases: z.array(LeaseBeatSchema).max(LIMITS.slots).default([]) })
  .meta({ id: 'Heartbeat' });
export type Heartbeat = z.infer<typeof HeartbeatSchema>;
export const HeartbeatItemSchema = z.strictObject({ id: z.string().max(LIMITS.nameChars), ...HeartbeatSchema.shape });

/** Leases of the agent that were revoked, told once: stop the work, whatever it says would be refused. */
export const RevokedLeasesSchema = z.array(
  z.object({
    allocationId: z.string(),
    taskId: z.string().optional(),
    fencingToken: FencingTokenSchema,
    epoch: z.int(),
    reason: z.string(),
  }),
);
export type RevokedLease = z.infer<typeof RevokedLeasesSchema>[number];

export const HeartbeatReplySchema = z
  .object({
    leases: z.array(
      z.object({
        allocationId: z.string(),
        ok: z.boolean(),
        leaseExpiresAtMs: InstantSchema.optional(),
        code: z.string().optional(),
      }),
    ),
    cancel: z.array(z.string()),
    drain: z.boolean(),
    revoked: RevokedLeasesSchema.optional(),
    token: z.string().optional(),
  })
  .meta({ id: 'HeartbeatReply' });
export type HeartbeatReply = z.infer<typeof HeartbeatReplySchema>;

export const PollSchema = z
  .strictObject({ waitMs: WaitMsSchema.default(0), max: z.int().min(1).max(LIMITS.slots).default(1) })
  .meta({ id: 'Poll' });

export const AssignmentSchema = z
  .object({
    taskId: z.string(),
    allocationId: z.string(),
    fencingToken: FencingTokenSchema,
    attempt: z.int(),
    payload: z.unknown(),
    leaseExpiresAtMs: InstantSchema,
    timeoutMs: DurationSchema,
    checkpoint: z.unknown().optional(),
  })
  .meta({ id: 'Assignment' });
export type Assignment = z.infer<typeof AssignmentSchema>;
export const PollReplySchema = z.object({ assignments: z.array(AssignmentSchema), revoked: RevokedLeasesSchema.optional() });

export const DrainAgentSchema = z
  .strictObject({ deadlineMs: DurationSchema.max(3_600_000).default(LIMITS.drainDeadlineMs) })
  .meta({ id: 'DrainAgent' });
export const QuarantineAgentSchema = z.strictObject({ reason: z.string().max(1_000).optional() }).meta({ id: 'QuarantineAgent' });
export { IdempotencyKeySchema };
