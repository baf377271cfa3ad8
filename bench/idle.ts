import { parseArgs } from 'node:util';
import { startBenchFleet } from './allocation/fleet.ts';
import { Connections } from './allocation/http.ts';
import { filesOf, wakesOf } from './idle/databases.ts';
import { cpuUsOf } from './lib/cpu.ts';
import { report } from './lib/report.ts';
import { percentile, round } from './lib/stats.ts';
import { connectAgents, type SocketAgent } from './tasks/socket-agents.ts';

const POOL = 'coder';
/** The runtime puts an object to sleep after ten seconds without an event. */
const ASLEEP_MS = 20_000;
const CLOSED = 20;
const NOTICED_WITHIN_MS = 1_000;

/**
 * A fleet with nothing to do: whether its agents' pings wake the object, and how soon a closed socket shows.
 * `--agents 1000 --seconds 60`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { agents: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '60' } },
  });
  const [count, seconds] = [Number(values.agents), Number(values.seconds)];
  const { fleet, stop } = await startBenchFleet('/dev/shm', { [POOL]: 0 });
  const connections = new Connections(fleet.url, fleet.adminToken, 1);
  const { storage } = fleet.state;
  try {
    const { agents, close } = await connectAgents(fleet, POOL, count);
    const slept = await watch(agents, seconds, { storage, cpuUs: () => cpuUsOf([fleet.workerdPid]) });
    // Any request to the pool wakes its object. That this one is counted shows that the object slept until now.
    await statusOf(connections, agents[0] as SocketAgent);
    const woken = wakesOf(storage, count) - slept.wakesAtEnd;
    const noticedMs = await closeSome(connections, agents);
    await close();

    const pongsMin = count * Math.max(0, Math.floor(seconds / 5) - 1);
    const slowest = Math.max(...noticedMs);
    report('idle', ['npm run bench -- idle', ...args].join(' '), [
      {
        title: `${count.toLocaleString('en')} connected agents with nothing to do, a ping each every 5 s, for ${seconds} s`,
        columns: ['figure', 'measured', 'asked', ''],
        rows: [
          row('pings answered', slept.pongs, `≥ ${pongsMin}`, slept.pongs >= pongsMin),
          row('object wake-ups', slept.wakes, '0', slept.wakes === 0),
          row('files of any object written', slept.written, '0', slept.written === 0),
          row('wake-ups by one request afterwards', woken, '1', woken === 1),
          ['processor time of the runtime', `${round(slept.cpuPercent)} %`, '', ''],
          ['socket gone → agent unhealthy, median', `${round(percentile(noticedMs, 50))} ms`, '', ''],
          row(`the slowest of ${CLOSED}`, `${round(slowest)} ms`, `< ${NOTICED_WITHIN_MS} ms`, slowest < NOTICED_WITHIN_MS),
        ],
        note: 'The object counts its wake-ups itself; the count is read from a copy of its database. Sockets are ended without a closing handshake, and the status is asked for until it shows.',
      },
    ]);
  } finally {
    connections.close();
    await stop();
  }
}

const row = (what: string, measured: number | string, asked: string, holds: boolean): readonly string[] => [
  what,
  String(measured),
  asked,
  holds ? 'holds' : 'does not hold',
];

interface Slept {
  readonly wakes: number;
  readonly wakesAtEnd: number;
  readonly pongs: number;
  readonly written: number;
  readonly cpuPercent: number;
}

/** Lets the object fall asleep, and then looks on for `seconds` from outside. */
async function watch(
  agents: readonly SocketAgent[],
  seconds: number,
  from: { readonly storage: string; readonly cpuUs: () => number },
): Promise<Slept> {
  const look = () => ({
    wakes: wakesOf(from.storage, agents.length),
    files: filesOf(from.storage),
    pongs: agents.reduce((sum, agent) => sum + agent.pongs, 0),
    cpuUs: from.cpuUs(),
  });
  await pause(ASLEEP_MS);
  const before = look();
  await pause(seconds * 1_000);
  const after = look();
  return {
    wakes: after.wakes - before.wakes,
    wakesAtEnd: after.wakes,
    pongs: after.pongs - before.pongs,
    written: [...after.files].filter(([file, atMs]) => before.files.get(file) !== atMs).length,
    cpuPercent: (after.cpuUs - before.cpuUs) / (seconds * 10_000),
  };
}

/** From the end of a socket to the first answer that shows it. */
async function closeSome(connections: Connections, agents: readonly SocketAgent[]): Promise<readonly number[]> {
  const samples: number[] = [];
  for (const agent of agents.slice(0, CLOSED)) {
    const from = performance.now();
    agent.terminate();
    while ((await statusOf(connections, agent)) !== 'unhealthy') {
      if (performance.now() - from > 10 * NOTICED_WITHIN_MS) throw new Error(`${agent.id} was never seen as unhealthy`);
      await pause(1);
    }
    samples.push(performance.now() - from);
  }
  return samples;
}

async function statusOf(connections: Connections, agent: SocketAgent): Promise<string> {
  const { body } = await connections.expect(200, 'GET', `/v1/agents/${agent.id}`);
  return (JSON.parse(body) as { readonly status: string }).status;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
