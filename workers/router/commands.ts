import { ok, type Result } from '../../shared/result.ts';
import type { FleetError } from '../../shared/errors.ts';
import type { PoolCommandType, PoolOutput, PoolCommandOf } from '../../shared/rpc.ts';
import type { PathId, RequestContext } from './context.ts';
import { requestKey } from './idempotency.ts';
import { executeAt } from './region-calls.ts';
import { refusedBy, reply, type Outcome } from './reply.ts';

/** Runs one command where its id lives and writes the answer; the reply of every route that acts on one thing by its id. */
export async function act<K extends PoolCommandType>(
  context: RequestContext,
  id: PathId,
  command: PoolCommandOf<K>,
  answer: { readonly status: number; readonly write: (output: PoolOutput<K>) => string },
): Promise<Outcome> {
  // The map of commands says which output belongs to which type; the union of them has lost that.
  const answered = await executeAt(context, id, command as unknown as Parameters<typeof executeAt>[2], requestKey(context));
  if (!answered.ok) return refusedBy(id.region, answered);
  return reply(answer.status, answer.write(answered.value), { region: id.region, replayed: answered.replayed });
}

/** Writes what a read answered. */
export function show<T>(read: Result<T, FleetError>, region: string, write: (value: T) => string): Outcome {
  return read.ok ? ok({ status: 200, body: write(read.value), region }) : refusedBy(region, read);
}
