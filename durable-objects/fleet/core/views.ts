import type { FleetState, StoredToken } from './state.ts';

/** A token's record as it crosses to the router: `agentId` only where there is one. */
type Recorded = Omit<StoredToken, 'agentId'> & { readonly agentId?: string };

export const toStored = (record: Recorded): StoredToken => ({ ...record, agentId: record.agentId ?? null });

export function toRecord({ agentId, ...token }: StoredToken): Recorded {
  return agentId === null ? token : { ...token, agentId };
}

export const snapshotOf = (
  state: FleetState,
): Pick<FleetState, 'fleet' | 'exists' | 'generation' | 'settings'> & { readonly revoked: readonly string[] } => ({
  fleet: state.fleet,
  exists: state.exists,
  generation: state.generation,
  settings: state.settings,
  revoked: [...state.revoked.keys()],
});
