import type {
  BoosterAnswer,
  BoosterHandedOver,
  BoosterReport,
  BoosterStatus,
  BoosterTaskSchema,
} from '../../../shared/schemas/booster.ts';
import type * as z from 'zod';
import { LIMITS } from '../../../shared/limits.ts';
import { type BatchResult, batchResult, chunk } from '../batch.ts';
import type { CallOptions, HttpClient } from '../http.ts';
import { newKey } from '../new-key.ts';
import type { BatchItem } from '../types.ts';

export type BoosterInput = z.input<typeof BoosterTaskSchema>;
export type BoosterReply = BoosterAnswer | BoosterHandedOver;

/** Whether an agent has it: the booster's own answers say `ok`. */
export const isHandedOver = (reply: BoosterReply): reply is BoosterHandedOver => !('ok' in reply);

/** One operation. Only one that may become an agent's task needs a key: anything else may simply be asked again. */
export const runBooster = (http: HttpClient, input: BoosterInput, options?: CallOptions): Promise<BoosterReply> =>
  http.send(
    {
      method: 'POST',
      path: '/v1/booster/tasks',
      body: input,
      creates: input.fallback !== undefined,
      waitMs: LIMITS.boosterTimeoutMs,
    },
    options,
  );

/** Many, in as few requests as the limits allow; answers in their order. */
export async function runBoosterBatch(
  http: HttpClient,
  inputs: readonly BoosterInput[],
  options?: CallOptions,
): Promise<BatchResult<BoosterReply>[]> {
  const keyed = inputs.map((input) => (input.fallback === undefined ? input : { idempotencyKey: newKey(), ...input }));
  const results: BatchResult<BoosterReply>[] = [];
  for (const tasks of chunk(keyed, LIMITS.boosterBatch, LIMITS.boosterBodyBytes)) {
    const calls = Math.ceil(tasks.length / LIMITS.boosterFilesPerCall);
    const answer = await http.send<{ results: BatchItem<BoosterReply>[] }>(
      { method: 'POST', path: '/v1/booster/tasks', body: { tasks }, waitMs: calls * LIMITS.boosterTimeoutMs },
      options,
    );
    results.push(...answer.results.map(batchResult));
  }
  return results;
}

export const boosterStatus = (http: HttpClient, region?: string, options?: CallOptions): Promise<BoosterStatus> =>
  http.send({ method: 'GET', path: '/v1/booster/status', query: { region } }, options);

export const boosterReport = (http: HttpClient, region?: string, options?: CallOptions): Promise<BoosterReport> =>
  http.send({ method: 'GET', path: '/v1/booster/report', query: { region } }, options);
