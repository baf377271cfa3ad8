import type { RegionId } from '../../regions/table.ts';
import type { FleetError } from '../../shared/errors.ts';
import { err, type Result } from '../../shared/result.ts';
import type { PoolCommand, PoolReply, PoolRequest } from '../../shared/rpc.ts';
import { whyAcrossRegions } from '../region/why.ts';
import { executeAddressed, type AddressedItem } from './batches.ts';
import type { RequestContext } from './context.ts';
import { rememberOrders } from './idempotency.ts';
import { callRegion, executeOne, PLACING_TIMEOUT_MS } from './region-calls.ts';
import type { WorkItem } from './work.ts';

export interface Placed {
  readonly reply: PoolReply;
  /** The region that answered; null when none did. */
  readonly region: RegionId | null;
}

/** Refusals after which another region may still say yes. */
const PASSABLE: ReadonlySet<FleetError['kind']> = new Set(['no_capacity', 'queue_full']);

interface Step {
  readonly region: RegionId;
  readonly command: PoolCommand;
  readonly waitMs: number;
  readonly passOnRefusal: boolean;
}

/** One item on its way through the regions: first what may be passed on, then, if all refused, where it waits or queues. */
class Journey {
  readonly item: WorkItem;
  #steps: Step[];
  #settling: boolean;
  readonly #refusedBy = new Map<RegionId, FleetError>();
  #fault: FleetError | null = null;
  #poolMissing: FleetError | null = null;
  placed: Placed | null = null;

  constructor(item: WorkItem) {
    this.item = item;
    // With one candidate there is nothing to try first.
    this.#settling = item.order.length === 1;
    this.#steps = this.#settling ? this.#settleSteps(item.order) : item.order.map((region, i) => this.#tryStep(region, i));
  }

  /** One that does not get as far as a region. */
  static refused(item: WorkItem, reply: PoolReply): Journey {
    const journey = new Journey(item);
    journey.#end(reply, null);
    return journey;
  }

