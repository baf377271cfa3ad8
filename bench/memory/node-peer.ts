import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { BATCH, GET, keyOf, LIST, ownerOf, OWNERS, PUT, putRow, SCHEMA } from './schema.ts';

/**
 * SQLite in Node, as a program of its own would use it: WAL, synchronous FULL. Node's own binding, as better-sqlite3, the usual
 * choice, has no build for every Node on the registry and would have to be compiled at install; both run the same library.
 */
export class NodePeer {
  readonly name = 'node:sqlite';
  readonly #db: DatabaseSync;
  readonly #folder: string;
  readonly #statements: Readonly<Record<'put' | 'get' | 'list' | 'begin' | 'commit', StatementSync>>;

  private constructor(db: DatabaseSync, folder: string) {
    this.#db = db;
    this.#folder = folder;
    db.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; ${SCHEMA}`);
    this.#statements = {
      put: db.prepare(PUT),
      get: db.prepare(GET),
      list: db.prepare(LIST),
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
    };
  }

  static open(parent: string): NodePeer {
    const folder = mkdtempSync(path.join(parent, 'bench-node-'));
    const file = path.join(folder, 'peer.sqlite');
    return new NodePeer(new DatabaseSync(file), folder);
  }

  fill(entries: number): void {
    this.#statements.begin.run();
    for (let i = 0; i < entries; i += 1) this.#statements.put.run(...putRow(i, 1_700_000_000_000 + i));
    this.#statements.commit.run();
  }

  /** One operation, without making its values. */
  measure(op: string, count: number, entries: number): { readonly cpuUs: number; readonly wallUs: number } {
    const any = (): number => Math.floor(Math.random() * entries);
    const { put, get, list, begin, commit } = this.#statements;
    const rows = op === 'batch' ? BATCH : 1;
    let [cpuUs, wallMs] = [0, 0];
    for (let n = 0; n < count; n += 1) {
      const values = op === 'put' || op === 'batch' ? Array.from({ length: rows }, () => putRow(any(), Date.now())) : [];
      const key = op === 'get' ? keyOf(any()) : ownerOf(any() % OWNERS);
      const [from, fromMs] = [process.cpuUsage(), performance.now()];
      if (values.length > 0) {
        begin.run();
        for (const row of values) put.run(...row);
        commit.run();
      } else if (op === 'get') get.get(key);
      else list.all(key);
      const { user, system } = process.cpuUsage(from);
      cpuUs += user + system;
      wallMs += performance.now() - fromMs;
    }
    return { cpuUs: cpuUs / count, wallUs: (wallMs * 1_000) / count };
  }

  close(): void {
    this.#db.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
