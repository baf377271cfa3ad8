import type { FleetError } from '../../shared/errors.ts';
import { ok, type Result } from '../../shared/result.ts';
import type { PoolCommandOf } from '../../shared/rpc.ts';
import type { CompleteTaskSchema, FailTaskSchema, ProgressTaskSchema } from '../../shared/schemas/tasks.ts';
import type * as z from 'zod';
import { jsonField } from './json-fields.ts';

/** What an agent says about a task it holds, as the pool takes it. */

export function completion(
  taskId: string,
  { fencingToken, result }: z.infer<typeof CompleteTaskSchema>,
): Result<PoolCommandOf<'completeTask'>, FleetError> {
  const text = jsonField('result', result);
  if (!text.ok) return text;
  return ok({ type: 'completeTask', taskId, fencingToken, ...(text.value === undefined ? {} : { result: text.value }) });
}

export function failure(
  taskId: string,
  { fencingToken, error, retryable }: z.infer<typeof FailTaskSchema>,
): Result<PoolCommandOf<'failTask'>, FleetError> {
  const told = typeof error === 'string' ? { code: 'agent_error', message: error } : error;
  return ok({ type: 'failTask', taskId, fencingToken, error: told, retryable });
}

export function progress(
  taskId: string,
  { fencingToken, progress: said, checkpoint }: z.infer<typeof ProgressTaskSchema>,
): Result<PoolCommandOf<'progressTask'>, FleetError> {
  const text = jsonField('progress', said);
  if (!text.ok) return text;
  const kept = jsonField('checkpoint', checkpoint);
  if (!kept.ok) return kept;
  return ok({
    type: 'progressTask',
    taskId,
    fencingToken,
    ...(text.value === undefined ? {} : { progress: text.value }),
    ...(kept.value === undefined ? {} : { checkpoint: kept.value }),
  });
}
