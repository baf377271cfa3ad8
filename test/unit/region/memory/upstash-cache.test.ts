import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CachedEntry } from '../../../../workers/region/memory/entry-cache.ts';
import { sharedCacheOf, UpstashCache } from '../../../../workers/region/memory/upstash-cache.ts';

/** As much of Upstash's REST interface as the cache uses: commands as JSON arrays, one by one or in a pipeline. */
class Stub {
  readonly values = new Map<string, string>();
  readonly sets = new Map<string, Set<string>>();
  readonly commands: string[][] = [];
  server: Server | null = null;

  async start(): Promise<string> {
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk) => (text += String(chunk)));
      request.on('end', () => {
        if (request.headers.authorization !== 'Bearer secret') return response.writeHead(401).end('{"error":"no"}');
        const body = JSON.parse(text) as unknown[];
        const many = Array.isArray(body[0]);
        const results = (many ? body : [body]).map((command) => ({ result: this.#run((command as unknown[]).map(String)) }));
        return response.end(JSON.stringify(many ? results : results[0]));
      });
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  #run(command: string[]): unknown {
    this.commands.push(command);
    const [name, key = '', ...rest] = command;
    switch (name?.toLowerCase()) {
      case 'get':
        return this.values.get(key) ?? null;
      case 'set':
        this.values.set(key, rest[0] ?? '');
        return 'OK';
      case 'sadd':
        this.sets.set(key, new Set([...(this.sets.get(key) ?? []), ...rest]));
        return 1;
      case 'smembers':
        return [...(this.sets.get(key) ?? [])];
      case 'del':
        for (const one of [key, ...rest]) {
          this.values.delete(one);
          this.sets.delete(one);
        }
        return 1;
      default:
        return 1;
    }
  }
}

const stub = new Stub();
let url: string;
const key = new Uint8Array(32).fill(7);
const cached = (value: string): CachedEntry => ({
  tag: '1.1.0',
  entry: {
    key: 'secret-key',
    value,
    version: 1,
    level: 'swarm',
    owner: 'secret-owner',
    tags: [],
    region: 'eu-west-1',
    createdAtMs: 1,
    updatedAtMs: 1,
    writtenBy: 'secret-owner',
  },
});
const name = (identity: string, of = 'secret-key') => ({ fleet: 'acme', swarm: 'hive', key: of, identity });

beforeAll(async () => {
  url = await stub.start();
});
afterAll(() => stub.server?.close());

describe('UpstashCache', () => {
  it('M169 gives back what was put, to the same reader only, for five minutes', async () => {
    const cache = new UpstashCache({ url, token: 'secret', key, region: 'eu-west-1' });
    expect(await cache.get(name('ada'))).toBeNull();
    await cache.put(name('ada'), cached('"secret-value"'));
    expect(await cache.get(name('ada'))).toEqual(cached('"secret-value"'));
    expect(await cache.get(name('bob'))).toBeNull();
    expect(stub.commands.find(([command]) => command?.toLowerCase() === 'set')?.slice(3)).toEqual(['px', '300000']);
  });

  it('M169 holds nothing in clear, and nothing that opens elsewhere', async () => {
    const text = JSON.stringify([...stub.values, ...stub.sets, ...stub.commands]);
    expect(text).not.toMatch(/secret-/);
    const cache = new UpstashCache({ url, token: 'secret', key, region: 'eu-west-1' });
    const other = new UpstashCache({ url, token: 'secret', key, region: 'us-east-1' });
    expect(await other.get(name('ada'))).toBeNull();
    const [mine = '', sealed = ''] = stub.values.entries().next().value ?? [];
    await cache.put(name('bob'), cached('2'));
    const theirs = [...stub.values.keys()].find((one) => one !== mine) ?? '';
    stub.values.set(theirs, sealed);
    expect(await cache.get(name('bob'))).toBeNull();
    stub.values.set(mine, `${sealed.slice(0, -8)}AAAAAAA=`);
    expect(await cache.get(name('ada'))).toBeNull();
  });

  it('M169 forgets a key for every reader, and a whole swarm', async () => {
    const cache = new UpstashCache({ url, token: 'secret', key, region: 'eu-west-1' });
    for (const who of ['ada', 'bob']) for (const of of ['k1', 'k2']) await cache.put(name(who, of), cached(of));
    await cache.invalidate(name('', 'k1'));
    expect([await cache.get(name('ada', 'k1')), await cache.get(name('bob', 'k1'))]).toEqual([null, null]);
    expect(await cache.get(name('bob', 'k2'))).not.toBeNull();
    await cache.clear(name(''));
    expect(stub.values.size).toBe(0);
  });

  it('M169 is absent unless configured, and a refusal is an error for the caller to swallow', async () => {
    expect(sharedCacheOf('', 'eu-west-1')).toBeNull();
    expect(() => sharedCacheOf(JSON.stringify({ url, token: 'x', key: 'short' }), 'eu-west-1')).toThrow();
    const settings = JSON.stringify({ url, token: 'wrong', key: Buffer.from(key).toString('base64') });
    await expect(sharedCacheOf(settings, 'eu-west-1')?.get(name('ada'))).rejects.toThrow();
  });
});
