import type { FleetError } from '../../shared/errors.ts';
import type { SubmitTask } from '../../shared/schemas/tasks.ts';

/** What the contract names and this version does not do yet. It is refused: nothing that is accepted may be ignored. */
export function unsupportedInTask(task: SubmitTask): FleetError | null {
  return task.durability === 'replicated'
    ? { kind: 'unsupported', detail: 'durability: replicated is not supported yet.' }
    : null;
}
