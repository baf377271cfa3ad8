/** A ticket that its router never settled, because it died, stops counting after this time. */
export const TICKET_TTL_MS = 15_000;
/** A registration is in its region's counters within this time of its answer (CONTRACT: 500 ms), with room to spare. */
export const COUNTED_WITHIN_MS = 1_000;

interface Ticket {
  readonly wanted: number;
  readonly openedAtMs: number;
  settledAtMs: number | null;
  /** What still may be missing from the counters. */
  held: number;
}

/** How many agents the counters say there are, and when that was asked. */
export interface Count {
  readonly agents: number;
  readonly askedAtMs: number;
}

/** `wait`: near the maximum, counters and open tickets overlap; ask again when they have settled. */
export type Verdict =
  | { readonly type: 'admit'; readonly admitted: number }
  | { readonly type: 'wait' }
  | { readonly type: 'refuse' };

/**
 * Admission under a fleet's maximum. Registrations are counted by the regions, a moment later; until then the tickets
 * stand for them. A ticket and its agent may both be counted for that moment, so near the maximum the answer waits rather
 * than refuse wrongly, and never admits wrongly.
 */
export class Admission {
  readonly #tickets = new Map<number, Ticket>();
  #nextTicket = 1;
  #removedAtMs = Number.NEGATIVE_INFINITY;

  judge(input: {
    readonly limit: number;
    readonly wanted: number;
    readonly count: Count;
    readonly nowMs: number;
    /** False when the caller has waited long enough: then open tickets are taken as agents. */
    readonly mayWait: boolean;
  }): Verdict {
    const { limit, wanted, count, nowMs } = input;
    this.#forget(nowMs);
    let held = 0;
    for (const ticket of this.#tickets.values()) if (mayBeMissing(ticket, count)) held += ticket.held;
    const room = limit - count.agents - held;
    if (room >= wanted) return { type: 'admit', admitted: wanted };
    const mayShrink = count.askedAtMs < this.#removedAtMs + COUNTED_WITHIN_MS;
    const mayOverlap = held > 0 && count.agents < limit;
    if (input.mayWait && (mayShrink || mayOverlap)) return { type: 'wait' };
    return room > 0 ? { type: 'admit', admitted: room } : { type: 'refuse' };
  }

  open(wanted: number, nowMs: number): number {
    const id = this.#nextTicket++;
    this.#tickets.set(id, { wanted, openedAtMs: nowMs, settledAtMs: null, held: wanted });
    return id;
  }

  /** An agent has just left: the counters may still have it. */
  noteRemoved(nowMs: number): void {
    this.#removedAtMs = nowMs;
  }

  settle(id: number, registered: number, nowMs: number): void {
    const ticket = this.#tickets.get(id);
    if (ticket === undefined) return;
    ticket.settledAtMs = nowMs;
    ticket.held = Math.min(ticket.wanted, Math.max(0, registered));
    if (ticket.held === 0) this.#tickets.delete(id);
  }

  #forget(nowMs: number): void {
    for (const [id, ticket] of this.#tickets) {
      const endMs = ticket.settledAtMs === null ? ticket.openedAtMs + TICKET_TTL_MS : ticket.settledAtMs + 3 * COUNTED_WITHIN_MS;
      if (endMs <= nowMs) this.#tickets.delete(id);
    }
  }
}

/** Counters that were asked for long enough after the registration have it. */
const mayBeMissing = (ticket: Ticket, count: Count): boolean =>
  ticket.settledAtMs === null || count.askedAtMs < ticket.settledAtMs + COUNTED_WITHIN_MS;
