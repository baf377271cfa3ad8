import type { Caller } from '../../shared/rpc.ts';
import type { ShardRef } from '../../durable-objects/registry/core/routes.ts';
import type { RegionPorts } from './region.ts';

/** Objects purged at once. Each one deletes a whole database, which holds the machine's disk for a while. */
const PURGED_AT_ONCE = 8;

/**
 * Removes everything of a fleet from this region. The registry goes last: it knows which objects there are, so a purge that
 * was interrupted can be called again.
 */
export async function purgeFleet(ports: RegionPorts, caller: Caller): Promise<void> {
  const { fleet } = caller;
  const registry = ports.registry(fleet);
  const left = [...(await registry.instances(fleet, ports.region))];
  const work = async (): Promise<void> => {
    for (let ref = left.pop(); ref !== undefined; ref = left.pop()) await purgeShard(ports, fleet, ref);
  };
  await Promise.all(Array.from({ length: PURGED_AT_ONCE }, work));
  await registry.purge();
  ports.routes.forget(fleet);
}

/**
 * An object that has deleted all of its rows ends itself, so that no memory of them is left, and that may cut off its own
 * answer. Asked again, its successor starts from what is stored: when it has nothing, the purge was done.
 */
async function purgeShard(ports: RegionPorts, fleet: string, ref: ShardRef): Promise<void> {
  const home = { region: ports.region, ...ref };
  try {
    await ports.pool(fleet, home).purge();
  } catch (error) {
    const isLeft = async (): Promise<boolean> => {
      const pool = ports.pool(fleet, home);
      const [agents, tasks] = await Promise.all([pool.listAgents({}, null, 1), pool.listTasks({}, null, 1)]);
      return agents.data.length + tasks.data.length > 0;
    };
    if (await isLeft()) throw error;
  }
}
