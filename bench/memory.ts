import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { report, type Table } from './lib/report.ts';
import { median, percentile, round } from './lib/stats.ts';
import { measureRecall } from './memory/recall.ts';
import { NodePeer } from './memory/node-peer.ts';
import { Runtime } from './memory/runtime.ts';

const FILLED_AT_ONCE = 5_000;
const ENGINES = ['native', 'sealed'] as const;
const CACHE_MB = 16;
/** Operations of one call, and of the call before it that warms the engine's cache and is not counted. */
const OPERATIONS = [
  { op: 'get', label: 'get', count: 6_000, warm: 6_000, least: null },
  { op: 'list', label: 'list 20 by index', count: 400, warm: 200, least: null },
  { op: 'put', label: 'durable put', count: 400, warm: 100, least: 0.4 },
  { op: 'batch', label: 'durable batch of 100', count: 8, warm: 2, least: null },
] as const;
const GET_LEAST: Readonly<Record<number, number>> = { 10_000: 0.8, 100_000: 0.5 };
const DISK = { place: 'disk', parent: tmpdir() };
const MEMORY_DISK = { place: 'a memory disk', parent: '/dev/shm' };
const VECTORS = 50_000;
const DIMENSIONS = 384;

type Modules = Awaited<ReturnType<typeof Runtime.bundle>>;

/**
 * Agent memory's engine: sealed pages against the object's own SQLite in the same runtime, and SQLite in Node beside them.
 * `--entries 10000,100000 --rounds 5`. State lies on the disk, as durable means; the smallest is measured on a memory disk, too.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      entries: { type: 'string', default: '10000,100000' },
      rounds: { type: 'string', default: '5' },
    },
  });
  const modules = await Runtime.bundle();
  const tables: Table[] = [];
  const sizes = values.entries.split(',').map(Number);
  const runs = [...sizes.map((entries) => ({ entries, ...DISK })), { entries: sizes[0] ?? 0, ...MEMORY_DISK }];
  for (const { entries, place, parent } of runs) {
    tables.push(...(await engines(modules, { entries, rounds: Number(values.rounds), place, parent })));
  }
  tables.push(await wakes(modules, DISK.parent), await vectors(modules, DISK.parent));
  report('memory', ['npm run bench -- memory', ...args].join(' '), tables);
}

interface Setting {
  readonly entries: number;
  readonly rounds: number;
  readonly place: string;
  readonly parent: string;
}

async function engines(modules: Modules, { entries, rounds, place, parent }: Setting): Promise<readonly Table[]> {
  const folder = mkdtempSync(path.join(parent, 'bench-memory-'));
  const runtime = await Runtime.start(modules, folder, CACHE_MB);
  const peer = NodePeer.open(parent);
  try {
    const before = runtime.residentMb();
    for (const object of ENGINES) await fill(runtime, object, entries);
    console.log(`${entries} entries on ${place}: filled`);
    peer.fill(entries);
    const samples = await measureOperations(runtime, peer, entries, rounds);
    const http = await measureHttp(runtime, entries);
    const { pages } = (await runtime.call('/stats', { object: 'sealed' })) as { readonly pages: number };
    const grown = runtime.residentMb() - before;
    return [
      operationsTable(samples, { entries, place, peer: peer.name }),
      {
        title: `The same through HTTP, one connection, ${entries.toLocaleString('en')} entries, state on ${place}: p50 ms`,
        columns: ['operation', ...ENGINES, 'a request that does nothing'],
        rows: http,
        note: `Resident memory of the runtime after all of it, both engines together: +${grown.toFixed(0)} MB over an empty one, at a page cache of ${CACHE_MB} MB and ${((pages * 4_096) / 2 ** 20).toFixed(0)} MB of database.`,
      },
    ];
  } finally {
    await runtime.stop();
    peer.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fill(runtime: Runtime, object: string, entries: number): Promise<void> {
  for (let from = 0; from < entries; from += FILLED_AT_ONCE) {
    await runtime.call('/fill', { object, from, to: Math.min(entries, from + FILLED_AT_ONCE) });
  }
}

/** Of one operation, µs. */
interface Cost {
  readonly cpuUs: number;
  readonly wallUs: number;
}

