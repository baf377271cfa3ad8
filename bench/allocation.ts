import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { fsyncSamplesMs } from './allocation/disk.ts';
import { startBenchFleet } from './allocation/fleet.ts';
import { gateRows, gatesOf } from './allocation/gates.ts';
import { compare, figuresOf, type Contender, type Rounds } from './allocation/measure.ts';
import { FLOOR, FLOOR_POST, OURS_HTTP, ours, PING, type Ours } from './allocation/ours.ts';
import { POOL } from './allocation/agents.ts';
import { BULLMQ, FASTIFY, startPeers, type Peer } from './allocation/theirs.ts';
import { paced } from './lib/load.ts';
import { report, type Table } from './lib/report.ts';
import { median, percentile, round } from './lib/stats.ts';

const PACED_PER_SECOND = 200;
const PACED_CONNECTIONS = 16;
const SMALL = 'small';
const LARGE = 'large';

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly say: (text: string) => void;
}

/**
 * Allocation and release, ours beside the peers, with state on disk and on a memory disk.
 * `--rounds 3 --seconds 1.5`: how often and how long each is measured. `--on disk`: one medium only. `--verbose`: each round.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '1.5' },
      on: { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const options: Options = {
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    say: values.verbose ? (text) => console.error(text) : () => undefined,
  };
  const media = [
    ['disk', tmpdir()],
    ['tmpfs', '/dev/shm'],
  ] as const;
  const tables: Table[] = [];
  for (const [where, parent] of media) {
    if (values.on !== undefined && values.on !== where) continue;
    tables.push(...(await measure(where, parent, options)));
  }
  report('allocation', ['npm run bench -- allocation', ...args].join(' '), tables);
}

async function measure(where: string, parent: string, options: Options): Promise<readonly Table[]> {
  const { fleet, stop } = await startBenchFleet(parent, { [POOL]: 1_000, [SMALL]: 100, [LARGE]: 10_000 });
  const peers: Peer[] = [];
  const mine = ours(fleet);
  try {
    peers.push(...(await startPeers(parent)));
    const contenders = [...mine.contenders, ...peers.flatMap((peer) => peer.contender ?? [])];
    const rounds = await compare(contenders, options);
    const pacedMs = await pacedSamples(mine);
    const fsyncMs = fsyncSamplesMs(parent);
    const gates = gatesOf(rounds, { pacedP99: percentile(pacedMs, 99), fsyncP50: median(fsyncMs) }, where);
    return [
      figuresTable(where, rounds, contenders, peers),
      {
        title: `What is asked, state on ${where}`,
        columns: ['figure', 'measured', 'asked', ''],
        rows: gateRows(gates),
        note: `Paced at ${PACED_PER_SECOND} pairs/s: allocate p50 ${round(median(pacedMs))} ms, p99 ${round(percentile(pacedMs, 99))} ms. One append with fsync: p50 ${round(median(fsyncMs))} ms, p99 ${round(percentile(fsyncMs, 99))} ms.`,
      },
      await sizesTable(where, mine, options),
    ];
  } finally {
    for (const peer of peers) await peer.stop();
    await mine.close();
    await stop();
  }
}

function figuresTable(where: string, rounds: Rounds, contenders: readonly Contender[], peers: readonly Peer[]): Table {
  const rows = contenders.flatMap(({ name, concurrency }) =>
    concurrency.map((c) => {
      const figures = figuresOf(rounds, name, c);
      const peer = figuresOf(rounds, FASTIFY, Math.min(c, 64));
      if (figures === null) throw new Error(`${name} × ${c} was not run`);
      const { perSecond, p50, p99, cpuUs } = figures;
      return [
        name,
        String(c),
        ...[
          perSecond,
          p50,
          p99,
          peer === null || [FLOOR, FLOOR_POST, PING].includes(name) ? Number.NaN : perSecond / peer.perSecond,
          cpuUs,
        ].map(round),
      ];
    }),
  );
  const absent = peers.flatMap(({ name, missing }) =>
    missing === null ? [] : [[name, '', `missing: ${missing}`, '', '', '', '']],
  );
  return {
    title: `Allocate and release, state on ${where}`,
    columns: ['contender', 'callers', 'pairs/s', 'p50 ms', 'p99 ms', 'to Fastify → Redis', 'server µs'],
    rows: [...rows, ...absent],
    note: `Median of the rounds. 1,000 agents; a pair is one allocate and one release, the times are those of the allocate call (of the whole batch where there is one). The floors count requests, ${BULLMQ.split(' ')[0] ?? ''} jobs. The ratio is to the same number of callers, at most 64. Server µs: processor time of the serving processes for one unit.`,
  };
}

async function pacedSamples(mine: Ours): Promise<readonly number[]> {
  const samples: number[] = [];
  const from = performance.now();
  await paced(PACED_PER_SECOND, 6, async () => {
    const ms = await mine.pair(PACED_CONNECTIONS, POOL);
    if (performance.now() - from > 1_000) samples.push(ms);
  });
  return samples;
}

/** A pool of 10,000 agents beside one of 100, in rounds like the rest. */
async function sizesTable(where: string, mine: Ours, options: Options): Promise<Table> {
  const inPool = (name: string, pool: string): Contender => ({
    name,
    servers: mine.servers,
    concurrency: [1, 16],
    turn: async (c, note) => (note(await mine.pair(c, pool)), 1),
  });
  const [few, many] = ['100 agents', '10,000 agents'];
  const rounds = await compare([inPool(few, SMALL), inPool(many, LARGE)], options);
  const rows = [1, 16].map((c) => {
    const [a, b] = [figuresOf(rounds, few, c), figuresOf(rounds, many, c)];
    if (a === null || b === null) throw new Error('a size was not run');
    const ratio = b.p50 / a.p50;
    return [String(c), ...[a.perSecond, b.perSecond, a.p50, b.p50, ratio].map(round), ratio <= 1.5 ? 'holds' : 'does not hold'];
  });
  return {
    title: `Pool size, ${OURS_HTTP}, state on ${where}`,
    columns: ['callers', '100 agents: pairs/s', '10,000: pairs/s', '100: p50 ms', '10,000: p50 ms', 'p50 ratio (≤ 1.5)', ''],
    rows,
  };
}
