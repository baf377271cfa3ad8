import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}
/** `drop` breaks the connection off, `hang` never answers. */
export type Reply =
  | { readonly status?: number; readonly body?: unknown; readonly headers?: Record<string, string> }
  | 'drop'
  | 'hang';
export type Handler = (request: Seen) => Reply | Promise<Reply>;

/** A server that speaks the contract as far as a test scripts it, and remembers what it was asked. */
export class FakeFleet {
  readonly seen: Seen[] = [];
  readonly server: Server;
  handler: Handler;

  private constructor(handler: Handler) {
    this.handler = handler;
    this.server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(handler: Handler): Promise<FakeFleet> {
    const fake = new FakeFleet(handler);
    await new Promise<void>((resolve) => fake.server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Requests to one route, as `METHOD /path`. */
  to(route: string): Seen[] {
    return this.seen.filter(({ method, path }) => `${method} ${path}` === route);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const hasBody = Number(request.headers['content-length'] ?? 0) > 0 || request.headers['transfer-encoding'] !== undefined;
    const seen: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: hasBody ? await json(request) : undefined,
    };
    this.seen.push(seen);
    const reply = await this.handler(seen);
    if (reply === 'hang') return;
    if (reply === 'drop') return void request.socket.destroy();
    const { status = 200, body, headers = {} } = reply;
    const type = status >= 400 ? 'application/problem+json' : 'application/json';
    response.writeHead(status, { 'content-type': type, 'x-request-id': 'req-1', ...headers });
    response.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
  }
}

/** A refusal as the fleet writes it. */
export function problem(status: number, code: string, more: Record<string, unknown> = {}): Exclude<Reply, string> {
  return {
    status,
    body: {
      type: `urn:fleet:problem:${code}`,
      title: code,
      status,
      detail: `It is ${code}.`,
      instance: '/',
      code,
      requestId: 'req-1',
      ...more,
    },
  };
}

/** Answers in turn, then the last one for ever. */
export function inTurn(...replies: readonly Reply[]): Handler {
  let at = 0;
  return () => replies[Math.min(at++, replies.length - 1)] ?? 'drop';
}

export const agentBody = (id: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  id,
  pool: 'coder',
  region: 'eu-west-1',
  status: 'idle',
  slots: 1,
  slotsFree: 1,
  capabilities: [],
  labels: {},
  swarms: [],
  liveness: 'heartbeat',
  stats: { completed: 0, failed: 0, meanDurationMs: null, successRate: null },
  lastSeenAtMs: 1,
  createdAtMs: 1,
  metadata: {},
  ...more,
});

export const allocationBody = (id: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  id,
  agentId: 'agt.1',
  pool: 'coder',
  region: 'eu-west-1',
  slots: 1,
  fencingToken: 7,
  leaseExpiresAtMs: 1_000,
  status: 'active',
  agent: { id: 'agt.1', capabilities: [], labels: {} },
  ...more,
});

export const taskBody = (id: string, status = 'queued', more: Record<string, unknown> = {}): Record<string, unknown> => ({
  id,
  pool: 'coder',
  region: 'eu-west-1',
  status,
  priority: 5,
  attempts: 0,
  createdAtMs: 1,
  ...more,
});
