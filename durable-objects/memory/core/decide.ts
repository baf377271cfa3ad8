import type { FleetError } from '../../../shared/errors.ts';
import type { MemoryCommand, MemoryCommandType, MemoryOutput } from '../../../shared/memory-rpc.ts';
import type { Result } from '../../../shared/result.ts';
import type { MemoryStatus } from '../../../shared/schemas/memory.ts';
import { createArtifact, deleteArtifact, getArtifact, getChunk, listArtifacts, putChunk } from './artifacts.ts';
import { claim, listClaims, releaseClaim, renewClaim } from './claims.ts';
import { addDependencies, getConsensus, listDependencies, vote } from './consensus.ts';
import { erase } from './erase.ts';
import { listAudit, listConflicts, listEvents } from './feeds.ts';
import { getPermissions, rollback, setPermissions } from './permissions.ts';
import { quarantine } from './quarantine.ts';
import { history, list, retrieve } from './reading.ts';
import { search } from './search.ts';
import { getSettings, memoryStatus, putSettings } from './status.ts';
import type { Step } from './step.ts';
import { transaction } from './transactions.ts';
import { vectorSearch } from './vectors.ts';
import { remove, store } from './writing.ts';

/** Commands that change nothing: they need no transaction, and a memory that was never written answers them empty. */
export const READS: ReadonlySet<MemoryCommandType> = new Set([
  'retrieve',
  'list',
  'getPermissions',
  'history',
  'search',
  'vectorSearch',
  'listClaims',
  'getConsensus',
  'listDependencies',
  'getArtifact',
  'getChunk',
  'listArtifacts',
  'listEvents',
  'listConflicts',
  'listAudit',
  'getSettings',
  'memoryStatus',
]);

/** What decisions need beside the step: what is not in the database. */
export interface Surroundings {
  readonly databaseBytes: number;
  /** States before imports that are kept, and that an erasure must not leave. */
  readonly restorePoints: MemoryStatus['restorePoints'];
  readonly pendingMetrics: ReadonlyMap<string, number>;
}

/** One command. Expected refusals are values; a transaction's is thrown as `Undo`. */
export function decide(step: Step, command: MemoryCommand, around: Surroundings): Result<MemoryOutput, FleetError> {
  switch (command.type) {
    case 'store':
      return store(step, command);
    case 'retrieve':
      return retrieve(step, command);
    case 'delete':
      return remove(step, command);
    case 'list':
      return list(step, command);
    case 'getPermissions':
      return getPermissions(step, command);
    case 'setPermissions':
      return setPermissions(step, command);
    case 'history':
      return history(step, command);
    case 'rollback':
      return rollback(step, command);
    case 'search':
      return search(step, command);
    case 'vectorSearch':
      return vectorSearch(step, command);
    case 'transaction':
      return transaction(step, command);
    case 'quarantine':
      return quarantine(step, command);
    case 'erase':
      return erase(step, command, around.restorePoints.length);
    case 'claim':
      return claim(step, command);
    case 'renewClaim':
      return renewClaim(step, command);
    case 'releaseClaim':
      return releaseClaim(step, command);
    case 'listClaims':
      return listClaims(step, command);
    case 'vote':
      return vote(step, command);
    case 'getConsensus':
      return getConsensus(step, command);
    case 'addDependencies':
      return addDependencies(step, command);
    case 'listDependencies':
      return listDependencies(step, command);
    case 'createArtifact':
      return createArtifact(step, command);
    case 'putChunk':
      return putChunk(step, command);
    case 'getArtifact':
      return getArtifact(step, command);
    case 'getChunk':
      return getChunk(step, command);
    case 'listArtifacts':
      return listArtifacts(step, command);
    case 'deleteArtifact':
      return deleteArtifact(step, command);
    case 'listEvents':
      return listEvents(step, command);
    case 'listConflicts':
      return listConflicts(step, command);
    case 'listAudit':
      return listAudit(step, command);
    case 'getSettings':
      return getSettings(step);
    case 'putSettings':
      return putSettings(step, command);
    case 'memoryStatus':
      return memoryStatus(step, around);
  }
}
