import { buildBooster } from '../../scripts/build-booster.ts';
import { bundleWorkers } from '../../scripts/local/bundle.ts';
import { loadMiniflare } from '../../scripts/local/miniflare.ts';
import type { Table } from '../lib/report.ts';
import { percentile, round } from '../lib/stats.ts';
import { agentBoosterInWorker } from './agent-booster-plugin.ts';
import { SIZES } from './sources.ts';
import type { BenchReply, BenchRequest } from './worker.ts';

const CONTENDERS = [
  'parse',
  'outline',
  'query',
  'apply snippet',
  'apply lazy',
  'apply search/replace',
  'acorn parse',
  'agent-booster apply',
] as const;
type Contender = (typeof CONTENDERS)[number];

interface Figure {
  readonly p50: number;
  readonly p99: number;
  readonly right: boolean | null;
}
type Figures = ReadonlyMap<string, Figure>;
const key = (contender: Contender, bytes: number): string => `${contender} ${bytes}`;

/** Our engine, its parse floor and its peer, in one runtime. Rounds go through all contenders, so that a busy moment hits them alike. */
export async function engines({
  rounds,
  samples,
}: {
  readonly rounds: number;
  readonly samples: number;
}): Promise<readonly Table[]> {
  buildBooster();
  const [modules] = await bundleWorkers(['bench/booster/worker.ts'], [agentBoosterInWorker]);
  const { convertV4MiniflareOptions, Miniflare, Log, LogLevel } = await loadMiniflare();
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      workers: [{ name: 'bench', modules: [...(modules ?? [])], compatibilityDate: '2026-10-15' }],
      host: '127.0.0.1',
      port: 0,
      cf: false,
      log: new Log(LogLevel.NONE),
    }),
  );
  try {
    const url = await runtime.ready;
    const all = new Map<string, { readonly ms: number[]; right: boolean | null }>();
    for (let round = 0; round < rounds; round += 1) {
      for (const bytes of SIZES) {
        for (const contender of CONTENDERS) {
          const ask: BenchRequest = { contender, bytes, samples, sampleMs: bytes >= 100_000 ? 20 : 5 };
          const response = await fetch(url, { method: 'POST', body: JSON.stringify(ask) });
          if (!response.ok) throw new Error(`${contender} at ${bytes}: ${(await response.text()).slice(0, 500)}`);
          const reply = (await response.json()) as BenchReply;
          const of = all.get(key(contender, bytes)) ?? { ms: [], right: null };
          of.ms.push(...reply.msPerOp);
          of.right = reply.right;
          all.set(key(contender, bytes), of);
        }
      }
    }
    const figures: Figures = new Map(
      [...all].map(([name, { ms, right }]) => [name, { p50: percentile(ms, 50), p99: percentile(ms, 99), right }]),
    );
    return [speeds(figures), asked(figures)];
  } finally {
    await runtime.dispose();
  }
}

function speeds(figures: Figures): Table {
  const rows = CONTENDERS.flatMap((contender) =>
    SIZES.map((bytes) => {
      const { p50, p99, right } = of(figures, contender, bytes);
      const result = right === null ? '' : right ? 'right' : 'wrong or refused';
      return [
        contender,
        `${bytes / 1_000}`,
        round(1_000 / p50),
        round(p50),
        round(p99),
        round(p50 / of(figures, 'parse', bytes).p50),
        result,
      ];
    }),
  );
  return {
    title: 'Engines in workerd, JavaScript',
    columns: ['operation', 'KB', 'ops/s', 'p50 ms', 'p99 ms', 'to our parse', 'result'],
    rows,
    note: 'One warm instance each, one thread. A figure is the mean of what fits into 5 ms (20 ms at 100 KB), as the clock has steps of a millisecond; p50 and p99 are over these. Apply replaces the body of the last function and includes all proofs. acorn is the floor: it parses JavaScript and does nothing else. agent-booster is npm’s 0.2.2 in the same runtime with the same snippet; its result is compared like ours, blank lines at the end aside.',
  };
}

function asked(figures: Figures): Table {
  const rows: string[][] = [];
  const row = (figure: string, value: number, bound: string, good: boolean): void =>
    void rows.push([figure, round(value), bound, good ? 'holds' : 'does not hold']);
  for (const operation of ['parse', 'outline', 'query'] as const) {
    const perSecond = 1_000 / of(figures, operation, 1_000).p50;
    row(`${operation} at 1 KB, ops/s`, perSecond, '≥ 1,000', perSecond >= 1_000);
  }
  for (const bytes of [1_000, 10_000]) {
    for (const style of ['apply snippet', 'apply lazy', 'apply search/replace'] as const) {
      const ratio = of(figures, style, bytes).p50 / of(figures, 'parse', bytes).p50;
      row(`${style} to parsing the original at ${bytes / 1_000} KB`, ratio, '≤ 6, aim 3', ratio <= 6);
    }
  }
  return { title: 'What is asked of the engine', columns: ['figure', 'measured', 'asked', ''], rows };
}

function of(figures: Figures, contender: Contender, bytes: number): Figure {
  const figure = figures.get(key(contender, bytes));
  if (figure === undefined) throw new Error(`${contender} at ${bytes} was not run`);
  return figure;
}
