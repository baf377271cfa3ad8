import { ApiError, ConnectionError, TimeoutError } from './errors.ts';

/** First step of the backoff; doubles with each try up to `RETRY_CAP_MS`. */
const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 8_000;
/** A fleet that asks for a longer pause gets its answer as an error: the caller decides. */
const RETRY_AFTER_MAX_MS = 60_000;

const RETRYABLE_STATUS = new Set([429, 502, 503, 504]);

/** Whether the same request may simply be sent again: nothing was decided, or the answer was lost. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return true;
  return error instanceof ApiError && (RETRYABLE_STATUS.has(error.status) || error.code === 'idempotency_in_progress');
}

/** Exponential backoff with full jitter: `random` in [0, 1) picks a moment in the whole step, so that callers spread. */
export function backoffMs(attempt: number, random: number, baseMs = RETRY_BASE_MS, capMs = RETRY_CAP_MS): number {
  return Math.round(random * Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 30)));
}

/** The pause before try `attempt + 1`, never shorter than the fleet asked for; `null` when it asked for too long. */
export function retryDelayMs(error: unknown, attempt: number, random: number): number | null {
  const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  if (askedMs > RETRY_AFTER_MAX_MS) return null;
  return askedMs + backoffMs(attempt, random);
}

/** Resolves after `ms`, rejects with the signal's reason as soon as it aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Waits for `event`, but no longer than `ms` or until the signal aborts. Leaves no timer behind that would keep a process. */
export async function waitAtMost(event: Promise<void>, ms: number, signal?: AbortSignal): Promise<void> {
  const enough = new AbortController();
  const onAbort = (): void => enough.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  try {
    await Promise.race([event, sleep(ms, enough.signal).catch(() => undefined)]);
  } finally {
    enough.abort();
    signal?.removeEventListener('abort', onAbort);
  }
}
