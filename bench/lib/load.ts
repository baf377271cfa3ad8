import { Pool } from 'undici';

export interface Reply {
  readonly status: number;
  readonly body: string;
}

/** A small HTTP client with a fixed number of keep-alive connections, for loopback only. */
export class Client {
  readonly #pool: Pool;
  readonly #headers: Record<string, string>;

  constructor(url: string, token: string, connections: number) {
    const host = new URL(url).hostname;
    if (host !== '127.0.0.1' && host !== 'localhost' && host !== '[::1]')
      throw new Error('benchmarks send load to loopback only');
    this.#pool = new Pool(url, { connections, pipelining: 1 });
    this.#headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  }

  async call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Reply> {
    const reply = await this.#pool.request({
      method,
      path,
      headers: this.#headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: reply.statusCode, body: await reply.body.text() };
  }

  /** As `call`, and an error for any other status than the expected one. */
  async expect(status: number, method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Reply> {
    const reply = await this.call(method, path, body);
    if (reply.status !== status) throw new Error(`${method} ${path}: ${reply.status} ${reply.body.slice(0, 300)}`);
    return reply;
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}

export interface LoopResult {
  readonly perSecond: number;
  readonly samplesMs: readonly number[];
}

/** `concurrency` callers each repeat `op` for `seconds`; the first fifth is warm-up and is not counted. */
export async function closedLoop(concurrency: number, seconds: number, op: () => Promise<void>): Promise<LoopResult> {
  const samplesMs: number[] = [];
  const start = performance.now();
  const warmUntil = start + seconds * 200;
  const end = start + seconds * 1000;
  let counted = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (performance.now() < end) {
        const from = performance.now();
        await op();
        const to = performance.now();
        if (from < warmUntil) continue;
        samplesMs.push(to - from);
        if (to <= end) counted += 1;
      }
    }),
  );
  return { perSecond: counted / (seconds * 0.8), samplesMs };
}

/** Runs `op` at a fixed rate whether or not earlier ones have answered, so that a slow answer does not hide the next. */
export async function paced(perSecond: number, seconds: number, op: () => Promise<void>): Promise<readonly number[]> {
  const samplesMs: number[] = [];
  const running: Promise<void>[] = [];
  const start = performance.now();
  const total = Math.round(perSecond * seconds);
  for (let i = 0; i < total; i += 1) {
    const due = start + (i * 1000) / perSecond;
    const waitMs = due - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const from = performance.now();
    running.push(
      op().then(() => {
        // The first half second warms connections and code.
        if (from - start > 500) samplesMs.push(performance.now() - from);
      }),
    );
  }
  await Promise.all(running);
  return samplesMs;
}
