import { describe, expect, test } from 'vitest';
import { ConnectionError, TimeoutError, apiErrorOf } from '../../../client/src/errors.ts';
import { backoffMs, isRetryable, retryDelayMs, sleep } from '../../../client/src/retry.ts';

const apiError = (status: number, code: string, retryAfterMs?: number) =>
  apiErrorOf({
    type: '',
    title: '',
    status,
    detail: '',
    instance: '',
    code,
    requestId: '',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });

describe('retry', () => {
  test.each([
    [new ConnectionError('x'), true],
    [new TimeoutError('x'), true],
    [apiError(429, 'rate_limited'), true],
    [apiError(429, 'queue_full'), true],
    [apiError(502, 'http_502'), true],
    [apiError(503, 'overloaded'), true],
    [apiError(504, 'http_504'), true],
    [apiError(409, 'idempotency_in_progress'), true],
    [apiError(409, 'no_capacity'), false],
    [apiError(409, 'lease_superseded'), false],
    [apiError(422, 'idempotency_mismatch'), false],
    [apiError(500, 'internal'), false],
    [new Error('a mistake of ours'), false],
  ])('%s is retryable: %s', (error, expected) => expect(isRetryable(error)).toBe(expected));

  test('backoff doubles, is capped, and full jitter reaches from nothing to the whole step', () => {
    expect([1, 2, 3, 4].map((attempt) => backoffMs(attempt, 1))).toEqual([250, 500, 1_000, 2_000]);
    expect(backoffMs(40, 1)).toBe(8_000);
    expect(backoffMs(5, 0)).toBe(0);
  });

  test('never sooner than the fleet asked for', () => {
    expect(retryDelayMs(apiError(503, 'overloaded', 3_000), 1, 0)).toBe(3_000);
    expect(retryDelayMs(apiError(503, 'overloaded', 3_000), 1, 1)).toBe(3_250);
  });

  test('a pause longer than a minute is the caller’s to decide', () => {
    expect(retryDelayMs(apiError(429, 'rate_limited', 60_001), 1, 0)).toBeNull();
  });

  test('sleep ends with the signal’s reason', async () => {
    const stop = new AbortController();
    const slept = sleep(60_000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(slept).rejects.toThrow('enough');
    await expect(sleep(1, stop.signal)).rejects.toThrow('enough');
  });
});
