import * as z from 'zod';
import type { RegionId } from '../../../regions/table.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { POOL_NAME } from '../../../shared/ids.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { PoolView } from '../../../shared/rpc.ts';
import { pageOf } from '../../../shared/schemas/common.ts';
import { PoolSchema, PutPoolSchema, ScaledPoolSchema, ScalePoolSchema } from '../../../shared/schemas/fleet.ts';
import { defined } from '../../lib/defined.ts';
import { invalidField } from '../../lib/validate.ts';
import type { RequestContext } from '../context.ts';
import { filterHash, readCursor, writeCursor } from '../cursor.ts';
import { endpoint } from '../endpoint.ts';
import { forgetStatus } from '../fleet-status.ts';
import { keyedByFleet } from '../fleet-keys.ts';
import { configuredRegion } from '../placement.ts';
import { PageQuerySchema, RegionQuerySchema } from '../queries.ts';
import { askRegion, callRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';
import { replyJson, type Outcome } from '../reply.ts';
import { firstError, inRegions, poolNotFound, scaleEverywhere } from '../pools-everywhere.ts';

/** A pool as its first region has it, with every region beside it: configuration is per region. */
const PoolEverywhereSchema = PoolSchema.extend({ regions: z.array(PoolSchema).optional() }).meta({ id: 'PoolEverywhere' });

/** The same for a scaling: `desired` as the first region limits it, and what each region made of it. */
const ScaledEverywhereSchema = ScaledPoolSchema.extend({ regions: z.record(z.string(), ScaledPoolSchema).optional() }).meta({
  id: 'ScaledEverywhere',
});

const regionsOf = (context: RequestContext, region: string | undefined): Result<readonly RegionId[], FleetError> => {
  if (region === undefined) return ok(context.config.regions);
  const one = configuredRegion(context, region);
  return one.ok ? ok([one.value]) : one;
};

async function listPools(
  context: RequestContext,
  regions: readonly RegionId[],
): Promise<Result<readonly PoolView[], FleetError>> {
  const lists = await inRegions(regions, (region) =>
    callRegion(context, region, OWN_TIMEOUT_MS, (binding) => binding.listPools(context.caller)),
  );
  const failed = firstError(lists);
  return failed === null ? ok(lists.flatMap((list) => (list.ok ? list.value : []))) : err(failed);
}

/** The pool in the regions asked for; 404 when none of them has it. */
async function readPool(
  context: RequestContext,
  pool: string,
  region: string | undefined,
): Promise<Result<readonly PoolView[], FleetError>> {
  if (!POOL_NAME.test(pool)) return err(poolNotFound(pool));
  const regions = regionsOf(context, region);
  if (!regions.ok) return regions;
  const pools = await listPools(context, regions.value);
  if (!pools.ok) return pools;
  const found = pools.value.filter((view) => view.pool === pool);
  return found.length === 0 ? err(poolNotFound(pool)) : ok(found);
}

const poolMissing = async (context: RequestContext): Promise<FleetError | null> => {
  const found = await readPool(context, context.params['pool'] ?? '', undefined);
  return found.ok ? null : found.error;
};

function showPools(status: number, pools: readonly PoolView[], region: string | undefined): Outcome {
  const [first] = pools;
  if (first === undefined) return err({ kind: 'internal', detail: 'A pool without regions.' });
  return replyJson(status, region === undefined ? { ...first, regions: pools } : first, region === undefined ? {} : { region });
}

const poolKey = (view: PoolView): string => `${view.pool}/${view.region}`;

export const POOL_ENDPOINTS = [
  endpoint({
    name: 'listPools',
    doc: { summary: 'List pools, one entry per pool and region', responses: { 200: pageOf(PoolSchema) } },
    query: PageQuerySchema,
    async handle(context, { query: { limit, cursor } }) {
      const hash = filterHash('pool', {});
      const after = readCursor(hash, cursor);
      if (!after.ok) return after;
      const pools = await listPools(context, context.config.regions);
      if (!pools.ok) return pools;
      const rest = pools.value
        .filter((view) => after.value === null || poolKey(view) > after.value)
        .sort((a, b) => (poolKey(a) < poolKey(b) ? -1 : 1));
      const data = rest.slice(0, limit);
      const last = data.at(-1);
      return replyJson(200, {
        data,
        ...(rest.length > limit && last !== undefined ? { nextCursor: writeCursor(hash, poolKey(last)) } : {}),
      });
    },
  }),

  endpoint({
    name: 'getPool',
    doc: { summary: 'Read a pool, in one region or in all', responses: { 200: PoolEverywhereSchema } },
    query: RegionQuerySchema,
    missing: poolMissing,
    async handle(context, { query: { region } }) {
      const found = await readPool(context, context.params['pool'] ?? '', region);
      return found.ok ? showPools(200, found.value, region) : found;
    },
  }),

  endpoint({
    name: 'putPool',
    doc: {
      summary: 'Create or change a pool, in one region or in all',
      description: 'In all regions: a region that does not answer fails the call, and repeating it is safe.',
      responses: { 200: PoolEverywhereSchema, 201: PoolEverywhereSchema },
    },
    query: RegionQuerySchema,
    body: PutPoolSchema,
    async handle(context, { body, query: { region } }) {
      const pool = context.params['pool'] ?? '';
      if (!POOL_NAME.test(pool)) return err(invalidField('pool', 'must match [a-z][a-z0-9-]{0,31}'));
      const regions = regionsOf(context, region);
      if (!regions.ok) return regions;
      const put = await inRegions(regions.value, (at) =>
        askRegion(context, at, OWN_TIMEOUT_MS, (binding) => binding.putPool(context.caller, pool, defined(body))),
      );
      forgetStatus(context.caller.fleet);
      const failed = firstError(put);
      if (failed !== null) return err(failed);
      const done = put.flatMap((one) => (one.ok ? [one.value] : []));
      return showPools(
        done.some((one) => one.created) ? 201 : 200,
        done.map((one) => one.pool),
        region,
      );
    },
  }),

  endpoint({
    name: 'scalePool',
    doc: {
      summary: 'Set how many agents a pool should have',
      description:
        'A pool has a size in each region; without a region, that of every region is set. Reaching it is the launcher’s work.',
      responses: { 200: ScaledEverywhereSchema },
    },
    body: ScalePoolSchema,
    keyed: true,
    missing: poolMissing,
    async handle(context, { body }) {
      const pool = context.params['pool'] ?? '';
      if (!POOL_NAME.test(pool)) return err(poolNotFound(pool));
      const regions = regionsOf(context, body.region);
      if (!regions.ok) return regions;
      return keyedByFleet(context, async () => {
        const views = await readPool(context, pool, body.region);
        if (!views.ok) return views;
        const scaled = await scaleEverywhere(context, views.value, defined({ targetSize: body.targetSize, reason: body.reason }));
        forgetStatus(context.caller.fleet);
        if (!scaled.ok) return scaled;
        const [first] = scaled.value.values();
        return ok(JSON.stringify(body.region === undefined ? { ...first, regions: Object.fromEntries(scaled.value) } : first));
      });
    },
  }),
];
