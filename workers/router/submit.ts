import type { FleetError } from '../../shared/errors.ts';
import type { RegionId } from '../../regions/table.ts';
import { parseIdOf } from '../../shared/ids.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { IdempotencyRef, TaskSpec } from '../../shared/rpc.ts';
import type { SubmitTask } from '../../shared/schemas/tasks.ts';
import type { RequestContext } from './context.ts';
import { jsonField } from './json-fields.ts';
import { candidates } from './placement.ts';
import type { WorkItem } from './work.ts';
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
 * A task on its way. With a region named it queues there, and elsewhere only when that region is full or does not answer.
 * Without one it goes to the nearest allowed region where some live agent could take it; where there is none at all, to
 * the first that answers. A task that depends on others goes where they are: dependencies stay within one region. `beside`:
 * the region of what it will be depended on together with.
 */
export function submitWork(
  context: RequestContext,
  task: SubmitTask,
  idempotency: IdempotencyRef | null,
  beside: RegionId | null = null,
): Result<WorkItem, FleetError> {
  const unsupported = unsupportedInTask(task);
  if (unsupported !== null) return err(unsupported);
  const spec = specOf(task);
  if (!spec.ok) return spec;
  const needed = task.dependsOn?.[0];
  const home = needed === undefined ? (beside ?? undefined) : parseIdOf('task', needed)?.region;
  const region = task.region ?? home;
  const near = candidates(context, { region, residency: task.residency });
  if (!near.ok) return near;
  const queued = { type: 'submitTask', spec: spec.value, needsAgent: false } as const;
  return ok({
    pool: task.pool,
    order: home === undefined ? near.value : near.value.slice(0, 1),
    tried: region === undefined ? { ...queued, needsAgent: true } : queued,
    settled: region === undefined ? queued : null,
    waitMs: 0,
    idempotency,
    named: region !== undefined,
    passes: true,
  });
}
