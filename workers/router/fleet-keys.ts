import type { FleetError } from '../../shared/errors.ts';
import type { Result } from '../../shared/result.ts';
import type { RequestContext } from './context.ts';
import { requestKey } from './idempotency.ts';
import { reply, type Outcome } from './reply.ts';

/** Runs a control-plane change under the request's idempotency key, which the fleet's own object keeps. */
export async function keyedByFleet(context: RequestContext, work: () => Promise<Result<string, FleetError>>): Promise<Outcome> {
  const idempotency = requestKey(context);
  if (idempotency === null) {
    const done = await work();
    return done.ok ? reply(200, done.value) : done;
  }
  const fleet = context.fleet();
  const name = context.claims.fleet;
  const known = await fleet.beginKey(name, idempotency);
  if (!known.ok) return known;
  if (known.value !== null) return reply(200, known.value, { replayed: true });
  const done = await work();
  await fleet.finishKey(name, idempotency.key, done.ok ? done.value : null);
  return done.ok ? reply(200, done.value) : done;
}
