import type { RegionId } from '../../../regions/table.ts';
import { type BoosterReason, charsOf, isMendable, routeOf, tooLarge } from '../../../shared/booster.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { BoosterOutcome } from '../../../shared/rpc-booster.ts';
import type { IdempotencyRef } from '../../../shared/rpc.ts';
import type { BoosterInstruction, BoosterTask } from '../../../shared/schemas/booster.ts';
import type { RequestContext } from '../context.ts';
import { callRegion } from '../region-calls.ts';
import { handOver, type HandedOver } from './hand-over.ts';

/** One operation on its way. */
export interface BoosterItem {
  readonly task: BoosterInstruction;
  readonly placement: Pick<BoosterTask, 'fallback' | 'region' | 'residency'>;
  /** Regions that may see the code, in the order to try them. */
  readonly order: readonly RegionId[];
  /** Names the task that an agent may get. */
  readonly idempotency: IdempotencyRef | null;
}

/** What the booster said; `region` null: it was refused before it travelled. */
interface Answered {
  readonly kind: 'answered';
  readonly region: RegionId | null;
  readonly outcome: BoosterOutcome;
}
interface Failed {
  readonly kind: 'failed';
  readonly error: FleetError;
  readonly region: RegionId | null;
}
export type BoosterDone = Answered | HandedOver | Failed;

/** Characters of one call to a region: two bytes each stay far below what a call between Workers may carry. */
const CHARS_PER_CALL = 6_000_000;
const SLACK_MS = 5_000;

/**
 * Runs operations where their code may be, and hands over to an agent what the booster leaves undone. Answers in the order
 * of the items.
 */
export async function runBooster(context: RequestContext, items: readonly BoosterItem[]): Promise<readonly BoosterDone[]> {
  const refused = items.map(({ task }) => refusedHere(task));
  const done: BoosterDone[] = refused.map((outcome) =>
    outcome === null ? NOT_ANSWERED : { kind: 'answered', region: null, outcome },
  );
  const open = items.flatMap((item, index) => (refused[index] === null ? [{ item, index }] : []));
  const groups = Map.groupBy(open, ({ item }) => item.order.join(' '));
  await Promise.all(
    [...groups.values()].map(async (group) => {
      for (const part of partsOf(group)) {
        const answers = await runInOrder(
          context,
          part.map(({ item }) => item.task),
          part[0]?.item.order ?? [],
        );
        for (const [i, { index }] of part.entries()) done[index] = answers[i] ?? NOT_ANSWERED;
      }
    }),
  );
  return handUndoneOver(context, items, done);
}

async function handUndoneOver(
  context: RequestContext,
  items: readonly BoosterItem[],
  done: readonly BoosterDone[],
): Promise<readonly BoosterDone[]> {
  const undone = items.flatMap((item, index) => {
    const { fallback } = item.placement;
    const one = done[index];
    if (fallback === undefined || one?.kind !== 'answered' || one.outcome.reason === null) return [];
    const { reason, json } = one.outcome;
    return isMendable(reason) ? [{ item: { ...item, fallback }, index, refusal: { reason, json } }] : [];
  });
  if (undone.length === 0) return done;
  const handed = await handOver(context, undone);
  const results = [...done];
  for (const [i, { index }] of undone.entries()) {
    const one = handed[i];
    if (one !== undefined && one !== 'kept') results[index] = one;
  }
  return results;
}

/** The first region that answers at all answers for good: an answer does not depend on where it is made. */
async function runInOrder(
  context: RequestContext,
  tasks: readonly BoosterInstruction[],
  order: readonly RegionId[],
): Promise<readonly BoosterDone[]> {
  const timeoutMs = LIMITS.boosterTimeoutMs * (1 + Math.floor(tasks.length / LIMITS.boosterFilesPerCall)) + SLACK_MS;
  let fault: BoosterDone = NOT_ANSWERED;
  for (const region of order) {
    const called = await callRegion(context, region, timeoutMs, (binding) => binding.runBooster(context.caller, tasks));
    if (called.ok) return called.value.map((outcome) => ({ kind: 'answered', region, outcome }));
    fault = { kind: 'failed', error: called.error, region: null };
  }
  return tasks.map(() => fault);
}

const NOT_ANSWERED: BoosterDone = {
  kind: 'failed',
  error: { kind: 'internal', detail: 'The region gave no answer.' },
  region: null,
};

const refusal = (reason: BoosterReason, detail: string): BoosterOutcome => ({
  reason,
  json: JSON.stringify({ ok: false, reason, detail }),
});

/** What needs no engine to be refused. */
function refusedHere(task: BoosterInstruction): BoosterOutcome | null {
  if (routeOf(task.operation) === 'agent') {
    return refusal('unsupported', `'${task.operation}' takes an agent: name the pool that does it in fallback.`);
  }
  const size = tooLarge(task);
  return size === null ? null : refusal(size.reason, size.detail);
}

function partsOf<T extends { readonly item: BoosterItem }>(group: readonly T[]): readonly (readonly T[])[] {
  const parts: { readonly of: T[]; chars: number }[] = [];
  for (const one of group) {
    const chars = charsOf(one.item.task);
    const last = parts.at(-1);
    if (last === undefined || last.chars + chars > CHARS_PER_CALL) parts.push({ of: [one], chars });
    else {
      last.of.push(one);
      last.chars += chars;
    }
  }
  return parts.map(({ of }) => of);
}
