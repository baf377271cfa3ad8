import type { Entry } from '../../../test/lib/history.ts';
import { CAPABILITY, pause, POOLS, rest, TIGHT_POOL, type World } from '../world.ts';
import { isServed } from './allocator.ts';

/** Endpoint agents that are there to be allocated. */
const ENDPOINT_AGENTS_MAX = 8;

/** Registers agents without liveness, drains, removes and locks away agents of all kinds, and looks around. */
export async function operator(world: World): Promise<void> {
  const { calls, random } = world.client('operator');
  const own = new Set<string>();
  const tight = new Set<string>();

  const register = async (pool: string, into: Set<string>): Promise<Entry> => {
    const key = world.name('register');
    const spec = {
      pool,
      region: random.pick(world.regions),
      slots: random.int(1, 3),
      liveness: 'none',
      endpoint: 'https://agent.invalid/',
      capabilities: random.chance(0.5) ? [CAPABILITY] : [],
    } as const;
    for (;;) {
      const { entry } = await calls.register(spec, key);
      if (entry.answer.kind === 'ok') into.add(entry.answer.value.agentId);
      if (entry.answer.kind === 'ok' || entry.answer.kind === 'refused' || world.isIn('over')) return entry;
      await rest(random, false);
    }
  };
  const remove = async (from: Set<string>): Promise<Entry | null> => {
    if (from.size === 0) return null;
    const id = random.pick([...from]);
    const entry = await calls.deregister(id, random.chance(0.5));
    if (isServed(entry)) from.delete(id);
    return entry;
  };
  const act = async (): Promise<Entry | null> => {
    const anyAgent = (): string => random.pick([...own, ...world.agents.keys()]);
    if (own.size < ENDPOINT_AGENTS_MAX / 2) return register(random.pick(POOLS), own);
    switch (
      random.weighted({
        register: 12,
        remove: 10,
        drain: 8,
        quarantine: 3,
        removeOthers: 2,
        tight: 12,
        untight: 8,
        look: 20,
        status: 15,
      })
    ) {
      case 'register':
        return own.size < ENDPOINT_AGENTS_MAX ? register(random.pick(POOLS), own) : null;
      case 'remove':
        return remove(own);
      case 'drain':
        return calls.drain(anyAgent(), random.int(300, 2_000));
      case 'quarantine':
        return calls.quarantine(anyAgent());
      case 'removeOthers': {
        const id = world.agents.size === 0 ? undefined : random.pick([...world.agents.keys()]);
        return id === undefined ? null : calls.deregister(id, random.chance(0.5));
      }
      case 'tight':
        return register(TIGHT_POOL, tight);
      case 'untight':
        return remove(tight);
      case 'look':
        return calls.getAgent(anyAgent());
      case 'status': {
        const reply = await world.http.call('GET', '/v1/fleet/status');
        if (reply.kind === 'answered' && reply.status === 500) throw new Error(`status: ${JSON.stringify(reply.body)}`);
        return null;
      }
    }
  };

  while (world.isIn('faults')) {
    const entry = await act();
    await rest(random, entry === null || isServed(entry));
    await pause(random.int(20, 120));
  }
}
