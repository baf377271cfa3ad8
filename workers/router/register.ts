import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { AgentView, IdempotencyRef, PoolCommand } from '../../shared/rpc.ts';
import type { RegisterAgent } from '../../shared/schemas/agents.ts';
import type { RequestContext } from './context.ts';
import { jsonField } from './json-fields.ts';
import { candidates } from './placement.ts';
import { placeWork, type Placed } from './place-work.ts';
import type { WorkItem } from './work.ts';
import { withinFleetQuota } from './fleet-quota.ts';

export interface Registration {
  readonly agent: RegisterAgent;
  readonly idempotency: IdempotencyRef | null;
}

/** A region that is named is meant; without one the nearest allowed takes the agent, and the next if it is in trouble. */
function workOf(context: RequestContext, { agent, idempotency }: Registration): Result<WorkItem, FleetError> {
  const { pool, region, metadata, ...rest } = agent;
  const text = jsonField('metadata', metadata ?? {});
  if (!text.ok) return text;
  const nearest = candidates(context, { region });
  if (!nearest.ok) return nearest;
  const order = region === undefined ? nearest.value : nearest.value.slice(0, 1);
  const tried: PoolCommand = { type: 'registerAgent', spec: { ...rest, metadata: text.value ?? '{}' } };
  return ok({ pool, order, tried, settled: null, waitMs: 0, idempotency, named: region !== undefined, passes: false });
}

/** Registers agents under the pools', the regions' and the fleet's maxima; one answer each, in order. */
export async function registerAll(
  context: RequestContext,
  registrations: readonly Result<Registration, FleetError>[],
): Promise<readonly Placed[]> {
  const works = registrations.map((registration) => (registration.ok ? workOf(context, registration.value) : registration));
  const items = works.flatMap((work) => (work.ok ? [work.value] : []));
  const placed = await withinFleetQuota(context, items, (admitted) => placeWork(context, admitted));
  let next = 0;
  return works.map((work): Placed => {
    if (!work.ok) return { reply: work, region: null };
    return placed[next++] ?? { reply: err({ kind: 'internal', detail: 'No answer for this item.' }), region: null };
  });
}

/** The agent of an answered registration. */
export const registered = (placed: Placed): Result<AgentView, FleetError> =>
  placed.reply.ok ? ok(placed.reply.value as AgentView) : placed.reply;
