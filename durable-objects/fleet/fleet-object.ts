import { DurableObject } from 'cloudflare:workers';
import type { FleetError } from '../../shared/errors.ts';
import { ok, type Result } from '../../shared/result.ts';
import type { Caller, IdempotencyRef } from '../../shared/rpc.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import type { FleetSettings } from '../../shared/schemas/fleet.ts';
import { logError } from '../lib/log.ts';
import { migrate } from '../lib/migrate.ts';
import { FleetQuota } from './quota.ts';
import { decide, nextAlarmMs, type FleetCommand } from './core/decide.ts';
import { evolve, type FleetEvent } from './core/events.ts';
import { beginKey } from './core/keys.ts';
import { snapshotOf, toStored, toRecord } from './core/views.ts';
import type { FleetState } from './core/state.ts';
import { regionBindings, type FleetEnv } from './env.ts';
import type { Admitted, FleetRpc, FleetSnapshot, Minted, TokenRecord } from './fleet-rpc.ts';
import { FLEET_MIGRATIONS } from './migrations.ts';
import { purgeRegions } from './purge.ts';
import { FleetStorage } from './storage.ts';

/** Whom the audit names for what the object does by itself. */
const SYSTEM = (fleet: string): Caller => ({ fleet, subject: 'system', role: 'admin', requestId: 'alarm' });

/**
 * One fleet's own record: settings, tokens, revocations, deletion, and admission under the fleet's maximum. A thin shell:
 * decisions are in `core/`, rows in `storage.ts`. Every change is one transaction; the platform holds a reply until it is
 * durable.
 */
export class FleetObject extends DurableObject<FleetEnv> implements FleetRpc {
  readonly #storage: FleetStorage;
  readonly #quota: FleetQuota;
  #state: FleetState | null = null;

  constructor(ctx: DurableObjectState, env: FleetEnv) {
    super(ctx, env);
    migrate(ctx.storage, FLEET_MIGRATIONS);
    this.#storage = new FleetStorage(ctx.storage.sql);
    this.#quota = new FleetQuota(this.#storage, () => regionBindings(env));
  }

