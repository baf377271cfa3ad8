import * as z from 'zod';

/** Why an allocation was refused or a task waits: for each predicate how many agents failed it. */
export const WhySchema = z
  .object({
    agents: z.int(),
    eligible: z.int(),
    failed: z.array(z.object({ predicate: z.string(), agents: z.int() })),
    position: z.int().optional(),
    limitedBy: z.object({ scope: z.string(), limit: z.number() }).optional(),
    detail: z.string(),
  })
  .meta({ id: 'Why' });
export type Why = z.infer<typeof WhySchema>;
