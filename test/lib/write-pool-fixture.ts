/**
 * Writes the state of a shard as the present code stores it, for the migration test:
 *
 *   node test/lib/write-pool-fixture.ts > test/unit/pool/fixtures/0002-name.sql
 *
 * Run it once when a migration is added, with the name of that migration, and never again: the file is what was stored then.
 */
import { migrate } from '../../durable-objects/lib/migrate.ts';
import { POOL_MIGRATIONS } from '../../durable-objects/pool/migrations.ts';
import { SqlitePoolStorage } from '../../durable-objects/pool/sqlite-storage.ts';
import { allocateSpec, asAgent, OPERATOR, PoolHarness } from './pool-harness.ts';
import { NodeStorage } from './sql-storage.ts';

const storage = new NodeStorage();
migrate(storage, POOL_MIGRATIONS);
const rows = new SqlitePoolStorage(storage.sql);
story(new PoolHarness({ storage: rows, seed: 4 }));
rows.flush();
process.stdout.write(dump(storage));

/** A little of everything; the migration test knows this story. */
function story(h: PoolHarness): void {
  const worker = h.connected({ capabilities: ['work'], labels: { zone: "it's north" }, slots: 3 });
  const running = h.submit({ payload: '{"n":1}', capabilities: ['work'] });
  h.do(
    { type: 'progressTask', taskId: running, fencingToken: h.work(running).fencingToken, checkpoint: '"half"' },
    asAgent(worker),
  );
  const done = h.submit({ capabilities: ['work'] });
  h.complete(h.work(done), '{"answer":42}');
  const dead = h.submit({ capabilities: ['work'], maxAttempts: 1 });
  h.fail(h.work(dead));
  h.submit({ capabilities: ['nobody'], priority: 9 });
  h.submit({ capabilities: ['work'], delayMs: 3_600_000 });
  h.ask({ type: 'allocate', spec: allocateSpec({ capabilities: ['work'], leaseMs: 3_600_000 }), waiterId: 'w' }, OPERATOR, {
    key: 'kept',
    bodyHash: 'hash',
  });
  const drained = h.register({ capabilities: ['drained'] });
  h.do({ type: 'drainAgent', agentId: drained, deadlineMs: 3_600_000 });
  h.do({ type: 'quarantineAgent', agentId: h.register({ capabilities: ['bad'] }) });
  const lost = h.connected({ capabilities: ['lost'] });
  h.close(lost);
  h.advance(5_000);
}

/** The whole database as statements that make it again. */
function dump({ sql }: NodeStorage): string {
  const quoted = (value: string | number | null): string =>
    value === null ? 'NULL' : typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
  const schema = sql
    .exec<{ name: string; type: string; sql: string }>(
      "SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY type DESC, name",
    )
    .toArray();
  const lines = schema.map((entry) => `${entry.sql};`);
  for (const { name } of schema.filter((entry) => entry.type === 'table')) {
    for (const row of sql.exec<Record<string, string | number | null>>(`SELECT * FROM ${name}`).toArray())
      lines.push(`INSERT INTO ${name} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).map(quoted).join(', ')});`);
  }
  return `${lines.join('\n')}\n`;
}
