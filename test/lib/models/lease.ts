import type { Model } from '../linearizability.ts';
import { CLOCK_SLACK_MS, type Instants } from './clock.ts';

export type LeaseStatus = 'active' | 'released' | 'expired' | 'revoked';

/** What is done under, or to, one lease. `isRight`: whether the call carried the lease's own token. */
export type LeaseOperation =
  | { readonly type: 'grant'; readonly ends: Instants }
  | {
      readonly type: 'renew' | 'release';
      readonly isRight: boolean;
      readonly outcome: 'ok' | LeaseRefusal;
      readonly ends: Instants;
    }
  /** Progress of its task: it was held then. */
  | { readonly type: 'use' }
  | { readonly type: 'revoke' }
  | { readonly type: 'get'; readonly status: LeaseStatus; readonly endsAtMs: number };

export type LeaseRefusal = 'lease_superseded' | 'lease_expired' | 'lease_released';

export interface LeaseState {
  readonly status: LeaseStatus | 'absent';
  readonly ends: Instants;
}

/** The life of one lease (H4–H6): a wrong token changes nothing, nothing is accepted after the end, an end is for ever. */
export const LEASE_MODEL: Model<LeaseState, LeaseOperation> = {
  initial: { status: 'absent', ends: { minMs: 0, maxMs: 0 } },
  step(state, operation, { fromMs, untilMs }) {
    if (operation.type === 'grant') return state.status === 'absent' ? [{ status: 'active', ends: operation.ends }] : [];
    if (state.status === 'absent') return [];
    const active = state.status === 'active' && state.ends.maxMs > fromMs - CLOCK_SLACK_MS;
    // Ended by the clock, now or before.
    const expired: readonly LeaseState[] =
      state.status === 'expired' || (state.status === 'active' && state.ends.minMs <= untilMs + CLOCK_SLACK_MS)
        ? [{ ...state, status: 'expired' }]
        : [];
    switch (operation.type) {
      case 'use':
        return active ? [state] : [];
      case 'revoke':
        return active ? [{ ...state, status: 'revoked' }] : [];
      case 'get':
        if (operation.status === 'expired') return expired;
        if (operation.status !== state.status) return [];
        if (operation.status === 'active' && (!active || !includes(state.ends, operation.endsAtMs))) return [];
        return [{ ...state, ends: settled(state.ends, operation.endsAtMs) }];
      case 'renew':
      case 'release':
        if (!operation.isRight) return operation.outcome === 'lease_superseded' ? [state] : [];
        if (operation.outcome === 'lease_superseded') return state.status === 'revoked' ? [state] : [];
        if (operation.outcome === 'lease_expired') return expired;
        if (operation.type === 'renew') {
          if (operation.outcome === 'lease_released') return state.status === 'released' ? [state] : [];
          return active ? [{ status: 'active', ends: operation.ends }] : [];
        }
        if (operation.outcome !== 'ok') return [];
        return state.status === 'released' ? [state] : active ? [{ ...state, status: 'released' }] : [];
    }
  },
  key: ({ status, ends }) => `${status} ${ends.minMs}-${ends.maxMs}`,
};

const includes = ({ minMs, maxMs }: Instants, atMs: number): boolean =>
  maxMs === Infinity || (atMs >= minMs - CLOCK_SLACK_MS && atMs <= maxMs + CLOCK_SLACK_MS);
/** What was seen is known from then on. Leases of dispatched tasks move by themselves and stay unknown. */
const settled = (ends: Instants, atMs: number): Instants => (ends.maxMs === Infinity ? ends : { minMs: atMs, maxMs: atMs });
