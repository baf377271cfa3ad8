import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ulid } from 'ulid';
import type { FleetManager } from '../../client/src/fleet-manager.ts';
import { Crew } from './agents.ts';
import { bundleAgent } from './bundle.ts';
import { Cleanup } from './cleanup.ts';
import { type FoundFiles, findFiles } from './files.ts';
import { findingsOf } from './findings.ts';
import { makeRoom, mintAgentsToken, openFleet } from './fleet.ts';
import type { DemoOptions } from './options.ts';
import { type Plan, chooseRegions, planAgents, planErrands } from './plan.ts';
import { type Summary, sharesOf } from './summary.ts';
import { type Terminal, bytes, plural, seconds } from './terminal.ts';
import { verify } from './verify.ts';
import { recoveryOf } from './victim.ts';
import { PAUSE_MS, Workload } from './work.ts';

/** A mistake of the caller's, told without a stack. */
export class DemoError extends Error {}

interface Context {
  readonly options: DemoOptions;
  readonly ui: Terminal;
  readonly signal: AbortSignal;
  readonly cleanup: Cleanup;
}

/** The whole demo. What it started and changed is undone when it resolves or rejects. */
export async function runDemo(options: DemoOptions, ui: Terminal, signal: AbortSignal): Promise<Summary> {
  const cleanup = new Cleanup();
  const startedAtMs = Date.now();
  try {
    const found = readFiles(options, ui);
    const summary = await drive({ options, ui, signal, cleanup }, found);
    await cleanup.run(ui);
    return { ...summary, timings: { ...summary.timings, totalMs: Date.now() - startedAtMs } };
  } catch (error) {
    ui.endProgress();
    await cleanup.run(ui);
    throw error;
  }
}

function readFiles({ directory, maxFiles }: DemoOptions, ui: Terminal): FoundFiles {
  const found = findFiles(directory, maxFiles);
  if (found.files.length === 0) throw new DemoError(`There are no source files in ${directory}`);
  const skipped = Object.entries(found.skipped).filter(([, count]) => count > 0);
  ui.fact('directory', directory);
  ui.fact('files', `${found.files.length} source files, ${bytes(bytesOf(found))}`);
  if (skipped.length > 0) ui.fact('skipped', skipped.map(([reason, count]) => `${count} ${reason}`).join(', '));
  return found;
}

async function drive(context: Context, found: FoundFiles): Promise<Summary> {
  const { options, ui, signal, cleanup } = context;
  const runId = ulid().toLowerCase();
  const directory = mkdtempSync(path.join(tmpdir(), 'fleet-demo-'));
  cleanup.add('remove its directory', () => {
    if (!options.isKept) rmSync(directory, { recursive: true, force: true });
  });
  const fleet = await openFleet({ isFresh: options.isFresh, directory });
  cleanup.add('stop the fleet', () => fleet.stop());
  signal.throwIfAborted();
  const { manager } = fleet;
  ui.fact('fleet', `${fleet.endpoint} (${fleet.origin})`);

  const regions = chooseRegions(Object.keys((await manager.getFleetStatus()).regions));
  ui.fact('regions', `${regions.join(', ')}${regions.length < 3 ? ' (this fleet has no more)' : ''}`);
  const plan = planAgents(options.agents, regions);
  const room = await makeRoom(manager, plan.lanes);
  cleanup.add('restore the pools', () => room.restore());
  const minted = await mintAgentsToken(manager);
  const token = minted?.token ?? fleet.token;
  if (token === undefined) throw new DemoError('There is no token for the agents: set FLEET_TOKEN');
  if (minted !== null) cleanup.add('revoke the token of the agents', () => manager.revokeToken(minted.id));

  const agentsAtMs = Date.now();
  const program = await bundleAgent();
  const crew = await startCrew(context, plan, manager, { runId, endpoint: fleet.endpoint, token, directory, program });
  const agentsReadyMs = Date.now() - agentsAtMs;
  const commands = plan.agents.filter(({ isCommand }) => isCommand).length;
  ui.fact(
    'agents',
    `${plan.agents.length} processes, ready in ${seconds(agentsReadyMs)}: ${plan.agents.length - commands} on the SDK, ${plural(commands, 'wrapped command')}`,
  );

  const tasksAtMs = Date.now();
  const workload = new Workload({ runId, manager, crew, plan, ui, signal }, planErrands(found.files, plan));
  cleanup.add('cancel the tasks that had not ended', () => workload.cancelRest());
  const kill = await workload.perform();
  const tasksMs = Date.now() - tasksAtMs;
  const records = await workload.records();
  const tasks = [...records.values()];
  const recovery = recoveryOf(kill, records.get(kill.taskId), crew);
  const { problems, ...verdict } = verify(workload.sent, records, [...crew.ledgers().values()]);
  const recoveryProblems = recovery === null ? [`${kill.taskId}: no other agent took it over from the killed one`] : [];
  const killedPath = workload.sent.find(({ taskId }) => taskId === kill.taskId)?.path ?? '';
  const { member, taskId, agentId } = kill;
  return {
    ok: problems.length === 0 && recovery !== null,
    directory: options.directory,
    fleet: { endpoint: fleet.endpoint, origin: fleet.origin },
    files: { analysed: found.files.length, bytes: bytesOf(found), skipped: found.skipped },
    agents: { processes: plan.agents.length, commands, poolsRaised: room.raised },
    tasks: verdict,
    byRegion: sharesOf(tasks, plan, 'region'),
    byPool: sharesOf(tasks, plan, 'pool'),
    killed: {
      pid: member.pid,
      signal: 'SIGKILL',
      agentId,
      pool: member.plan.lane.work.pool,
      region: member.plan.lane.region,
      taskId,
      path: killedPath,
    },
    recovered: recovery === null ? null : { taskId, path: killedPath, ...recovery },
    simulated: { taskId, pauseMs: PAUSE_MS },
    findings: findingsOf(tasks),
    problems: [...problems, ...recoveryProblems],
    timings: { agentsReadyMs, tasksMs, totalMs: 0 },
    kept: options.isKept ? directory : null,
  };
}

async function startCrew(
  { ui, signal, cleanup }: Context,
  plan: Plan,
  manager: FleetManager,
  options: ConstructorParameters<typeof Crew>[1],
): Promise<Crew> {
  const crew = new Crew(plan.agents, options);
  cleanup.add('stop the agents', async () => {
    await crew.stop();
    await crew.removeTraces(manager);
  });
  await crew.ready(manager, { signal, onLook: (ready) => ui.progress('agents', ready, plan.agents.length, 'ready') });
  ui.endProgress();
  return crew;
}

const bytesOf = ({ files }: FoundFiles): number => files.reduce((sum, file) => sum + file.bytes, 0);
