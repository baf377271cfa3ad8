import type { Migration } from '../lib/migrate.ts';

/** Append only. A name that was ever deployed stays as it is: it is compared with what the object has applied. */
export const FLEET_MIGRATIONS: readonly Migration[] = [
  {
    name: '0001-fleet',
    sql: [
      `CREATE TABLE fleet (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, does_exist INTEGER NOT NULL,
         generation INTEGER NOT NULL, settings TEXT NOT NULL) STRICT`,
      `CREATE TABLE tokens (id TEXT PRIMARY KEY, role TEXT NOT NULL, subject TEXT NOT NULL, agent_id TEXT,
         issued_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
      'CREATE TABLE revocations (id TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID',
      `CREATE TABLE purges (generation INTEGER PRIMARY KEY, pending TEXT NOT NULL, rounds INTEGER NOT NULL,
         attempts INTEGER NOT NULL, next_at_ms INTEGER NOT NULL) STRICT`,
      `CREATE TABLE idempotency (key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, answer TEXT, at_ms INTEGER NOT NULL) STRICT,
         WITHOUT ROWID`,
      'CREATE INDEX idempotency_by_age ON idempotency (at_ms)',
      'CREATE TABLE registered_keys (key TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID',
      'CREATE INDEX registered_keys_by_age ON registered_keys (at_ms)',
      'CREATE TABLE region_counts (region TEXT PRIMARY KEY, agents INTEGER NOT NULL) STRICT, WITHOUT ROWID',
      `CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
         action TEXT NOT NULL, request_id TEXT NOT NULL, entries TEXT NOT NULL) STRICT`,
    ],
  },
  { name: '0002-token-quota', sql: ['ALTER TABLE tokens ADD COLUMN max_leases INTEGER'] },
];
