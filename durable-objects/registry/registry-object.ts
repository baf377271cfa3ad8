import { DurableObject } from 'cloudflare:workers';
import type { FleetError } from '../../shared/errors.ts';
import type { Result } from '../../shared/result.ts';
import type { Caller, PoolView, RegionStatusBlock, ShardConfig, ShardSummary } from '../../shared/rpc.ts';
import type { PutPool } from '../../shared/schemas/fleet.ts';
import type { RegionEnv } from '../env.ts';
import { GroupCommit } from '../lib/group-commit.ts';
import { logError } from '../lib/log.ts';
import { migrate } from '../lib/migrate.ts';
import { assertOwnObject } from '../lib/own-region.ts';
import { registryObjectName } from '../stubs.ts';
import { Admission } from './core/admission.ts';
import type { Scaled } from './core/pools.ts';
import { REGISTRY_MIGRATIONS } from './migrations.ts';
import { pushConfig } from './push.ts';
import { Registry } from './registry.ts';
import type { PlacementRoute, ShardRef, SwarmRef } from './core/routes.ts';
import type { RegistryApi } from './registry-rpc.ts';
import { RegistryStorage } from './storage.ts';

/** Not sooner than this again, whatever the oldest key's age says: a clock that was set back must not make a busy loop. */
const ALARM_PAUSE_MS = 1_000;

const SYSTEM: Omit<Caller, 'fleet'> = { subject: 'system', role: 'admin', requestId: '' };

/**
 * One fleet's registry in one region: what its pools are meant to be, and the counters that its shards report. A thin
 * shell: clock, group commits, pushes to the shards. Any call may be the first after an eviction; all but reservations of
 * the last seconds is in the rows.
 */
export class RegistryObject extends DurableObject<RegionEnv> implements RegistryApi {
  #registry: Registry;
  #commit: GroupCommit;
  readonly #admission = new Admission();
  /** Pools whose configuration is on its way to their shards. */
  readonly #pushing = new Set<string>();
  #alarmArmed = false;

  constructor(ctx: DurableObjectState, env: RegionEnv) {
    super(ctx, env);
    [this.#registry, this.#commit] = this.#start(0);
  }

  #start(bornAtMs: number): [Registry, GroupCommit] {
    const { storage } = this.ctx;
    migrate(storage, REGISTRY_MIGRATIONS);
    const onFault = (error: unknown): void => {
      logError('registry fault', error);
      // Memory may be ahead of the rows: forget it. The next call starts from what is stored.
      this.ctx.abort('registry fault');
    };
    return [new Registry(new RegistryStorage(storage.sql), this.env.REGION, bornAtMs), new GroupCommit({ storage, onFault })];
  }

