import type { Model, Span } from '../linearizability.ts';
import { CLOCK_SLACK_MS, type Instants } from './clock.ts';

/** What happens to the slots of one agent: leases come with rising tokens, and go. */
export type SlotsOperation =
  | {
      readonly type: 'grant';
      readonly leaseId: string;
      readonly token: number;
      /** The token of the grant before this one among those known; 0 for the first. Tokens order the grants of an agent. */
      readonly after: number;
      readonly slots: number;
      readonly ends: Instants;
      /** Whether this lease may have ended by itself: not if it is known to have been released or revoked. */
      readonly mayExpire: boolean;
    }
  | { readonly type: 'renew'; readonly leaseId: string; readonly ends: Instants }
  /** Released, or its task completed or failed; again is the same. */
  | { readonly type: 'release'; readonly leaseId: string }
  /** The fleet took it away. */
  | { readonly type: 'revoke'; readonly leaseId: string };

interface Held {
  readonly slots: number;
  readonly ends: Instants;
  readonly mayExpire: boolean;
}

export interface SlotsState {
  readonly lastToken: number;
  readonly held: ReadonlyMap<string, Held>;
}

/**
 * An agent's slots as a fenced register. Leases end by the server's clock, of which is known that it shows some instant
 * of the span of the operation: a lease may be over as soon as that is possible, and is over once nothing else is.
 */
export function slotsModel(slots: number): Model<SlotsState, SlotsOperation> {
  return {
    initial: { lastToken: 0, held: new Map() },
    step(state, operation, span) {
      const current = withoutEnded(state, span);
      switch (operation.type) {
        case 'grant': {
          const { leaseId, token, after, mayExpire, ends } = operation;
          if (current.lastToken !== after || token <= after) return [];
          return rooms(current.held, slots - operation.slots, span).map((held) => ({
            lastToken: token,
            held: new Map(held).set(leaseId, { slots: operation.slots, ends, mayExpire }),
          }));
        }
        case 'renew': {
          const lease = current.held.get(operation.leaseId);
          if (lease === undefined || lease.ends.maxMs <= span.fromMs - CLOCK_SLACK_MS) return [];
          return [{ ...current, held: new Map(current.held).set(operation.leaseId, { ...lease, ends: operation.ends }) }];
        }
        case 'release':
          return [{ ...current, held: without(current.held, operation.leaseId) }];
        case 'revoke':
          return current.held.has(operation.leaseId) ? [{ ...current, held: without(current.held, operation.leaseId) }] : [];
      }
    },
    key: ({ lastToken, held }) =>
      `${lastToken} ${[...held]
        .map(([id, { ends }]) => `${id}:${ends.minMs}-${ends.maxMs}`)
        .sort()
        .join(' ')}`,
  };
}

/** Leases that must have ended before the operation. */
function withoutEnded(state: SlotsState, { fromMs }: Span): SlotsState {
  const isOver = ({ mayExpire, ends }: Held): boolean => mayExpire && ends.maxMs <= fromMs - CLOCK_SLACK_MS;
  if (![...state.held.values()].some(isOver)) return state;
  return { ...state, held: new Map([...state.held].filter(([, held]) => !isOver(held))) };
}

/** Every smallest set of endings that leaves at most `slotsMax` slots held. */
function rooms(held: SlotsState['held'], slotsMax: number, { untilMs }: Span): readonly SlotsState['held'][] {
  const used = [...held.values()].reduce((sum, lease) => sum + lease.slots, 0);
  if (used <= slotsMax) return [held];
  const ending = [...held].filter(([, { mayExpire, ends }]) => mayExpire && ends.minMs <= untilMs + CLOCK_SLACK_MS);
  return ending.flatMap(([id]) => rooms(without(held, id), slotsMax, { fromMs: untilMs, untilMs }));
}

function without<V>(map: ReadonlyMap<string, V>, id: string): ReadonlyMap<string, V> {
  const rest = new Map(map);
  rest.delete(id);
  return rest;
}
