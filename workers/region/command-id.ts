import { notFound, type FleetError } from '../../shared/errors.ts';
import { parseIdOf, type IdKind } from '../../shared/ids.ts';
import type { PoolCommand } from '../../shared/rpc.ts';

/** The id of the thing that a command is about; null for commands that make a new one and may be placed anywhere. */
export function subjectOf(command: PoolCommand): { readonly kind: IdKind; readonly id: string } | null {
  switch (command.type) {
    case 'registerAgent':
    case 'allocate':
    case 'revokeLeases':
    case 'submitTask':
      return null;
    case 'deregisterAgent':
    case 'heartbeat':
    case 'drainAgent':
    case 'quarantineAgent':
    case 'acknowledgeRevocation':
      return { kind: 'agent', id: command.agentId };
    case 'renew':
    case 'release':
      return { kind: 'allocation', id: command.allocationId };
    case 'cancelTask':
    case 'replayTask':
    case 'completeTask':
    case 'failTask':
    case 'progressTask':
      return { kind: 'task', id: command.taskId };
  }
}

/**
 * The shard that a command must go to, null when it may be placed, or the answer for an id that is not of this place.
 * `place.shard` is the one the call names, if it names one.
 */
export function shardOf(
  command: PoolCommand,
  place: { readonly region: string; readonly pool: string; readonly shards: number; readonly shard: number | null },
): { readonly shard: number | null } | { readonly refused: FleetError } {
  const subject = subjectOf(command);
  if (subject === null) return { shard: place.shard };
  const id = parseIdOf(subject.kind, subject.id);
  const isHere = id !== null && id.region === place.region && id.pool === place.pool && id.shard < place.shards;
  return isHere && (place.shard === null || place.shard === id.shard) ? { shard: id.shard } : { refused: notFound(subject.kind) };
}
