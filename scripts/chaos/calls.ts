import { createHash } from 'node:crypto';
import type { Agent, RegisteredAgent } from '../../shared/schemas/agents.ts';
import type { Allocation } from '../../shared/schemas/allocations.ts';
import type { Task } from '../../shared/schemas/tasks.ts';
import type { Answer, EntryOf, Granted, Operations, Recorder } from '../../test/lib/history.ts';
import { answerOf, refusalOf, type CallOptions, type Http, type Reply } from './http.ts';

export interface Register {
  readonly pool: string;
  readonly slots: number;
  readonly liveness: 'heartbeat' | 'session' | 'none';
  readonly capabilities: readonly string[];
  readonly region?: string;
  readonly endpoint?: string;
}
export interface Allocate {
  readonly pool: string;
  readonly region?: string;
  readonly count?: number;
  readonly slots: number;
  readonly leaseMs: number;
  readonly waitMs?: number;
  readonly strategy?: string;
  readonly capabilities?: readonly string[];
}
export type Submit = { readonly pool: string; readonly payload: string; readonly maxAttempts: number } & Readonly<
  Record<string, unknown>
>;

type BatchItem =
  | { readonly op: 'allocate'; readonly key: string; readonly spec: Allocate }
  | { readonly op: 'renew'; readonly lease: Granted; readonly leaseMs: number }
  | { readonly op: 'release'; readonly lease: Granted };

/** Every operation of one client: asked over HTTP, written down with its outcome. */
export class Calls {
  readonly client: string;
  readonly http: Http;
  readonly recorder: Recorder;

  constructor(client: string, http: Http, recorder: Recorder) {
    this.client = client;
    this.http = http;
    this.recorder = recorder;
  }

  /** The token of a new agent stays out of the history: it is minted anew for each answer. */
  async register(spec: Register, key: string): Promise<{ readonly entry: EntryOf<'register'>; readonly token: string | null }> {
    const { pool, slots, liveness } = spec;
    const done = this.recorder.begin(this.client, 'register', { key, body: hash(spec), pool, slots, liveness });
    const reply = await this.http.call('POST', '/v1/agents', { body: spec, key });
    let token: string | null = null;
    const answer = answerOf(reply, ({ token: minted, ...agent }: RegisteredAgent, isReplay) => {
      token = minted;
      return { agentId: agent.id, hash: hash(agent), isReplay };
    });
    return { entry: done(answer), token };
  }

  async allocate(spec: Allocate, key: string | null): Promise<EntryOf<'allocate'>> {
    const done = this.#beginAllocate(spec, key);
    const reply = await this.http.call('POST', '/v1/allocations', { body: spec, key });
    return done(answerOf(reply, (body: Allocation, isReplay) => ({ hash: hash(body), isReplay, leases: leasesOf(body) })));
  }

