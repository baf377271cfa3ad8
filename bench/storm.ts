import { parseArgs } from 'node:util';
import { LEASE_MS, nextCapability, REGION } from './allocation/agents.ts';
import { startBenchFleet } from './allocation/fleet.ts';
import { Connections } from './allocation/http.ts';
import { paced } from './lib/load.ts';
import { report } from './lib/report.ts';
import { percentile, round } from './lib/stats.ts';
import { connectLinks } from './storm/links.ts';

const POOL = 'coder';
const PER_SECOND = 200;
/** Serverless agents, which are what is allocated: they stay while the others are gone. */
const GRANTED = 1_000;
const TIMES_MAX = 2;
/** The first half second of a measurement is not counted; the storm comes after it. */
const WARM_MS = 600;

/**
 * All agents of a pool lose their sockets at one moment and come back as the SDK does it, while others allocate in the same
 * pool. `--agents 1000 --seconds 14`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { agents: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '14' } },
  });
  const [count, seconds] = [Number(values.agents), Number(values.seconds)];
  const { fleet, stop } = await startBenchFleet('/dev/shm', { [POOL]: GRANTED });
  const connections = new Connections(fleet.url, fleet.adminToken, 64);
  try {
    const links = await connectLinks(fleet, POOL, count);
    const measure = (): Promise<readonly number[]> => paced(PER_SECOND, seconds, () => allocateAndRelease(connections));
    const before = await measure();
    const measured = measure();
    await new Promise((resolve) => setTimeout(resolve, WARM_MS));
    const storm = links.drop();
    const during = await measured;
    const { lastMs, slowestMs } = await storm;
    const after = await measure();
    await links.close();
    const times = (p: number): number => percentile(during, p) / percentile(before, p);
    const rows = [
      row('before', before),
      row('during', during),
      row('after', after),
      [
        'during / before',
        `${round(times(50))}×`,
        `${round(times(99))}×`,
        `≤ ${TIMES_MAX}×`,
        verdict(times(50)),
        verdict(times(99)),
      ],
    ];
    report('storm', ['npm run bench -- storm', ...args].join(' '), [
      {
        title: `${count.toLocaleString('en')} agents of one process lose their sockets at once; ${PER_SECOND} allocate+release pairs a second in their pool`,
        columns: ['', 'p50 ms', 'p99 ms', 'asked', 'p50', 'p99'],
        rows,
        note: `“During” begins with the loss and lasts ${seconds - WARM_MS / 1_000} s. The last agent was back after ${round(lastMs)} ms; from a socket’s opening to its welcome it took at most ${round(slowestMs)} ms.`,
      },
    ]);
  } finally {
    connections.close();
    await stop();
  }
}

const verdict = (times: number): string => (times <= TIMES_MAX ? 'holds' : 'does not hold');
const row = (what: string, samples: readonly number[]): readonly string[] => [
  what,
  round(percentile(samples, 50)),
  round(percentile(samples, 99)),
  '',
  '',
  '',
];

async function allocateAndRelease(connections: Connections): Promise<void> {
  const wanted = { pool: POOL, region: REGION, capabilities: [nextCapability()], leaseMs: LEASE_MS };
  const { body } = await connections.expect(201, 'POST', '/v1/allocations', wanted);
  const { id, fencingToken } = JSON.parse(body) as { readonly id: string; readonly fencingToken: number };
  await connections.expect(200, 'POST', `/v1/allocations/${id}/release`, { fencingToken });
}
