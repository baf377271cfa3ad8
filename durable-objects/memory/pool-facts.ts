import { parseIdOf, type ParsedId } from '../../shared/ids.ts';
import type { RegionEnv } from '../env.ts';
import { disposable } from '../lib/disposable.ts';
import { poolStub, registryStub } from '../stubs.ts';
import type { LeaseFacts, TaskFacts } from './core/fences.ts';

/** Asks the pools of this region what they know of leases and tasks. What is of another region does not exist here. */
export class PoolFacts {
  readonly #env: RegionEnv;
  readonly #fleet: string;

  constructor(env: RegionEnv, fleet: string) {
    this.#env = env;
    this.#fleet = fleet;
  }

  async leases(ids: readonly string[]): Promise<readonly LeaseFacts[]> {
    return (await Promise.all(ids.map((id) => this.#lease(id)))).flatMap((facts) => facts ?? []);
  }

  async tasks(ids: readonly string[]): Promise<readonly TaskFacts[]> {
    return (await Promise.all(ids.map((id) => this.#task(id)))).flatMap((facts) => facts ?? []);
  }

  async #lease(id: string): Promise<LeaseFacts | null> {
    const home = await this.#home(parseIdOf('allocation', id));
    if (home === null) return null;
    using asked = disposable(await poolStub(this.#env, this.#fleet, home).getAllocation(id));
    if (!asked.value.ok) return null;
    const lease = asked.value.value;
    using agent = disposable(await poolStub(this.#env, this.#fleet, home).getAgent(lease.agentId));
    return {
      allocationId: id,
      agentId: lease.agentId,
      taskId: lease.taskId ?? null,
      fencingToken: lease.fencingToken,
      slots: lease.slots,
      // An agent that is gone holds nothing; its lease says so itself.
      agentSlots: agent.value.ok ? agent.value.value.slots : lease.slots,
      expiresAtMs: lease.leaseExpiresAtMs,
      status: lease.status,
    };
  }

  async #task(id: string): Promise<TaskFacts | null> {
    const home = await this.#home(parseIdOf('task', id));
    if (home === null) return null;
    using asked = disposable(await poolStub(this.#env, this.#fleet, home).getTask(id, 0));
    if (!asked.value.ok) return null;
    const task = asked.value.value;
    return {
      id,
      status: task.status,
      priority: task.priority,
      ...(task.agentId === undefined ? {} : { agentId: task.agentId }),
      ...(task.completedAtMs === undefined ? {} : { completedAtMs: task.completedAtMs }),
    };
  }

  /** An object is made by being asked; a pool that does not exist must not be. */
  async #home(parsed: ParsedId | null): Promise<ParsedId | null> {
    if (parsed === null || parsed.region !== this.#env.REGION) return null;
    const routes = await registryStub(this.#env, this.#fleet, parsed.region).routes(this.#fleet, parsed.region);
    const route = routes.find((one) => one.pool === parsed.pool);
    return route !== undefined && parsed.shard < route.shards ? parsed : null;
  }
}
