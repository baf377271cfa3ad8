import type { Migration } from '../lib/migrate.ts';

/**
 * The schema of one swarm's memory, inside the sealed database. Append only: a step that was released keeps its name and its
 * text. The twelve tables carry the specification's columns and what is needed beyond them; the rest serves them.
 */
export const MEMORY_MIGRATIONS: readonly Migration[] = [
  {
    name: '0001-memory',
    sql: [
      `CREATE TABLE counters (
         id INTEGER PRIMARY KEY CHECK (id = 1), next_id INTEGER NOT NULL, entries INTEGER NOT NULL, bytes INTEGER NOT NULL,
         acl_epoch INTEGER NOT NULL, claim_token INTEGER NOT NULL, artifact_bytes INTEGER NOT NULL
       ) STRICT`,
      `INSERT INTO counters VALUES (1, 1, 0, 0, 0, 0, 0)`,
      // One row: how the swarm wants its votes counted and what it wants indexed; how far a new index has come, or null.
      `CREATE TABLE settings (id INTEGER PRIMARY KEY CHECK (id = 1), settings TEXT NOT NULL, reindex_after INTEGER) STRICT`,

      `CREATE TABLE agents (
         id TEXT PRIMARY KEY, type TEXT NOT NULL, status TEXT NOT NULL, pool TEXT NOT NULL, created_at INTEGER NOT NULL,
         updated_at INTEGER NOT NULL, metadata TEXT
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE events (
         id TEXT PRIMARY KEY, type TEXT NOT NULL, agent_id TEXT REFERENCES agents (id), timestamp INTEGER NOT NULL, data TEXT,
         memory_id INTEGER, acl_level TEXT NOT NULL, owner_id TEXT, team TEXT, quarantined_at INTEGER
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE tasks (
         id TEXT PRIMARY KEY, agent_id TEXT REFERENCES agents (id), status TEXT NOT NULL, priority INTEGER NOT NULL DEFAULT 5,
         created_at INTEGER NOT NULL, completed_at INTEGER, result TEXT, updated_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,

      // `scope` is where a key is unique: its owner for private entries, its pool for a team's, one for all the others.
      `CREATE TABLE memory (
         id INTEGER PRIMARY KEY, key TEXT NOT NULL, scope TEXT NOT NULL, value TEXT NOT NULL, value_bytes INTEGER NOT NULL,
         acl_level TEXT NOT NULL DEFAULT 'private', owner_id TEXT NOT NULL, team TEXT, created_at INTEGER NOT NULL,
         updated_at INTEGER NOT NULL, ttl INTEGER, expires_at INTEGER, version INTEGER NOT NULL, tags TEXT NOT NULL,
         written_by TEXT NOT NULL, task_id TEXT, allocation_id TEXT, fencing_token INTEGER, quarantined_at INTEGER,
         terms INTEGER NOT NULL DEFAULT 0
       ) STRICT`,
      `CREATE UNIQUE INDEX memory_by_key ON memory (key, scope)`,
      `CREATE INDEX memory_by_end ON memory (expires_at) WHERE expires_at IS NOT NULL`,
      `CREATE TABLE permissions (
         memory_id INTEGER NOT NULL REFERENCES memory (id) ON DELETE CASCADE, operation TEXT NOT NULL
         CHECK (operation IN ('read', 'write', 'delete')), subject TEXT NOT NULL, since_version INTEGER NOT NULL,
         PRIMARY KEY (memory_id, operation, subject)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE versions (
         id INTEGER PRIMARY KEY, memory_id INTEGER NOT NULL REFERENCES memory (id) ON DELETE CASCADE, version INTEGER NOT NULL,
         value TEXT NOT NULL, value_bytes INTEGER NOT NULL, acl_level TEXT NOT NULL, owner_id TEXT NOT NULL, team TEXT,
         tags TEXT NOT NULL, written_by TEXT NOT NULL, written_at INTEGER NOT NULL, task_id TEXT, allocation_id TEXT,
         fencing_token INTEGER, quarantined_at INTEGER
       ) STRICT`,
      `CREATE UNIQUE INDEX versions_by_entry ON versions (memory_id, version)`,
      `CREATE TABLE tombstones (
         key TEXT NOT NULL, scope TEXT NOT NULL, version INTEGER NOT NULL, deleted_at INTEGER NOT NULL, PRIMARY KEY (key, scope)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE terms (
         term TEXT NOT NULL, memory_id INTEGER NOT NULL REFERENCES memory (id) ON DELETE CASCADE, count INTEGER NOT NULL,
         PRIMARY KEY (term, memory_id)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX terms_by_entry ON terms (memory_id)`,
      `CREATE TABLE vectors (
         memory_id INTEGER PRIMARY KEY REFERENCES memory (id) ON DELETE CASCADE, dimensions INTEGER NOT NULL, data BLOB NOT NULL
       ) STRICT`,

      `CREATE TABLE consensus (
         id TEXT PRIMARY KEY, task_id TEXT NOT NULL REFERENCES tasks (id), agent_id TEXT NOT NULL REFERENCES agents (id),
         confidence REAL NOT NULL, reasoning TEXT, timestamp INTEGER NOT NULL, choice TEXT NOT NULL, allocation_id TEXT,
         quarantined_at INTEGER, UNIQUE (task_id, agent_id)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE decisions (
         task_id TEXT PRIMARY KEY REFERENCES tasks (id), choice TEXT NOT NULL, share REAL NOT NULL, votes INTEGER NOT NULL,
         decided_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,

      `CREATE TABLE resources (
         id TEXT PRIMARY KEY, claim_id TEXT NOT NULL, path TEXT NOT NULL, mode TEXT NOT NULL CHECK (mode IN ('read', 'write')),
         agent_id TEXT NOT NULL, fencing_token INTEGER NOT NULL, expires_at INTEGER NOT NULL, created_at INTEGER NOT NULL,
         allocation_id TEXT, lease_token INTEGER
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX resources_by_claim ON resources (claim_id)`,
      `CREATE TABLE dependencies (
         task_id TEXT NOT NULL REFERENCES tasks (id), depends_on TEXT NOT NULL REFERENCES tasks (id), agent_id TEXT NOT NULL,
         created_at INTEGER NOT NULL, PRIMARY KEY (task_id, depends_on)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX dependencies_by_target ON dependencies (depends_on)`,
      `CREATE TABLE conflicts (
         id INTEGER PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, agent_id TEXT NOT NULL, expected INTEGER,
         actual INTEGER, holder TEXT, timestamp INTEGER NOT NULL, memory_id INTEGER, acl_level TEXT NOT NULL, owner_id TEXT,
         team TEXT, quarantined_at INTEGER
       ) STRICT`,
      `CREATE TABLE artifacts (
         id TEXT PRIMARY KEY, name TEXT NOT NULL, task_id TEXT REFERENCES tasks (id), owner_id TEXT NOT NULL, team TEXT,
         acl_level TEXT NOT NULL, content_type TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, chunks INTEGER NOT NULL,
         created_at INTEGER NOT NULL, completed_at INTEGER, expires_at INTEGER, written_by TEXT NOT NULL, allocation_id TEXT,
         fencing_token INTEGER, quarantined_at INTEGER
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE artifact_chunks (
         id INTEGER PRIMARY KEY, artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE, number INTEGER NOT NULL,
         data BLOB NOT NULL, UNIQUE (artifact_id, number)
       ) STRICT`,

      // What the pools said of leases that writes were made under.
      `CREATE TABLE fences (
         allocation_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, task_id TEXT, fencing_token INTEGER NOT NULL, slots INTEGER NOT NULL,
         agent_slots INTEGER NOT NULL, expires_at INTEGER NOT NULL, checked_at INTEGER NOT NULL, status TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX fences_by_agent ON fences (agent_id, fencing_token)`,
      `CREATE TABLE audit (
         id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL,
         action TEXT NOT NULL, target TEXT NOT NULL, request_id TEXT NOT NULL, detail TEXT
       ) STRICT`,
      `CREATE TABLE metrics (
         minute INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (minute, name)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE idempotency (
         id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body_hash TEXT NOT NULL, answer TEXT NOT NULL, at INTEGER NOT NULL,
         memory_ids TEXT NOT NULL
       ) STRICT`,
    ],
  },
  {
    name: '0002-quarantined-leases',
    sql: [`ALTER TABLE fences ADD COLUMN quarantined_at INTEGER`],
  },
  {
    name: '0003-shards',
    sql: [`ALTER TABLE counters ADD COLUMN shards INTEGER NOT NULL DEFAULT 1`],
  },
  {
    name: '0004-upkeep',
    // What every request and every minute asks for must not cost a walk through a table.
    sql: [
      `CREATE INDEX artifacts_by_end ON artifacts (expires_at) WHERE expires_at IS NOT NULL`,
      `CREATE INDEX tasks_open ON tasks (updated_at) WHERE completed_at IS NULL`,
    ],
  },
  {
    name: '0005-version-floor',
    // Tombstones beyond their bound leave one number for all of them, and the moment of the last one.
    sql: [
      `ALTER TABLE counters ADD COLUMN version_floor INTEGER NOT NULL DEFAULT 0`,
      `ALTER TABLE counters ADD COLUMN version_floor_at INTEGER NOT NULL DEFAULT 0`,
      `CREATE INDEX tombstones_by_time ON tombstones (deleted_at)`,
    ],
  },
];
