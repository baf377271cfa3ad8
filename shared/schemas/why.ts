import * as z from 'zod';
import { InstantSchema } from './common.ts';

/** One predicate that one agent fails, with what was asked of it and what it has. */
export const WhyFailureSchema = z.object({
  predicate: z.string(),
  wanted: z.string().optional(),
  actual: z.string().optional(),
  /** When it ends by itself at the latest, as far as that is known: a lease's end, a drain's deadline. */
  untilMs: InstantSchema.optional(),
  detail: z.string(),
});
export type WhyFailure = z.infer<typeof WhyFailureSchema>;

/** What holds something back besides the agents, with its number and how much of it is in use. */
export const WhyLimitSchema = z.object({ scope: z.string(), limit: z.number(), inUse: z.number().optional() });
export type WhyLimit = z.infer<typeof WhyLimitSchema>;

/** What a task waits for: an agent, or something that comes first. */
export const WhyWaitSchema = z.object({
  for: z.enum(['agent', 'dependency', 'concurrency', 'delay', 'backoff']),
  untilMs: InstantSchema.optional(),
  /** Tasks that must succeed, or end, first; at most five are named. */
  tasks: z.array(z.string()).optional(),
});
export type WhyWait = z.infer<typeof WhyWaitSchema>;

/** Why an allocation was refused or a task waits: for each predicate how many agents failed it. */
export const WhySchema = z
  .object({
    /** Agents of the pool, whatever their state. */
    agents: z.int(),
    /** Agents that could take it now; with several selectors and `count`, under the selector that most satisfy. */
    eligible: z.int(),
    /** Agents asked for at once. */
    needed: z.int().optional(),
    /** Agents with the capabilities and labels asked for, in whatever state. */
    matching: z.int().optional(),
    /** Those of them that are in service (and connected, for a task): free or taken. */
    fitting: z.int().optional(),
    /** How many agents fail each predicate; an agent may fail several. */
    failed: z.array(z.object({ predicate: z.string(), agents: z.int() })),
    /** At most five of the agents that fail the fewest predicates, the nearest first. */
    nearMisses: z.array(z.object({ agentId: z.string(), failed: z.array(WhyFailureSchema) })).optional(),
    /** How many that want the same agents are served before it; 0 is next. */
    position: z.int().optional(),
    estimatedStartAtMs: InstantSchema.optional(),
    limitedBy: WhyLimitSchema.optional(),
    waitsFor: WhyWaitSchema.optional(),
    detail: z.string(),
  })
  .meta({ id: 'Why' });
export type Why = z.infer<typeof WhySchema>;
