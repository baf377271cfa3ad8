import { STRATEGIES } from '../../shared/schemas/allocations.ts';
import type { Table } from '../lib/report.ts';
import { round } from '../lib/stats.ts';
import { hostOf, nextCapability, OWN_LABELS } from './agents.ts';
import { compare, figuresOf, type Contender } from './measure.ts';
import { OURS_HTTP, type Ours } from './ours.ts';

const FEW = { agents: 100, name: '100 agents' };
const MANY = { agents: 10_000, name: '10,000 agents' };
const ALIKE = 'sizes';

/** The pools that are compared: agents of twenty kinds, and agents each with a label of its own. */
export const SIZES: Readonly<Record<string, number>> = Object.fromEntries(
  [ALIKE, OWN_LABELS].flatMap((pool) => [FEW, MANY].map(({ agents }) => [`${pool}-${agents}`, agents])),
);

interface Ask {
  readonly what: string;
  readonly pool: string;
  readonly callers: readonly number[];
  readonly body: (agents: number) => object;
}

let turn = 0;
const hosts = (agents: number, count: number): string[] => Array.from({ length: count }, () => hostOf((turn += 37) % agents));
const byHost = (operator: 'In' | 'NotIn', values: string[]): object => ({
  selectors: [{ matchExpressions: [{ key: 'host', operator, values }] }],
});

const ASKS: readonly Ask[] = [
  ...STRATEGIES.map((strategy) => ({
    what: strategy,
    pool: ALIKE,
    callers: strategy === 'least_loaded' ? [1, 16] : [1],
    body: () => ({ strategy, capabilities: [nextCapability()] }),
  })),
  { what: 'own labels, nothing asked', pool: OWN_LABELS, callers: [1, 16], body: () => ({}) },
  {
    what: 'own labels, round_robin, one capability',
    pool: OWN_LABELS,
    callers: [1],
    body: () => ({ strategy: 'round_robin', capabilities: [nextCapability()] }),
  },
  { what: 'own labels, In four of them', pool: OWN_LABELS, callers: [1], body: (agents) => byHost('In', hosts(agents, 4)) },
  { what: 'own labels, NotIn one of them', pool: OWN_LABELS, callers: [1], body: (agents) => byHost('NotIn', hosts(agents, 1)) },
];

/** Pools of 10,000 agents beside pools of 100, for each strategy and for agents that are all different; in rounds like the rest. */
export async function sizesTable(
  where: string,
  mine: Ours,
  options: { readonly rounds: number; readonly seconds: number; readonly say: (text: string) => void },
): Promise<Table> {
  const rows: (readonly string[])[] = [];
  for (const { what, pool, callers, body } of ASKS) {
    const inPool = ({ agents, name }: typeof FEW): Contender => ({
      name: `${what}, ${name}`,
      servers: mine.servers,
      concurrency: [...callers],
      turn: async (c, note) => (note(await mine.pair(c, `${pool}-${agents}`, body(agents))), 1),
    });
    const contenders = [inPool(FEW), inPool(MANY)] as const;
    const rounds = await compare(contenders, { ...options, seconds: options.seconds / 2 });
    for (const c of callers) {
      const [a, b] = contenders.map(({ name }) => figuresOf(rounds, name, c));
      if (a == null || b == null) throw new Error('a size was not run');
      const ratio = b.p50 / a.p50;
      rows.push([
        what,
        String(c),
        ...[a.perSecond, b.perSecond, a.p50, b.p50, ratio].map(round),
        ratio <= 1.5 ? 'holds' : 'does not hold',
      ]);
    }
  }
  return {
    title: `Pool size, ${OURS_HTTP}, state on ${where}`,
    columns: [
      'asked',
      'callers',
      '100 agents: pairs/s',
      '10,000: pairs/s',
      '100: p50 ms',
      '10,000: p50 ms',
      'p50 ratio (≤ 1.5)',
      '',
    ],
    rows,
    note: 'With own labels each agent has a label `host` that no other has: as many kinds of agents as agents.',
  };
}
