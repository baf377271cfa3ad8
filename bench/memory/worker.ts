import { DurableObject } from 'cloudflare:workers';
import { SecretKeys } from '../../wasm/sqlite/keys/secret-keys.ts';
import { loadSqlJs } from '../../wasm/sqlite/load-worker.ts';
import { SealedDatabase } from '../../wasm/sqlite/sealed-database.ts';
import { GET, keyOf, LIST, ownerOf, OWNERS, PUT, putRow, SCHEMA, valueOf } from './schema.ts';

interface Env {
  readonly BENCH: DurableObjectNamespace<BenchObject>;
  readonly CACHE_MB: string;
}

/** What both engines offer. */
interface Engine {
  exec(query: string, ...bindings: (string | number | null)[]): { toArray(): unknown[] };
  transactionSync<T>(closure: () => T): T;
}

/** One database of either kind; the name of the object says which. */
export class BenchObject extends DurableObject<Env> {
  #engine: Engine | undefined;
  #sealed: SealedDatabase | undefined;

  async #open(): Promise<Engine> {
    if (this.#engine !== undefined) return this.#engine;
    const { storage } = this.ctx;
    if (this.ctx.id.name?.startsWith('native') === true) {
      this.#engine = {
        exec: (query, ...bindings) => storage.sql.exec(query, ...bindings),
        transactionSync: (f) => storage.transactionSync(f),
      };
    } else {
      const sealed = await SealedDatabase.open({
        storage,
        identity: { region: 'eu-west-1', fleet: 'bench', database: this.ctx.id.name ?? '' },
        keys: new SecretKeys(new Map([['bench', new Uint8Array(32).fill(7)]])),
        engine: loadSqlJs,
        cacheBytes: Number(this.env.CACHE_MB) * 2 ** 20,
      });
      this.#sealed = sealed;
      this.#engine = {
        exec: (query, ...bindings) => sealed.sql.exec(query, ...bindings),
        transactionSync: (f) => sealed.transactionSync(f),
      };
    }
    return this.#engine;
  }

  async fill(from: number, to: number): Promise<void> {
    const engine = await this.#open();
    if (from === 0) engine.transactionSync(() => engine.exec(SCHEMA));
    engine.transactionSync(() => {
      for (let i = from; i < to; i += 1) engine.exec(PUT, ...putRow(i, 1_700_000_000_000 + i));
    });
  }

  /** Runs `count` operations over `entries` entries; `none` does the same work without a database. */
  async run(op: string, count: number, entries: number): Promise<number> {
    const engine = await this.#open();
    const any = (): number => Math.floor(Math.random() * entries);
    let seen = 0;
    for (let n = 0; n < count; n += 1) {
      if (op === 'put') {
        engine.transactionSync(() => engine.exec(PUT, ...putRow(any(), Date.now())));
        await this.ctx.storage.sync();
      } else if (op === 'batch') {
        engine.transactionSync(() => {
          for (let k = 0; k < 100; k += 1) engine.exec(PUT, ...putRow(any(), Date.now()));
        });
        await this.ctx.storage.sync();
      } else if (op === 'get') seen += engine.exec(GET, keyOf(any())).toArray().length;
      else if (op === 'list') seen += engine.exec(LIST, ownerOf(any() % OWNERS)).toArray().length;
      else if (op === 'none') seen += keyOf(any()).length;
      else if (op === 'none-put') {
        seen += valueOf(any()).length;
        await this.ctx.storage.sync();
      } else if (op === 'none-batch') for (let k = 0; k < 100; k += 1) seen += valueOf(any()).length;
    }
    return seen;
  }

  stats(): unknown {
    return { ...this.#sealed?.stats(), hostBytes: this.ctx.storage.sql.databaseSize };
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const number = (name: string): number => Number(url.searchParams.get(name));
    const object = env.BENCH.getByName(url.searchParams.get('object') ?? '');
    if (url.pathname === '/fill') await object.fill(number('from'), number('to'));
    else if (url.pathname === '/run')
      return Response.json(await object.run(url.searchParams.get('op') ?? '', number('count'), number('entries')));
    else if (url.pathname === '/stats') return Response.json(await object.stats());
    return new Response('ok');
  },
} satisfies ExportedHandler<Env>;
