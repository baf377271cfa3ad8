import type { RegionId } from '../../../regions/table.ts';
import { routeOf } from '../../../shared/booster.ts';
import type { FleetError } from '../../../shared/errors.ts';
import type { TaskView } from '../../../shared/rpc.ts';
import type { JsonText } from '../../../shared/schemas/common.ts';
import type { BoosterReason } from '../../../shared/booster.ts';
import type { BoosterHandedOver, BoosterTask } from '../../../shared/schemas/booster.ts';
import { SubmitTaskSchema } from '../../../shared/schemas/tasks.ts';
import { defined } from '../../lib/defined.ts';
import { log } from '../../lib/log.ts';
import { validate } from '../../lib/validate.ts';
import type { RequestContext } from '../context.ts';
import { placeWork } from '../place-work.ts';
import { submitWork } from '../submit.ts';
import type { BoosterItem } from './run.ts';

/** A task now stands for the operation. */
export interface HandedOver {
  readonly kind: 'handedOver';
  readonly region: RegionId;
  readonly body: BoosterHandedOver;
  readonly replayed: boolean;
}
interface NotHandedOver {
  readonly kind: 'failed';
  readonly error: FleetError;
  readonly region: RegionId | null;
}

/** What the booster left undone, and why. */
export interface Undone {
  readonly item: BoosterItem & { readonly fallback: NonNullable<BoosterTask['fallback']> };
  readonly refusal: { readonly reason: BoosterReason; readonly json: JsonText };
}

/**
 * Submits one task for each, with the whole instruction as payload, where the code may be. `kept`: it is larger than a
 * payload may be, so the booster's own refusal stands.
 */
export async function handOver(
  context: RequestContext,
  undone: readonly Undone[],
): Promise<readonly (HandedOver | NotHandedOver | 'kept')[]> {
  const prepared = undone.map((one) => ({ one, work: workOf(context, one) }));
  const placed = [
    ...(await placeWork(
      context,
      prepared.flatMap(({ work }) => (work.ok ? [work.value] : [])),
    )),
  ];
  return prepared.map(({ one, work }) => {
    if (!work.ok) return work.error.kind === 'payload_too_large' ? 'kept' : { kind: 'failed', error: work.error, region: null };
    const at = placed.shift();
    if (at?.reply.ok !== true) {
      const error: FleetError = at?.reply.ok === false ? at.reply.error : { kind: 'internal', detail: 'No answer.' };
      return { kind: 'failed', error, region: at?.region ?? null };
    }
    const task = at.reply.value as TaskView;
    const reason = routeOf(one.item.task.operation) === 'agent' ? 'standard' : one.refusal.reason;
    if (reason === 'fault') {
      log('warn', 'booster task goes to an agent', { requestId: context.requestId, taskId: task.id, reason });
    }
    return {
      kind: 'handedOver',
      region: task.region as RegionId,
      body: { taskId: task.id, pool: task.pool, region: task.region, reason, detail: detailOf(one) },
      replayed: at.reply.replayed === true,
    };
  });
}

function workOf(
  context: RequestContext,
  { item, refusal }: Undone,
): ReturnType<typeof submitWork> | { readonly ok: false; readonly error: FleetError } {
  const { task, fallback, placement, idempotency } = item;
  const { pool, ...wishes } = fallback;
  const submitted = validate(
    SubmitTaskSchema,
    defined({
      ...wishes,
      pool,
      // The agent finds the instruction as it was given, and beside it what the booster had to say.
      payload: { ...defined(task), booster: JSON.parse(refusal.json) as unknown },
      priority: task.priority,
      region: placement.region,
      residency: placement.residency,
    }),
    'fallback',
  );
  return submitted.ok ? submitWork(context, submitted.value, idempotency) : submitted;
}

function detailOf({ refusal, item }: Undone): string {
  if (routeOf(item.task.operation) === 'agent') return 'This is work for an agent.';
  const { detail } = JSON.parse(refusal.json) as { readonly detail?: unknown };
  return typeof detail === 'string' ? detail : '';
}
