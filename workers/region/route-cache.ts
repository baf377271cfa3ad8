import type { PlacementRoute } from '../../durable-objects/registry/core/routes.ts';
import { liveRoute, type LiveRoute } from './placement.ts';

/** How old a route may be. Shards know the newest configuration themselves, so an old route costs balance, not a limit. */
export const ROUTE_TTL_MS = 2_000;
/** Fleets remembered per isolate; some 10 kB each. */
const FLEETS_MAX = 500;

interface Entry {
  readonly fetchedAtMs: number;
  readonly routes: ReadonlyMap<string, LiveRoute>;
}

/**
 * Pool routes of this isolate, by fleet. It keeps values only: a promise of one request must not be awaited by another on
 * this platform, so two requests at the same time may both ask.
 */
export class RouteCache {
  readonly #fleets = new Map<string, Entry>();

  /** A pool that is not in the cached routes may be new: the registry is asked once more before it does not exist. */
  async find(
    fleet: string,
    pool: string,
    ask: { readonly nowMs: () => number; readonly fetch: () => Promise<readonly PlacementRoute[]> },
  ): Promise<LiveRoute | null> {
    const cached = this.#fleets.get(fleet);
    if (cached !== undefined && ask.nowMs() - cached.fetchedAtMs < ROUTE_TTL_MS) {
      const route = cached.routes.get(pool);
      if (route !== undefined) return route;
    }
    const routes = await ask.fetch();
    const entry = { fetchedAtMs: ask.nowMs(), routes: new Map(routes.map((route) => [route.pool, liveRoute(route)])) };
    this.#fleets.delete(fleet);
    this.#fleets.set(fleet, entry);
    const oldest = this.#fleets.size > FLEETS_MAX ? this.#fleets.keys().next().value : undefined;
    if (oldest !== undefined) this.#fleets.delete(oldest);
    return entry.routes.get(pool) ?? null;
  }

  forget(fleet: string): void {
    this.#fleets.delete(fleet);
  }
}
