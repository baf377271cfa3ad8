import type { FleetState, StoredToken } from './state.ts';

/** A token's record as it crosses to the router: `agentId` and `maxLeases` only where there are any. */
type Recorded = Omit<StoredToken, 'agentId' | 'maxLeases'> & { readonly agentId?: string; readonly maxLeases?: number };

export const toStored = (record: Recorded): StoredToken => ({
  ...record,
  agentId: record.agentId ?? null,
  maxLeases: record.maxLeases ?? null,
});

export function toRecord({ agentId, maxLeases, ...token }: StoredToken): Recorded {
  return { ...token, ...(agentId === null ? {} : { agentId }), ...(maxLeases === null ? {} : { maxLeases }) };
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
