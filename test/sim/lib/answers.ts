import type { Outcome } from '../../../durable-objects/pool/outcomes.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { IdempotencyRef, PoolReply } from '../../../shared/rpc.ts';
import { must } from './must.ts';

interface Known {
  readonly bodyHash: string;
  readonly answer: string;
  readonly atMs: number;
}

/** The clock now, and the latest it ever was: answers are pruned by the latter. */
export interface Instant {
  readonly nowMs: number;
  readonly latestMs: number;
}

/** I5: what each idempotency key was answered, kept by an outsider who hears every committed answer. */
export class Answers {
  readonly #known = new Map<string, Known>();
  /** Keys of calls that wait. */
  readonly #waiting = new Map<string, IdempotencyRef>();

  /** A committed answer to a call with a key. */
  replied(ref: IdempotencyRef, reply: PoolReply, at: Instant): void {
    const known = this.#known.get(ref.key);
    const fresh = known !== undefined && at.latestMs - known.atMs < LIMITS.idempotencyTtlMs;
    if (!reply.ok) {
      const mismatch = reply.error.kind === 'idempotency_mismatch';
      must(!mismatch || !fresh || known.bodyHash !== ref.bodyHash, `key ${ref.key} was refused for its own body (I5)`);
      return;
    }
    const answer = JSON.stringify(reply.value);
    if (reply.replayed === true) {
      must(known !== undefined, `key ${ref.key} was replayed, but never answered`);
      must(known.bodyHash === ref.bodyHash, `key ${ref.key} was replayed for another body (I5)`);
      must(known.answer === answer, `key ${ref.key} got another answer (I5)`);
      return;
    }
    must(!fresh, `key ${ref.key} was done twice (I5)`);
    this.#known.set(ref.key, { bodyHash: ref.bodyHash, answer, atMs: at.nowMs });
  }

  parked(waiterId: string, ref: IdempotencyRef): void {
    this.#waiting.set(waiterId, ref);
  }

  waited(waiterId: string, reply: PoolReply, at: Instant): void {
    const ref = this.#waiting.get(waiterId);
    this.#waiting.delete(waiterId);
    if (ref !== undefined) this.replied(ref, reply, at);
  }

  /** Committed, and perhaps nobody will be told: the answers hold all the same. */
  committed(outcomes: readonly Outcome[], at: Instant): void {
    for (const outcome of outcomes) if (outcome.type === 'waiterDone') this.waited(outcome.waiterId, outcome.reply, at);
  }
}
