import { LIMITS } from '../../shared/limits.ts';
import { invalidState, type FleetError } from '../../shared/errors.ts';
import { utf8Bytes } from '../../shared/json.ts';
import { err } from '../../shared/result.ts';
import type { IdempotencyRef, PoolReply } from '../../shared/rpc.ts';
import type { PoolStorage, StoredAnswer } from './storage.ts';

/** A key passed on to other shards is skipped here for this long; the router clears it sooner when all of them refused. */
const PASSED_TTL_MS = 60_000;

/** A row holds 2 MB; a result of a megabyte may be larger once it is quoted again. */
const ANSWER_BYTES_MAX = 1_900_000;

/** What a repeat is told then: above all, nothing is done twice. */
const TOO_LARGE_TO_KEEP: PoolReply = err(invalidState('done', 'This request was done; its answer was too large to be kept.'));

/** Refusals after which another shard may still say yes. */
const PASSABLE: ReadonlySet<FleetError['kind']> = new Set(['no_capacity', 'queue_full', 'quota_exceeded']);

/**
 * The caller's names for requests, with the answers they got (I5). Written in the transaction that did the work; only
 * answers that changed state are kept, and refusals that were passed on to another shard.
 */
export class IdempotentAnswers {
  readonly #storage: Pick<PoolStorage, 'answers' | 'putAnswer'>;
  readonly #nowMs: () => number;
  readonly #onKept: (atMs: number) => void;
  /** Keys whose first call still waits, with its body: memory only, like the wait itself. */
  readonly #waiting = new Map<string, string>();
  /** What is kept of the keys of the call that is being worked on, read at once. */
  #read: Map<string, StoredAnswer | null> = new Map();

  constructor(storage: Pick<PoolStorage, 'answers' | 'putAnswer'>, nowMs: () => number, onKept: (atMs: number) => void) {
    this.#storage = storage;
    this.#nowMs = nowMs;
    this.#onKept = onKept;
  }

  /** Reads what is kept of many keys; holds until the next call. */
  read(refs: readonly IdempotencyRef[]): void {
    const keys = refs.map(({ key }) => key);
    const found = keys.length === 0 ? null : this.#storage.answers(keys);
    this.#read = new Map(keys.map((key) => [key, found?.get(key) ?? null]));
  }

  #stored(key: string): StoredAnswer | null {
    const read = this.#read.get(key);
    return read === undefined ? (this.#storage.answers([key]).get(key) ?? null) : read;
  }

  /** The kept answer of a key, or null when the request is new. */
  recall(ref: IdempotencyRef): PoolReply | null {
    const waitingHash = this.#waiting.get(ref.key);
    const stored = waitingHash === undefined ? this.#stored(ref.key) : null;
    const ttlMs = stored?.state === 'passed' ? PASSED_TTL_MS : LIMITS.idempotencyTtlMs;
    if (waitingHash === undefined && (stored === null || this.#nowMs() - stored.atMs > ttlMs)) return null;
    if ((waitingHash ?? stored?.bodyHash) !== ref.bodyHash) {
      return err({ kind: 'idempotency_mismatch', detail: 'This idempotency key was used with another request.' });
    }
    if (stored === null) {
      const detail = 'The first request with this key is still running.';
      return err({ kind: 'idempotency_in_progress', retryAfterMs: 500, detail });
    }
    // Passed on to another shard: the grant, if any, is there. Without further candidates it is tried here again.
    if (stored.state === 'passed') return ref.passOnRefusal === true ? (JSON.parse(stored.answer) as PoolReply) : null;
    return { ...(JSON.parse(stored.answer) as PoolReply), replayed: true };
  }

  /** Keeps what became of a request: its answer, or that it waits. */
  remember(ref: IdempotencyRef, answer: PoolReply | 'parked'): void {
    if (answer === 'parked') {
      this.#waiting.set(ref.key, ref.bodyHash);
      return;
    }
    this.#waiting.delete(ref.key);
    const isPassed = !answer.ok && ref.passOnRefusal === true && PASSABLE.has(answer.error.kind);
    if (!answer.ok && !isPassed) return;
    const atMs = this.#nowMs();
    const state = answer.ok ? 'done' : 'passed';
    const text = JSON.stringify(answer);
    const kept = utf8Bytes(text) <= ANSWER_BYTES_MAX ? text : JSON.stringify(TOO_LARGE_TO_KEEP);
    const stored: StoredAnswer = { bodyHash: ref.bodyHash, state, answer: kept, atMs };
    this.#storage.putAnswer(ref.key, stored);
    this.#read.set(ref.key, stored);
    this.#onKept(atMs);
  }

  /** The caller that waited left: nothing became of its request. */
  stopWaiting(ref: IdempotencyRef): void {
    this.#waiting.delete(ref.key);
  }
}
