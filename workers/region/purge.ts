import type { Caller } from '../../shared/rpc.ts';
import type { MemoryPorts } from './memory/region-memory.ts';
import type { RegionPorts } from './region.ts';

/** Objects purged at once. Each one deletes a whole database, which holds the machine's disk for a while. */
const PURGED_AT_ONCE = 8;

/**
 * Removes everything of a fleet from this region. The registry goes last: it knows which objects there are, so a purge that
 * was interrupted can be called again.
 */
export async function purgeFleet(ports: RegionPorts, caller: Caller, memory: MemoryPorts): Promise<void> {
  const { fleet } = caller;
  const registry = ports.registry(fleet);
  const left = [...(await registry.instances(fleet, ports.region))];
  const work = async (): Promise<void> => {
    for (let ref = left.pop(); ref !== undefined; ref = left.pop()) {
      await ports.pool(fleet, { region: ports.region, ...ref }).purge();
    }
  };
  await Promise.all(Array.from({ length: PURGED_AT_ONCE }, work));
  for (const { swarm, shard } of await registry.swarms(fleet, ports.region)) {
    await memory.memory(fleet, { region: ports.region, swarm, shard }).purge();
  }
  memory.cache.clear();
  memory.knownSwarms.clear();
  memory.shards.clear();
  await registry.purge();
  ports.routes.forget(fleet);
}
