import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { REGION } from './allocation/agents.ts';
import { startBenchFleet } from './allocation/fleet.ts';
import { Connections } from './allocation/http.ts';
import { paced } from './lib/load.ts';
import { report, type Table } from './lib/report.ts';
import { percentile, round } from './lib/stats.ts';
import { type Assign, connectAgents, type SocketAgent } from './tasks/socket-agents.ts';

const POOL = 'coder';
const PER_SECOND = 200;
/** Of the same submissions before the ones that count: code of the runtime is compiled as it is used. */
const WARM_SECONDS = 5;
const BATCH = 250;
/** A task of the drain takes this long, evenly spread: 1,500 agents then end 500 a second. */
const WORK_MS = [1_500, 4_500] as const;

interface Size {
  readonly agents: number;
  readonly queued: number;
  readonly seconds: number;
}

/**
 * From submission to an agent that is connected and idle, and from one task to the next while many wait, with all agents
 * held by this one process. `--agents 1500 --queued 10000 --seconds 10`: smaller for a quick look. `--on tmpfs`: one medium.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: 'string', default: '1500' },
      queued: { type: 'string', default: '10000' },
      seconds: { type: 'string', default: '10' },
      on: { type: 'string' },
    },
  });
  const size: Size = { agents: Number(values.agents), queued: Number(values.queued), seconds: Number(values.seconds) };
  const rows: (readonly string[])[] = [];
  for (const [where, parent] of [
    ['disk', tmpdir()],
    ['tmpfs', '/dev/shm'],
  ] as const) {
    if (values.on === undefined || values.on === where) rows.push(...(await measure(where, parent, size)));
  }
  const table: Table = {
    title: `Tasks to ${size.agents.toLocaleString('en')} connected agents of one process`,
    columns: ['state on', 'figure', 'p50 ms', 'p99 ms', 'asked: p99 ms', ''],
    rows,
    note: `Submit → assigned: ${PER_SECOND} submissions a second, each agent completes at once; ${WARM_SECONDS} s of them go before. Free → next: while ${size.queued.toLocaleString('en')} tasks wait, from an agent's \`complete\` to its next assignment; a task takes ${WORK_MS.join(' to ')} ms.`,
  };
  report('tasks', ['npm run bench -- tasks', ...args].join(' '), [table]);
}

async function measure(where: string, parent: string, size: Size): Promise<readonly (readonly string[])[]> {
  const { fleet, stop } = await startBenchFleet(parent, { [POOL]: 0 });
  const connections = new Connections(fleet.url, fleet.adminToken, 16);
  try {
    const { agents, openedInMs, close } = await connectAgents(fleet, POOL, size.agents);
    const floor = await paced(PER_SECOND, 5, async () => {
      await connections.expect(404, 'GET', `/v1/allocations/alc.${REGION}.${POOL}.0.01ARZ3NDEKTSV4RRFFQ69G5FAV`);
    });
    await submitToIdle(connections, agents, WARM_SECONDS);
    const assigned = await submitToIdle(connections, agents, size.seconds);
    const drained = await drain(connections, agents, size);
    await close();
    return [
      row(where, `${size.agents} sockets opened in ${round(openedInMs)} ms; no-op request at ${PER_SECOND}/s`, floor, null),
      row(where, `submit → assigned at ${PER_SECOND}/s`, assigned, 25),
      row(where, `free → next, ${size.queued} queued, drained in ${round(drained.ms / 1_000)} s`, drained.samples, 100),
    ];
  } finally {
    connections.close();
    await stop();
  }
}

function row(where: string, what: string, samples: readonly number[], p99: number | null): readonly string[] {
  const measured = percentile(samples, 99);
  const verdict = p99 === null ? '' : measured < p99 ? 'holds' : 'does not hold';
  return [where, what, round(percentile(samples, 50)), round(measured), p99 === null ? '' : `< ${p99}`, verdict];
}

const task = (n: number) => ({ pool: POOL, region: REGION, payload: { n } });
const numberOf = (assign: Assign): number => (assign.payload as { readonly n: number }).n;

async function submitToIdle(
  connections: Connections,
  agents: readonly SocketAgent[],
  seconds: number,
): Promise<readonly number[]> {
  const arrived = new Map<number, () => void>();
  for (const agent of agents) {
    agent.onAssign = (assign) => {
      arrived.get(numberOf(assign))?.();
      agent.complete(assign);
    };
  }
  let next = 0;
  // The time that `paced` measures ends when the assignment is here, whichever of it and the answer comes first.
  return paced(PER_SECOND, seconds, async () => {
    const n = (next += 1);
    const assignment = new Promise<void>((resolve) => arrived.set(n, resolve));
    const submitted = connections.expect(202, 'POST', '/v1/tasks', task(n));
    await Promise.race([assignment, submitted.then(() => assignment)]);
    arrived.delete(n);
  });
}

/** Every agent gets a task to hold, the queue fills, and then they work until it is empty. */
async function drain(
  connections: Connections,
  agents: readonly SocketAgent[],
  size: Size,
): Promise<{ readonly samples: readonly number[]; readonly ms: number }> {
  const holding: { readonly agent: SocketAgent; readonly assign: Assign }[] = [];
  for (const agent of agents) agent.onAssign = (assign) => void holding.push({ agent, assign });
  await submit(connections, agents.length);
  await until('every agent to hold a task', () => holding.length === agents.length);
  await submit(connections, size.queued);

  const samples: number[] = [];
  let left = size.queued;
  const work = (agent: SocketAgent, assign: Assign, ms: number): void => {
    setTimeout(() => {
      const from = performance.now();
      agent.onAssign = (next) => {
        samples.push(performance.now() - from);
        left -= 1;
        work(agent, next, workMs());
      };
      agent.complete(assign);
    }, ms);
  };
  const from = performance.now();
  for (const { agent, assign } of holding) work(agent, assign, Math.random() * WORK_MS[1]);
  await until('the queue to be empty', () => left === 0, 120_000);
  const ms = performance.now() - from;
  await new Promise((resolve) => setTimeout(resolve, WORK_MS[1] + 500));
  return { samples, ms };
}

const workMs = (): number => WORK_MS[0] + Math.random() * (WORK_MS[1] - WORK_MS[0]);

async function submit(connections: Connections, count: number): Promise<void> {
  for (let sent = 0; sent < count; sent += BATCH) {
    const tasks = Array.from({ length: Math.min(BATCH, count - sent) }, (_, i) => task(sent + i));
    const { body } = await connections.expect(200, 'POST', '/v1/tasks/batch', { tasks });
    const { results } = JSON.parse(body) as { readonly results: readonly { readonly status: number }[] };
    const refused = results.find(({ status }) => status !== 202);
    if (refused !== undefined) throw new Error(`a submission failed: ${JSON.stringify(refused).slice(0, 300)}`);
  }
}

async function until(what: string, holds: () => boolean, withinMs = 30_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
