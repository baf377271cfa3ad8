import type { Caller, ShardSummary } from '../../shared/rpc.ts';
import type { RegionEnv } from '../env.ts';
import type { GroupCommit } from '../lib/group-commit.ts';
import { logError } from '../lib/log.ts';
import { disposable } from '../lib/disposable.ts';
import { within } from '../lib/within.ts';
import { poolStub } from '../stubs.ts';
import type { Registry } from './registry.ts';

/** A shard that is slower than this learns the configuration with its next call or report. */
const PUSH_TIMEOUT_MS = 2_000;

/**
 * Tell the shards, hear what they have, divide what that frees and tell them again. The second word frees nothing more; the
 * third turn is for a change of the pool that came in between.
 */
const ROUNDS_MAX = 3;

interface Parts {
  readonly env: RegionEnv;
  readonly registry: Registry;
  readonly commit: GroupCommit;
}

/** Sends a pool's configuration to its shards, until what they confirm leaves no room to divide anew. */
export async function pushConfig({ env, registry, commit }: Parts, caller: Caller, pool: string): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const push = registry.toPush(pool);
    if (push === null || push.shards.size === 0) return;
    const confirmed = new Map<number, ShardSummary>();
    const tell = async (shard: number): Promise<void> => {
      const config = push.shards.get(shard);
      if (config === undefined) return;
      const home = { region: env.REGION, pool, shard };
      try {
        const answer = poolStub(env, caller.fleet, home).configure(caller.fleet, home, config, caller);
        using summary = disposable(await within(PUSH_TIMEOUT_MS, answer));
        confirmed.set(shard, summary.value);
      } catch (error) {
        logError('shard not configured', error, { pool, shard, requestId: caller.requestId });
      }
    };
    await Promise.all([...push.shards.keys()].map(tell));
    if (!(await commit.run(() => registry.confirm(pool, push.version, confirmed)))) return;
  }
}
