import http from 'node:http';
import type { Reply } from '../lib/load.ts';

/**
 * Keep-alive connections to a server on loopback, one request at a time on each. Over `node:http`, because the pool of
 * `undici` 7.29 lets a lone request wait for over a millisecond (2026-11), which is more than what is measured here.
 */
export class Connections {
  readonly #agent: http.Agent;
  readonly #host: string;
  readonly #port: string;
  readonly #authorization: string;

  constructor(url: string, token: string, count: number) {
    const { hostname, port } = new URL(url);
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: count });
    this.#host = hostname;
    this.#port = port;
    this.#authorization = `Bearer ${token}`;
  }

  call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Reply> {
    const text = body === undefined ? null : JSON.stringify(body);
    const headers = {
      authorization: this.#authorization,
      ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    };
    return new Promise((resolve, reject) => {
      const request = http.request(
        { agent: this.#agent, host: this.#host, port: this.#port, method, path, headers },
        (response) => {
          let received = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (received += chunk));
          response.on('error', reject);
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: received }));
        },
      );
      request.on('error', reject);
      request.end(text ?? undefined);
    });
  }

  /** As `call`, and an error for any other status than the expected one. */
  async expect(status: number, method: 'GET' | 'POST', path: string, body?: unknown): Promise<Reply> {
    const reply = await this.call(method, path, body);
    if (reply.status !== status) throw new Error(`${method} ${path}: ${reply.status} ${reply.body.slice(0, 300)}`);
    return reply;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Connections to one server by number of callers. */
export class ConnectionSets {
  readonly #sets = new Map<number, Connections>();
  readonly #make: (count: number) => Connections;

  constructor(url: string, token: string) {
    this.#make = (count) => new Connections(url, token, count);
  }

  of(count: number): Connections {
    let set = this.#sets.get(count);
    if (set === undefined) this.#sets.set(count, (set = this.#make(count)));
    return set;
  }

  close(): void {
    for (const set of this.#sets.values()) set.close();
  }
}