/** Operation → engine → cost in each round. */
type Samples = Map<string, Map<string, Cost[]>>;

async function measureOperations(runtime: Runtime, peer: NodePeer, entries: number, rounds: number): Promise<Samples> {
  const samples: Samples = new Map(OPERATIONS.map(({ op }) => [op, new Map()]));
  for (let round = 0; round < rounds; round += 1) {
    for (const { op, count, warm } of OPERATIONS) {
      // What making keys and values costs is measured beside and taken off.
      const idle = await measureOne(runtime, 'native', `no-${op}`, count, entries);
      for (const object of round % 2 === 0 ? ENGINES : ENGINES.toReversed()) {
        await runtime.call('/run', { object, op, count: warm, entries });
        const cost = await measureOne(runtime, object, op, count, entries);
        add(samples, op, object, { cpuUs: cost.cpuUs - idle.cpuUs, wallUs: cost.wallUs - idle.wallUs });
      }
      peer.measure(op, warm, entries);
      add(samples, op, 'node', peer.measure(op, count, entries));
    }
  }
  return samples;
}

async function measureOne(runtime: Runtime, object: string, op: string, count: number, entries: number): Promise<Cost> {
  const [cpuUs, ms] = [runtime.cpuUs(), performance.now()];
  await runtime.call('/run', { object, op, count, entries });
  return { cpuUs: (runtime.cpuUs() - cpuUs) / count, wallUs: ((performance.now() - ms) * 1_000) / count };
}

function add(samples: Samples, op: string, engine: string, cost: Cost): void {
  const engines = samples.get(op);
  engines?.set(engine, [...(engines.get(engine) ?? []), cost]);
}

function operationsTable(
  samples: Samples,
  { entries, place, peer }: { readonly entries: number; readonly place: string; readonly peer: string },
): Table {
  return {
    title: `${entries.toLocaleString('en')} entries of 1 KB, state on ${place}: processor time of the whole runtime process for one operation, µs`,
    columns: [
      'operation',
      'native Durable Object SQLite',
      'sealed pages',
      `${peer} (WAL, FULL) in Node`,
      'speed, sealed to native',
      'the same by the clock',
      'asked',
      '',
    ],
    rows: OPERATIONS.map(({ op, label, least }) => {
      const of = (engine: string, what: keyof Cost): number =>
        median((samples.get(op)?.get(engine) ?? []).map((cost) => cost[what]));
      const ratio = of('native', 'cpuUs') / of('sealed', 'cpuUs');
      const asked = op === 'get' ? (GET_LEAST[entries] ?? null) : least;
      return [
        label,
        ...[of('native', 'cpuUs'), of('sealed', 'cpuUs'), of('node', 'cpuUs')].map(round),
        `${ratio.toFixed(2)}×`,
        `${(of('native', 'wallUs') / of('sealed', 'wallUs')).toFixed(2)}×`,
        asked === null ? '' : `≥ ${asked}×`,
        asked === null ? '' : ratio >= asked ? 'holds' : 'does not hold',
      ];
    }),
    note: `Same table, indexes and statements; every put also moves an index entry. Durable: \`storage.sync()\` is awaited after each transaction. Page cache of the sealed engine ${CACHE_MB} MB, warmed before each round. Medians of interleaved rounds; making keys and values is taken off.`,
  };
}

async function measureHttp(runtime: Runtime, entries: number): Promise<readonly (readonly string[])[]> {
  const REQUESTS = 400;
  const p50 = async (pathname: string, parameters: Readonly<Record<string, string | number>>): Promise<string> => {
    const samples: number[] = [];
    for (let i = 0; i < REQUESTS; i += 1) {
      const from = performance.now();
      await runtime.call(pathname, parameters);
      samples.push(performance.now() - from);
    }
    return round(percentile(samples, 50));
  };
  const rows: string[][] = [];
  for (const op of ['get', 'put']) {
    const row = [op === 'get' ? 'get' : 'durable put'];
    for (const object of ENGINES) row.push(await p50('/run', { object, op, count: 1, entries }));
    rows.push([...row, await p50('/nothing', { object: 'native' })]);
  }
  return rows;
}

