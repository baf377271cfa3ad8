import { charsOf } from '../../../shared/booster.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { BoosterInstruction } from '../../../shared/schemas/booster.ts';

/** Tasks of one call to a booster Worker, with the place of each among those that were asked. */
export interface Chunk {
  readonly indexes: readonly number[];
  readonly tasks: readonly BoosterInstruction[];
}

/** Splits tasks into calls that stay under both bounds; a task alone may be as large as it likes. */
export function chunksOf(
  tasks: readonly BoosterInstruction[],
  bounds: { readonly files: number; readonly chars: number } = {
    files: LIMITS.boosterFilesPerCall,
    chars: LIMITS.boosterCharsPerCall,
  },
): readonly Chunk[] {
  const chunks: { indexes: number[]; tasks: BoosterInstruction[]; chars: number }[] = [];
  for (const [index, task] of tasks.entries()) {
    const chars = charsOf(task);
    const last = chunks.at(-1);
    if (last === undefined || last.tasks.length >= bounds.files || last.chars + chars > bounds.chars) {
      chunks.push({ indexes: [index], tasks: [task], chars });
    } else {
      last.indexes.push(index);
      last.tasks.push(task);
      last.chars += chars;
    }
  }
  return chunks;
}

/** Two halves, to find the task that brings a call down. */
export function halvesOf({ indexes, tasks }: Chunk): readonly [Chunk, Chunk] {
  const middle = Math.ceil(tasks.length / 2);
  return [
    { indexes: indexes.slice(0, middle), tasks: tasks.slice(0, middle) },
    { indexes: indexes.slice(middle), tasks: tasks.slice(middle) },
  ];
}
