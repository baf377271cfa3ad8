import { expect, it } from 'vitest';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { POOL_MIGRATIONS } from '../../../durable-objects/pool/migrations.ts';
import { countWake } from '../../../durable-objects/pool/wakes.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

it('each start of the object counts one, whatever else is stored', () => {
  const storage = new NodeStorage();
  migrate(storage, POOL_MIGRATIONS);
  for (const atMs of [10, 20, 30]) countWake(storage.sql, atMs);
  expect(storage.sql.exec('SELECT * FROM wakes').toArray()).toEqual([{ id: 1, count: 3, at_ms: 30 }]);
});
