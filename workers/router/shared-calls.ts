import type { PoolReply, PoolRequest } from '../../shared/rpc.ts';
import type { Execution } from './context.ts';

/** Calls of one lane that may be under way at once: while one commits, the next one is on its way. */
const CALLS_MAX = 2;
/** Requests of one call, as many as one group commit takes. */
const SHARED_MAX = 256;
/** Nobody waits behind a call that is older: it is in trouble, or the request that made it is gone. */
const SLOW_MS = 1_000;

/** Makes the call to the region. Every request of a lane brings the same one. */
export type Send = (requests: readonly PoolRequest[]) => Promise<readonly PoolReply[]>;

interface Waiting {
  readonly request: PoolRequest;
  readonly resolve: (reply: PoolReply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Requests of one caller to one place that come while others are under way share the next call. Each request awaits a
 * promise of its own, which the request that makes the call resolves; the platform goes on with each in its own context
 * (`handle_cross_request_promise_resolution`). A call is kept alive by `waitUntil`, so it survives the caller that made it;
 * should it be lost all the same, those behind it wait at most until `SLOW_MS`, or for the next to come.
 */
class Lane {
  #waiting: Waiting[] = [];
  readonly #calls = new Set<{ readonly startedAtMs: number }>();
  /** Lets the request that will make the next call go. */
  #turn: (() => void) | null = null;

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#calls.size === 0;
  }

  run(request: PoolRequest, send: Send, execution: Execution): Promise<PoolReply> {
    if (this.isIdle) return this.#callAlone(request, send);
    const reply = new Promise<PoolReply>((resolve, reject) => this.#waiting.push({ request, resolve, reject }));
    if (this.#underWay() < CALLS_MAX) execution.waitUntil(this.#call(send));
    else if (this.#turn === null) execution.waitUntil(this.#callNext(send));
    return reply;
  }

  #underWay(): number {
    const nowMs = Date.now();
    let count = 0;
    for (const call of this.#calls) {
      if (nowMs - call.startedAtMs < SLOW_MS) count += 1;
      // Its requests have given up long since; whether it ends no longer matters.
      else if (nowMs - call.startedAtMs > 60 * SLOW_MS) this.#calls.delete(call);
    }
    return count;
  }

  /**
   * Nothing to share: spared what keeps a call alive, which costs a lone caller a tenth. If it leaves, its place is taken
   * until `SLOW_MS`, and the others use the second one.
   */
  async #callAlone(request: PoolRequest, send: Send): Promise<PoolReply> {
    const call = { startedAtMs: Date.now() };
    this.#calls.add(call);
    try {
      const [reply] = await send([request]);
      if (reply === undefined) throw noAnswer();
      return reply;
    } finally {
      this.#end(call);
    }
  }

  #end(call: { readonly startedAtMs: number }): (() => void) | null {
    this.#calls.delete(call);
    const turn = this.#turn;
    this.#turn = null;
    turn?.();
    return turn;
  }

  async #callNext(send: Send): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#turn = resolve;
    });
    await this.#call(send);
  }

  async #call(send: Send): Promise<void> {
    const shared = this.#waiting.splice(0, SHARED_MAX);
    if (shared.length === 0) return;
    const call = { startedAtMs: Date.now() };
    this.#calls.add(call);
    try {
      const replies = await send(shared.map(({ request }) => request));
      for (const [i, { resolve, reject }] of shared.entries()) {
        const reply = replies[i];
        if (reply === undefined) reject(noAnswer());
        else resolve(reply);
      }
    } catch (error) {
      for (const { reject } of shared) reject(error);
    } finally {
      const next = this.#end(call);
      // More had gathered than one call takes, and whoever was to make the next has had its turn.
      if (next === null && this.#waiting.length > 0) await this.#call(send);
    }
  }
}

const noAnswer = (): Error => new Error('the region gave no answer');

/** The lanes of this isolate, by place and caller. */
export class SharedCalls {
  readonly #places = new WeakMap<object, Map<string, Lane>>();

  /** Runs one request, alone or in a call with others of the same `lane` at the same `place`. */
  async run(
    at: { readonly place: object; readonly lane: string },
    request: PoolRequest,
    send: Send,
    execution: Execution,
  ): Promise<PoolReply> {
    let lanes = this.#places.get(at.place);
    if (lanes === undefined) this.#places.set(at.place, (lanes = new Map<string, Lane>()));
    let lane = lanes.get(at.lane);
    if (lane === undefined) lanes.set(at.lane, (lane = new Lane()));
    try {
      return await lane.run(request, send, execution);
    } finally {
      if (lane.isIdle && lanes.get(at.lane) === lane) lanes.delete(at.lane);
    }
  }
}
