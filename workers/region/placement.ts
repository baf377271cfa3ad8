import { hash } from '../../shared/hash.ts';
import type { PoolRequest } from '../../shared/rpc.ts';
import type { PlacementRoute } from '../../durable-objects/registry/core/routes.ts';

/** A route whose loads this Worker keeps up between two questions to the registry, by what it has just placed. */
export type LiveRoute = Omit<PlacementRoute, 'agents' | 'slotsFree' | 'inUse'> & {
  readonly agents: number[];
  readonly slotsFree: number[];
  readonly inUse: boolean[];
};

export const liveRoute = (route: PlacementRoute): LiveRoute => ({
  ...route,
  agents: [...route.agents],
  slotsFree: [...route.slotsFree],
  inUse: [...route.inUse],
});

/**
 * The shards to try for a command that may go anywhere, in order; never empty. The last one gets the command whatever the
 * others said, so it is where an allocation waits or a task queues.
 *
 * Tasks with a concurrency or fairness key have one candidate only. With an idempotency key the order depends on nothing but key and number of shards: a repeat finds the first answer.
 */
export function candidateShards(route: LiveRoute, request: PoolRequest, random: () => number): readonly number[] {
  const shards = Array.from({ length: route.shards }, (_, shard) => shard);
  if (route.shards === 1) return shards;
  // Limits and shares are kept per shard, so all tasks of a key meet on one.
  const { command } = request;
  const shared = command.type === 'submitTask' ? (command.spec.concurrency?.key ?? command.spec.fairnessKey) : undefined;
  if (shared !== undefined) return byKey(shards, shared).slice(0, 1);
  if (request.idempotency !== undefined) return byKey(shards, request.idempotency.key);
  return request.command.type === 'registerAgent' ? emptiestFirst(route, shards) : twoChoices(route, shards, random);
}

/** Keeps the loads up: the next command of the same two seconds must not find the same shard emptiest. */
export function notePlaced(route: LiveRoute, shard: number, request: PoolRequest): void {
  const { command } = request;
  if (command.type === 'registerAgent') {
    route.agents[shard] = (route.agents[shard] ?? 0) + 1;
    route.slotsFree[shard] = (route.slotsFree[shard] ?? 0) + command.spec.slots;
  } else if (command.type === 'allocate') {
    route.slotsFree[shard] = Math.max(0, (route.slotsFree[shard] ?? 0) - command.spec.slots * command.spec.count);
  } else if (command.type === 'submitTask') {
    route.slotsFree[shard] = Math.max(0, (route.slotsFree[shard] ?? 0) - 1);
  }
}

/** Fewest agents first, shards that have their share last. */
function emptiestFirst(route: LiveRoute, shards: number[]): readonly number[] {
  const agents = (shard: number): number => route.agents[shard] ?? 0;
  const isFull = (shard: number): number => (agents(shard) >= (route.shares[shard] ?? 0) ? 1 : 0);
  return shards.sort((a, b) => isFull(a) - isFull(b) || agents(a) - agents(b) || a - b);
}

/**
 * The better of two random shards, then the others by free slots; those of a crowd of callers that saw the same numbers do
 * not all go to one shard. The one with most agents comes last: there, a wait is the least likely to be in vain.
 */
function twoChoices(route: LiveRoute, shards: number[], random: () => number): readonly number[] {
  const free = (shard: number): number => route.slotsFree[shard] ?? 0;
  const pick = (): number => Math.min(route.shards - 1, Math.floor(random() * route.shards));
  const [a, b] = [pick(), pick()];
  const first = free(b) > free(a) ? b : a;
  const others = shards.filter((shard) => shard !== first).sort((x, y) => free(y) - free(x) || x - y);
  const agents = (shard: number): number => route.agents[shard] ?? 0;
  const last = others.reduce((most, shard) => (agents(shard) > agents(most) ? shard : most));
  return [first, ...others.filter((shard) => shard !== last), last];
}

/** Rendezvous order: each shard's hash with the key decides, so another shard more moves few keys. */
function byKey(shards: number[], key: string): readonly number[] {
  const weights = shards.map((shard) => hash(`${key}#${shard}`));
  return shards.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
}
