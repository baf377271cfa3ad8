import * as z from 'zod';
import { LIMITS } from '../limits.ts';
import { AssignmentSchema, RevokedLeasesSchema } from './agents.ts';
import { AnyJsonSchema, dictionary, DurationSchema, FencingTokenSchema } from './common.ts';
import { ProblemSchema } from './problem.ts';
import { TaskFailureSchema } from './tasks.ts';

/** Subprotocol of an agent's session; the token may travel as a second one, `bearer.<jwt>`. */
export const SESSION_PROTOCOL = 'fleet.v1';
/** Close code for a session that a newer one of the same agent replaced. */
export const SESSION_REPLACED = 4001;
/** Close code for an agent that is gone (deregistered, or its token was refused). */
export const SESSION_GONE = 4004;

const held = {
  id: z.union([z.string().max(64), z.int()]),
  taskId: z.string().max(LIMITS.nameChars),
  fencingToken: FencingTokenSchema,
};

/** Frames an agent sends; each is answered by `ack` or `error` with its `id`, after its commit. */
export const AgentFrameSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('accept'), ...held }),
  z.strictObject({
    type: z.literal('progress'),
    ...held,
    progress: AnyJsonSchema.optional(),
    checkpoint: AnyJsonSchema.optional(),
  }),
  z.strictObject({ type: z.literal('complete'), ...held, result: AnyJsonSchema.optional() }),
  z.strictObject({ type: z.literal('fail'), ...held, error: TaskFailureSchema, retryable: z.boolean().default(true) }),
  z.strictObject({
    type: z.literal('metrics'),
    id: held.id,
    metrics: dictionary(z.string().min(1).max(64), z.number()),
  }),
  /** The work under the leases of that `revoke` has been told to stop. */
  z.strictObject({ type: z.literal('revoked'), id: held.id, epoch: z.int().positive() }),
]);
export type AgentFrame = z.infer<typeof AgentFrameSchema>;

/** Frames the server sends. */
export const ServerFrameSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    id: z.string(),
    held: z.array(AssignmentSchema),
    pingIntervalMs: DurationSchema,
    /** After a lost connection an agent comes back at a random moment of this time, so that a crowd does not come at once. */
    reconnectWithinMs: DurationSchema.optional(),
    token: z.string().optional(),
  }),
  z.object({ type: z.literal('assign'), id: z.string(), ...AssignmentSchema.shape }),
  z.object({ type: z.literal('cancel'), id: z.string(), taskId: z.string(), reason: z.string(), graceMs: DurationSchema }),
  /** Leases that were revoked. Each task among them is told by a `cancel` without grace as well, for those who know only that. */
  z.object({ type: z.literal('revoke'), id: z.string(), epoch: z.int(), reason: z.string(), leases: RevokedLeasesSchema }),
  z.object({ type: z.literal('drain'), id: z.string(), deadlineMs: DurationSchema }),
  z.object({
    type: z.literal('ack'),
    id: held.id,
    leaseExpiresAtMs: z.int().optional(),
    cancelRequested: z.boolean().optional(),
  }),
  z.object({ type: z.literal('error'), id: held.id.optional(), problem: ProblemSchema }),
]);
export type ServerFrame = z.infer<typeof ServerFrameSchema>;