  /** The object's name is its fleet: one that is addressed for another refuses to serve. */
  #at(fleet: string): FleetState {
    if (this.ctx.id.name !== undefined && this.ctx.id.name !== fleet)
      throw new Error('addressed for another fleet than this object holds');
    this.#state ??= this.#storage.load(fleet);
    return this.#state;
  }

  #apply(fleet: string, caller: Caller, command: FleetCommand): Result<readonly FleetEvent[], FleetError> {
    const state = this.#at(fleet);
    const nowMs = Date.now();
    const decided = decide(state, command, nowMs);
    if (!decided.ok || decided.value.length === 0) return decided;
    let after = state;
    this.#transaction(() => {
      for (const event of decided.value) {
        after = evolve(after, event);
        this.#storage.write(event, after);
      }
      this.#storage.audit(caller, command.type, decided.value.map(auditEntry), nowMs);
    });
    this.#state = after;
    const alarmAtMs = nextAlarmMs(after);
    if (alarmAtMs !== null) void this.ctx.storage.setAlarm(alarmAtMs);
    return decided;
  }

  /** One transaction. When it fails, memory may be ahead of the rows, so it is read again. */
  #transaction<T>(work: () => T): T {
    try {
      return this.ctx.storage.transactionSync(work);
    } catch (error) {
      this.#state = null;
      throw error;
    }
  }

  async snapshot(fleet: string): Promise<FleetSnapshot> {
    return snapshotOf(this.#at(fleet));
  }

  async create(fleet: string, caller: Caller): Promise<FleetSnapshot> {
    this.#apply(fleet, caller, { type: 'create' });
    return snapshotOf(this.#at(fleet));
  }

  async putSettings(fleet: string, caller: Caller, settings: FleetSettings): Promise<FleetSnapshot> {
    this.#apply(fleet, caller, { type: 'putSettings', settings });
    return snapshotOf(this.#at(fleet));
  }

  async mintToken(
    fleet: string,
    caller: Caller,
    record: TokenRecord,
    idempotency: IdempotencyRef | null,
  ): Promise<Result<Minted, FleetError>> {
    const { generation } = this.#at(fleet);
    return this.#transaction((): Result<Minted, FleetError> => {
      if (idempotency !== null) {
        const known = beginKey(this.#storage.key(idempotency.key), idempotency, Date.now());
        if (!known.ok) return known;
        if (known.value !== null) return ok({ record: JSON.parse(known.value) as TokenRecord, replayed: true, generation });
      }
      const minted = this.#apply(fleet, caller, { type: 'mintToken', token: toStored(record) });
      if (!minted.ok) return minted;
      if (idempotency !== null) {
        const { key, bodyHash } = idempotency;
        this.#storage.putKey(key, { bodyHash, answer: JSON.stringify(toRecord(toStored(record))), atMs: Date.now() });
      }
      return ok({ record, replayed: false, generation });
    });
  }

  async revokeToken(
    fleet: string,
    caller: Caller,
    input: { readonly id: string; readonly unrecorded: boolean; readonly expiresAtMs: number },
  ): Promise<Result<FleetSnapshot, FleetError>> {
    const revoked = this.#apply(fleet, caller, { type: 'revokeToken', ...input });
    return revoked.ok ? ok(snapshotOf(this.#at(fleet))) : revoked;
  }

  async beginKey(fleet: string, idempotency: IdempotencyRef): Promise<Result<JsonText | null, FleetError>> {
    this.#at(fleet);
    const nowMs = Date.now();
    const known = beginKey(this.#storage.key(idempotency.key), idempotency, nowMs);
    if (known.ok && known.value === null) {
      this.#storage.putKey(idempotency.key, { bodyHash: idempotency.bodyHash, answer: null, atMs: nowMs });
    }
    return known;
  }

  async finishKey(fleet: string, key: string, answer: JsonText | null): Promise<void> {
    this.#at(fleet);
    const kept = this.#storage.key(key);
    if (answer === null) this.#storage.dropKey(key);
    else if (kept !== null) this.#storage.putKey(key, { ...kept, answer, atMs: Date.now() });
  }

  async admit(
    fleet: string,
    caller: Caller,
    input: { readonly wanted: number; readonly keys: readonly string[] },
  ): Promise<Result<Admitted & { readonly known: readonly string[] }, FleetError>> {
    return this.#quota.admit(() => this.#at(fleet).settings.maxAgents, caller, input);
  }

  async settle(
    fleet: string,
    ticket: number,
    outcome: { readonly registered: number; readonly keys: readonly string[] },
  ): Promise<void> {
    this.#at(fleet);
    this.#quota.settle(ticket, outcome);
  }

  async noteRemoved(fleet: string): Promise<void> {
    this.#at(fleet);
    this.#quota.noteRemoved();
  }

  async deleteFleet(
    fleet: string,
    caller: Caller,
  ): Promise<{ readonly snapshot: FleetSnapshot; readonly pending: readonly string[] }> {
    const { generation } = this.#at(fleet);
    const regions = [...regionBindings(this.env).keys()];
    this.#apply(fleet, caller, { type: 'delete', regions });
    await this.#purge(fleet, generation, caller);
    const pending = this.#at(fleet).purges.get(generation);
    return { snapshot: snapshotOf(this.#at(fleet)), pending: pending?.rounds === 0 ? pending.pending : [] };
  }

  async #purge(fleet: string, generation: number, caller: Caller): Promise<void> {
    const bindings = regionBindings(this.env);
    const pending = this.#at(fleet).purges.get(generation)?.pending ?? [];
    const done = await purgeRegions(bindings, pending, fleet, generation, caller);
    this.#apply(fleet, caller, { type: 'purged', generation, done, regions: [...bindings.keys()] });
  }

  /** Goes on with purges. Safe to run twice, early or late; what fails is tried again with the next alarm. */
  override async alarm(): Promise<void> {
    const fleet = this.ctx.id.name ?? this.#storage.name();
    if (fleet === null) return;
    const due = [...this.#at(fleet).purges.values()].filter((purge) => purge.nextAtMs <= Date.now());
    for (const purge of due) {
      try {
        await this.#purge(fleet, purge.generation, SYSTEM(fleet));
      } catch (error) {
        logError('purge failed', error, { fleet, generation: purge.generation });
      }
    }
    const nextMs = nextAlarmMs(this.#at(fleet));
    if (nextMs !== null) await this.ctx.storage.setAlarm(Math.max(nextMs, Date.now() + 1_000));
  }
}

/** What the audit says of an event: its kind and what it was about. Never a token, which the object has never seen. */
function auditEntry(event: FleetEvent): readonly string[] {
  switch (event.type) {
    case 'tokenMinted':
      return [event.type, event.token.id, `${event.token.role} ${event.token.subject}`];
    case 'tokenRevoked':
      return [event.type, event.id];
    case 'settingsReplaced':
      return [event.type, '', JSON.stringify(event.settings)];
    case 'fleetDeleted':
    case 'purgeProgressed':
      return [event.type, String(event.purge.generation), event.purge.pending.join(',')];
    case 'purgeEnded':
      return [event.type, String(event.generation)];
    case 'fleetCreated':
      return [event.type, ''];
    case 'expiredRemoved':
      return [event.type, '', `${event.tokens.length} tokens, ${event.revoked.length} revocations`];
  }
}
