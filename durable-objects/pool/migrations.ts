import type { Migration } from '../lib/migrate.ts';

/**
 * Append only. A name that was ever deployed stays as it is: it is compared with what the object has applied.
 *
 * Since 0005 rows may be in the journal and not in their tables, as JSON of the code that wrote them: migrations run before it
 * is replayed. One that changes what a table of the journal holds must fold it first, with the statements of that time.
 */
export const POOL_MIGRATIONS: readonly Migration[] = [
  {
    name: '0001-pool',
    sql: [
      'CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), data TEXT NOT NULL)',
      'CREATE TABLE agents (id TEXT PRIMARY KEY, spec TEXT NOT NULL, created_at_ms INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID',
      'CREATE TABLE leases (id TEXT PRIMARY KEY, ended_at_ms INTEGER, data TEXT NOT NULL) WITHOUT ROWID',
      'CREATE INDEX leases_active ON leases (id) WHERE ended_at_ms IS NULL',
      'CREATE INDEX leases_ended ON leases (ended_at_ms) WHERE ended_at_ms IS NOT NULL',
      'CREATE TABLE tasks (id TEXT PRIMARY KEY, status TEXT NOT NULL, expires_at_ms INTEGER, data TEXT NOT NULL) WITHOUT ROWID',
      'CREATE INDEX tasks_by_status ON tasks (status, id)',
      'CREATE INDEX tasks_live ON tasks (id) WHERE expires_at_ms IS NULL',
      'CREATE INDEX tasks_expiring ON tasks (expires_at_ms) WHERE expires_at_ms IS NOT NULL',
      'CREATE TABLE task_blobs (task_id TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (task_id, kind))',
      'CREATE TABLE idempotency (key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, state TEXT NOT NULL, answer TEXT NOT NULL, at_ms INTEGER NOT NULL)',
      'CREATE INDEX idempotency_by_age ON idempotency (at_ms)',
      `CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
         request_id TEXT NOT NULL, entries TEXT NOT NULL)`,
    ],
  },
  {
    name: '0002-wakes',
    sql: ['CREATE TABLE wakes (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL, at_ms INTEGER NOT NULL)'],
  },
  {
    name: '0003-revocations',
    sql: ['CREATE TABLE revocations (epoch INTEGER PRIMARY KEY, ended_at_ms INTEGER, data TEXT NOT NULL)'],
  },
  {
    // Every commit wrote a page of each: live tasks are found by their status, and rows of the audit are never removed from
    // its end, so their numbers rise without a counter of their own.
    name: '0004-fewer-pages-for-a-commit',
    sql: [
      'DROP INDEX tasks_live',
      `CREATE TABLE audit_rows (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
         request_id TEXT NOT NULL, entries TEXT NOT NULL)`,
      'INSERT INTO audit_rows SELECT seq, at_ms, actor, action, request_id, entries FROM audit',
      'DROP TABLE audit',
      'ALTER TABLE audit_rows RENAME TO audit',
    ],
  },
  {
    name: '0005-journal',
    sql: ['CREATE TABLE journal (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL)'],
  },
];
