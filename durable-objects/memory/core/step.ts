import type { FleetError } from '../../../shared/errors.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { parseIdOf } from '../../../shared/ids.ts';
import type { Reader } from './acl.ts';
import { first, run, sql, type Sql } from './sql.ts';
import type { VectorSearch } from './vectors.ts';

/** What the memory reads from the world, once per call. */
export interface World {
  readonly nowMs: number;
  /** A new ULID, rising within the object. */
  readonly ulid: () => string;
  readonly sha256Hex: (text: string) => string;
  /** Of parts one after the other, none of which is needed twice. */
  readonly sha256OfParts: (parts: Iterable<ArrayBuffer>) => string;
}

/** Where this memory is. */
export interface Place {
  readonly region: string;
  readonly swarm: string;
}

/** One command being carried out: its database, its caller and its moment. */
export interface Step extends World, Place {
  readonly db: Sql;
  readonly caller: Caller;
  readonly who: Reader;
  readonly vectors: VectorSearch;
  /** Size of the database as the step begins. */
  readonly databaseBytes: number;
  /** Counts something for the metrics. */
  readonly count: (metric: string, by?: number) => void;
}

/** Who asks, as far as this swarm is concerned. Everything comes from the token: an agent's id names its pool. */
export function readerOf(caller: Caller, swarm: string): Reader {
  const agent = caller.agentId === undefined ? null : parseIdOf('agent', caller.agentId);
  return {
    subject: caller.subject,
    role: caller.role,
    team: agent?.pool ?? null,
    isMember: agent !== null && (caller.swarms ?? []).includes(swarm),
  };
}

/** Own words for what the caller itself could have known. */
export const forbidden = (detail: string): FleetError => ({ kind: 'forbidden', detail });
export const NOT_WRITABLE = forbidden('This caller may not write here.');

export interface Counters extends Record<string, number> {
  readonly next_id: number;
  readonly entries: number;
  readonly bytes: number;
  readonly acl_epoch: number;
  readonly claim_token: number;
  readonly artifact_bytes: number;
  readonly version_floor: number;
  readonly version_floor_at: number;
}

export function counters(db: Sql): Counters {
  const found = first<Counters>(
    db,
    sql`SELECT next_id, entries, bytes, acl_epoch, claim_token, artifact_bytes, version_floor, version_floor_at FROM counters WHERE id = 1`,
  );
  if (found === null) throw new Error('a memory without counters');
  return found;
}

/** A right was changed: what caches hold must be asked for anew. */
export const raiseEpoch = (step: Step): void => void run(step.db, sql`UPDATE counters SET acl_epoch = acl_epoch + 1`);
