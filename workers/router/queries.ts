import * as z from 'zod';
import { LIMITS } from '../../shared/limits.ts';
import { AgentStatusSchema } from '../../shared/schemas/agents.ts';
import { CapabilitySchema, PoolNameSchema, RegionNameSchema } from '../../shared/schemas/common.ts';
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
