import { storageFleet } from '../../../durable-objects/fleet/core/state.ts';
import type { FleetRpc, FleetSnapshot } from '../../../durable-objects/fleet/fleet-rpc.ts';
import type { TokenClaims } from '../../lib/tokens.ts';

/** A snapshot this young is used as it is. */
export const FRESH_MS = 2_000;
/** One this young is used while a newer one is fetched; an older one never: with the fetch, under the promised 5 s. */
export const STALE_MS = 4_000;
/** Fleets remembered per isolate. */
const FLEETS_MAX = 1_000;

/** A fleet as a request sees it. */
export interface FleetView {
  readonly snapshot: FleetSnapshot;
  readonly revoked: ReadonlySet<string>;
  /** The fleet's name inside the regions. */
  readonly storageName: string;
  readonly fetchedAtMs: number;
}

/** Settings, revocations and existence of fleets, per isolate. Values only: no request awaits another's promise. */
export class FleetViews {
  readonly #views = new Map<string, FleetView>();
  readonly #fetching = new Map<string, number>();

  /** A view that may be used now, or null: then it must be fetched. `refresh` is set when a newer one should be on its way. */
  known(fleet: string, nowMs: number): { readonly view: FleetView; readonly refresh: boolean } | null {
    const view = this.#views.get(fleet);
    if (view === undefined) return null;
    const ageMs = nowMs - view.fetchedAtMs;
    if (ageMs >= STALE_MS || ageMs < 0) return null;
    return { view, refresh: ageMs >= FRESH_MS && nowMs - (this.#fetching.get(fleet) ?? 0) > 1_000 };
  }

  async fetch(fleet: string, stub: FleetRpc): Promise<FleetView> {
    // What is fetched is as old as the question, not as the answer.
    const askedAtMs = Date.now();
    this.#fetching.set(fleet, askedAtMs);
    return this.put(await stub.snapshot(fleet), askedAtMs);
  }

  /** What this isolate has just written is known here at once. An older snapshot never replaces a newer one. */
  put(snapshot: FleetSnapshot, fetchedAtMs: number): FleetView {
    const view: FleetView = {
      snapshot,
      revoked: new Set(snapshot.revoked),
      storageName: storageFleet(snapshot.fleet, snapshot.generation),
      fetchedAtMs,
    };
    const known = this.#views.get(snapshot.fleet);
    if (known !== undefined && known.fetchedAtMs > fetchedAtMs) return known;
    this.#views.delete(snapshot.fleet);
    this.#views.set(snapshot.fleet, view);
    const oldest = this.#views.size > FLEETS_MAX ? this.#views.keys().next().value : undefined;
    if (oldest !== undefined) {
      this.#views.delete(oldest);
      this.#fetching.delete(oldest);
    }
    return view;
  }
}

/** Whether the fleet still honours verified claims. The local root token outlives the deletion of its fleet. */
export function honours(view: FleetView, claims: TokenClaims, local: boolean): boolean {
  if (view.revoked.has(claims.jti) || !view.snapshot.exists) return false;
  return claims.gen === view.snapshot.generation || (claims.root === true && local);
}
