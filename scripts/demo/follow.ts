import { setTimeout as sleep } from 'node:timers/promises';
import { hasEnded } from '../../client/src/api/tasks.ts';
import type { FleetManager } from '../../client/src/fleet-manager.ts';
import type { Page, Task } from '../../client/src/types.ts';
import type { Lane } from './plan.ts';

/** Tasks looked at in one request: about what a lane finishes between two looks. */
const WINDOW = 100;
/** Tasks that did not end with their neighbours; looked at one by one, so that the window can move on. */
const STRAGGLERS_MAX = 8;
/** With so few left to wait for, waiting for each costs no more than listing. */
const LONG_POLLED_MAX = 4;
const LONG_POLL_MS = 1_000;
const LOOK_MS = 500;
/** No task has ended for so long: something is stuck. Longer than it takes to notice a lost agent, several times over. */
const STALLED_AFTER_MS = 90_000;

/** The tasks of a run, followed to their ends by the fleet's own record. */
export class Follower {
  readonly ended = new Map<string, Task>();
  readonly #manager: FleetManager;
  readonly #lanes: readonly LaneWindow[];
  #lastEndAtMs = Date.now();

  constructor(manager: FleetManager, lanes: readonly Lane[], runId: string) {
    this.#manager = manager;
    this.#lanes = lanes.map((lane) => new LaneWindow(manager, lane, { runId, ended: this.ended }));
  }

  /** Takes up a task that was submitted; it may have ended already. */
  add(lane: Lane, taskId: string): void {
    if (!this.ended.has(taskId)) this.#lanes.find((window) => window.lane === lane)?.pending.add(taskId);
  }

  get pending(): readonly string[] {
    return this.#lanes.flatMap(({ pending }) => [...pending]);
  }

  /**
   * Until all have ended and `isComplete` says that no more will come. Requests are bounded by lanes, not by tasks: a lane's
   * queue is first come, first served, so a window over its list moves along with the work.
   */
  async run(options: {
    readonly isComplete: () => boolean;
    readonly onLook: () => void;
    readonly signal: AbortSignal;
  }): Promise<void> {
    for (;;) {
      const isLast = options.isComplete();
      const before = this.ended.size;
      const isWaiting = await Promise.all(this.#lanes.map((window) => window.look(isLast, options.signal)));
      if (this.ended.size > before) this.#lastEndAtMs = Date.now();
      options.onLook();
      options.signal.throwIfAborted();
      const { pending } = this;
      if (isLast && pending.length === 0) return;
      if (Date.now() - this.#lastEndAtMs > STALLED_AFTER_MS) throw new Error(await this.#stalled(pending));
      if (!isWaiting.some(Boolean)) await sleep(LOOK_MS, undefined, { signal: options.signal });
    }
  }

  async #stalled(pending: readonly string[]): Promise<string> {
    const [taskId = ''] = pending;
    const task = await this.#manager.getTask(taskId);
    const why =
      task.status === 'queued' ? (await this.#manager.whyTask(taskId)).detail : (task.error?.message ?? 'its agent does not end');
    return `${pending.length} tasks have not ended and none did for ${STALLED_AFTER_MS / 1_000} s; the first, ${taskId}, is ${task.status}: ${why}`;
  }
}

/** The unfinished part of one lane's list. */
class LaneWindow {
  readonly lane: Lane;
  readonly pending = new Set<string>();
  readonly #manager: FleetManager;
  readonly #runId: string;
  readonly #ended: Map<string, Task>;
  readonly #stragglers = new Set<string>();
  #cursor: string | undefined;

  constructor(manager: FleetManager, lane: Lane, run: { readonly runId: string; readonly ended: Map<string, Task> }) {
    this.#manager = manager;
    this.lane = lane;
    this.#runId = run.runId;
    this.#ended = run.ended;
  }

  /** Looks once; `true` when the look itself was the waiting. */
  async look(mayWait: boolean, signal: AbortSignal): Promise<boolean> {
    if (this.pending.size === 0) return false;
    if (mayWait && this.pending.size <= LONG_POLLED_MAX) {
      await this.#ask(this.pending, signal, LONG_POLL_MS);
      return true;
    }
    await this.#ask(this.#stragglers, signal, 0);
    for (;;) {
      const page = await this.#page(signal);
      // Known by its mark, not by `pending`: the fleet may list a task before the answer to its submission is here.
      const unfinished = page.data.filter(
        (task) => task.metadata?.['demo'] === this.#runId && !this.#stragglers.has(task.id) && !this.#take(task),
      );
      const room = STRAGGLERS_MAX - this.#stragglers.size;
      if (page.nextCursor === undefined || unfinished.length > room) return false;
      for (const { id } of unfinished) this.#stragglers.add(id);
      this.#cursor = page.nextCursor;
    }
  }

  async #ask(ids: ReadonlySet<string>, signal: AbortSignal, waitMs: number): Promise<void> {
    const tasks = await Promise.all([...ids].map((id) => this.#manager.getTask(id, { signal, waitMs })));
    for (const task of tasks) this.#take(task);
  }

  #take(task: Task): boolean {
    if (!hasEnded(task)) return false;
    this.pending.delete(task.id);
    this.#stragglers.delete(task.id);
    this.#ended.set(task.id, task);
    return true;
  }

  #page(signal: AbortSignal): Promise<Page<Task>> {
    const { region, work } = this.lane;
    const query = { region, pool: work.pool, limit: WINDOW, cursor: this.#cursor };
    return this.#manager.http.send<Page<Task>>({ method: 'GET', path: '/v1/tasks', query }, { signal });
  }
}
