/**
 * Writes the state of a memory as the present code stores it, for the migration test:
 *
 *   node test/lib/write-memory-fixture.ts > test/unit/memory/fixtures/0005-version-floor.sql
 *
 * Run it once when a migration is added, with the name of that migration, and never again: the file is what was stored then.
 */
import { agent, agentId, lease, memory, person, sha256Of, taskId, allocationId } from './memory-harness.ts';

const m = memory();
const [ada, bob] = [agent('coder', 1), agent('tester', 2)];
const admin = person('admin');
m.must(admin, { type: 'putSettings', settings: { quorum: 1, majority: 0.6, textIndex: ['notes/'] } });
m.must(ada, { type: 'store', key: "notes/it's", value: '"old words"', level: 'swarm', tags: ['t'], vector: [1, 2, 3] });
m.must(ada, { type: 'store', key: "notes/it's", value: '"new words"', vector: [1, 2, 3] });
m.must(ada, {
  type: 'setPermissions',
  key: "notes/it's",
  permissions: { level: 'swarm', read: [], write: [agentId('tester', 2)], delete: [] },
});
m.must(ada, { type: 'store', key: 'private', value: '{"n":1}', ttlMs: 3_600_000 });
m.must(ada, { type: 'store', key: 'gone', value: '1' });
m.must(ada, { type: 'delete', key: 'gone' });
m.must(
  bob,
  { type: 'store', key: 'leased', value: '1', level: 'public', lease: { allocationId: allocationId(1), fencingToken: 3 } },
  { leases: [lease(1, bob, { fencingToken: 3, taskId: taskId(1) })] },
);
m.run(bob, { type: 'store', key: 'leased', value: '2', ifVersion: 9 });
m.must(ada, { type: 'claim', paths: ['src/**'], mode: 'write', leaseMs: 3_600_000 });
m.must(ada, { type: 'vote', taskId: taskId(1), choice: 'yes', confidence: 1, reasoning: 'fine' });
m.must(
  ada,
  { type: 'addDependencies', taskId: taskId(2), dependsOn: [taskId(1)] },
  { tasks: [{ id: taskId(2), status: 'queued' }] },
);
const artifact = m.must(ada, {
  type: 'createArtifact',
  name: 'a',
  bytes: 3,
  sha256: sha256Of(new Uint8Array([1, 2, 3])),
  contentType: 'x',
  level: 'swarm',
});
m.must(ada, { type: 'putChunk', artifactId: artifact.id, number: 0, data: new Uint8Array([1, 2, 3]).buffer });
m.run(
  ada,
  { type: 'transaction', operations: [{ op: 'put', key: 'keyed', value: '1' }] },
  { key: { key: 'kept', bodyHash: 'hash' } },
);
m.engine.sweep(admin);
process.stdout.write(dump());

/** The whole database as statements that make it again. */
function dump(): string {
  const quoted = (value: unknown): string => {
    if (value === null) return 'NULL';
    if (value instanceof ArrayBuffer) return `x'${Buffer.from(value).toString('hex')}'`;
    return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : `${value as number}`;
  };
  const schema = m.rows(
    "SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY type DESC, rowid",
  );
  const lines = ['PRAGMA foreign_keys = OFF;', ...schema.map((entry) => `${String(entry['sql'])};`)];
  for (const { name } of schema.filter((entry) => entry['type'] === 'table')) {
    for (const row of m.rows(`SELECT * FROM ${String(name)}`))
      lines.push(
        `INSERT INTO ${String(name)} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).map(quoted).join(', ')});`,
      );
  }
  return `${lines.join('\n')}\nPRAGMA foreign_keys = ON;\n`;
}
