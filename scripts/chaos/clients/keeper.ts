import type { Pool } from '../../../shared/schemas/fleet.ts';
import type { EntryOf, Granted } from '../../../test/lib/history.ts';
import type { Seeded } from '../../../test/lib/seeded.ts';
import type { Calls } from '../calls.ts';
import { AUDITOR } from '../facts.ts';
import { answerOf } from '../http.ts';
import { LEASE_MS_MAX, pause, QUIET_POOL, rest, SETTINGS_POOL, type World } from '../world.ts';
import { isServed } from './allocator.ts';

const TOKENS_MAX = 40;

/**
 * Keeps what is not in a busy pool: settings, tokens, and leases in a pool that nobody else speaks to. Alone with each of
 * them, so that what must be found later is known.
 */
export class Keeper {
  readonly #world: World;
  readonly #calls: Calls;
  readonly #random: Seeded;
  /** Secrets of the tokens minted, by id; those revoked, too. */
  readonly #tokens = new Map<string, string>();
  readonly #revoked = new Set<string>();
  #maxAgents = SETTINGS_POOL.maxAgents;
  #quietAgents = 0;
  #quiet: Granted | null = null;

  constructor(world: World) {
    const { calls, random } = world.client('keeper');
    this.#world = world;
    this.#calls = calls;
    this.#random = random;
  }

  async run(): Promise<void> {
    while (this.#world.isIn('faults')) {
      await rest(this.#random, await this.#act());
      await pause(this.#random.int(10, 60));
    }
  }

  async #act(): Promise<boolean> {
    const what = this.#random.weighted({ settings: 30, look: 20, mint: 15, use: 15, revoke: 8, quiet: 25 });
    switch (what) {
      case 'settings':
        return this.#writeSettings();
      case 'look':
        return isServed(await this.#readSettings(this.#calls.client));
      case 'mint':
        return this.#tokens.size < TOKENS_MAX ? this.#mint() : true;
      case 'use': {
        const id = this.#anyToken();
        return id === undefined || isServed(await this.#use(this.#calls.client, id));
      }
      case 'revoke': {
        const id = this.#anyToken();
        return id === undefined || this.#revoke(id);
      }
      case 'quiet':
        return this.#keepQuiet();
    }
  }

  /** Settings, tokens and the quiet pool, as they are in the end. The quiet pool is only looked at from afar. */
  async audit(): Promise<void> {
    await this.#readSettings(AUDITOR);
    for (const id of this.#tokens.keys()) await this.#use(AUDITOR, id);
    const untilMs = Date.now() + 3_000;
    for (;;) {
      const busy = await this.#busyAgents();
      if (busy === 0 || Date.now() > untilMs) {
        this.#world.recorder.observe(AUDITOR, 'quiet', { pool: QUIET_POOL }, { busy });
        return;
      }
      await pause(100);
    }
  }

  async #writeSettings(): Promise<boolean> {
    this.#maxAgents += 1;
    const { pool } = SETTINGS_POOL;
    const [region = ''] = this.#world.regions;
    const done = this.#world.recorder.begin(this.#calls.client, 'putPool', { pool, maxAgents: this.#maxAgents });
    const body = { ...SETTINGS_POOL, pool: undefined, maxAgents: this.#maxAgents };
    const reply = await this.#world.http.call('PUT', `/v1/pools/${pool}?region=${region}`, { body });
    return isServed(done(answerOf(reply, () => ({}))));
  }

  async #readSettings(client: string): Promise<EntryOf<'getPool'>> {
    const { pool } = SETTINGS_POOL;
    const [region = ''] = this.#world.regions;
    const done = this.#world.recorder.begin(client, 'getPool', { pool });
    const reply = await this.#world.http.call('GET', `/v1/pools/${pool}?region=${region}`);
    return done(answerOf(reply, ({ maxAgents }: Pool) => ({ maxAgents })));
  }

  async #mint(): Promise<boolean> {
    const done = this.#world.recorder.begin(this.#calls.client, 'mint', {});
    const reply = await this.#world.http.call('POST', '/v1/tokens', { body: { role: 'viewer' } });
    return isServed(
      done(
        answerOf(reply, ({ id, token }: { id: string; token: string }) => {
          this.#tokens.set(id, token);
          return { tokenId: id };
        }),
      ),
    );
  }

  #anyToken(): string | undefined {
    const ids = [...this.#tokens.keys()].filter((id) => !this.#revoked.has(id));
    return ids.length === 0 ? undefined : this.#random.pick(ids);
  }

  async #use(client: string, tokenId: string): Promise<EntryOf<'useToken'>> {
    const done = this.#world.recorder.begin(client, 'useToken', { tokenId });
    const token = this.#tokens.get(tokenId) ?? '';
    return done(answerOf(await this.#world.http.call('GET', '/v1/fleet', { token }), () => ({})));
  }

  async #revoke(tokenId: string): Promise<boolean> {
    this.#revoked.add(tokenId);
    const done = this.#world.recorder.begin(this.#calls.client, 'revoke', { tokenId });
    return isServed(done(answerOf(await this.#world.http.call('DELETE', `/v1/tokens/${tokenId}`), () => ({}))));
  }

  /** Always a live lease, so that whenever the runtime dies one must end with nobody there to ask for it. */
  async #keepQuiet(): Promise<boolean> {
    if (this.#quietAgents === 0) return this.#registerQuiet();
    const lease = this.#quiet;
    if (lease !== null && lease.endsAtMs > Date.now()) {
      const entry = await this.#calls.renew(lease.allocationId, lease.token, LEASE_MS_MAX);
      if (entry.answer.kind === 'ok') this.#quiet = { ...lease, endsAtMs: entry.answer.value.endsAtMs };
      return isServed(entry);
    }
    const [region = ''] = this.#world.regions;
    const entry = await this.#calls.allocate({ pool: QUIET_POOL, region, slots: 1, leaseMs: LEASE_MS_MAX }, null);
    if (entry.answer.kind === 'ok') this.#quiet = entry.answer.value.leases[0] ?? null;
    return isServed(entry);
  }

  async #registerQuiet(): Promise<boolean> {
    const [region = ''] = this.#world.regions;
    const spec = {
      pool: QUIET_POOL,
      region,
      slots: 1,
      liveness: 'none',
      endpoint: 'https://agent.invalid/',
      capabilities: [],
    } as const;
    const { entry } = await this.#calls.register(spec, 'quiet');
    if (entry.answer.kind === 'ok') this.#quietAgents = 1;
    return isServed(entry);
  }

  async #busyAgents(): Promise<number> {
    const reply = await this.#world.http.call('GET', '/v1/fleet/status');
    if (reply.kind !== 'answered' || reply.status !== 200) throw new Error(`status at rest: ${JSON.stringify(reply)}`);
    const { pools } = reply.body as { readonly pools: readonly { pool: string; busy: number }[] };
    return pools.filter(({ pool }) => pool === QUIET_POOL).reduce((sum, { busy }) => sum + busy, 0);
  }
}
