import { notFound, type FleetError } from '../../../shared/errors.ts';
import type { MemoryCommand, MemoryOutput } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { MemorySettingsSchema } from '../../../shared/schemas/memory.ts';
import { isInside, type Reader } from './acl.ts';
import { AGENTS_VOTE } from './consensus.ts';
import { NOT_WRITABLE, type Place } from './step.ts';

/**
 * The answer of a memory that was never written: the same as that of one in which the caller may see nothing. Null: the command
 * is one that may bring the memory to life, by a caller who may write there.
 */
export function emptyAnswer(command: MemoryCommand, who: Reader, place: Place): Result<MemoryOutput, FleetError> | null {
  // As `startWrite` says it where there is a memory.
  if ('lease' in command && command.lease !== undefined && !isInside(who)) return err(NOT_WRITABLE);
  switch (command.type) {
    case 'list':
    case 'listClaims':
    case 'listDependencies':
    case 'listArtifacts':
    case 'listEvents':
    case 'listConflicts':
    case 'listAudit':
      return ok({ data: [] });
    case 'vectorSearch':
    case 'search':
      return ok({ data: [], complete: true });
    case 'retrieve':
    case 'getPermissions':
    case 'setPermissions':
    case 'history':
    case 'rollback':
      return err(notFound('entry'));
    case 'delete':
      return err(notFound('entry'));
    case 'renewClaim':
    case 'releaseClaim':
      return err(notFound('claim'));
    case 'getConsensus':
      return err(notFound('consensus'));
    case 'putChunk':
    case 'getArtifact':
    case 'getChunk':
    case 'deleteArtifact':
      return err(notFound('artifact'));
    case 'getSettings':
      return isInside(who) ? ok({ ...MemorySettingsSchema.parse({}), shards: 1 }) : err(notFound('memory'));
    case 'memoryStatus':
      if (!isInside(who)) return err(notFound('memory'));
      return ok({
        ...place,
        entries: 0,
        bytes: 0,
        artifacts: 0,
        claims: 0,
        aclEpoch: 0,
        databaseBytes: 0,
        restorePoints: [],
        agents: [],
        tasks: [],
        metrics: {},
      });
    case 'vote':
      if (!who.isMember) return err(isInside(who) ? AGENTS_VOTE : NOT_WRITABLE);
      return null;
    case 'store':
    case 'transaction':
    case 'quarantine':
    case 'erase':
    case 'claim':
    case 'addDependencies':
    case 'createArtifact':
    case 'putSettings':
      return isInside(who) ? null : err(NOT_WRITABLE);
  }
}
