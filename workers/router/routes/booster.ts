import type { FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { batchOf } from '../../../shared/schemas/common.ts';
import {
  BoosterAnswerSchema,
  type BoosterCall,
  BoosterCallSchema,
  BoosterHandedOverSchema,
  BoosterReportSchema,
  BoosterStatusSchema,
  type BoosterTask,
  BoosterTaskSchema,
} from '../../../shared/schemas/booster.ts';
import type { IdempotencyRef } from '../../../shared/rpc.ts';
import { validate } from '../../lib/validate.ts';
import { soleRegion, splitKey } from '../batches.ts';
import { type BoosterDone, type BoosterItem, runBooster } from '../booster/run.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { itemKey, requestKey } from '../idempotency.ts';
import { candidates } from '../placement.ts';
import { RegionQuerySchema } from '../queries.ts';
import { callRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';
import { batchItem, batchReply, type Outcome, refusedBy, reply, replyJson } from '../reply.ts';
import type { RegionBinding } from '../../../durable-objects/fleet/env.ts';

/** An operation with the regions that may see its code. */
export function boosterItem(
  context: RequestContext,
  { fallback, region, residency, ...task }: BoosterTask,
  idempotency: IdempotencyRef | null,
): Result<BoosterItem, FleetError> {
  const order = candidates(context, { region, residency });
  return order.ok ? ok({ task, placement: { fallback, region, residency }, order: order.value, idempotency }) : order;
}

function readItem(context: RequestContext, call: BoosterCall, item: unknown): Result<BoosterItem, FleetError> {
  const split = splitKey(item);
  if (!split.ok) return split;
  const task = validate(BoosterTaskSchema, split.value.rest);
  if (!task.ok) return task;
  const { fallback, region, residency } = call;
  return boosterItem(context, { fallback, region, residency, ...task.value }, itemKey(context, split.value.key, item));
}

function single(done: BoosterDone | undefined): Outcome {
  switch (done?.kind) {
    case 'answered':
      return reply(200, done.outcome.json, { region: done.region ?? undefined });
    case 'handedOver':
      return replyJson(202, done.body, { region: done.region, replayed: done.replayed });
    case 'failed':
      return refusedBy(done.region, { ok: false, error: done.error });
    default:
      throw new Error('an operation without an answer');
  }
}

const inBatch = (done: BoosterDone): Result<{ readonly status: number; readonly body: string }, FleetError> =>
  done.kind === 'answered'
    ? ok({ status: 200, body: done.outcome.json })
    : done.kind === 'handedOver'
      ? ok({ status: 202, body: JSON.stringify(done.body) })
      : err(done.error);

async function batch(context: RequestContext, call: BoosterCall, tasks: readonly unknown[]): Promise<Outcome> {
  const items = tasks.map((task) => readItem(context, call, task));
  const done = [
    ...(await runBooster(
      context,
      items.flatMap((item) => (item.ok ? [item.value] : [])),
    )),
  ];
  const answers = items.map((item): BoosterDone => {
    if (!item.ok) return { kind: 'failed', error: item.error, region: null };
    return done.shift() ?? { kind: 'failed', error: { kind: 'internal', detail: 'No answer.' }, region: null };
  });
  const where = { instance: context.pathname, requestId: context.requestId };
  return batchReply(
    answers.map((answer) => batchItem(inBatch(answer), where)),
    soleRegion(answers.map(({ region }) => region)),
  );
}

/** What one region says of its boosters: the named one, else the first allowed that answers. */
async function ask<T extends object>(
  context: RequestContext,
  region: string | undefined,
  call: (binding: RegionBinding) => Promise<T>,
): Promise<Outcome> {
  const order = candidates(context, { region });
  if (!order.ok) return order;
  let fault: FleetError = { kind: 'internal', detail: 'No region.' };
  for (const at of region === undefined ? order.value : order.value.slice(0, 1)) {
    const called = await callRegion(context, at, OWN_TIMEOUT_MS, call);
    if (called.ok) return replyJson(200, called.value, { region: at });
    fault = called.error;
  }
  return err(fault);
}

export const BOOSTER_ENDPOINTS = [
  endpoint({
    name: 'runBooster',
    doc: {
      summary: 'Edit, analyse or make code without a model',
      description:
        'One operation, or up to 1,000 in `tasks`, which answers a batch. An answer is exact and proved, or it is a refusal with a reason; with `fallback` an agent gets what it could mend: 202 and the task’s id. The code is seen only by regions that `region`, `residency` and the fleet’s rule allow. `Idempotency-Key` names the agent’s task.',
      responses: {
        200: BoosterAnswerSchema.or(batchOf(BoosterAnswerSchema.or(BoosterHandedOverSchema))),
        202: BoosterHandedOverSchema,
      },
    },
    body: BoosterCallSchema,
    bodyBytes: LIMITS.boosterBodyBytes,
    keyed: true,
    async handle(context, { body: call }) {
      const { tasks, operation, ...rest } = call;
      if (tasks !== undefined) return batch(context, call, tasks);
      if (operation === undefined) throw new Error('the schema lets no call pass without an operation');
      const item = boosterItem(context, { ...rest, operation }, requestKey(context));
      if (!item.ok) return item;
      const [done] = await runBooster(context, [item.value]);
      return single(done);
    },
  }),

  endpoint({
    name: 'boosterStatus',
    doc: {
      summary: 'The booster’s slots, and what they did for this fleet',
      description: 'Of one region. Figures are those of the isolates that answer, since they started; they keep nothing.',
      responses: { 200: BoosterStatusSchema },
    },
    query: RegionQuerySchema,
    handle: (context, { query: { region } }) => ask(context, region, (binding) => binding.boosterStatus(context.caller)),
  }),

  endpoint({
    name: 'boosterReport',
    doc: {
      summary: 'How long the booster’s operations took for this fleet',
      description: 'Of one region, as an isolate of its Worker measured its own calls, divided by their operations.',
      responses: { 200: BoosterReportSchema },
    },
    query: RegionQuerySchema,
    handle: (context, { query: { region } }) => ask(context, region, (binding) => binding.boosterReport(context.caller)),
  }),
];
