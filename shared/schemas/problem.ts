import * as z from 'zod';
import { RevocationSchema } from './allocations.ts';
import { WhySchema } from './why.ts';

/** RFC 9457 body of every error, `application/problem+json`. */
export const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
    requestId: z.string(),
    retryAfterMs: z.int().optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    why: WhySchema.optional(),
    limit: z.number().optional(),
    scope: z.string().optional(),
    state: z.string().optional(),
    revocation: RevocationSchema.optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof ProblemSchema>;
