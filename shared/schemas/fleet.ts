import * as z from 'zod';
import { LIMITS } from '../limits.ts';
import { ROLES } from '../roles.ts';
import { AGENT_STATUSES } from './agents.ts';
import { InstantSchema, PoolNameSchema, PrioritySchema, RegionNameSchema, ResidencySchema } from './common.ts';
import { TASK_STATUSES } from './tasks.ts';

const counts = <K extends string>(keys: readonly K[]) =>
  z.object(Object.fromEntries(keys.map((k) => [k, z.int()])) as Record<K, z.ZodInt>);
export const AgentCountsSchema = counts(['total', ...AGENT_STATUSES] as const).meta({ id: 'AgentCounts' });
export type AgentCounts = z.infer<typeof AgentCountsSchema>;
export const TaskCountsSchema = counts(TASK_STATUSES).meta({ id: 'TaskCounts' });
export type TaskCounts = z.infer<typeof TaskCountsSchema>;

export const PoolStatusSchema = AgentCountsSchema.extend({
  pool: z.string(),
  region: z.string(),
  queued: z.int(),
  minAgents: z.int(),
  maxAgents: z.int(),
  desired: z.int(),
}).meta({ id: 'PoolStatus' });
export type PoolStatus = z.infer<typeof PoolStatusSchema>;

export const RegionStatusSchema = z
  .object({ agents: AgentCountsSchema, tasks: TaskCountsSchema, asOfMs: InstantSchema, fresh: z.boolean() })
  .meta({ id: 'RegionStatus' });
export type RegionStatus = z.infer<typeof RegionStatusSchema>;

export const FleetStatusSchema = z
  .object({
    fleet: z.string(),
    agents: AgentCountsSchema,
    tasks: TaskCountsSchema,
    pools: z.array(PoolStatusSchema),
    regions: z.record(z.string(), RegionStatusSchema),
  })
  .meta({ id: 'FleetStatus' });
export type FleetStatus = z.infer<typeof FleetStatusSchema>;

const ResourcesSchema = z.strictObject({ memoryMb: z.number().positive().max(1e9), cpu: z.number().positive().max(1e6) });

export const PutPoolSchema = z
  .strictObject({
    minAgents: z.int().min(0).max(LIMITS.poolAgentsMax),
    maxAgents: z.int().min(0).max(LIMITS.poolAgentsMax),
    priority: PrioritySchema,
    shards: z.int().min(1).max(LIMITS.shardsMax).optional(),
    resources: ResourcesSchema.optional(),
  })
  .refine((p) => p.minAgents <= p.maxAgents, { path: ['minAgents'], message: 'must not be above maxAgents' })
  .meta({ id: 'PutPool' });
export type PutPool = z.infer<typeof PutPoolSchema>;

export const PoolSchema = z
  .object({
    pool: PoolNameSchema,
    region: z.string(),
    minAgents: z.int(),
    maxAgents: z.int(),
    priority: z.int(),
    shards: z.int(),
    desired: z.int(),
    resources: ResourcesSchema.optional(),
    isDefault: z.boolean(),
    agents: AgentCountsSchema,
    tasks: TaskCountsSchema,
  })
  .meta({ id: 'Pool' });
export type Pool = z.infer<typeof PoolSchema>;

export const ScalePoolSchema = z
  .strictObject({
    targetSize: z.int().min(0).max(LIMITS.poolAgentsMax),
    region: RegionNameSchema.optional(),
    reason: z.string().max(1_000).optional(),
  })
  .meta({ id: 'ScalePool' });
export const ScaledPoolSchema = z
  .object({ desired: z.int(), limitedBy: z.enum(['min', 'max']).optional() })
  .meta({ id: 'ScaledPool' });

export const FleetSettingsSchema = z
  .strictObject({
    residency: ResidencySchema.optional(),
    homeRegion: RegionNameSchema.optional(),
    maxAgents: z.int().min(0).max(10_000_000).optional(),
    leaseQuota: z
      .strictObject({ perCaller: z.int().min(0).max(10_000_000) })
      .optional()
      .meta({ description: 'Live leases that a token may hold by allocating, in each pool of each region' }),
  })
  .meta({ id: 'FleetSettings' });
export type FleetSettings = z.infer<typeof FleetSettingsSchema>;

export const MintTokenSchema = z
  .strictObject({
    role: z.enum(ROLES),
    agentId: z.string().max(LIMITS.nameChars).optional(),
    fleet: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must match [a-z][a-z0-9-]{0,62}')
      .optional(),
    expiresInMs: z.int().min(1_000).max(LIMITS.tokenTtlMsMax).optional(),
    maxLeases: z
      .int()
      .min(0)
      .max(10_000_000)
      .optional()
      .meta({ description: 'In place of the fleet’s `leaseQuota.perCaller`, for this token' }),
  })
  .refine((t) => (t.role === 'agent') === (t.agentId !== undefined), {
    path: ['agentId'],
    message: 'goes with role agent, and only with it',
  })
  .refine((t) => t.role !== 'agent' || (t.expiresInMs ?? 0) <= LIMITS.agentTokenTtlMs, {
    path: ['expiresInMs'],
    message: `must be at most ${LIMITS.agentTokenTtlMs} for an agent, whose token is renewed while it calls`,
  })
  .refine((t) => t.maxLeases === undefined || t.role === 'operator' || t.role === 'admin', {
    path: ['maxLeases'],
    message: 'goes with a role that may allocate',
  })
  .meta({ id: 'MintToken' });
export const MintedTokenSchema = z
  .object({ id: z.string(), token: z.string(), expiresAtMs: InstantSchema })
  .meta({ id: 'MintedToken' });
