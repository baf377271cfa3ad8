import type { RegionId } from '../../../regions/table.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { parseIdOf, type IdKind } from '../../../shared/ids.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { RegionRevocation } from '../../../shared/rpc.ts';
import { RevocationSchema, RevokeLeasesSchema, type Revocation, type RevokeLeases } from '../../../shared/schemas/allocations.ts';
import { defined } from '../../lib/defined.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { keyedByFleet } from '../fleet-keys.ts';
import { requestKey } from '../idempotency.ts';
import { configuredRegion } from '../placement.ts';
import { poolNotFound } from '../pools-everywhere.ts';
import { callRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';

/**
 * Where matching leases may be: every region of this deployment, and not only those that the fleet's rule allows now, since
 * it may have been another when they were granted.
 */
function regionsOf(context: RequestContext, body: RevokeLeases): Result<readonly RegionId[], FleetError> {
  const only = body.region === undefined ? null : configuredRegion(context, body.region);
  if (only !== null && !only.ok) return only;
  const named = (kind: IdKind, ids: readonly string[] | undefined): ReadonlySet<string> | null =>
    ids === undefined ? null : new Set(ids.flatMap((id) => parseIdOf(kind, id)?.region ?? []));
  const sets = [named('agent', body.agentIds), named('allocation', body.allocationIds)].filter((set) => set !== null);
  const regions = only === null ? context.config.regions : [only.value];
  return ok(regions.filter((region) => sets.every((set) => set.has(region))));
}

interface Answered {
  readonly region: RegionId;
  readonly done: RegionRevocation | null;
}

async function revokeEverywhere(
  context: RequestContext,
  regions: readonly RegionId[],
  body: RevokeLeases,
): Promise<readonly Answered[]> {
  const { all: _all, region: _region, pool, reason, waitMs, tasks, quarantine, ...selector } = body;
  const input = { selector: defined(selector), reason, waitMs, tasks, quarantine, ...defined({ pool }) };
  const key = requestKey(context);
  return Promise.all(
    regions.map(async (region): Promise<Answered> => {
      const called = await callRegion(context, region, OWN_TIMEOUT_MS + waitMs, (binding) =>
        binding.revoke(context.caller, input, key),
      );
      return { region, done: called.ok ? called.value : null };
    }),
  );
}

/** What all regions did, with the agents that have not acknowledged first. */
export function revocationOf(answers: readonly Answered[]): Revocation {
  const shards = answers.flatMap(({ region, done }) => (done?.shards ?? []).map((shard) => ({ ...shard, region })));
  const unanswered = answers.flatMap(({ region, done }): Revocation['unanswered'] =>
    done === null ? [{ region }] : done.unanswered.map((ref) => ({ region, ...ref })),
  );
  const agents = shards.flatMap(({ region, pool, agents: revoked }) =>
    revoked.map(({ agentId, leases, liveness, by }) => ({
      agentId,
      pool,
      region,
      leases,
      liveness,
      acknowledged: by !== null,
      ...(by === null ? {} : { by }),
    })),
  );
  const sum = (of: (shard: (typeof shards)[number]) => number): number => shards.reduce((total, shard) => total + of(shard), 0);
  const acknowledged = agents.filter((agent) => agent.acknowledged).length;
  const listed = agents.toSorted((a, b) => Number(a.acknowledged) - Number(b.acknowledged)).slice(0, LIMITS.revokeAgentsListed);
  return {
    complete: unanswered.length === 0,
    unanswered,
    revoked: sum((shard) => shard.revoked),
    requeued: sum((shard) => shard.requeued),
    cancelled: sum((shard) => shard.cancelled),
    quarantined: sum((shard) => shard.quarantined),
    acknowledged,
    unacknowledged: agents.length - acknowledged,
    agents: listed,
    agentsOmitted: agents.length - listed.length,
    shards: shards.map(({ region, pool, shard, epoch, fence, revoked }) => ({ region, pool, shard, epoch, fence, revoked })),
  };
}

/** What was not reached may go on: that is a failure of the call, with everything it did beside it. */
function incomplete(revocation: Revocation): FleetError {
  const places = revocation.unanswered.map(({ region, pool, shard }) =>
    pool === undefined ? region : `${region}/${pool}/${shard}`,
  );
  const named = places.slice(0, 10).join(', ') + (places.length > 10 ? ` and ${places.length - 10} more` : '');
  return {
    kind: 'revoke_incomplete',
    revocation,
    retryAfterMs: 1_000,
    detail: `Not complete: no answer from ${named}. Leases there may live on; everywhere else it is done. Repeat it with the same key.`,
  };
}

export const REVOKE_ENDPOINTS = [
  endpoint({
    name: 'revokeLeases',
    doc: {
      summary: 'Revoke every lease that matches, at once and everywhere',
      description:
        'The kill switch. Every lease that exists when a shard is told and matches ends; its holder is refused from then on (`lease_superseded`), and its agent is told. The answer waits up to `waitMs` for the agents’ acknowledgements. Dispatched tasks are queued again without the attempt being counted, or cancelled. What waits in a queue is not touched, nor is what is granted later. 503 `revoke_incomplete` names the regions and shards that did not answer.',
      responses: { 200: RevocationSchema },
    },
    body: RevokeLeasesSchema,
    keyed: true,
    async handle(context, { body }) {
      const regions = regionsOf(context, body);
      if (!regions.ok) return regions;
      return keyedByFleet(context, async () => {
        const answers = await revokeEverywhere(context, regions.value, body);
        const isKnown = answers.length === 0 || answers.some(({ done }) => done === null || done.isPoolKnown);
        if (body.pool !== undefined && !isKnown) return err(poolNotFound(body.pool));
        const revocation = revocationOf(answers);
        return revocation.complete ? ok(JSON.stringify(revocation)) : err(incomplete(revocation));
      });
    },
  }),
];
