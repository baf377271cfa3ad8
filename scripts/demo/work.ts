import { hasEnded } from '../../client/src/api/tasks.ts';
import { InvalidStateError } from '../../client/src/errors.ts';
import type { FleetManager } from '../../client/src/fleet-manager.ts';
import type { SubmitInput, Task } from '../../client/src/types.ts';
import { LIMITS } from '../../shared/limits.ts';
import { Crew } from './agents.ts';
import { inParallel } from './cleanup.ts';
import type { FoundFile } from './files.ts';
import { Follower } from './follow.ts';
import type { Errand, Plan } from './plan.ts';
import { type Terminal, seconds } from './terminal.ts';
import type { Submitted } from './verify.ts';
import { type Kill, killDuring } from './victim.ts';

/** Long enough to be seen and interrupted, short enough to be done again. */
export const PAUSE_MS = 3_000;
/** Requests at a time where each task has to be asked for by itself. */
const CONCURRENCY = 16;

export interface Run {
  readonly runId: string;
  readonly manager: FleetManager;
  readonly crew: Crew;
  readonly plan: Plan;
  readonly ui: Terminal;
  readonly signal: AbortSignal;
}

export interface Sent extends Submitted {
  readonly errand: Errand<FoundFile>;
}

/** The tasks of one run: submitted, followed, interrupted once, and read at the end. */
export class Workload {
  readonly sent: Sent[] = [];
  readonly #run: Run;
  readonly #errands: readonly Errand<FoundFile>[];
  readonly #follower: Follower;
  #submitting: Promise<void> = Promise.resolve();

  constructor(run: Run, errands: readonly Errand<FoundFile>[]) {
    this.#run = run;
    this.#errands = errands;
    this.#follower = new Follower(run.manager, run.plan.lanes, run.runId);
  }

  /** Resolves when every task has ended. */
  async perform(): Promise<Kill> {
    const { ui, crew } = this.#run;
    const startedAtMs = Date.now();
    const failing = new AbortController();
    const signal = AbortSignal.any([this.#run.signal, failing.signal]);
    const kill = Promise.withResolvers<Kill>();
    let isComplete = false;
    const onLook = (): void => {
      crew.check();
      const elapsed = seconds(Date.now() - startedAtMs);
      ui.progress('tasks', this.#follower.ended.size, this.#errands.length, `${elapsed}${isComplete ? '' : ', submitting'}`);
    };
    const onVictim = (taskId: string): unknown => this.#interrupt(taskId, signal).then(kill.resolve, kill.reject);
    this.#submitting = this.#submit(onVictim, signal).then(() => {
      isComplete = true;
    });
    try {
      // Followed while still being submitted: the first batch may be done before the last one is on its way.
      await Promise.all([this.#submitting, this.#follower.run({ isComplete: () => isComplete, onLook, signal }), kill.promise]);
      return await kill.promise;
    } finally {
      failing.abort();
      ui.endProgress();
    }
  }

  /** The fleet's record of every task, results included. */
  async records(): Promise<ReadonlyMap<string, Task>> {
    const { manager, ui, signal } = this.#run;
    const records = new Map<string, Task>();
    await inParallel(this.sent, CONCURRENCY, async ({ taskId }) => {
      records.set(taskId, await manager.getTask(taskId, { signal }));
      ui.progress('results', records.size, this.sent.length);
    });
    ui.endProgress();
    return records;
  }

  /** Takes back what has not ended, so that nothing waits for agents that are gone. */
  async cancelRest(): Promise<void> {
    const { manager } = this.#run;
    // A batch that is on its way is waited for: what it brings has to be taken back, too.
    await this.#submitting.catch(() => undefined);
    await inParallel(this.#follower.pending, CONCURRENCY, async (taskId) => {
      try {
        if (!hasEnded(await manager.getTask(taskId))) await manager.cancelTask(taskId);
      } catch (error) {
        if (!(error instanceof InvalidStateError)) throw error;
      }
    });
  }

  async #submit(onVictim: (taskId: string) => unknown, signal: AbortSignal): Promise<void> {
    const { manager } = this.#run;
    for (let at = 0; at < this.#errands.length; at += LIMITS.taskBatch) {
      signal.throwIfAborted();
      const part = this.#errands.slice(at, at + LIMITS.taskBatch);
      const results = await manager.submitTasks(part.map((errand) => this.#taskOf(errand)));
      for (const [index, result] of results.entries()) {
        const errand = part[index];
        if (errand === undefined) throw new Error('The fleet answered more tasks than were submitted');
        if (!result.ok)
          throw new Error(`The fleet refused the task for ${errand.file.path}: ${result.error.message}`, { cause: result.error });
        const { id } = result.value;
        this.sent.push({ errand, taskId: id, path: errand.file.path, sha256: errand.file.sha256 });
        this.#follower.add(errand.lane, id);
        if (errand.isVictim) onVictim(id);
      }
    }
  }

  #taskOf({ file, lane, isVictim }: Errand<FoundFile>): SubmitInput {
    const { runId } = this.#run;
    return {
      pool: lane.work.pool,
      region: lane.region,
      residency: { allowed: [lane.region] },
      capabilities: [lane.work.capability, Crew.capabilityOf(runId)],
      payload: { path: file.path, source: file.source, ...(isVictim ? { simulatedPauseMs: PAUSE_MS } : {}) },
      metadata: { demo: runId, path: file.path },
    };
  }

  async #interrupt(taskId: string, signal: AbortSignal): Promise<Kill> {
    const { manager, crew, ui } = this.#run;
    const kill = await killDuring(taskId, manager, crew, signal);
    const { lane } = kill.member.plan;
    ui.line(
      `  ${ui.colors.red('SIGKILL')}    process ${kill.member.pid}, an agent of ${lane.work.pool} in ${lane.region} at work on ${taskId}`,
    );
    return kill;
  }
}
