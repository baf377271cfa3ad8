import type { FleetError } from '../../shared/errors.ts';
import type { RegionId } from '../../regions/table.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { IdempotencyRef, TaskView } from '../../shared/rpc.ts';
import { BatchTaskSchema, type BatchTask } from '../../shared/schemas/tasks.ts';
import { invalidField, validate } from '../lib/validate.ts';
import { splitKey } from './batches.ts';
import type { RequestContext } from './context.ts';
import { itemKey } from './idempotency.ts';
import { placeWork, type Placed } from './place-work.ts';
import { submitWork } from './submit.ts';
import { planGraph } from './task-graph.ts';

interface Read {
  readonly task: BatchTask;
  readonly key: IdempotencyRef | null;
}

function readItem(context: RequestContext, item: unknown): Result<Read, FleetError> {
  const split = splitKey(item);
  if (!split.ok) return split;
  const task = validate(BatchTaskSchema, split.value.rest);
  return task.ok ? ok({ task: task.value, key: itemKey(context, split.value.key, item) }) : task;
}

/**
 * Submits the items of a batch; one answer for each, in their order. Items may name others of the batch in `dependsOn`: they
 * are submitted in rounds, what is needed first. An item whose need was refused is refused; the others are not touched by it.
 */
export async function submitBatch(context: RequestContext, items: readonly unknown[]): Promise<readonly Placed[]> {
  const read = items.map((item) => readItem(context, item));
  const plan = planGraph(
    read.map((item) => {
      if (!item.ok) return null;
      const { ref, dependsOn = [], region } = item.value.task;
      // An id among the dependencies says where it goes, too.
      return { ref, dependsOn, placed: region !== undefined || dependsOn.length > 0 };
    }),
  );
  const placed: (Placed | undefined)[] = read.map((item, index) => {
    const refusal = plan.refused.get(index);
    if (!item.ok) return { reply: item, region: null };
    return refusal === undefined ? undefined : { reply: err(invalidField(refusal.path, refusal.message)), region: null };
  });
  for (const round of plan.rounds) {
    const works = round.map((index) => {
      const item = read[index];
      if (item === undefined || !item.ok) throw new Error('planned what was refused');
      return { index, work: workOf(context, item.value, plan.needs[index] ?? new Map(), plan.follows[index] ?? null, placed) };
    });
    const good = works.flatMap(({ index, work }) => (work.ok ? [{ index, work: work.value }] : []));
    for (const { index, work } of works) if (!work.ok) placed[index] = { reply: work, region: null };
    const answers = await placeWork(
      context,
      good.map(({ work }) => work),
    );
    for (const [i, { index }] of good.entries()) placed[index] = answers[i];
  }
  return placed.map((answer) => answer ?? UNANSWERED);
}

function workOf(
  context: RequestContext,
  { task, key }: Read,
  needs: ReadonlyMap<string, number>,
  follows: number | null,
  placed: readonly (Placed | undefined)[],
): ReturnType<typeof submitWork> {
  const { ref: _ref, ...rest } = task;
  const ids: string[] = [];
  for (const [i, name] of (rest.dependsOn ?? []).entries()) {
    const needed = needs.get(name);
    const reply = needed === undefined ? undefined : placed[needed]?.reply;
    if (needed === undefined) ids.push(name);
    else if (reply?.ok === true) ids.push((reply.value as TaskView).id);
    else return err(invalidField(`dependsOn.${i}`, `needs '${name}', which was refused`));
  }
  const home: RegionId | null = follows === null ? null : (placed[follows]?.region ?? null);
  return submitWork(context, { ...rest, ...(rest.dependsOn === undefined ? {} : { dependsOn: ids }) }, key, home);
}

const UNANSWERED: Placed = { reply: err({ kind: 'internal', detail: 'The region gave no answer.' }), region: null };
