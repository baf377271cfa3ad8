import path from 'node:path';
import { FleetManager } from '../../client/src/fleet-manager.ts';
import { ConfigurationError, ConnectionError, ForbiddenError, TimeoutError } from '../../client/src/errors.ts';
import { nodeSide } from '../../client/src/node-side.ts';
import { resolveTarget } from '../../client/src/target.ts';
import type { MintedToken, Pool } from '../../client/src/types.ts';
import { startLocalFleet } from '../local/fleet.ts';
import type { Lane } from './plan.ts';

/** A fleet the demo may use, and whether it has to be stopped afterwards. */
export interface DemoFleet {
  readonly manager: FleetManager;
  readonly endpoint: string;
  readonly token: string | undefined;
  /** How it was come by, in words. */
  readonly origin: string;
  readonly isOwn: boolean;
  stop(): Promise<void>;
}

/** One that runs must answer soon. */
const ANSWER_WITHIN_MS = 3_000;
/** Agents of a run that was killed outright cannot use their token for longer. */
const TOKEN_LIFE_MS = 6 * 3_600_000;

/** The fleet that runs, as the client finds it; none that answers: one of our own, with its state in `directory`. */
export async function openFleet(options: { readonly isFresh: boolean; readonly directory: string }): Promise<DemoFleet> {
  const running = options.isFresh ? null : await findRunning();
  if (running !== null) return running;
  let failure: string | null = null;
  const local = await keepingSignals(() =>
    startLocalFleet({
      port: 0,
      stateDir: path.join(options.directory, 'fleet'),
      quiet: true,
      onFailure: (reason) => (failure = reason),
    }),
  );
  const manager = new FleetManager({ endpoint: local.url, token: local.adminToken });
  return {
    manager,
    endpoint: local.url,
    token: local.adminToken,
    origin: 'started for this run',
    isOwn: true,
    stop: async () => {
      await manager.shutdown();
      await local.stop();
      if (failure !== null) throw new Error(`The fleet could not be kept alive: ${failure}`);
    },
  };
}

/**
 * Miniflare (5.20261023) exits the process on a signal before anybody else has had a turn; our agents must stop before
 * the fleet does, so its listeners are taken off again. Its runtime still ends with this process.
 */
async function keepingSignals<T>(start: () => Promise<T>): Promise<T> {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const before = new Map(signals.map((signal) => [signal, new Set(process.listeners(signal))]));
  try {
    return await start();
  } finally {
    for (const [signal, ours] of before) {
      for (const listener of process.listeners(signal)) if (!ours.has(listener)) process.off(signal, listener);
    }
  }
}

async function findRunning(): Promise<DemoFleet | null> {
  let target: ReturnType<typeof resolveTarget>;
  try {
    target = resolveTarget({}, nodeSide());
  } catch (error) {
    // Nothing is configured and nothing runs. A FLEET_ENDPOINT that is no URL is a mistake to be told.
    if (error instanceof ConfigurationError && (process.env['FLEET_ENDPOINT'] ?? '') === '') return null;
    throw error;
  }
  const { endpoint, token, source } = target;
  const manager = new FleetManager({ endpoint, token });
  try {
    await manager.initialize({ timeoutMs: ANSWER_WITHIN_MS, retries: 0 });
  } catch (error) {
    await manager.shutdown();
    // A file left behind by a fleet that is gone; but one that was named must answer.
    const isSilent = error instanceof ConnectionError || error instanceof TimeoutError;
    if (isSilent && source !== 'environment') return null;
    throw error;
  }
  return { manager, endpoint, token, origin: `running, found by ${source}`, isOwn: false, stop: () => manager.shutdown() };
}

/** A token that can do no more than agents need; `null` when the caller may not make one, and has to lend their own. */
export async function mintAgentsToken(manager: FleetManager): Promise<MintedToken | null> {
  try {
    return await manager.mintToken({ role: 'operator', expiresInMs: TOKEN_LIFE_MS });
  } catch (error) {
    if (error instanceof ForbiddenError) return null;
    throw error;
  }
}

/** Raises the maximum of pools that could not hold the agents of a lane; the answer puts them back as they were. */
export async function makeRoom(
  manager: FleetManager,
  lanes: readonly Lane[],
): Promise<{ readonly raised: number; restore(): Promise<void> }> {
  const put = (pool: Pool, maxAgents: number): Promise<Pool> => {
    const { minAgents, priority, shards, resources } = pool;
    const spec = { minAgents, maxAgents, priority, shards, ...(resources === undefined ? {} : { resources }) };
    return manager.putPool(pool.pool, spec, { region: pool.region });
  };
  const raised: Pool[] = [];
  for (const pool of await manager.listPools()) {
    const lane = lanes.find(({ region, work }) => region === pool.region && work.pool === pool.pool);
    const needed = pool.agents.total + (lane?.agents ?? 0);
    if (lane === undefined || needed <= pool.maxAgents) continue;
    raised.push(pool);
    await put(pool, needed);
  }
  return {
    raised: raised.length,
    restore: async () => {
      for (const pool of raised) await put(pool, pool.maxAgents);
    },
  };
}
