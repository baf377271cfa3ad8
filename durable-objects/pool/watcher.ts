import { parseIdOf } from '../../shared/ids.ts';
import type { TaskStatus } from '../../shared/schemas/tasks.ts';
import type { RegionEnv } from '../env.ts';
import { poolStub, registryStub } from '../stubs.ts';
import { ENDED } from './core/records.ts';
import type { PoolEngine } from './engine.ts';

/** One long look at another shard's task. Shorter than the longest wait that shard allows. */
const LOOK_MS = 25_000;
const RETRY_MS = [100, 1_000, 5_000, 15_000];

/**
 * Follows tasks of other shards of this region that tasks here depend on. It asks instead of being told: nothing has to be
 * kept at the other side, a crash on either side loses nothing, and the same news twice changes nothing.
 */
export class Watcher {
  readonly #env: RegionEnv;
  readonly #engine: () => PoolEngine | null;
  readonly #onEnd: (dependencyId: string, status: TaskStatus | 'missing') => Promise<void>;
  readonly #watched = new Set<string>();

  constructor(
    env: RegionEnv,
    engine: () => PoolEngine | null,
    onEnd: (dependencyId: string, status: TaskStatus | 'missing') => Promise<void>,
  ) {
    this.#env = env;
    this.#engine = engine;
    this.#onEnd = onEnd;
  }

  watch(dependencyId: string): void {
    if (this.#watched.has(dependencyId)) return;
    this.#watched.add(dependencyId);
    void this.#follow(dependencyId).finally(() => this.#watched.delete(dependencyId));
  }

  async #follow(dependencyId: string): Promise<void> {
    for (let failures = 0; this.#engine()?.state.dependents.has(dependencyId) === true;) {
      try {
        const status = await this.#look(dependencyId);
        if (status === 'missing' || ENDED.has(status)) return await this.#onEnd(dependencyId, status);
        failures = 0;
      } catch (error) {
        failures += 1;
        console.error(
          JSON.stringify({
            level: 'error',
            message: 'dependency not readable',
            error: error instanceof Error ? error.message : String(error),
          }),
        );
        const waitMs = RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? LOOK_MS;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  async #look(dependencyId: string): Promise<TaskStatus | 'missing'> {
    const state = this.#engine()?.state;
    const home = parseIdOf('task', dependencyId);
    if (state === undefined || home === null) return 'missing';
    // An object is made by being asked; a pool that does not exist must not be.
    const routes = await registryStub(this.#env, state.fleet, home.region).routes(state.fleet, home.region);
    const route = routes.find((r) => r.pool === home.pool);
    if (route === undefined || home.shard >= route.shards) return 'missing';
    const task = await poolStub(this.#env, state.fleet, home).getTask(dependencyId, LOOK_MS);
    return task.ok ? task.value.status : 'missing';
  }
}
