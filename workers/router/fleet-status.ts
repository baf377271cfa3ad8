import type { RegionId } from '../../regions/table.ts';
import type { RegionStatusBlock } from '../../shared/rpc.ts';
import { AGENT_STATUSES } from '../../shared/schemas/agents.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import type { AgentCounts, FleetStatus, PoolStatus, RegionStatus, TaskCounts } from '../../shared/schemas/fleet.ts';
import { TASK_STATUSES } from '../../shared/schemas/tasks.ts';
import type { RequestContext } from './context.ts';
import { callRegion } from './region-calls.ts';

/** A region that takes longer is shown as last seen: status must not hang on the slowest. */
const STATUS_TIMEOUT_MS = 400;
/** Blocks remembered per isolate, some 10 kB each. */
const BLOCKS_MAX = 1_000;

/** Younger than this an answer is given again; a dashboard that asks often costs the regions no more than one that does not. */
const FRESH_MS = 50;
/**
 * Up to this age it is given while a newer one is fetched. With the time a shard takes to report, an acknowledged change
 * still shows well within the promised 500 ms.
 */
const STALE_MS = 150;

/** What each region of each fleet last said, in this isolate. */
const LAST = new Map<string, RegionStatusBlock>();

const zeros = <K extends string>(keys: readonly K[]): Record<K, number> =>
  Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
const noAgents = (): AgentCounts => zeros(['total', ...AGENT_STATUSES]);
const noTasks = (): TaskCounts => zeros(TASK_STATUSES);

async function blockOf(context: RequestContext, region: RegionId): Promise<RegionStatusBlock> {
  const name = `${context.caller.fleet}/${region}`;
  const called = await callRegion(context, region, STATUS_TIMEOUT_MS, (binding) => binding.status(context.caller));
  if (called.ok) {
    LAST.delete(name);
    LAST.set(name, called.value);
    const oldest = LAST.size > BLOCKS_MAX ? LAST.keys().next().value : undefined;
    if (oldest !== undefined) LAST.delete(oldest);
    return called.value;
  }
  const last = LAST.get(name);
  if (last !== undefined) return { ...last, status: { ...last.status, fresh: false } };
  return { region, status: { agents: noAgents(), tasks: noTasks(), asOfMs: 0, fresh: false }, pools: '[]' };
}

interface Gathered {
  readonly counts: Omit<FleetStatus, 'pools'>;
  /** Texts of `PoolStatus[]`, one a region. */
  readonly pools: readonly JsonText[];
}

interface Known extends Gathered {
  readonly askedAtMs: number;
  refreshing: boolean;
}

/** Whole answers, per fleet, in this isolate. Values only: no request awaits another's promise on this platform. */
const KNOWN = new Map<string, Known>();

let changes = 0;

/** What was just changed through this isolate is not hidden by an answer from before. */
export function forgetStatus(fleet: string): void {
  changes += 1;
  KNOWN.delete(fleet);
}

async function gather(context: RequestContext): Promise<Gathered> {
  const known = KNOWN.get(context.caller.fleet);
  const ageMs = known === undefined ? STALE_MS : Date.now() - known.askedAtMs;
  if (known === undefined || ageMs < 0 || ageMs >= STALE_MS) return ask(context);
  if (ageMs >= FRESH_MS && !known.refreshing) {
    known.refreshing = true;
    context.execution.waitUntil(
      ask(context).then(
        () => undefined,
        () => KNOWN.delete(context.caller.fleet),
      ),
    );
  }
  return known;
}

async function ask(context: RequestContext): Promise<Gathered> {
  const askedAtMs = Date.now();
  const changesBefore = changes;
  const gathered = await askRegions(context);
  // With a change in between this answer may be from before it.
  if (changes === changesBefore) {
    KNOWN.delete(context.caller.fleet);
    KNOWN.set(context.caller.fleet, { ...gathered, askedAtMs, refreshing: false });
    const oldest = KNOWN.size > BLOCKS_MAX ? KNOWN.keys().next().value : undefined;
    if (oldest !== undefined) KNOWN.delete(oldest);
  }
  return gathered;
}

async function askRegions(context: RequestContext): Promise<Gathered> {
  const blocks = await Promise.all(context.config.regions.map((region) => blockOf(context, region)));
  const agents = noAgents();
  const tasks = noTasks();
  const regions: Record<string, RegionStatus> = {};
  for (const { region, status } of blocks) {
    for (const key of Object.keys(agents) as (keyof AgentCounts)[]) agents[key] += status.agents[key];
    for (const key of Object.keys(tasks) as (keyof TaskCounts)[]) tasks[key] += status.tasks[key];
    regions[region] = status;
  }
  return { counts: { fleet: context.claims.fleet, agents, tasks, regions }, pools: blocks.map((block) => block.pools) };
}

/** The whole fleet: each region's block is one moment; one that does not answer is shown as last seen, and says so. */
export async function fleetStatus(context: RequestContext): Promise<FleetStatus> {
  const { counts, pools } = await gather(context);
  return { ...counts, pools: pools.flatMap((text) => JSON.parse(text) as PoolStatus[]) };
}

/** The same as JSON. The pools, most of it, pass through as the texts the regions wrote. */
export async function fleetStatusText(context: RequestContext): Promise<JsonText> {
  const { counts, pools } = await gather(context);
  const inner = pools.map((text) => text.slice(1, -1)).filter((text) => text !== '');
  return `${JSON.stringify(counts).slice(0, -1)},"pools":[${inner.join(',')}]}`;
}