  #beginAllocate(spec: Allocate, key: string | null) {
    const { count = 1, slots, leaseMs } = spec;
    return this.recorder.begin(this.client, 'allocate', { key, body: hash(spec), count, slots, leaseMs });
  }

  renew(allocationId: string, token: number, leaseMs: number): Promise<EntryOf<'renew'>> {
    return this.#ask('renew', { allocationId, token, leaseMs }, 'POST', `/v1/allocations/${allocationId}/renew`, renewed, {
      body: { fencingToken: token, leaseMs },
    });
  }

  release(allocationId: string, token: number): Promise<EntryOf<'release'>> {
    return this.#ask('release', { allocationId, token }, 'POST', `/v1/allocations/${allocationId}/release`, released, {
      body: { fencingToken: token },
    });
  }

  /** Several operations in one call, each written down by itself. */
  async batch(items: readonly BatchItem[]): Promise<readonly (EntryOf<'allocate'> | EntryOf<'renew'> | EntryOf<'release'>)[]> {
    const begun = items.map((item) => this.#beginItem(item));
    const operations = begun.map(({ operation }) => operation);
    const reply = await this.http.call('POST', '/v1/allocations/batch', { body: { operations } });
    return begun.map(({ end }, i) => end(itemReply(reply, i)));
  }

  #beginItem(item: BatchItem) {
    if (item.op === 'allocate') {
      const done = this.#beginAllocate(item.spec, item.key);
      const end = (reply: Reply): EntryOf<'allocate'> =>
        done(answerOf(reply, (body: Allocation) => ({ hash: hash(body), isReplay: null, leases: leasesOf(body) })));
      return { operation: { op: item.op, idempotencyKey: item.key, ...item.spec }, end };
    }
    const { allocationId, token } = item.lease;
    const operation = { id: allocationId, fencingToken: token };
    if (item.op === 'renew') {
      const done = this.recorder.begin(this.client, 'renew', { allocationId, token, leaseMs: item.leaseMs });
      const end = (reply: Reply): EntryOf<'renew'> => done(answerOf(reply, renewed));
      return { operation: { op: item.op, ...operation, leaseMs: item.leaseMs }, end };
    }
    const done = this.recorder.begin(this.client, 'release', { allocationId, token });
    const end = (reply: Reply): EntryOf<'release'> => done(answerOf(reply, released));
    return { operation: { op: item.op, ...operation }, end };
  }

  getAllocation(allocationId: string): Promise<EntryOf<'getAllocation'>> {
    const read = (body: Allocation): Operations['getAllocation']['output'] => ({ ...leaseOf(body), status: body.status });
    return this.#ask('getAllocation', { allocationId }, 'GET', `/v1/allocations/${allocationId}`, read);
  }

  async submit(spec: Submit, key: string | null): Promise<EntryOf<'submit'>> {
    const { payload, maxAttempts } = spec;
    const done = this.recorder.begin(this.client, 'submit', { key, body: hash(spec), payload, maxAttempts });
    const reply = await this.http.call('POST', '/v1/tasks', { body: spec, key });
    return done(answerOf(reply, (task: Task, isReplay) => ({ taskId: task.id, hash: hash(task), isReplay })));
  }

  getTask(taskId: string, waitMs = 0): Promise<EntryOf<'getTask'>> {
    const read = ({ status, attempts, result, error }: Task): Operations['getTask']['output'] => ({
      status,
      attempts,
      result: typeof result === 'string' ? result : null,
      errorCode: error?.code ?? null,
    });
    return this.#ask('getTask', { taskId }, 'GET', `/v1/tasks/${taskId}${waitMs === 0 ? '' : `?waitMs=${waitMs}`}`, read);
  }

  cancel(taskId: string): Promise<EntryOf<'cancel'>> {
    return this.#ask('cancel', { taskId }, 'DELETE', `/v1/tasks/${taskId}`, ({ status }: Task) => ({ status }));
  }

  progress(taskId: string, fencingToken: number, agentId: string, token: string): Promise<EntryOf<'progress'>> {
    const input = { taskId, token: fencingToken, agentId };
    const body = { fencingToken, progress: 0.5 };
    return this.#ask('progress', input, 'POST', `/v1/tasks/${taskId}/progress`, () => ({}), { body, token });
  }

  complete(taskId: string, fencingToken: number, agentId: string, result: string, token: string): Promise<EntryOf<'complete'>> {
    const input = { taskId, token: fencingToken, agentId, result };
    const body = { fencingToken, result };
    return this.#ask('complete', input, 'POST', `/v1/tasks/${taskId}/complete`, () => ({}), { body, token });
  }

  fail(taskId: string, fencingToken: number, agentId: string, isRetryable: boolean, token: string): Promise<EntryOf<'fail'>> {
    const input = { taskId, token: fencingToken, agentId, isRetryable };
    const body = { fencingToken, error: 'chaos', retryable: isRetryable };
    return this.#ask('fail', input, 'POST', `/v1/tasks/${taskId}/fail`, () => ({}), { body, token });
  }

  getAgent(agentId: string): Promise<EntryOf<'getAgent'>> {
    const read = ({ status, slots, slotsFree }: Agent): Operations['getAgent']['output'] => ({ status, slots, slotsFree });
    return this.#ask('getAgent', { agentId }, 'GET', `/v1/agents/${agentId}`, read);
  }

  drain(agentId: string, deadlineMs: number): Promise<EntryOf<'drain'>> {
    return this.#ask('drain', { agentId, deadlineMs }, 'POST', `/v1/agents/${agentId}/drain`, statusOf, { body: { deadlineMs } });
  }

  quarantine(agentId: string): Promise<EntryOf<'quarantine'>> {
    return this.#ask('quarantine', { agentId }, 'POST', `/v1/agents/${agentId}/quarantine`, statusOf, { body: {} });
  }

  deregister(agentId: string, force: boolean): Promise<EntryOf<'deregister'>> {
    return this.#ask('deregister', { agentId, force }, 'DELETE', `/v1/agents/${agentId}${force ? '?force=true' : ''}`, statusOf);
  }

  async #ask<K extends keyof Operations>(
    op: K,
    input: Operations[K]['input'],
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    read: (body: never, isReplay: boolean) => Operations[K]['output'],
    options: CallOptions = {},
  ): Promise<EntryOf<K>> {
    const done = this.recorder.begin(this.client, op, input);
    return done(answerOf(await this.http.call(method, path, options), read));
  }
}

/** Tells answers, and bodies, apart. */
const hash = (value: unknown): string => createHash('sha1').update(JSON.stringify(value)).digest('base64url').slice(0, 12);

const statusOf = ({ status }: Agent): { status: Agent['status'] } => ({ status });
const renewed = ({ leaseExpiresAtMs }: Allocation): Operations['renew']['output'] => ({ endsAtMs: leaseExpiresAtMs });
const released = ({ status }: Allocation): Operations['release']['output'] => ({ status });

const leaseOf = (allocation: Allocation): Granted => ({
  allocationId: allocation.id,
  agentId: allocation.agentId,
  token: allocation.fencingToken,
  slots: allocation.slots,
  endsAtMs: allocation.leaseExpiresAtMs,
});
const leasesOf = (body: Allocation | { readonly allocations: readonly Allocation[] }): Granted[] =>
  ('allocations' in body ? body.allocations : [body]).map(leaseOf);

/** One item of a batch's reply, as if it had been answered alone. */
function itemReply(reply: Reply, index: number): Reply {
  if (reply.kind !== 'answered') return reply;
  if (reply.status !== 200) {
    const refusal: Answer<never> = refusalOf(reply.status, reply.body);
    return refusal.kind === 'open' ? refusal : reply;
  }
  const { results } = reply.body as { readonly results: readonly { status: number; body?: unknown; problem?: unknown }[] };
  const item = results[index];
  if (item === undefined) return { kind: 'open', why: '500 no result for an item' };
  return { kind: 'answered', status: item.status, body: item.body ?? item.problem, isReplay: false };
}
