import type { Migration } from '../lib/migrate.ts';

/** Append only: a step that was released keeps its name and its text. */
export const REGISTRY_MIGRATIONS: readonly Migration[] = [
  {
    name: '0001-registry',
    sql: [
      // `desired` null: nobody has scaled. `shares` and `held` are JSON arrays indexed by shard.
      `CREATE TABLE pools (
         pool TEXT PRIMARY KEY, min_agents INTEGER NOT NULL, max_agents INTEGER NOT NULL, priority INTEGER NOT NULL,
         resources TEXT, desired INTEGER, version INTEGER NOT NULL, shares TEXT NOT NULL, held TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE shards (
         pool TEXT NOT NULL, shard INTEGER NOT NULL, version INTEGER NOT NULL, summary TEXT NOT NULL, PRIMARY KEY (pool, shard)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE audit (
         seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
         request_id TEXT NOT NULL, entries TEXT NOT NULL
       ) STRICT`,
      // `seq` is the order of age, so that the oldest are found without a second index.
      `CREATE TABLE key_routes (
         seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, regions TEXT NOT NULL, at_ms INTEGER NOT NULL
       ) STRICT`,
    ],
  },
  {
    // Swarms that have a memory in this region: what a deletion of the fleet must reach.
    name: '0002-swarms',
    sql: ['CREATE TABLE swarms (swarm TEXT NOT NULL, shard INTEGER NOT NULL, PRIMARY KEY (swarm, shard)) STRICT, WITHOUT ROWID'],
  },
];
