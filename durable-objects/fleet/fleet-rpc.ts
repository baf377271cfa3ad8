import type { FleetError } from '../../shared/errors.ts';
import type { Result } from '../../shared/result.ts';
import type { Role } from '../../shared/roles.ts';
import type { Caller, IdempotencyRef } from '../../shared/rpc.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import type { FleetSettings } from '../../shared/schemas/fleet.ts';

/** What every router isolate remembers of a fleet for a few seconds. */
export interface FleetSnapshot {
  readonly fleet: string;
  /** False before a fleet is created and after it was deleted. */
  readonly exists: boolean;
  /** Rises with each deletion: tokens and regional objects of an older generation are nobody's any more. */
  readonly generation: number;
  readonly settings: FleetSettings;
  /** Token ids that are refused although their signature still holds. */
  readonly revoked: readonly string[];
}

/** A minted token as it is remembered: never the token itself. */
export interface TokenRecord {
  readonly id: string;
  readonly role: Role;
  readonly subject: string;
  readonly agentId?: string;
  /** Lease quota in place of the fleet’s. */
  readonly maxLeases?: number;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export interface Minted {
  readonly record: TokenRecord;
  /** An earlier call with the same key made this record. */
  readonly replayed: boolean;
  readonly generation: number;
}

export interface Admitted {
  readonly ticket: number;
  /** How many of the wanted registrations may go on; the first ones. */
  readonly admitted: number;
}

/** RPC methods of FleetObject, one per fleet. Callers must have been authorised: the object records, it does not judge roles. */
export interface FleetRpc {
  snapshot(fleet: string): Promise<FleetSnapshot>;
  /** Makes the fleet exist; harmless when it does. */
  create(fleet: string, caller: Caller): Promise<FleetSnapshot>;
  putSettings(fleet: string, caller: Caller, settings: FleetSettings): Promise<FleetSnapshot>;
  mintToken(
    fleet: string,
    caller: Caller,
    record: TokenRecord,
    idempotency: IdempotencyRef | null,
  ): Promise<Result<Minted, FleetError>>;
  /**
   * Refuses a token from now on. `unrecorded`: one that registration handed out, which only its id tells of; it is
   * remembered until `expiresAtMs`, when the token has ended by itself.
   */
  revokeToken(
    fleet: string,
    caller: Caller,
    input: { readonly id: string; readonly unrecorded: boolean; readonly expiresAtMs: number },
  ): Promise<Result<FleetSnapshot, FleetError>>;
  /** Answers the kept answer of a key, or null: then the caller does the work and must call `finishKey`. */
  beginKey(fleet: string, idempotency: IdempotencyRef): Promise<Result<JsonText | null, FleetError>>;
  /** `answer` null: nothing changed, so the key is free again. */
  finishKey(fleet: string, key: string, answer: JsonText | null): Promise<void>;
  /**
   * Reserves room under the fleet's maximum for up to `wanted` registrations. Registrations whose idempotency key already
   * made an agent need no room: `keys` names the keys of the wanted ones, and the known ones are answered in `known`.
   */
  admit(
    fleet: string,
    caller: Caller,
    input: { readonly wanted: number; readonly keys: readonly string[] },
  ): Promise<Result<Admitted & { readonly known: readonly string[] }, FleetError>>;
  /** What became of a reservation: agents registered, and the keys they were registered under. */
  settle(
    fleet: string,
    ticket: number,
    outcome: { readonly registered: number; readonly keys: readonly string[] },
  ): Promise<void>;
  /** Agents have just been removed: near the maximum, the counters are asked again before anyone is refused. */
  noteRemoved(fleet: string): Promise<void>;
  /** Ends the fleet: tokens and settings at once, every region's data as regions answer. Answers the regions still to purge. */
  deleteFleet(fleet: string, caller: Caller): Promise<{ readonly snapshot: FleetSnapshot; readonly pending: readonly string[] }>;
}
