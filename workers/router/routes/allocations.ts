import type { FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { AllocateSpec, AllocationView, IdempotencyRef, ReleaseOutcome } from '../../../shared/rpc.ts';
import {
  AllocateSchema,
  AllocationSchema,
  ReleaseSchema,
  RenewSchema,
  type Allocate,
  type Release,
} from '../../../shared/schemas/allocations.ts';
import { WhySchema, type Why } from '../../../shared/schemas/why.ts';
import { defined } from '../../lib/defined.ts';
import { whyAcrossRegions } from '../../region/why.ts';
import { act, show } from '../commands.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { requestKey } from '../idempotency.ts';
import { jsonField } from '../json-fields.ts';
import { findAllocation } from '../lookup.ts';
import { candidates } from '../placement.ts';
import { placeWork } from '../place-work.ts';
import { askRegion, PLACING_TIMEOUT_MS } from '../region-calls.ts';
import { refusedBy, reply, replyJson } from '../reply.ts';
import { allocationJson, grantJson } from '../views.ts';
import type { WorkItem } from '../work.ts';

function specOf({
  pool: _pool,
  region: _region,
  residency: _residency,
  metadata,
  ...rest
}: Allocate): Result<AllocateSpec, FleetError> {
  const text = jsonField('metadata', metadata);
  return text.ok ? ok({ ...rest, ...(text.value === undefined ? {} : { metadata: text.value }) }) : text;
}

/** An allocation on its way: all allowed regions are asked without waiting, then it waits in the first that has agents which fit. */
export function allocateWork(
  context: RequestContext,
  asked: Allocate,
  idempotency: IdempotencyRef | null,
): Result<WorkItem, FleetError> {
  const spec = specOf(asked);
  if (!spec.ok) return spec;
  const near = candidates(context, asked);
  if (!near.ok) return near;
  const { waitMs } = asked;
  const waiterId = crypto.randomUUID();
  return ok({
    pool: asked.pool,
    order: near.value,
    tried: { type: 'allocate', spec: { ...spec.value, waitMs: 0 }, waiterId },
    settled: waitMs === 0 ? null : { type: 'allocate', spec: spec.value, waiterId },
    waitMs,
    idempotency,
    named: asked.region !== undefined,
    passes: true,
  });
}

export function releaseOutcome(result: Release['result']): Result<ReleaseOutcome | undefined, FleetError> {
  if (result === undefined) return ok(undefined);
  const { data, ...rest } = result;
  const text = jsonField('result.data', data);
  return text.ok ? ok({ ...defined(rest), ...(text.value === undefined ? {} : { data: text.value }) }) : text;
}

export const ALLOCATION_ENDPOINTS = [
  endpoint({
    name: 'allocate',
    doc: {
      summary: 'Allocate an agent',
      description:
        'Grants a lease on an agent that fits, or says why none does. `count` above 1 grants that many agents, all or none.',
      responses: { 201: AllocationSchema },
    },
    body: AllocateSchema,
    keyed: true,
    async handle(context, { body }) {
      const work = allocateWork(context, body, requestKey(context));
      if (!work.ok) return work;
      const [placed] = await placeWork(context, [work.value]);
      if (placed === undefined) throw new Error('work without an answer');
      if (!placed.reply.ok) return refusedBy(placed.region, placed.reply);
      const grant = placed.reply.value as readonly AllocationView[];
      return reply(201, grantJson(grant, body.count), { region: placed.region ?? undefined, replayed: placed.reply.replayed });
    },
  }),

  endpoint({
    name: 'explainAllocation',
    doc: {
      summary: 'Say what an allocation would find, and change nothing',
      description: 'The answer that a refusal carries as `why`, by the code that chooses; over all regions it may go to.',
      responses: { 200: WhySchema },
    },
    body: AllocateSchema,
    async handle(context, { body }) {
      const spec = specOf(body);
      if (!spec.ok) return spec;
      const order = candidates(context, body);
      if (!order.ok) return order;
      const answers = await Promise.all(
        order.value.map((region) =>
          askRegion(context, region, PLACING_TIMEOUT_MS, (binding) => binding.explain(context.caller, body.pool, spec.value)),
        ),
      );
      const merged = mergeExplanations(answers, body.count);
      return merged.ok ? replyJson(200, merged.value, order.value.length === 1 ? { region: order.value[0] } : {}) : merged;
    },
  }),

  endpoint({
    name: 'getAllocation',
    doc: { summary: 'Read an allocation', responses: { 200: AllocationSchema } },
    id: 'allocation',
    handle: async (context, { id }) => show(await findAllocation(context, id), id.region, allocationJson),
  }),

  endpoint({
    name: 'renewAllocation',
    doc: { summary: 'Renew a lease: it ends `leaseMs` from now', responses: { 200: AllocationSchema } },
    id: 'allocation',
    body: RenewSchema,
    keyed: true,
    handle: (context, { id, body }) =>
      act(context, id, { type: 'renew', allocationId: id.text, ...body }, { status: 200, write: allocationJson }),
  }),

  endpoint({
    name: 'releaseAllocation',
    doc: {
      summary: 'Give an agent back',
      description: 'Again with the same token: the same answer.',
      responses: { 200: AllocationSchema },
    },
    id: 'allocation',
    body: ReleaseSchema,
    keyed: true,
    async handle(context, { id, body }) {
      const outcome = releaseOutcome(body.result);
      if (!outcome.ok) return outcome;
      const result = outcome.value === undefined ? {} : { result: outcome.value };
      const { fencingToken } = body;
      return act(
        context,
        id,
        { type: 'release', allocationId: id.text, fencingToken, ...result },
        { status: 200, write: allocationJson },
      );
    },
  }),
];

/** What all regions that could be asked say together. One that does not have the pool has nothing to say. */
function mergeExplanations(answers: readonly Result<Why, FleetError>[], count: number): Result<Why, FleetError> {
  const whys = answers.flatMap((answer) => (answer.ok ? [answer.value] : []));
  const why = whyAcrossRegions(whys);
  // An allocation ends in the first region that has room for it, or where its caller holds its quota.
  const end = whys.find(({ limitedBy, eligible }) => limitedBy?.scope === 'caller' || eligible >= count);
  if (why !== undefined && end?.limitedBy?.scope === 'caller')
    return ok({ ...why, limitedBy: end.limitedBy, detail: end.detail });
  if (why !== undefined) return ok(why);
  const errors = answers.flatMap((answer) => (answer.ok ? [] : [answer.error]));
  const error = errors.find(({ kind }) => kind !== 'pool_not_found') ?? errors[0];
  return err(error ?? { kind: 'internal', detail: 'No region was asked.' });
}
