import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NotFoundError } from '../../client/src/errors.ts';
import type { FleetManager } from '../../client/src/fleet-manager.ts';
import type { Agent } from '../../client/src/types.ts';
import { ROOT } from '../checks.ts';
import type { Lane, PlannedAgent } from './plan.ts';
import { type Ledger, readLedger } from './ledger.ts';

const LEASH = path.join(ROOT, 'scripts/demo/leash.ts');
const CLI = path.join(ROOT, 'client/bin/fleet.mjs');
/** Loading modules is most of a start, and a wrapped command starts anew for each task: this halves it. */
const COMPILE_CACHE = path.join(ROOT, 'node_modules/.cache/demo');
const analyserFile = ({ work }: Lane): string => path.join(ROOT, 'examples/analysers', work.analyser);

const READY_WITHIN_MS = 60_000;
const LOOK_MS = 100;
const STOP_WITHIN_MS = 8_000;
const LOG_TAIL_CHARS = 2_000;

export interface CrewOptions {
  readonly runId: string;
  readonly endpoint: string;
  readonly token: string;
  /** The program of the agents that are no wrapped commands. */
  readonly program: string;
  /** Where each agent's ledger and log go. */
  readonly directory: string;
}

/** One agent process. */
export interface Member {
  readonly plan: PlannedAgent;
  readonly child: ChildProcess;
  readonly pid: number;
  readonly ledgerFile: string;
  readonly logFile: string;
}

/** The agent processes of one run. */
export class Crew {
  readonly #members: Member[] = [];
  readonly #options: CrewOptions;
  readonly #byAgentId = new Map<string, Member>();
  readonly #killed = new Set<Member>();
  #isStopping = false;

  constructor(plan: readonly PlannedAgent[], options: CrewOptions) {
    this.#options = options;
    // Whatever ends this process, nothing it started stays.
    process.once('exit', () => this.#kill());
    for (const agent of plan) this.#members.push(this.#spawn(agent));
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** What agents of this run can do and others cannot, so that tasks of the run go to them alone. */
  static capabilityOf(runId: string): string {
    return `demo:${runId}`;
  }

  /** Resolves once the fleet itself says that every agent is there and free. */
  async ready(
    fleet: FleetManager,
    options: { readonly signal: AbortSignal; readonly onLook: (ready: number) => void },
  ): Promise<void> {
    const deadlineAtMs = Date.now() + READY_WITHIN_MS;
    for (;;) {
      this.check();
      const agents = await this.#listed(fleet, options.signal);
      this.#learnIds();
      const ready = agents.filter(({ id, status }) => status === 'idle' && this.#byAgentId.has(id)).length;
      options.onLook(ready);
      if (ready === this.#members.length) return;
      if (Date.now() > deadlineAtMs) throw new Error(`Only ${ready} of ${this.#members.length} agents were ready in time`);
      await sleep(LOOK_MS, undefined, { signal: options.signal });
    }
  }

  /** Takes those out of the fleet that could not say goodbye. */
  async removeTraces(fleet: FleetManager): Promise<void> {
    for (const { id } of await this.#listed(fleet)) {
      await fleet.unregisterAgent(id, { force: true }).catch((error: unknown) => {
        if (!(error instanceof NotFoundError)) throw error;
      });
    }
  }

  /** Throws when an agent ended that was not told to. */
  check(): void {
    for (const member of this.members) {
      const { exitCode, signalCode } = member.child;
      if (this.#isStopping || this.#killed.has(member) || (exitCode === null && signalCode === null)) continue;
      const said = readFileSync(member.logFile, 'utf8').slice(-LOG_TAIL_CHARS).trim();
      throw new Error(
        `The agent in process ${member.pid} ended by itself (${exitCode ?? signalCode}): ${said || 'it said nothing'}`,
      );
    }
  }

  memberOf(agentId: string): Member | null {
    return this.#byAgentId.get(agentId) ?? null;
  }

  /** Ends one agent as a crash would. Resolves when the process is gone. */
  async kill(member: Member): Promise<void> {
    this.#killed.add(member);
    const gone = endOf(member.child);
    process.kill(member.pid, 'SIGKILL');
    await gone;
  }

  /** Asks all to finish and leave; those that do not are ended. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const alive = this.members.filter(({ child }) => isRunning(child));
    for (const { child } of alive) child.kill('SIGTERM');
    const all = Promise.all(alive.map(({ child }) => endOf(child)));
    await Promise.race([all, sleep(STOP_WITHIN_MS, undefined, { ref: false })]);
    this.#kill();
    await all;
  }

  ledgers(): ReadonlyMap<Member, Ledger> {
    return new Map(this.members.map((member) => [member, readLedger(member.ledgerFile)]));
  }

  /** The agents of this run, as the fleet has them. */
  async #listed(fleet: FleetManager, signal?: AbortSignal): Promise<Agent[]> {
    const lanes = [...new Set(this.#members.map((member) => member.plan.lane))];
    const capability = Crew.capabilityOf(this.#options.runId);
    const lists = lanes.map(({ region, work }) => fleet.listAgents({ pool: work.pool, region, capability }, { signal }));
    return (await Promise.all(lists)).flat();
  }

  #kill(): void {
    for (const { child } of this.#members) if (isRunning(child)) child.kill('SIGKILL');
  }

  #learnIds(): void {
    const known = new Set(this.#byAgentId.values());
    for (const member of this.members) {
      if (known.has(member)) continue;
      const { agentId } = readLedger(member.ledgerFile);
      if (agentId !== null) this.#byAgentId.set(agentId, member);
    }
  }

  #spawn(plan: PlannedAgent): Member {
    const { directory, endpoint, token, runId, program } = this.#options;
    const { lane, index, isCommand } = plan;
    const { pool, capability } = lane.work;
    const name = `${String(index + 1).padStart(3, '0')}-${pool}-${lane.region}`;
    const ledgerFile = path.join(directory, `${name}.ledger.jsonl`);
    const logFile = path.join(directory, `${name}.log`);
    const ledger = openSync(ledgerFile, 'a');
    const log = openSync(logFile, 'a');
    const membership = ['--pool', pool, '--region', lane.region, '--label', `demo=${runId}`];
    membership.push('--capability', capability, '--capability', Crew.capabilityOf(runId));
    const args = isCommand
      ? ['--import', LEASH, CLI, '-o', 'json', 'agent', ...membership, '--', process.execPath, analyserFile(lane)]
      : [program, ...membership, '--analyser', capability, '--ledger', ledgerFile];
    try {
      const child = spawn(process.execPath, args, {
        // The wrap prints its events, so its output is its ledger.
        stdio: ['ignore', isCommand ? ledger : log, log, 'ipc'],
        env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, FLEET_ENDPOINT: endpoint, FLEET_TOKEN: token },
      });
      // Without a number it never ran; `error` then says so a moment later, and nobody needs to hear it twice.
      child.on('error', () => undefined);
      if (child.pid === undefined) throw new Error('No more processes can be started');
      return { plan, child, pid: child.pid, ledgerFile, logFile };
    } finally {
      closeSync(ledger);
      closeSync(log);
    }
  }
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

const endOf = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (!isRunning(child)) resolve();
    else child.once('exit', () => resolve());
  });
