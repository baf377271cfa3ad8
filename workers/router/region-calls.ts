import { released } from '../../durable-objects/lib/disposable.ts';
import { within } from '../../durable-objects/lib/within.ts';
import type { RegionBinding } from '../../durable-objects/fleet/env.ts';
import type { RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { IdempotencyRef, PoolCommand, PoolCommandType, PoolReply, PoolRequest } from '../../shared/rpc.ts';
import { errorText, log } from '../lib/log.ts';
import { bindingOf, type PathId, type RequestContext } from './context.ts';
import { SharedCalls } from './shared-calls.ts';

/** A region that takes longer has failed for new work, which can go elsewhere: the next one is asked in under 5 s. */
export const PLACING_TIMEOUT_MS = 4_500;
/** What only one region can answer is waited for longer: there is nowhere else to ask. */
export const OWN_TIMEOUT_MS = 15_000;

/**
 * One call to a region. Expected refusals are values inside `T`; a call that fails or takes too long means that the region
 * is in trouble, and whether it did the work is not known.
 */
export async function callRegion<T>(
  context: Pick<RequestContext, 'config' | 'requestId'>,
  region: RegionId,
  timeoutMs: number,
  call: (binding: RegionBinding) => Promise<T>,
): Promise<Result<T, FleetError>> {
  try {
    return ok(released(await within(timeoutMs, call(bindingOf(context.config, region)))));
  } catch (error) {
    log('error', 'region call failed', { requestId: context.requestId, region, error: errorText(error) });
    return err(faultOf(error, region));
  }
}

/** As `callRegion`, for methods that answer a `Result` themselves. */
export async function askRegion<T>(
  context: Pick<RequestContext, 'config' | 'requestId'>,
  region: RegionId,
  timeoutMs: number,
  call: (binding: RegionBinding) => Promise<Result<T, FleetError>>,
): Promise<Result<T, FleetError>> {
  const called = await callRegion(context, region, timeoutMs, call);
  return called.ok ? called.value : called;
}

/** Runs one command on the shard that its id names. */
export async function executeAt(
  context: RequestContext,
  id: PathId,
  command: PoolCommand,
  idempotency: IdempotencyRef | null,
): Promise<PoolReply> {
  const request = idempotency === null ? { command } : { command, idempotency };
  const called = await callRegion(context, id.region, OWN_TIMEOUT_MS, (binding) =>
    executeOne(context, binding, { pool: id.pool, shard: id.shard }, request),
  );
  return called.ok ? called.value : called;
}

/** Commands that come in crowds and are small, whatever their caller sends. */
const SHARING: ReadonlySet<PoolCommandType> = new Set(['allocate', 'renew', 'release']);
const SHARED = new SharedCalls();

/**
 * One request on a pool; `shard` null: the region places it. Requests of one caller that come while others are under way
 * share a call, which costs several times what the request does. An agent's call is also its sign of life and goes alone.
 */
export async function executeOne(
  context: RequestContext,
  binding: RegionBinding,
  at: { readonly pool: string; readonly shard: number | null },
  request: PoolRequest,
): Promise<PoolReply> {
  const { caller, execution } = context;
  if (caller.agentId !== undefined || !SHARING.has(request.command.type)) {
    const [reply] = released(await binding.execute(caller, at.pool, at.shard, [request]));
    return reply ?? err({ kind: 'internal', detail: 'The region gave no answer.' });
  }
  // In a pool of one shard everything shares; the region finds the shard by the ids. A second shard must not wait for the first.
  const shard = at.shard === 0 ? null : at.shard;
  return SHARED.run(
    { place: binding, lane: [caller.fleet, caller.subject, caller.role, at.pool, shard ?? ''].join('\n') },
    { ...request, requestId: context.requestId },
    async (requests) => released(await binding.execute(caller, at.pool, shard, requests)),
    execution,
  );
}

/** The platform marks an object that is asked too much; asking again at once would make it worse. */
function faultOf(error: unknown, region: RegionId): FleetError {
  const overloaded = typeof error === 'object' && error !== null && 'overloaded' in error && error.overloaded === true;
  return overloaded
    ? { kind: 'overloaded', retryAfterMs: 1_000, detail: 'Too many requests at once.' }
    : { kind: 'region_unavailable', region, retryAfterMs: 1_000, detail: `Region ${region} does not answer.` };
}
