import { DurableObject } from 'cloudflare:workers';
import { SecretKeys } from '../../wasm/sqlite/keys/secret-keys.ts';
import { loadSqlJs } from '../../wasm/sqlite/load-worker.ts';
import { SealedDatabase } from '../../wasm/sqlite/sealed-database.ts';

interface Env {
  readonly STORE: DurableObjectNamespace<StoreObject>;
  readonly SECRETS: string;
}

const SCHEMA = `
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
CREATE TABLE groups (id TEXT NOT NULL, member INTEGER NOT NULL, plainowner TEXT NOT NULL, PRIMARY KEY (id, member)) STRICT, WITHOUT ROWID;
CREATE INDEX groups_owner ON groups (plainowner);
CREATE TABLE ballast (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts4(body);
`;

/** What a killed and restarted database must still know, and what it does meanwhile: rotation and compaction without a pause. */
export class StoreObject extends DurableObject<Env> {
  #opening: Promise<SealedDatabase> | undefined;

  #open(): Promise<SealedDatabase> {
    return (this.#opening ??= this.ctx.blockConcurrencyWhile(async () => {
      const database = await SealedDatabase.open({
        storage: this.ctx.storage,
        identity: { region: 'eu-west-1', fleet: 'chaos', database: this.ctx.id.name ?? '' },
        keys: SecretKeys.parse(this.env.SECRETS),
        engine: loadSqlJs,
      });
      const [known] = database.sql.exec("SELECT 1 AS n FROM sqlite_master WHERE name = 'notes'").toArray();
      if (known === undefined) database.transactionSync(() => database.sql.exec(SCHEMA));
      return database;
    }));
  }

  /** Answers once it is on disk. */
  async put(key: string, value: string): Promise<number> {
    const { sql } = await this.#open();
    const { version } = sql
      .exec<{ version: number }>(
        'INSERT INTO notes VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = version + 1 RETURNING version',
        key,
        value,
      )
      .one();
    return version;
  }

  async ballast(rows: number): Promise<void> {
    const database = await this.#open();
    database.transactionSync(() => {
      for (let i = 0; i < rows; i += 1) database.sql.exec('INSERT INTO ballast (body) VALUES (?)', `plainvalue ${i} `.repeat(60));
    });
  }

  /** All members or none. */
  async group(id: string, members: number): Promise<void> {
    const database = await this.#open();
    database.transactionSync(() => {
      for (let member = 0; member < members; member += 1) {
        database.sql.exec('INSERT INTO groups VALUES (?, ?, ?)', id, member, `plainowner-${member % 5}`);
        database.sql.exec('INSERT INTO words (body) VALUES (?)', `plainword${member} ${id}`);
      }
    });
  }

  /** Steps of what is asked for; a new one is begun when the last has ended. Answers how many have ended since the wake. */
  async maintain(what: 'rotation' | 'compaction', steps: number): Promise<Readonly<Record<string, number>>> {
    const database = await this.#open();
    if (database.maintenanceDueAtMs > Date.now()) {
      if (what === 'rotation') await database.startRotation();
      else database.startCompaction();
    }
    for (let step = 0; step < steps && database.maintenanceDueAtMs <= Date.now(); step += 1) await database.maintain();
    return { keyId: database.keyStatus.keyId, underWay: database.maintenanceDueAtMs <= Date.now() ? 1 : 0 };
  }

  async dump(): Promise<{
    integrity: { integrity_check: string }[];
    notes: [string, string][];
    groups: [string, number][];
    words: number;
  }> {
    const { sql } = await this.#open();
    return {
      integrity: sql.exec<{ integrity_check: string }>('PRAGMA integrity_check').toArray(),
      notes: sql
        .exec<{ key: string; value: string }>('SELECT key, value FROM notes')
        .toArray()
        .map(({ key, value }) => [key, value]),
      groups: sql
        .exec<{ id: string; n: number }>('SELECT id, count(*) AS n FROM groups GROUP BY id')
        .toArray()
        .map(({ id, n }) => [id, n]),
      words: sql.exec<{ n: number }>("SELECT count(*) AS n FROM words WHERE words MATCH 'plainword0'").one().n,
    };
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const text = (name: string): string => url.searchParams.get(name) ?? '';
    const store = env.STORE.getByName('store');
    switch (url.pathname) {
      case '/put':
        return Response.json(await store.put(text('key'), text('value')));
      case '/group':
        await store.group(text('id'), Number(text('members')));
        return Response.json('ok');
      case '/ballast':
        await store.ballast(Number(text('rows')));
        return Response.json('ok');
      case '/maintain':
        return Response.json(
          await store.maintain(text('what') === 'rotation' ? 'rotation' : 'compaction', Number(text('steps'))),
        );
      case '/dump':
        return Response.json(await store.dump());
      default:
        return Response.json('ready');
    }
  },
} satisfies ExportedHandler<Env>;
