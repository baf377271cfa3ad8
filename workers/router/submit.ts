import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { IdempotencyRef, TaskSpec } from '../../shared/rpc.ts';
import type { SubmitTask } from '../../shared/schemas/tasks.ts';
import type { RequestContext } from './context.ts';
import { rememberedOrder } from './idempotency.ts';
import { jsonField } from './json-fields.ts';
import { candidates } from './placement.ts';
import type { WorkItem } from './place-work.ts';
import { unsupportedInTask } from './unsupported.ts';

function specOf(task: SubmitTask): Result<TaskSpec, FleetError> {
  const { pool: _pool, region: _region, residency: _residency, metadata, payload, ...rest } = task;
  const text = jsonField('payload', payload);
  if (!text.ok) return text;
  const data = jsonField('metadata', metadata);
  if (!data.ok) return data;
  return ok({ ...rest, payload: text.value ?? 'null', ...(data.value === undefined ? {} : { metadata: data.value }) });
}

/**
 * A task on its way: to the first allowed region where some live agent could take it; where there is none, it queues in
 * the first region that answers.
 */
export async function submitWork(
  context: RequestContext,
  task: SubmitTask,
  idempotency: IdempotencyRef | null,
): Promise<Result<WorkItem, FleetError>> {
  const unsupported = unsupportedInTask(task);
  if (unsupported !== null) return err(unsupported);
  const spec = specOf(task);
  if (!spec.ok) return spec;
  const near = candidates(context, task);
  if (!near.ok) return near;
  let order = near.value;
  if (idempotency !== null && task.region === undefined && order.length > 1) {
    const remembered = await rememberedOrder(context, idempotency, order);
    if (!remembered.ok) return remembered;
    order = remembered.value;
  }
  return ok({
    pool: task.pool,
    order,
    tried: { type: 'submitTask', spec: spec.value, needsAgent: true },
    settled: { type: 'submitTask', spec: spec.value, needsAgent: false },
    waitMs: 0,
    idempotency,
    passes: true,
  });
}
