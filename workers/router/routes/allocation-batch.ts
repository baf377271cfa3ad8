import type { RegionId } from '../../../regions/table.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { AllocationView, PoolReply } from '../../../shared/rpc.ts';
import {
  AllocationBatchSchema,
  AllocationOperationSchema,
  AllocationSchema,
  type AllocationOperation,
} from '../../../shared/schemas/allocations.ts';
import { batchOf } from '../../../shared/schemas/common.ts';
import { validate } from '../../lib/validate.ts';
import { itemId, soleRegion, type AddressedItem } from '../batches.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { itemKey } from '../idempotency.ts';
import { placeWorkAfter } from '../place-work.ts';
import { batchItem, batchReply } from '../reply.ts';
import { allocationJson, grantJson } from '../views.ts';
import type { WorkItem } from '../work.ts';
import { allocateWork, releaseOutcome } from './allocations.ts';

type Prepared =
  | { readonly op: 'allocate'; readonly work: WorkItem; readonly count: number }
  | { readonly op: 'renew' | 'release'; readonly addressed: AddressedItem };

function prepare(context: RequestContext, item: unknown): Result<Prepared, FleetError> {
  const operation = validate(AllocationOperationSchema, item);
  if (!operation.ok) return operation;
  const key = itemKey(context, operation.value.idempotencyKey, item);
  if (operation.value.op !== 'allocate') {
    const addressed = address(context, operation.value);
    if (!addressed.ok) return addressed;
    const { id, request } = addressed.value;
    return ok({ op: operation.value.op, addressed: { id, request: key === null ? request : { ...request, idempotency: key } } });
  }
  const { op, idempotencyKey: _key, ...asked } = operation.value;
  const work = allocateWork(context, asked, key);
  return work.ok ? ok({ op, work: work.value, count: asked.count }) : work;
}

function address(
  context: RequestContext,
  operation: Exclude<AllocationOperation, { op: 'allocate' }>,
): Result<AddressedItem, FleetError> {
  const id = itemId(context, 'allocation', operation.id);
  if (!id.ok) return id;
  const { fencingToken } = operation;
  if (operation.op === 'renew') {
    const { leaseMs } = operation;
    return ok({ id: id.value, request: { command: { type: 'renew', allocationId: operation.id, fencingToken, leaseMs } } });
  }
  const result = releaseOutcome(operation.result);
  if (!result.ok) return result;
  const outcome = result.value === undefined ? {} : { result: result.value };
  return ok({ id: id.value, request: { command: { type: 'release', allocationId: operation.id, fencingToken, ...outcome } } });
}

interface Answered {
  readonly reply: PoolReply;
  readonly region: RegionId | null;
}

export const ALLOCATION_BATCH_ENDPOINTS = [
  endpoint({
    name: 'allocationBatch',
    doc: {
      summary: 'Up to 256 allocate, renew and release operations',
      description: 'What is given back by the batch can be granted by the same batch.',
      responses: { 200: batchOf(AllocationSchema) },
    },
    body: AllocationBatchSchema,
    async handle(context, { body }) {
      const items = body.operations.map((item) => prepare(context, item));
      const answers = new Map<number, Answered>();
      const addressed = items.flatMap((item, index) =>
        item.ok && item.value.op !== 'allocate' ? [{ index, item: item.value.addressed }] : [],
      );
      const work = items.flatMap((item, index) =>
        item.ok && item.value.op === 'allocate' ? [{ index, item: item.value.work }] : [],
      );
      const { replies, placed } = await placeWorkAfter(
        context,
        addressed.map(({ item }) => item),
        work.map(({ item }) => item),
      );
      for (const [i, { index, item }] of addressed.entries())
        answers.set(index, { reply: replies[i] as PoolReply, region: item.id.region });
      for (const [i, { index }] of work.entries()) answers.set(index, placed[i] as Answered);

      const where = { instance: context.pathname, requestId: context.requestId };
      const results = items.map((item, index) => {
        const reply = answers.get(index)?.reply;
        if (!item.ok || reply === undefined || !reply.ok) {
          return batchItem(!item.ok ? item : reply === undefined || reply.ok ? err(NO_ANSWER) : reply, where);
        }
        if (item.value.op === 'allocate') {
          return batchItem(
            ok({ status: 201, body: grantJson(reply.value as readonly AllocationView[], item.value.count) }),
            where,
          );
        }
        return batchItem(ok({ status: 200, body: allocationJson(reply.value as AllocationView) }), where);
      });
      return batchReply(results, soleRegion([...answers.values()].map(({ region }) => region)));
    },
  }),
];

const NO_ANSWER: FleetError = { kind: 'internal', detail: 'The region gave no answer.' };
