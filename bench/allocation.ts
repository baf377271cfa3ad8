import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { fsyncSamplesMs } from './allocation/disk.ts';
import { startBenchFleet } from './allocation/fleet.ts';
import { gateRows, gatesOf } from './allocation/gates.ts';
import { compare, figuresOf, type Contender, type Rounds } from './allocation/measure.ts';
import { sizesTable, SIZES } from './allocation/sizes.ts';
import { FLOOR, FLOOR_POST, ours, PING } from './allocation/ours.ts';
import { POOL } from './allocation/agents.ts';
import { BULLMQ, FASTIFY, startPeers, type Peer } from './allocation/theirs.ts';
import { paced } from './lib/load.ts';
import { settled } from './lib/cpu.ts';
import { report, show, type Table } from './lib/report.ts';
import { median, percentile, round } from './lib/stats.ts';

const PACED_PER_SECOND = 200;
const PACED_SECONDS = 16;
const PACED_CONNECTIONS = 16;

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly onlySizes: boolean;
  readonly say: (text: string) => void;
}

/**
 * Allocation and release, ours beside the peers, with state on disk and on a memory disk.
 * `--rounds 3 --seconds 1.5`: how often and how long each is measured. `--on disk`: one medium only. `--only-sizes`: only
 * the pools of different sizes, without a record. `--verbose`: each round.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '1.5' },
      on: { type: 'string' },
      'only-sizes': { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
    },
  });
  const options: Options = {
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    onlySizes: values['only-sizes'],
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
  if (options.onlySizes) return show(tables);
  report('allocation', ['npm run bench -- allocation', ...args].join(' '), tables);
}

async function measure(where: string, parent: string, options: Options): Promise<readonly Table[]> {
  const { fleet, stop } = await startBenchFleet(parent, { ...(options.onlySizes ? {} : { [POOL]: 1_000 }), ...SIZES });
  const peers: Peer[] = [];
  const mine = ours(fleet);
  try {
    if (options.onlySizes) return [await sizesTable(where, mine, options)];
    // Before the peers, whose background work would be in it, and before anything has been driven to its limit.
    const pacedMs = await pacedSamples(() => mine.pair(PACED_CONNECTIONS, POOL));
    const pacedFloorMs = await pacedSamples(() => mine.floor(PACED_CONNECTIONS));
    peers.push(...(await startPeers(parent)));
    const contenders = [...mine.contenders, ...peers.flatMap((peer) => peer.contender ?? [])];
    const rounds = await compare(contenders, options);
    await settled();
    const pacedAfterMs = await pacedSamples(() => mine.pair(PACED_CONNECTIONS, POOL));
    const fsyncMs = fsyncSamplesMs(parent);
    const gates = gatesOf(rounds, { pacedP99: percentile(pacedMs, 99), fsyncP50: median(fsyncMs) }, where);
    return [
      figuresTable(where, rounds, contenders, peers),
      {
        title: `What is asked, state on ${where}`,
        columns: ['figure', 'measured', 'asked', ''],
        rows: gateRows(gates),
        note: `Paced at ${PACED_PER_SECOND} pairs/s: allocate p50 ${round(median(pacedMs))} ms, p99 ${round(percentile(pacedMs, 99))} ms (the floor: ${round(median(pacedFloorMs))} and ${round(percentile(pacedFloorMs, 99))} ms; the allocate after all of the above: ${round(median(pacedAfterMs))} and ${round(percentile(pacedAfterMs, 99))} ms). One append with fsync: p50 ${round(median(fsyncMs))} ms, p99 ${round(percentile(fsyncMs, 99))} ms.`,
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

async function pacedSamples(op: () => Promise<number>): Promise<readonly number[]> {
  const samples: number[] = [];
  const from = performance.now();
  await paced(PACED_PER_SECOND, PACED_SECONDS, async () => {
    const ms = await op();
    if (performance.now() - from > 1_000) samples.push(ms);
  });
  return samples;
}
