/**
 * How far the server's clock may lie outside the span of an operation as its caller measured it: both read the clock of
 * one machine, in whole milliseconds.
 */
export const CLOCK_SLACK_MS = 5;

/** An instant of which only bounds are known. */
export interface Instants {
  readonly minMs: number;
  readonly maxMs: number;
}

export const fixed = (atMs: number): Instants => ({ minMs: atMs, maxMs: atMs });
/** Never ends by the clock. */
export const NEVER: Instants = fixed(Infinity);
