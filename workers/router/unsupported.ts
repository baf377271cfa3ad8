import type { FleetError } from '../../shared/errors.ts';
import type { SubmitTask } from '../../shared/schemas/tasks.ts';

/** What the contract names and this version does not do yet. It is refused: nothing that is accepted may be ignored. */
export function unsupportedInTask(task: SubmitTask): FleetError | null {
  const named = (['fairnessKey', 'fairnessWeight', 'concurrency', 'dependsOn'] as const).find((field) => task[field] !== undefined);
  const field = named ?? (task.durability === 'replicated' ? 'durability: replicated' : undefined);
  return field === undefined ? null : { kind: 'unsupported', detail: `${field} is not supported yet.` };
}