  #tryStep(region: RegionId, i: number): Step {
    const { passes, settled, order, tried } = this.item;
    return { region, command: tried, waitMs: 0, passOnRefusal: passes && (settled !== null || i < order.length - 1) };
  }

  #settleSteps(regions: readonly RegionId[]): Step[] {
    const { settled, tried, waitMs } = this.item;
    return regions.map((region) => ({ region, command: settled ?? tried, waitMs, passOnRefusal: false }));
  }

  get step(): Step {
    const [step] = this.#steps;
    if (step === undefined) throw new Error('the journey has ended');
    return step;
  }

  get request(): PoolRequest {
    const { command, passOnRefusal } = this.step;
    const { idempotency } = this.item;
    if (idempotency === null) return { command };
    return { command, idempotency: passOnRefusal ? { ...idempotency, passOnRefusal } : idempotency };
  }

  /** Takes the answer to `request`; afterwards either `placed` is set or there is a next step. */
  take(answer: Result<PoolReply, FleetError>): void {
    const { region } = this.step;
    this.#steps.shift();
    if (!answer.ok) this.#fault = answer.error;
    else if (answer.value.ok) return this.#end(answer.value, region);
    else {
      const { error } = answer.value;
      if (error.kind === 'overloaded' || error.kind === 'region_unavailable') this.#fault = error;
      else if (error.kind === 'pool_not_found') this.#poolMissing = error;
      else if (isAtQuota(error) && !this.#settling && this.item.settled !== null) {
        // Its caller has to give something back there; elsewhere that would free nothing.
        this.#settling = true;
        this.#steps = this.#settleSteps([region]);
      } else if (!this.item.passes || !PASSABLE.has(error.kind)) return this.#end(answer.value, region);
      else {
        this.#refusedBy.set(region, error);
        // Whoever let it wait in vain has answered for all; only one that failed is followed by another.
        if (this.#settling) this.#steps = [];
      }
    }
    if (this.#steps.length > 0) return;
    if (!this.#settling && this.item.settled !== null && this.#refusedBy.size > 0) {
      this.#settling = true;
      const refusals = [...this.#refusedBy].toSorted(([, a], [, b]) => Number(hasFitting(b)) - Number(hasFitting(a)));
      this.#steps = this.#settleSteps(refusals.map(([region]) => region));
      return;
    }
    const error = this.#refusal() ?? this.#fault ?? this.#poolMissing ?? NO_ANSWER;
    this.#end(err(error), null);
  }

  /** What the regions said together: the first one's refusal, with the agents of all counted in `why`. */
  #refusal(): FleetError | null {
    const refusals = [...this.#refusedBy.values()];
    const first = refusals.find((error) => error.kind === 'no_capacity') ?? refusals[0];
    if (first?.kind !== 'no_capacity') return first ?? null;
    const whys = refusals.flatMap((error) => (error.kind === 'no_capacity' && error.why !== undefined ? [error.why] : []));
    const why = whyAcrossRegions(whys);
    return why === undefined || whys.length === 1 ? first : { ...first, detail: why.detail, why };
  }

  #end(reply: PoolReply, region: RegionId | null): void {
    this.placed = { reply, region };
  }

  /** Regions that hold a mark of this item's key although nobody took it. */
  get marked(): readonly RegionId[] {
    if (this.placed === null || this.item.idempotency === null || this.item.order.length === 1) return [];
    const { reply, region } = this.placed;
    if (reply.ok) return [];
    // The word of one region ended it: those before have a mark, and so has that one if others could have followed.
    return [...this.#refusedBy.keys(), ...(region !== null && isAtQuota(reply.error) ? [region] : [])];
  }
}

const isAtQuota = (error: FleetError): boolean => error.kind === 'quota_exceeded' && error.scope === 'caller';

/** Whether the region has agents in service that fit and are merely taken: there a wait may end well. */
const hasFitting = (error: FleetError): boolean =>
  error.kind === 'no_capacity' && error.why !== undefined && (error.why.fitting ?? error.why.eligible) > 0;

/**
 * Finds each item a region: one call per region and pool in each round, all at once, until every item is placed or refused
 * everywhere. Answers in the order of the items.
 */
export async function placeWork(context: RequestContext, items: readonly WorkItem[]): Promise<readonly Placed[]> {
  return (await placeWorkAfter(context, [], items)).placed;
}

/**
 * As `placeWork`, after what acts on things by their ids: agents that are given back are free for the work. What goes to
 * a pool and region that work goes to as well shares its call, and so its commit.
 */
export async function placeWorkAfter(
  context: RequestContext,
  addressed: readonly AddressedItem[],
  items: readonly WorkItem[],
): Promise<{ readonly replies: readonly PoolReply[]; readonly placed: readonly Placed[] }> {
  const ordered = await rememberOrders(context, items);
  const journeys = ordered.map((item, i) => (item.ok ? new Journey(item.value) : Journey.refused(items[i] as WorkItem, item)));
  const riders = addressed.map((item) => new Rider(item));
  const firstGroups = groupByTarget(journeys.filter((journey) => journey.placed === null));
  const rides = new Map(firstGroups.map((group) => [group, riders.filter((rider) => rider.goesWith(group))]));
  const walks = riders.filter((rider) => ![...rides.values()].some((group) => group.includes(rider)));
  const walked = await executeAddressed(
    context,
    walks.map(({ item }) => item),
  );
  for (const [i, rider] of walks.entries()) rider.reply = walked[i] ?? err(NO_ANSWER);
  for (
    let groups = firstGroups;
    groups.length > 0;
    groups = groupByTarget(journeys.filter((journey) => journey.placed === null))
  ) {
    await Promise.all(groups.map((group) => call(context, group, rides.get(group) ?? [])));
  }
  await forgetMarks(context, journeys);
  return {
    replies: riders.map(({ reply }) => reply ?? err(NO_ANSWER)),
    placed: journeys.map((journey) => journey.placed as Placed),
  };
}

/** Something that acts on one thing by its id, and may share a call with work for the same pool. */
class Rider {
  readonly item: AddressedItem;
  reply: PoolReply | null = null;

  constructor(item: AddressedItem) {
    this.item = item;
  }

  /** Not with what waits: its answer would wait as well. */
  goesWith([first]: readonly Journey[]): boolean {
    const { region, pool } = this.item.id;
    return first !== undefined && first.step.waitMs === 0 && first.step.region === region && first.item.pool === pool;
  }
}

/** What waits goes by itself: it must not hold back what does not. */
function groupByTarget(journeys: readonly Journey[]): readonly (readonly Journey[])[] {
  if (journeys.length === 1) return [journeys];
  const target = ({ step, item }: Journey): string => `${step.region}\n${item.pool}\n${step.waitMs > 0}`;
  return [...Map.groupBy(journeys, target).values()];
}

async function call(context: RequestContext, group: readonly Journey[], riders: readonly Rider[]): Promise<void> {
  const first = group[0];
  if (first === undefined) return;
  const { item } = first;
  const { region } = first.step;
  const waitMs = Math.max(...group.map((journey) => journey.step.waitMs));
  const requests = [...riders.map(({ item: rider }) => rider.request), ...group.map((journey) => journey.request)];
  const done =
    waitMs > 0
      ? withdrawOnLeave(
          context,
          region,
          item.pool,
          requests.map(({ command }) => command),
        )
      : null;
  const [only] = requests;
  const called = await callRegion(context, region, PLACING_TIMEOUT_MS + waitMs, async (binding) =>
    // What waits would hold back what shares its call.
    only !== undefined && requests.length === 1 && waitMs === 0
      ? [await executeOne(context, binding, { pool: item.pool, shard: null }, only)]
      : binding.execute(context.caller, item.pool, null, requests),
  );
  done?.(called.ok);
  for (const [i, rider] of riders.entries()) rider.reply = called.ok ? (called.value[i] ?? err(NO_ANSWER)) : called;
  for (const [i, journey] of group.entries()) {
    const reply = called.ok ? called.value[riders.length + i] : undefined;
    journey.take(reply === undefined ? (called.ok ? err(NO_ANSWER) : called) : { ok: true, value: reply });
  }
}

const NO_ANSWER: FleetError = { kind: 'internal', detail: 'The region gave no answer.' };

/** A caller that leaves takes its place in the queue along; so does a wait whose answer never came. */
function withdrawOnLeave(
  context: RequestContext,
  region: RegionId,
  pool: string,
  commands: readonly PoolCommand[],
): (answered: boolean) => void {
  const withdraw = (): void => {
    const waiters = commands.flatMap((command) => (command.type === 'allocate' ? [command.waiterId] : []));
    const work = waiters.map((waiterId) =>
      callRegion(context, region, PLACING_TIMEOUT_MS, (binding) => binding.withdraw(context.caller, pool, null, waiterId)),
    );
    context.execution.waitUntil(Promise.all(work));
  };
  const { signal } = context.request;
  signal.addEventListener('abort', withdraw);
  return (answered) => {
    signal.removeEventListener('abort', withdraw);
    if (!answered) withdraw();
  };
}

/** When nobody took a keyed item, its marks are cleared, so that a repeat is tried everywhere again. */
async function forgetMarks(context: RequestContext, journeys: readonly Journey[]): Promise<void> {
  const targets = new Map<string, { readonly region: RegionId; readonly pool: string; readonly keys: string[] }>();
  for (const { item, marked } of journeys) {
    for (const region of marked) {
      const name = `${region}\n${item.pool}`;
      const target = targets.get(name) ?? { region, pool: item.pool, keys: [] };
      if (item.idempotency !== null) target.keys.push(item.idempotency.key);
      targets.set(name, target);
    }
  }
  if (targets.size === 0) return;
  const forget = ({ region, pool, keys }: { region: RegionId; pool: string; keys: string[] }): Promise<unknown> =>
    callRegion(context, region, PLACING_TIMEOUT_MS, (binding) => binding.forgetKeys(context.caller, pool, keys));
  await Promise.all([...targets.values()].map(forget));
}
