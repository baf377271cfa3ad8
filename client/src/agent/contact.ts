import { LIMITS } from '../../../shared/limits.ts';

/** The agent stops this long before the fleet would give its work away. */
const SAFETY_MS = 500;

/**
 * How long held work may go on without the fleet, by the monotonic clock. The fleet keeps the leases of an agent that it
 * hears, so what counts is the last moment it surely heard us: it gives up 15 s after that, and 5 s after it saw the
 * socket close. Past the earlier of the two another agent may have the tasks.
 */
export class Contact {
  readonly #now: () => number;
  #heardAt: number;
  #closedAt: number | null = null;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#heardAt = now();
  }

  /** What was sent at `sentAt` has been answered, so it was heard then at the earliest. */
  heard(sentAt: number): void {
    this.#heardAt = Math.max(this.#heardAt, sentAt);
  }

  opened(sentAt: number): void {
    this.#closedAt = null;
    this.heard(sentAt);
  }

  /** The other side may have seen the close; its grace runs from now. */
  closed(): void {
    this.#closedAt ??= this.#now();
  }

  get silentMs(): number {
    return this.#now() - this.#heardAt;
  }

  /** Milliseconds that held work may still go on, 0 when it must stop. */
  get leftMs(): number {
    const heardEnd = this.#heardAt + LIMITS.lostAfterMs;
    const closedEnd = this.#closedAt === null ? Number.POSITIVE_INFINITY : this.#closedAt + LIMITS.sessionGraceMs;
    return Math.max(0, Math.min(heardEnd, closedEnd) - SAFETY_MS - this.#now());
  }
}
