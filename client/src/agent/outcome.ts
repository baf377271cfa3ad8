import { LIMITS } from '../../../shared/limits.ts';
import { jsonBytes } from '../batch.ts';
import { NonRetryableError, TaskCancelledError, TaskTimeoutError } from './errors.ts';
import type { Failure } from './types.ts';

/** What a handler came to, as it will be reported. */
export type Outcome =
  | { readonly type: 'complete'; readonly result: unknown }
  | { readonly type: 'fail'; readonly error: Failure; readonly retryable: boolean };

/** The frame round a result shares the result's own limit. */
const RESULT_BYTES_MAX = LIMITS.resultBytes - 1_024;

/** A returned value; one that cannot travel is a failure that trying again would not mend. */
export function outcomeOfResult(result: unknown): Outcome {
  let bytes: number;
  try {
    bytes = jsonBytes(result);
  } catch (error) {
    return failure('result_not_json', `The result cannot be written as JSON: ${messageOf(error)}`, false);
  }
  if (bytes <= RESULT_BYTES_MAX) return { type: 'complete', result };
  return failure('result_too_large', `The result is ${bytes} bytes of JSON, the limit is ${RESULT_BYTES_MAX}.`, false);
}

/** A thrown value. What the handler threw after its signal aborted counts as the abort. */
export function outcomeOfError(error: unknown, signal: AbortSignal): Outcome {
  if (error instanceof NonRetryableError) return failure(error.code, messageOf(error), false);
  const reason: unknown = signal.aborted ? signal.reason : undefined;
  if (reason instanceof TaskCancelledError) return failure('cancelled', reason.message, false);
  if (reason instanceof TaskTimeoutError) return failure('timeout', reason.message, true);
  return failure('agent_error', messageOf(error), true);
}

/** What went wrong, within the length the fleet keeps. */
export const failure = (code: string, message: string, retryable: boolean): Outcome & { type: 'fail' } => ({
  type: 'fail',
  error: { code: code.slice(0, 64) || 'agent_error', message: message.slice(0, LIMITS.errorChars) },
  retryable,
});

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message || error.name : String(error));
