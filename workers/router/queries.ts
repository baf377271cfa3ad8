import * as z from 'zod';
import { LIMITS } from '../../shared/limits.ts';
import { AgentStatusSchema } from '../../shared/schemas/agents.ts';
import { CapabilitySchema, PoolNameSchema, RegionNameSchema } from '../../shared/schemas/common.ts';
import { MEMORY_LIMITS } from '../../shared/memory-limits.ts';
import { MemoryLevelSchema } from '../../shared/schemas/memory.ts';
import { TaskStatusSchema } from '../../shared/schemas/tasks.ts';

/** A whole number in a query string: digits only, so that `1e3`, ` 5` and an empty value are refused, not guessed at. */
const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^[0-9]{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max));

const PageShape = {
  limit: wholeNumber(1, LIMITS.pageMax)
    .default(LIMITS.pageDefault)
    .meta({ type: 'integer', minimum: 1, maximum: LIMITS.pageMax, default: LIMITS.pageDefault }),
  cursor: z.string().optional().meta({ description: '`nextCursor` of the page before' }),
};

export const PageQuerySchema = z.object(PageShape);
export type PageQuery = z.output<typeof PageQuerySchema>;

export const ListAgentsQuerySchema = z.object({
  ...PageShape,
  pool: PoolNameSchema.optional(),
  status: AgentStatusSchema.optional(),
  region: RegionNameSchema.optional(),
  capability: CapabilitySchema.optional(),
});

export const ListTasksQuerySchema = z.object({
  ...PageShape,
  pool: PoolNameSchema.optional(),
  status: TaskStatusSchema.optional(),
  region: RegionNameSchema.optional(),
});

const flag = (byDefault: 'true' | 'false') =>
  z
    .enum(['', 'true', 'false'])
    .default(byDefault)
    .transform((text) => text !== 'false')
    .meta({ type: 'boolean', default: byDefault === 'true' });

const MemoryShape = {
  region: RegionNameSchema.optional().meta({ description: 'An agent’s own region; else default: the fleet’s home region' }),
};
export const MemoryQuerySchema = z.object(MemoryShape);
export const ExportQuerySchema = z.object({
  ...MemoryShape,
  shard: wholeNumber(0, MEMORY_LIMITS.shards - 1)
    .optional()
    .meta({ type: 'integer', minimum: 0, maximum: MEMORY_LIMITS.shards - 1, description: 'Needed where there are several' }),
});
export const MemoryPageQuerySchema = z.object({ ...MemoryShape, ...PageShape });
const EntryRefShape = {
  ...MemoryShape,
  owner: z.string().min(1).max(160).optional(),
  level: MemoryLevelSchema.optional(),
};
export const EntryQuerySchema = z.object(EntryRefShape);
export const ReadEntryQuerySchema = z.object({
  ...EntryRefShape,
  maxStaleMs: wholeNumber(0, MEMORY_LIMITS.maxStaleMsMax).default(0).meta({
    type: 'integer',
    minimum: 0,
    maximum: MEMORY_LIMITS.maxStaleMsMax,
    default: 0,
    description: 'How old an answer may be that nobody is asked about again',
  }),
});
export const DeleteEntryQuerySchema = z.object({
  ...EntryRefShape,
  ifVersion: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().meta({ type: 'integer', minimum: 0 }),
  allocationId: z.string().max(LIMITS.nameChars).optional(),
  fencingToken: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional().meta({ type: 'integer', minimum: 1 }),
});
export const ListEntriesQuerySchema = z.object({
  ...EntryRefShape,
  ...PageShape,
  prefix: z.string().max(MEMORY_LIMITS.keyBytes).optional(),
  tag: z.string().min(1).max(MEMORY_LIMITS.tagChars).optional(),
  updatedAfterMs: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().meta({ type: 'integer', minimum: 0 }),
  updatedBeforeMs: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().meta({ type: 'integer', minimum: 0 }),
  values: flag('true'),
  quarantined: flag('false'),
});
export const HistoryQuerySchema = z.object({ ...EntryRefShape, ...PageShape });
export const ClaimsQuerySchema = z.object({
  ...MemoryShape,
  ...PageShape,
  path: z.string().min(1).max(MEMORY_LIMITS.globChars).optional(),
});
export const ArtifactsQuerySchema = z.object({
  ...MemoryShape,
  ...PageShape,
  name: z.string().min(1).max(256).optional(),
  taskId: z.string().min(1).max(LIMITS.nameChars).optional(),
});
export const DependenciesQuerySchema = z.object({
  ...MemoryShape,
  ...PageShape,
  taskId: z.string().min(1).max(LIMITS.nameChars).optional(),
});

export const RegionQuerySchema = z.object({ region: RegionNameSchema.optional() });

export const WaitQuerySchema = z.object({
  waitMs: wholeNumber(0, LIMITS.waitMsMax)
    .default(0)
    .meta({ type: 'integer', minimum: 0, maximum: LIMITS.waitMsMax, default: 0 }),
});

/** `?force` and `?force=true` alike. */
export const ForceQuerySchema = z.object({
  force: z
    .enum(['', 'true', 'false'])
    .default('false')
    .transform((text) => text !== 'false')
    .meta({ type: 'boolean', default: false }),
});

export const ConfirmQuerySchema = z.object({ confirm: z.string().meta({ description: 'The name of the fleet to delete' }) });
