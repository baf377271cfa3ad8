import { parseIdOf } from '../../shared/ids.ts';
import type { PoolCommand } from '../../shared/rpc.ts';
import type { RequestContext } from './context.ts';
import { callRegion, PLACING_TIMEOUT_MS } from './region-calls.ts';

/**
 * Every authenticated call of an agent is a beat. Commands carry it to the agent's object themselves; a read does not get
 * there as one, so the beat follows beside the answer. Nobody waits for it, and losing one does no harm.
 */
export function beatOfRead(context: RequestContext): void {
  const agentId = context.caller.agentId;
  const home = agentId === undefined ? null : parseIdOf('agent', agentId);
  const region = context.config.regions.find((name) => name === home?.region);
  if (agentId === undefined || home === null || region === undefined) return;
  const command: PoolCommand = { type: 'heartbeat', agentId, leases: [] };
  context.execution.waitUntil(
    callRegion(context, region, PLACING_TIMEOUT_MS, (binding) =>
      binding.execute(context.caller, home.pool, home.shard, [{ command }]),
    ),
  );
}
