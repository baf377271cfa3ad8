import type { FleetError } from '../../shared/errors.ts';
import { problemOf } from '../../shared/problem.ts';
import { ok, type Result } from '../../shared/result.ts';

/** A success on its way out; `body` is JSON already, or null for none. */
export interface Reply {
  readonly status: number;
  readonly body: string | null;
  /** The one region that served it. */
  readonly region?: string | undefined;
  /** The kept answer of an earlier call with the same idempotency key. */
  readonly replayed?: boolean | undefined;
  readonly contentType?: string;
  /** A body of bytes, in place of `body`. */
  readonly stream?: ReadableStream<Uint8Array>;
  /** A region's answer to an upgrade, with the socket in it. */
  readonly upgraded?: Response;
}
/** What a request comes to. A refusal, too, may be the word of one region. */
export type Outcome = Result<Reply, FleetError> & { readonly region?: string };

/** A region's refusal. Where it is the way there that failed, no region has spoken. */
export function refusedBy(region: string | null, refusal: { readonly ok: false; readonly error: FleetError }): Outcome {
  const { error } = refusal;
  return region === null || error.kind === 'region_unavailable' || error.kind === 'overloaded'
    ? { ok: false, error }
    : { ok: false, error, region };
}

type Facts = Pick<Reply, 'region' | 'replayed'>;

/** A reply with a JSON text. */
export const reply = (status: number, body: string | null, facts: Facts = {}): Outcome => ok({ status, body, ...facts });

/** A reply with a plain object. */
export const replyJson = (status: number, body: object, facts: Facts = {}): Outcome => reply(status, JSON.stringify(body), facts);

/** One result of a batch: what the call alone would have answered. */
export function batchItem(
  result: Result<{ readonly status: number; readonly body: string }, FleetError>,
  where: { readonly instance: string; readonly requestId: string },
): string {
  if (result.ok) return `{"status":${result.value.status},"body":${result.value.body}}`;
  const problem = problemOf(result.error, where);
  return JSON.stringify({ status: problem.status, problem });
}

/** The reply to a batch: always 200, one result per item in their order. */
export const batchReply = (items: readonly string[], facts: Facts = {}): Outcome =>
  reply(200, `{"results":[${items.join(',')}]}`, facts);