  #check(fleet: string, region: string, caller?: Caller): void {
    if (caller !== undefined && caller.fleet !== fleet) throw new Error('called for another fleet than the caller has');
    assertOwnObject(this.ctx.id, this.env, registryObjectName(fleet, region));
  }

  async routes(fleet: string, region: string): Promise<readonly PlacementRoute[]> {
    this.#check(fleet, region);
    return this.#registry.routes();
  }

  async listPools(fleet: string, region: string): Promise<readonly PoolView[]> {
    this.#check(fleet, region);
    return this.#registry.listPools();
  }

  async status(fleet: string, region: string): Promise<RegionStatusBlock> {
    this.#check(fleet, region);
    return this.#registry.status(Date.now());
  }

  /** Stores first. A shard that cannot be told learns it with its next call or report, so the answer does not depend on it. */
  async putPool(
    fleet: string,
    region: string,
    caller: Caller,
    pool: string,
    spec: PutPool,
  ): Promise<Result<{ readonly pool: PoolView; readonly created: boolean }, FleetError>> {
    this.#check(fleet, region, caller);
    const result = await this.#commit.run(() => this.#registry.putPool(caller, pool, spec, Date.now()));
    if (result.ok) await this.#push(caller, pool);
    return result;
  }

  async scalePool(
    fleet: string,
    region: string,
    caller: Caller,
    pool: string,
    input: { readonly targetSize: number; readonly reason?: string },
  ): Promise<Result<Scaled, FleetError>> {
    this.#check(fleet, region, caller);
    return this.#commit.run(() => this.#registry.scalePool(caller, pool, input, Date.now()));
  }

  async report(fleet: string, region: string, summary: ShardSummary): Promise<ShardConfig | null> {
    this.#check(fleet, region);
    if (this.#registry.isNews(summary)) await this.#commit.run(() => this.#registry.report(summary));
    if (this.#registry.canShrink(summary) && !this.#pushing.has(summary.pool)) {
      this.ctx.waitUntil(this.#push({ ...SYSTEM, fleet }, summary.pool));
    }
    return this.#registry.configFor(summary.pool, summary.shard);
  }

  async open(fleet: string, region: string, shards: readonly ShardRef[]): Promise<void> {
    this.#check(fleet, region);
    if (shards.every((ref) => this.#registry.isInUse(ref))) return;
    await this.#commit.run(() => {
      for (const ref of shards) this.#registry.open(ref);
    });
  }

  /**
   * Shards without agents or tasks are not left out: their last report may be older than an answer that the caller has
   * already seen, and asking an empty shard costs less than a list that misses what was just made.
   */
  async occupied(fleet: string, region: string, _what: 'agents' | 'tasks'): Promise<readonly ShardRef[]> {
    this.#check(fleet, region);
    return this.#registry.occupied();
  }

  async instances(fleet: string, region: string): Promise<readonly ShardRef[]> {
    this.#check(fleet, region);
    return this.#registry.instances();
  }

  async openSwarm(fleet: string, region: string, ref: SwarmRef): Promise<void> {
    this.#check(fleet, region);
    if (this.#registry.hasSwarm(ref)) return;
    await this.#commit.run(() => this.#registry.openSwarm(ref));
  }

  async swarms(fleet: string, region: string): Promise<readonly SwarmRef[]> {
    this.#check(fleet, region);
    return this.#registry.swarms();
  }

  async routeForKey(fleet: string, region: string, key: string, order: readonly string[]): Promise<readonly string[]> {
    this.#check(fleet, region);
    return this.#commit.run(() => {
      const regions = this.#registry.routeForKey(key, order, Date.now());
      this.#armAlarm();
      return regions;
    });
  }

  async routesForKeys(
    fleet: string,
    region: string,
    keys: readonly string[],
    order: readonly string[],
  ): Promise<readonly (readonly string[])[]> {
    this.#check(fleet, region);
    return this.#commit.run(() => {
      const nowMs = Date.now();
      const routes = keys.map((key) => this.#registry.routeForKey(key, order, nowMs));
      this.#armAlarm();
      return routes;
    });
  }

  async admit(
    fleet: string,
    region: string,
    input: { readonly wanted: number; readonly limit: number },
  ): Promise<Result<{ readonly ticket: number; readonly admitted: number }, FleetError>> {
    this.#check(fleet, region);
    return this.#admission.admit(input.wanted, input.limit, this.#registry.agents, Date.now());
  }

  async settle(fleet: string, region: string, ticket: number, summaries: readonly ShardSummary[]): Promise<void> {
    this.#check(fleet, region);
    await this.#commit.run(() => {
      for (const summary of summaries) this.#registry.report(summary);
      // In the same step as the counters: at no moment are the agents in neither.
      this.#admission.settle(ticket);
    });
  }

  /**
   * A change that a waiting group may still hold was before the purge and goes with it. `deleteAll` acts when it is
   * called, so no other call can find the object without its tables.
   */
  async purge(): Promise<void> {
    this.#commit.close(new Error('the fleet was deleted'));
    const alarm = this.ctx.storage.deleteAlarm();
    const deleted = this.ctx.storage.deleteAll();
    [this.#registry, this.#commit] = this.#start(Date.now());
    this.#alarmArmed = false;
    await Promise.all([alarm, deleted]);
    await this.ctx.storage.sync();
  }

  override async alarm(): Promise<void> {
    await this.#commit.run(() => {
      this.#registry.prune(Date.now());
      this.#alarmArmed = false;
      this.#armAlarm();
    });
  }

  /** The alarm removes keys that no newer key pushes out. Once an instance is enough: the oldest key never gets older ones. */
  #armAlarm(): void {
    const dueAtMs = this.#alarmArmed ? null : this.#registry.nextPruneMs();
    if (dueAtMs === null) return;
    this.#alarmArmed = true;
    void this.ctx.storage.setAlarm(Math.max(dueAtMs, Date.now() + ALARM_PAUSE_MS));
  }

  async #push(caller: Caller, pool: string): Promise<void> {
    this.#pushing.add(pool);
    try {
      await pushConfig({ env: this.env, registry: this.#registry, commit: this.#commit }, caller, pool);
    } finally {
      this.#pushing.delete(pool);
    }
  }
}
