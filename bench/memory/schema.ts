/** The same table, indexes and statements for every engine of the comparison: the logical writes are equal. */
export const SCHEMA = `
CREATE TABLE memory (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  value TEXT NOT NULL,
  level TEXT NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER
) STRICT;
CREATE INDEX memory_owner ON memory (owner, updated_at_ms);
CREATE INDEX memory_expiry ON memory (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
`;

export const PUT = `
INSERT INTO memory (key, value, level, owner, version, created_at_ms, updated_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, 1, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = version + 1, updated_at_ms = excluded.updated_at_ms,
  expires_at_ms = excluded.expires_at_ms`;
export const GET = 'SELECT value, version, level, owner, updated_at_ms FROM memory WHERE key = ?';
export const LIST =
  'SELECT key, value, version, level, owner, updated_at_ms FROM memory WHERE owner = ? ORDER BY updated_at_ms DESC LIMIT 20';

export const OWNERS = 500;
/** Entries of one batch. */
export const BATCH = 100;
/** Text as an agent would write it: no two values alike, nothing that a page could be squeezed by. */
const WORDS = 'agent edge fleet lease region pool token memory task plan note test build merge query index shard route'.split(
  ' ',
);

export const keyOf = (i: number): string => `notes/${i % 97}/entry-${i}`;
export const ownerOf = (i: number): string => `agt.eu-west-1.coder.0.${String(i % OWNERS).padStart(26, '0')}`;

/** About 1 KB. */
export function valueOf(i: number): string {
  let text = `{"n":${i},"text":"`;
  for (let k = i * 7 + 1; text.length < 1_022; k = (k * 1_103_515_245 + 12_345) % 2_147_483_648)
    text += `${WORDS[k % WORDS.length]} `;
  return `${text.slice(0, 1_022)}"}`;
}

export const putRow = (i: number, atMs: number): (string | number | null)[] => [
  keyOf(i),
  valueOf(i),
  'team',
  ownerOf(i),
  atMs,
  atMs,
  null,
];
