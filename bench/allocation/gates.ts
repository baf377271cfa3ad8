import { round } from '../lib/stats.ts';
import { figuresOf, type Figures, type Rounds } from './measure.ts';
import { FLOOR, OURS_BATCH, OURS_HTTP, OURS_SDK, PING } from './ours.ts';
import { FASTIFY, IOREDIS } from './theirs.ts';

/** Measured beside the rounds. */
export interface Extra {
  readonly pacedP99: number;
  readonly fsyncP50: number;
}

/** One requirement: what was measured, what is asked, and whether it holds. A missing figure holds nothing. */
interface Gate {
  readonly what: string;
  readonly measured: number;
  readonly asked: string;
  readonly holds: boolean;
}

const least = (what: string, measured: number, bound: number): Gate => ({
  what,
  measured,
  asked: `≥ ${bound}`,
  holds: measured >= bound,
});
const most = (what: string, measured: number, bound: number): Gate => ({
  what,
  measured,
  asked: `≤ ${bound}`,
  holds: measured <= bound,
});

const NOTHING: Figures = { perSecond: Number.NaN, p50: Number.NaN, p99: Number.NaN, cpuUs: Number.NaN };

export function gatesOf(rounds: Rounds, extra: Extra, where: string): readonly Gate[] {
  const at = (name: string, concurrency: number): Figures => figuresOf(rounds, name, concurrency) ?? NOTHING;
  const [http, floor] = [at(OURS_HTTP, 64), at(FLOOR, 64)];
  const [sdk, fastify, ioredis, batch] = [at(OURS_SDK, 256), at(FASTIFY, 64), at(IOREDIS, 64), at(OURS_BATCH, 1)];
  const gates = [
    least(
      'HTTP single calls × 64: pairs/s to half the floor’s requests/s (aim 0.8)',
      http.perSecond / (floor.perSecond / 2),
      0.6,
    ),
    least('HTTP single calls × 64: pairs/s', http.perSecond, 1_000),
    most('HTTP single calls × 64: p50 to the floor’s', http.p50 / floor.p50, 2),
    most('HTTP single calls paced at 200 pairs/s: p99 ms', extra.pacedP99, 40),
    least('SDK × 256: pairs/s to Fastify → Redis × 64', sdk.perSecond / fastify.perSecond, 1),
    least('SDK × 256: pairs/s to native ioredis+Lua × 64 (an aim)', sdk.perSecond / ioredis.perSecond, 1),
    least('Explicit batches × 1: pairs/s to SDK × 256', batch.perSecond / sdk.perSecond, 1),
    most(
      'SDK × 1: p50 to one fsync and one ping (a POST through the SDK)',
      at(OURS_SDK, 1).p50 / (extra.fsyncP50 + at(PING, 1).p50),
      1.5,
    ),
  ];
  return where === 'tmpfs' ? [...gates, least('SDK × 256: pairs/s', sdk.perSecond, 8_000)] : gates;
}

export const gateRows = (gates: readonly Gate[]): readonly (readonly string[])[] =>
  gates.map(({ what, measured, asked, holds }) => [what, round(measured), asked, holds ? 'holds' : 'does not hold']);
