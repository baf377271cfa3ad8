import { afterEach, expect, test, vi } from 'vitest';
import { newKey } from '../../../client/src/new-key.ts';

afterEach(() => vi.useRealTimers());

test('a key is a UUID of version 7: in the order of time, and never twice', () => {
  vi.useFakeTimers();
  const keys: string[] = [];
  for (const at of ['1970-01-01', '2026-01-05', '2026-01-05T00:00:00.001Z', '2107-01-01']) {
    vi.setSystemTime(new Date(at));
    keys.push(newKey());
  }
  expect(keys.toSorted()).toEqual(keys);
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(Array.from({ length: 1_000 }, newKey)).size).toBe(1_000);
});
