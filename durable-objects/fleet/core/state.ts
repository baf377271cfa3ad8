import type { FleetSettings } from '../../../shared/schemas/fleet.ts';
import type { Role } from '../../../shared/roles.ts';

/** The fleet that every deployment has without anyone creating it. */
export const DEFAULT_FLEET = 'default';

export interface StoredToken {
  readonly id: string;
  readonly role: Role;
  readonly subject: string;
  readonly agentId: string | null;
  readonly maxLeases: number | null;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** A deleted generation whose data must leave every region. */
export interface Purge {
  readonly generation: number;
  /** Regions that have not answered the present round. */
  readonly pending: readonly string[];
  /** Rounds done. One alone is not enough: a request that was under way may have written after it. */
  readonly rounds: number;
  readonly attempts: number;
  readonly nextAtMs: number;
}

export interface FleetState {
  readonly fleet: string;
  readonly exists: boolean;
  readonly generation: number;
  readonly settings: FleetSettings;
  readonly tokens: ReadonlyMap<string, StoredToken>;
  /** Refused token ids and when the tokens end by themselves. */
  readonly revoked: ReadonlyMap<string, number>;
  readonly purges: ReadonlyMap<number, Purge>;
}

export const emptyFleet = (fleet: string): FleetState => ({
  fleet,
  exists: fleet === DEFAULT_FLEET,
  generation: 0,
  settings: {},
  tokens: new Map(),
  revoked: new Map(),
  purges: new Map(),
});

/**
 * The fleet's name inside the regions. A later generation has other objects than the deleted one, so a write that was
 * under way when the fleet was deleted cannot appear in the new one, nor can a late purge reach it.
 */
export const storageFleet = (fleet: string, generation: number): string => (generation === 0 ? fleet : `${fleet}~${generation}`);
