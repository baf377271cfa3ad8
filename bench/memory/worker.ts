import { DurableObject } from 'cloudflare:workers';
import { SecretKeys } from '../../wasm/sqlite/keys/secret-keys.ts';
import { loadSqlJs } from '../../wasm/sqlite/load-worker.ts';
import { SealedDatabase } from '../../wasm/sqlite/sealed-database.ts';
import { encodeVector } from '../../wasm/vectors/encode.ts';
import { loadDot } from '../../wasm/vectors/load-worker.ts';
import { VectorIndex } from '../../wasm/vectors/vector-index.ts';
import { BATCH, GET, keyOf, LIST, ownerOf, OWNERS, PUT, putRow, SCHEMA } from './schema.ts';

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
  #vectors: VectorIndex | undefined;

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

  /** Runs `count` operations over `entries` entries; those named `no-…` do the same work without a database. */
  async run(op: string, count: number, entries: number): Promise<number> {
    const engine = await this.#open();
    const operation = OPERATIONS[op];
    if (operation === undefined) throw new Error(`no operation ${op}`);
    const any = (): number => Math.floor(Math.random() * entries);
    let seen = 0;
    for (let n = 0; n < count; n += 1) {
      seen += operation.run(engine, any);
      if (operation.durable) await this.ctx.storage.sync();
    }
    return seen;
  }

  /** Vectors of pseudo-random directions in memory; answers how many there are. */
  fillVectors(count: number, dimensions: number): number {
    const index = new VectorIndex(loadDot(), dimensions);
    for (let id = 1; id <= count; id += 1) index.set(id, VECTORS[id % VECTORS.length] ?? randomVector(dimensions));
    this.#vectors = index;
    return index.size;
  }

  /** Searches with every second row allowed. */
  searchVectors(count: number): number {
    const index = this.#vectors;
    if (index === undefined) throw new Error('no vectors');
    const mask = new Uint8Array(index.size).map((_, row) => row & 1);
    let seen = 0;
    for (let n = 0; n < count; n += 1) {
      const query = Array.from({ length: index.dimensions }, (_, i) => Math.sin(n * 31 + i * 17));
      seen += index.search(query, 10, mask).length;
    }
    return seen;
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.#sealed?.stats(), hostBytes: this.ctx.storage.sql.databaseSize };
  }
}

interface Operation {
  readonly durable: boolean;
  run(engine: Engine, any: () => number): number;
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  put: {
    durable: true,
    run: (engine, any) => engine.transactionSync(() => engine.exec(PUT, ...putRow(any(), Date.now())).toArray().length),
  },
  batch: {
    durable: true,
    run: (engine, any) =>
      engine.transactionSync(() => {
        for (let k = 0; k < BATCH; k += 1) engine.exec(PUT, ...putRow(any(), Date.now()));
        return BATCH;
      }),
  },
  get: { durable: false, run: (engine, any) => engine.exec(GET, keyOf(any())).toArray().length },
  list: { durable: false, run: (engine, any) => engine.exec(LIST, ownerOf(any() % OWNERS)).toArray().length },
  'no-put': { durable: false, run: (_, any) => putRow(any(), Date.now()).length },
  'no-batch': {
    durable: false,
    run: (_, any) => {
      let seen = 0;
      for (let k = 0; k < BATCH; k += 1) seen += putRow(any(), Date.now()).length;
      return seen;
    },
  },
  'no-get': { durable: false, run: (_, any) => keyOf(any()).length },
  'no-list': { durable: false, run: (_, any) => ownerOf(any() % OWNERS).length },
};

/** Encoded ones to choose from: drawing 50,000 would be most of the time of filling an index. */
const VECTORS: Uint8Array[] = [];

function randomVector(dimensions: number): Uint8Array {
  const encoded = encodeVector(Float32Array.from({ length: dimensions }, () => Math.random() - 0.5));
  VECTORS.push(encoded);
  return encoded;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const number = (name: string): number => Number(url.searchParams.get(name));
    const object = env.BENCH.getByName(url.searchParams.get('object') ?? '');
    switch (url.pathname) {
      case '/fill':
        await object.fill(number('from'), number('to'));
        return new Response('ok');
      case '/run':
        return Response.json(await object.run(url.searchParams.get('op') ?? '', number('count'), number('entries')));
      case '/stats':
        return Response.json(await object.stats());
      case '/fill-vectors':
        return Response.json(await object.fillVectors(number('count'), number('dimensions')));
      case '/search-vectors':
        return Response.json(await object.searchVectors(number('count')));
      default:
        return new Response('ok');
    }
  },
} satisfies ExportedHandler<Env>;
