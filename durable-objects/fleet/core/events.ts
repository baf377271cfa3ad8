import type { FleetSettings } from '../../../shared/schemas/fleet.ts';
import { DEFAULT_FLEET, type FleetState, type Purge, type StoredToken } from './state.ts';

/** Everything that ever happens to a fleet's record. */
export type FleetEvent =
  | { readonly type: 'fleetCreated' }
  | { readonly type: 'settingsReplaced'; readonly settings: FleetSettings }
  | { readonly type: 'tokenMinted'; readonly token: StoredToken }
  | { readonly type: 'tokenRevoked'; readonly id: string; readonly expiresAtMs: number }
  | { readonly type: 'fleetDeleted'; readonly purge: Purge }
  | { readonly type: 'purgeProgressed'; readonly purge: Purge }
  | { readonly type: 'purgeEnded'; readonly generation: number }
  /** Tokens and revocations that ended by themselves. */
  | { readonly type: 'expiredRemoved'; readonly tokens: readonly string[]; readonly revoked: readonly string[] };

/** The state after an event. Rows follow the same events: reading them back gives this state. */
export function evolve(state: FleetState, event: FleetEvent): FleetState {
  switch (event.type) {
    case 'fleetCreated':
      return { ...state, exists: true };
    case 'settingsReplaced':
      return { ...state, settings: event.settings };
    case 'tokenMinted':
      return { ...state, tokens: withEntry(state.tokens, event.token.id, event.token) };
    case 'tokenRevoked':
      return { ...state, revoked: withEntry(state.revoked, event.id, event.expiresAtMs) };
    case 'fleetDeleted':
      return {
        ...state,
        exists: state.fleet === DEFAULT_FLEET,
        generation: event.purge.generation + 1,
        settings: {},
        tokens: new Map(),
        revoked: new Map(),
        purges: withEntry(state.purges, event.purge.generation, event.purge),
      };
    case 'purgeProgressed':
      return { ...state, purges: withEntry(state.purges, event.purge.generation, event.purge) };
    case 'purgeEnded':
      return { ...state, purges: without(state.purges, [event.generation]) };
    case 'expiredRemoved':
      return { ...state, tokens: without(state.tokens, event.tokens), revoked: without(state.revoked, event.revoked) };
  }
}

const withEntry = <K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> => new Map(map).set(key, value);

function without<K, V>(map: ReadonlyMap<K, V>, keys: readonly K[]): ReadonlyMap<K, V> {
  const copy = new Map(map);
  for (const key of keys) copy.delete(key);
  return copy;
}
