import { LIMITS } from '../../shared/limits.ts';
import type { Role } from '../../shared/roles.ts';
import type { Caller } from '../../shared/rpc.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import type { FleetSettings } from '../../shared/schemas/fleet.ts';
import type { SqlDatabase } from '../lib/sql.ts';
import type { FleetEvent } from './core/events.ts';
import { emptyFleet, type FleetState, type Purge, type StoredToken } from './core/state.ts';

/** A kept answer; `answer` null while the first request still runs. */
export interface KeptKey {
  readonly bodyHash: string;
  readonly answer: JsonText | null;
  readonly atMs: number;
}

/** The rows of one fleet. Every write happens inside the caller's transaction. */
export class FleetStorage {
  readonly #sql: SqlDatabase;
  constructor(sql: SqlDatabase) {
    this.#sql = sql;
  }

  /** The fleet this object holds, or null when it was never written. */
  name(): string | null {
    return this.#sql.exec<{ name: string }>('SELECT name FROM fleet').toArray()[0]?.name ?? null;
  }

  load(fleet: string): FleetState {
    const empty = emptyFleet(fleet);
    const row = this.#sql
      .exec<{ does_exist: number; generation: number; settings: string }>('SELECT does_exist, generation, settings FROM fleet')
      .toArray()[0];
    return {
      ...empty,
      ...(row === undefined
        ? {}
        : { exists: row.does_exist === 1, generation: row.generation, settings: JSON.parse(row.settings) as FleetSettings }),
      tokens: new Map(this.#tokens().map((token) => [token.id, token])),
      revoked: new Map(
        this.#sql
          .exec<{ id: string; expires_at_ms: number }>('SELECT id, expires_at_ms FROM revocations')
          .toArray()
          .map((r) => [r.id, r.expires_at_ms]),
      ),
      purges: new Map(this.#purges().map((purge) => [purge.generation, purge])),
    };
  }

  /** The rows after an event; `after` is the state it led to. */
  write(event: FleetEvent, after: FleetState): void {
    const sql = this.#sql;
    switch (event.type) {
      case 'fleetCreated':
      case 'settingsReplaced':
        this.#writeFleet(after);
        return;
      case 'tokenMinted': {
        const t = event.token;
        sql.exec(
          'INSERT INTO tokens (id, role, subject, agent_id, issued_at_ms, expires_at_ms, max_leases) VALUES (?, ?, ?, ?, ?, ?, ?)',
          t.id,
          t.role,
          t.subject,
          t.agentId,
          t.issuedAtMs,
          t.expiresAtMs,
          t.maxLeases,
        );
        return;
      }
      case 'tokenRevoked':
        sql.exec('INSERT OR REPLACE INTO revocations (id, expires_at_ms) VALUES (?, ?)', event.id, event.expiresAtMs);
        return;
      case 'fleetDeleted':
        // The audit rows stay: they are the evidence of the deletion.
        for (const table of ['tokens', 'revocations', 'idempotency', 'registered_keys', 'region_counts'])
          sql.exec(`DELETE FROM ${table}`);
        this.#writeFleet(after);
        this.#writePurge(event.purge);
        return;
      case 'purgeProgressed':
        this.#writePurge(event.purge);
        return;
      case 'purgeEnded':
        sql.exec('DELETE FROM purges WHERE generation = ?', event.generation);
        return;
      case 'expiredRemoved':
        for (const id of event.tokens) sql.exec('DELETE FROM tokens WHERE id = ?', id);
        for (const id of event.revoked) sql.exec('DELETE FROM revocations WHERE id = ?', id);
        return;
    }
  }

  audit(caller: Caller, action: string, entries: readonly (readonly string[])[], atMs: number): void {
    this.#sql.exec(
      'INSERT INTO audit (at_ms, actor, action, request_id, entries) VALUES (?, ?, ?, ?, ?)',
      atMs,
      caller.subject,
      action,
      caller.requestId,
      JSON.stringify(entries),
    );
  }

  key(key: string): KeptKey | null {
    const row = this.#sql
      .exec<{ body_hash: string; answer: string | null; at_ms: number }>(
        'SELECT body_hash, answer, at_ms FROM idempotency WHERE key = ?',
        key,
      )
      .toArray()[0];
    return row === undefined ? null : { bodyHash: row.body_hash, answer: row.answer, atMs: row.at_ms };
  }

  putKey(key: string, kept: KeptKey): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO idempotency (key, body_hash, answer, at_ms) VALUES (?, ?, ?, ?)',
      key,
      kept.bodyHash,
      kept.answer,
      kept.atMs,
    );
    this.#prune('idempotency', kept.atMs);
  }

  dropKey(key: string): void {
    this.#sql.exec('DELETE FROM idempotency WHERE key = ?', key);
  }

  /** Which of these keys have already made an agent. */
  registered(keys: readonly string[]): readonly string[] {
    return keys.filter((key) => this.#sql.exec('SELECT 1 FROM registered_keys WHERE key = ?', key).toArray().length > 0);
  }

  putRegistered(keys: readonly string[], atMs: number): void {
    for (const key of keys) this.#sql.exec('INSERT OR REPLACE INTO registered_keys (key, at_ms) VALUES (?, ?)', key, atMs);
    if (keys.length > 0) this.#prune('registered_keys', atMs);
  }

  regionCounts(): Map<string, number> {
    const rows = this.#sql.exec<{ region: string; agents: number }>('SELECT region, agents FROM region_counts').toArray();
    return new Map(rows.map((row) => [row.region, row.agents]));
  }

  putRegionCount(region: string, agents: number): void {
    this.#sql.exec('INSERT OR REPLACE INTO region_counts (region, agents) VALUES (?, ?)', region, agents);
  }

  /** Removes a step of what is older than a key is kept; more than comes in, so that the table shrinks while it is in use. */
  #prune(table: 'idempotency' | 'registered_keys', nowMs: number): void {
    this.#sql.exec(
      `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} WHERE at_ms < ? ORDER BY at_ms LIMIT ?)`,
      nowMs - LIMITS.idempotencyTtlMs,
      LIMITS.pruneStep,
    );
  }

  #writeFleet(state: FleetState): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO fleet (id, name, does_exist, generation, settings) VALUES (1, ?, ?, ?, ?)',
      state.fleet,
      state.exists ? 1 : 0,
      state.generation,
      JSON.stringify(state.settings),
    );
  }

  #writePurge(purge: Purge): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO purges (generation, pending, rounds, attempts, next_at_ms) VALUES (?, ?, ?, ?, ?)',
      purge.generation,
      JSON.stringify(purge.pending),
      purge.rounds,
      purge.attempts,
      purge.nextAtMs,
    );
  }

  #tokens(): StoredToken[] {
    type Row = {
      id: string;
      role: string;
      subject: string;
      agent_id: string | null;
      issued_at_ms: number;
      expires_at_ms: number;
      max_leases: number | null;
    };
    return this.#sql
      .exec<Row>('SELECT id, role, subject, agent_id, issued_at_ms, expires_at_ms, max_leases FROM tokens')
      .toArray()
      .map((r) => ({
        id: r.id,
        role: r.role as Role,
        subject: r.subject,
        agentId: r.agent_id,
        issuedAtMs: r.issued_at_ms,
        expiresAtMs: r.expires_at_ms,
        maxLeases: r.max_leases,
      }));
  }

  #purges(): Purge[] {
    type Row = { generation: number; pending: string; rounds: number; attempts: number; next_at_ms: number };
    return this.#sql
      .exec<Row>('SELECT generation, pending, rounds, attempts, next_at_ms FROM purges')
      .toArray()
      .map((r) => ({
        generation: r.generation,
        pending: JSON.parse(r.pending) as string[],
        rounds: r.rounds,
        attempts: r.attempts,
        nextAtMs: r.next_at_ms,
      }));
  }
}
