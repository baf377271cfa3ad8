import { vi } from 'vitest';

/** Long enough for a machine that is busy with something else; a passing test never waits for it. */
const PATIENCE_MS = 10_000;

/** Tries again until it holds. */
export const eventually = <T>(holds: () => T | Promise<T>, withinMs = PATIENCE_MS): Promise<T> =>
  vi.waitFor(holds, { timeout: withinMs, interval: 20 });
