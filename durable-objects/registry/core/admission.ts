import type { FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';

/**
 * How long a reservation stands whose caller never came back. Longer than any registration takes; by then its agents, if
 * there are any, have long been in a report.
 */
export const TICKET_MS = 15_000;

/**
 * Holds a fleet's maximum of agents in a region, over all pools. Agents that are being registered are in no counter yet, so
 * each registration first reserves its room and gives the reservation back together with counters that include its outcome.
 * Reservations live in memory: they are lost with the object, which is evicted only after seconds without any call.
 */
export class Admission {
  #next = 1;
  readonly #open = new Map<number, { readonly agents: number; readonly expiresAtMs: number }>();

  admit(
    wanted: number,
    limit: number,
    known: number,
    nowMs: number,
  ): Result<{ readonly ticket: number; readonly admitted: number }, FleetError> {
    const admitted = Math.min(wanted, limit - known - this.#reserved(nowMs));
    if (admitted <= 0) return err(regionFull(limit));
    const ticket = this.#next++;
    this.#open.set(ticket, { agents: admitted, expiresAtMs: nowMs + TICKET_MS });
    return ok({ ticket, admitted });
  }

  settle(ticket: number): void {
    this.#open.delete(ticket);
  }

  #reserved(nowMs: number): number {
    let reserved = 0;
    for (const [ticket, { agents, expiresAtMs }] of this.#open) {
      if (expiresAtMs <= nowMs) this.#open.delete(ticket);
      else reserved += agents;
    }
    return reserved;
  }
}

export const regionFull = (limit: number): FleetError => ({
  kind: 'quota_exceeded',
  scope: 'region',
  limit,
  detail: `The fleet may have ${limit} agents in this region.`,
});
