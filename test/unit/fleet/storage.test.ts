import { describe, expect, it } from 'vitest';
import { decide, type FleetCommand } from '../../../durable-objects/fleet/core/decide.ts';
import { evolve } from '../../../durable-objects/fleet/core/events.ts';
import type { FleetState, StoredToken } from '../../../durable-objects/fleet/core/state.ts';
import { FLEET_MIGRATIONS } from '../../../durable-objects/fleet/migrations.ts';
import { FleetStorage } from '../../../durable-objects/fleet/storage.ts';
import { migrate } from '../../../durable-objects/lib/migrate.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const open = (): { db: NodeStorage; storage: FleetStorage } => {
  const db = new NodeStorage();
  migrate(db, FLEET_MIGRATIONS);
  return { db, storage: new FleetStorage(db.sql) };
};
const token = (id: string, agentId: string | null = null): StoredToken => ({
  id,
  role: agentId === null ? 'admin' : 'agent',
  subject: 's',
  agentId,
  maxLeases: agentId === null ? 3 : null,
  issuedAtMs: 1,
  expiresAtMs: 5_000,
});

describe('rows of a fleet', () => {
  it('after every command the rows read back are the state', () => {
    const { db, storage } = open();
    let state: FleetState = storage.load('acme');
    expect(storage.name()).toBeNull();
    const commands: FleetCommand[] = [
      { type: 'create' },
      {
        type: 'putSettings',
        settings: { maxAgents: 5, homeRegion: 'eu-west-1', residency: { allowed: ['eu'], enforcement: 'strict' } },
      },
      { type: 'mintToken', token: token("t'; DROP TABLE tokens; --") },
      { type: 'mintToken', token: token('tka.x', 'agt.eu-west-1.coder.0.x') },
      { type: 'revokeToken', id: 'tka.x', unrecorded: false, expiresAtMs: 9_000 },
      { type: 'prune' },
      { type: 'delete', regions: ['a', 'b'] },
      { type: 'purged', generation: 0, done: ['a'], regions: ['a', 'b'] },
      { type: 'create' },
      { type: 'mintToken', token: token('t2') },
      { type: 'delete', regions: ['a', 'b'] },
      { type: 'purged', generation: 0, done: ['b'], regions: ['a', 'b'] },
      { type: 'purged', generation: 0, done: ['a', 'b'], regions: ['a', 'b'] },
      { type: 'putSettings', settings: {} },
    ];
    for (const command of commands) {
      const decided = decide(state, command, 2_000);
      if (!decided.ok) throw new Error(decided.error.kind);
      db.transactionSync(() => {
        for (const event of decided.value) {
          state = evolve(state, event);
          storage.write(event, state);
        }
      });
      expect(storage.load('acme')).toEqual(state);
    }
    expect(storage.name()).toBe('acme');
    expect(state).toMatchObject({ exists: false, generation: 2 });
  });

  it('keeps answers for their time, and what a deletion may not remove', () => {
    const { db, storage } = open();
    storage.putKey('k', { bodyHash: 'h', answer: null, atMs: 1 });
    expect(storage.key('k')).toEqual({ bodyHash: 'h', answer: null, atMs: 1 });
    storage.putKey('k', { bodyHash: 'h', answer: '{}', atMs: 2 });
    expect(storage.key('k')?.answer).toBe('{}');
    storage.putKey('new', { bodyHash: 'h', answer: '{}', atMs: LIMITS.idempotencyTtlMs + 3 });
    expect(storage.key('k')).toBeNull();
    storage.dropKey('new');
    expect(storage.key('new')).toBeNull();

    storage.putRegistered(['a', 'b'], 10);
    expect(storage.registered(['a', 'x', 'b'])).toEqual(['a', 'b']);
    storage.putRegistered([], LIMITS.idempotencyTtlMs + 20);
    storage.putRegistered(['c'], LIMITS.idempotencyTtlMs + 20);
    expect(storage.registered(['a', 'b', 'c'])).toEqual(['c']);
    storage.putRegionCount('eu-west-1', 3);
    storage.putRegionCount('eu-west-1', 4);
    expect(storage.regionCounts()).toEqual(new Map([['eu-west-1', 4]]));

    storage.audit({ fleet: 'acme', subject: 'who', role: 'admin', requestId: 'r' }, 'delete', [['fleetDeleted', '0']], 7);
    const purge = { generation: 0, pending: [], rounds: 0, attempts: 0, nextAtMs: 0 };
    const event = { type: 'fleetDeleted', purge } as const;
    storage.write(event, evolve(storage.load('acme'), event));
    expect(storage.registered(['c'])).toEqual([]);
    expect(db.sql.exec('SELECT actor, action, request_id, at_ms FROM audit').toArray()).toEqual([
      { actor: 'who', action: 'delete', request_id: 'r', at_ms: 7 },
    ]);
  });
});