/** A database is filled, the runtime is killed, and the first request to a new one is timed. */
async function wakes(modules: Modules, parent: string): Promise<Table> {
  const rows: string[][] = [];
  for (const megabytes of [10, 60]) {
    const folder = mkdtempSync(path.join(parent, 'bench-memory-'));
    const entries = Math.round((megabytes * 2 ** 20) / 1_480);
    try {
      const writer = await Runtime.start(modules, folder, CACHE_MB);
      await fill(writer, 'sealed', entries);
      const { pages } = (await writer.call('/stats', { object: 'sealed' })) as { readonly pages: number };
      await writer.stop();
      const first: number[] = [];
      let [baseline, afterGets] = [0, 0];
      for (let i = 0; i < 5; i += 1) {
        const runtime = await Runtime.start(modules, folder, CACHE_MB);
        // The Worker is up, an object has run; the database and its engine have not been touched.
        await runtime.call('/run', { object: 'native-other', op: 'no-get', count: 1, entries });
        baseline = runtime.residentMb();
        const from = performance.now();
        await runtime.call('/run', { object: 'sealed', op: 'get', count: 1, entries });
        first.push(performance.now() - from);
        await runtime.call('/run', { object: 'sealed', op: 'get', count: 10_000, entries });
        afterGets = runtime.residentMb() - baseline;
        await runtime.stop();
      }
      const slowest = Math.max(...first);
      rows.push([
        `${((pages * 4_096) / 2 ** 20).toFixed(0)} MB`,
        round(median(first)),
        round(slowest),
        megabytes === 60 ? '< 150 ms' : '',
        megabytes === 60 ? (median(first) < 150 ? 'holds' : 'does not hold') : '',
        `+${afterGets.toFixed(0)} MB`,
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return {
    title: 'Wake: a new runtime process, first get of a database, ms',
    columns: ['database', 'median of 5', 'slowest', 'asked', '', 'resident after 10,000 random gets'],
    rows,
    note: `The engine is instantiated, keys are unwrapped, the pager row and a handful of pages are read. Resident growth is bounded by the page cache (${CACHE_MB} MB) and the engine, not by the database.`,
  };
}

async function vectors(modules: Modules, parent: string): Promise<Table> {
  const folder = mkdtempSync(path.join(parent, 'bench-memory-'));
  const runtime = await Runtime.start(modules, folder, CACHE_MB);
  try {
    const timed = async (count: number, pathname: string, parameters: Readonly<Record<string, number>>): Promise<number> => {
      const from = runtime.cpuUs();
      await runtime.call(pathname, { object: 'vectors', ...parameters });
      return (runtime.cpuUs() - from) / 1_000 / count;
    };
    const coldMs = await timed(1, '/fill-vectors', { count: VECTORS, dimensions: DIMENSIONS });
    await timed(1, '/search-vectors', { count: 20 });
    const searches: number[] = [];
    for (let i = 0; i < 7; i += 1) searches.push(await timed(50, '/search-vectors', { count: 50 }));
    const ms = median(searches);
    const recalls = measureRecall(VECTORS, DIMENSIONS);
    return {
      title: `Vectors: ${VECTORS.toLocaleString('en')} × ${DIMENSIONS}, the ten nearest, half of them forbidden by the mask`,
      columns: ['figure', 'measured', 'asked', ''],
      rows: [
        [
          'processor time of one search, kernel and top ten with the mask',
          `${round(ms)} ms`,
          '< 5 ms',
          ms < 5 ? 'holds' : 'does not hold',
        ],
        ['cold: packing all of them into an empty index', `${round(coldMs)} ms`, '', ''],
        ...recalls.map(({ data, recall }) => [
          `recall at 10 against exact float search, ${data}`,
          recall.toFixed(3),
          '≥ 0.95',
          recall >= 0.95 ? 'holds' : 'does not hold',
        ]),
      ],
    };
  } finally {
    await runtime.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
