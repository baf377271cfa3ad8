import { parseIdOf } from '../../shared/ids.ts';
import type {
  AgentRevocation,
  Caller,
  IdempotencyRef,
  RegionRevocation,
  RevokeTerms,
  ShardRevocation,
} from '../../shared/rpc.ts';
import { within } from '../../durable-objects/lib/within.ts';
import type { PlacementRoute, ShardRef } from '../../durable-objects/registry/core/routes.ts';
import { liveRoute } from './placement.ts';
import { configOf, type RegionPorts } from './region.ts';

/** Shards told at once. */
const TOLD_AT_ONCE = 32;
/** A shard that takes longer is named as one that did not answer. */
const SHARD_TIMEOUT_MS = 10_000;
/** How much later than its wait an answer may come. */
const ANSWER_SLACK_MS = 2_000;

export interface RevokeInput extends RevokeTerms {
  readonly pool?: string;
  readonly waitMs: number;
}

interface Told {
  readonly ref: ShardRef;
  readonly done: ShardRevocation | null;
}

/**
 * Revokes in every shard that may hold a matching lease, then waits for acknowledgements, in all of them at the same time.
 * The registry is asked anew: by routes from two seconds ago a pool may be missing.
 */
export async function revokeInRegion(
  ports: RegionPorts,
  caller: Caller,
  { pool, waitMs, ...terms }: RevokeInput,
  idempotency: IdempotencyRef | null,
): Promise<RegionRevocation> {
  const { fleet } = caller;
  const routes = await ports.registry(fleet).routes(fleet, ports.region);
  const asked = pool === undefined ? routes : routes.filter((route) => route.pool === pool);
  const told = await tellAll(ports, asked, terms, async (route, { shard }) => {
    const home = { region: ports.region, pool: route.pool, shard };
    const config = configOf(liveRoute(route), shard);
    const reply = await ports.pool(fleet, home).revoke(fleet, home, config, caller, selectorAt(terms, home), idempotency);
    if (reply.ok) return reply.value;
    throw new Error(reply.error.detail);
  });
  const waitUntilMs = ports.nowMs() + waitMs;
  const shards = await Promise.all(
    told.flatMap(({ ref, done }) =>
      done === null || done.epoch === 0
        ? []
        : [acknowledged(ports, fleet, ref, done, waitUntilMs).then((agents) => ({ ...done, ...ref, agents }))],
    ),
  );
  const unanswered = told.flatMap(({ ref, done }) => (done === null ? [ref] : []));
  return { isPoolKnown: asked.length > 0, shards, unanswered };
}

/** One call per shard that matters, a bounded number at a time. A shard that fails is answered as such, whatever the reason. */
async function tellAll(
  ports: RegionPorts,
  routes: readonly PlacementRoute[],
  terms: RevokeTerms,
  tell: (route: PlacementRoute, ref: ShardRef) => Promise<ShardRevocation>,
): Promise<readonly Told[]> {
  const left = routes.flatMap((route) => shardsOf(ports.region, route, terms).map((ref) => ({ route, ref }))).reverse();
  const told: Told[] = [];
  const work = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const { route, ref } = next;
      try {
        told.push({ ref, done: await within(SHARD_TIMEOUT_MS, tell(route, ref)) });
      } catch (error) {
        ports.logError('shard did not revoke', error, { pool: ref.pool, shard: ref.shard });
        told.push({ ref, done: null });
      }
    }
  };
  await Promise.all(Array.from({ length: TOLD_AT_ONCE }, work));
  return told;
}

/** Ids carry their shard: where agents or allocations are named, no other is asked. */
function shardsOf(region: string, { pool, shards }: PlacementRoute, { selector }: RevokeTerms): ShardRef[] {
  return Array.from({ length: shards }, (_, shard) => ({ pool, shard })).filter((ref) => {
    const { agentIds, allocationIds } = selectorAt({ selector }, { region, ...ref }).selector;
    return agentIds?.length !== 0 && allocationIds?.length !== 0;
  });
}

/** The terms for one shard, with the ids that can be of it. */
function selectorAt<T extends Pick<RevokeTerms, 'selector'>>(terms: T, home: ShardRef & { readonly region: string }): T {
  const { selector } = terms;
  const { agentIds, allocationIds } = selector;
  const here = (kind: 'agent' | 'allocation', ids: readonly string[]): string[] =>
    ids.filter((text) => {
      const id = parseIdOf(kind, text);
      return id !== null && id.region === home.region && id.pool === home.pool && id.shard === home.shard;
    });
  return {
    ...terms,
    selector: {
      ...selector,
      ...(agentIds === undefined ? {} : { agentIds: here('agent', agentIds) }),
      ...(allocationIds === undefined ? {} : { allocationIds: here('allocation', allocationIds) }),
    },
  };
}

/** The agents of a shard with what they have acknowledged. That it cannot be asked takes nothing back of what was revoked. */
async function acknowledged(
  ports: RegionPorts,
  fleet: string,
  ref: ShardRef,
  { epoch, agents }: ShardRevocation,
  waitUntilMs: number,
): Promise<readonly AgentRevocation[]> {
  if (agents.length === 0) return [];
  const waitMs = Math.max(0, waitUntilMs - ports.nowMs());
  const ids = agents.map(({ agentId }) => agentId);
  try {
    const asked = ports.pool(fleet, { region: ports.region, ...ref }).acknowledged(epoch, ids, waitMs);
    const by = await within(waitMs + ANSWER_SLACK_MS, asked);
    return agents.map((agent, i) => ({ ...agent, by: by[i] ?? null }));
  } catch (error) {
    ports.logError('acknowledgements not known', error, { pool: ref.pool, shard: ref.shard });
    return agents.map((agent) => ({ ...agent, by: null }));
  }
}
