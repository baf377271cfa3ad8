import type { Liveness } from '../../../shared/schemas/agents.ts';
import type { Assignment } from '../../../shared/schemas/agents.ts';
import type { Seeded } from '../../../test/lib/seeded.ts';
import type { Calls } from '../calls.ts';
import { CAPABILITY, POOLS, rest, type World } from '../world.ts';

/** How often an agent looks whether an operator has drained, locked away or removed it. */
const CHECK_MS = 600;

export interface Identity {
  readonly id: string;
  readonly token: string;
}

/** One agent's life after another: whoever is gone, drained or locked away registers anew. */
export class AgentLife {
  readonly world: World;
  readonly calls: Calls;
  readonly random: Seeded;
  readonly #liveness: Liveness;
  readonly #pool: string;
  readonly #region: string;
  readonly #isCapable: boolean;
  readonly #working = new Set<number>();
  #identity: Identity | null = null;
  #checkedAtMs = 0;

  constructor(world: World, role: string, liveness: Liveness, index: number) {
    const { calls, random } = world.client(role);
    this.world = world;
    this.calls = calls;
    this.random = random;
    this.#liveness = liveness;
    // Between them the agents cover every pool in every region, and the first of each has all capabilities.
    const places = POOLS.flatMap((pool) => world.regions.map((region) => ({ pool, region })));
    const place = places[index % places.length] as { pool: string; region: string };
    this.#pool = place.pool;
    this.#region = place.region;
    this.#isCapable = index < places.length || random.chance(0.5);
  }

  get busy(): number {
    return this.#working.size;
  }

  /** The agent to be; registers until it is one. Null when the run is over. */
  async identity(): Promise<Identity | null> {
    if (this.#identity !== null && (await this.#isFit(this.#identity.id))) return this.#identity;
    this.#identity = null;
    const key = this.world.name('register');
    const spec = {
      pool: this.#pool,
      region: this.#region,
      slots: this.random.int(1, 3),
      liveness:
        this.#liveness === 'session' && this.random.chance(0.5) ? ('heartbeat' as const) : (this.#liveness as 'heartbeat'),
      capabilities: this.#isCapable ? [CAPABILITY] : [],
    };
    while (!this.world.isIn('over')) {
      const { entry, token } = await this.calls.register(spec, key);
      if (entry.answer.kind === 'ok' && token !== null) {
        this.#identity = { id: entry.answer.value.agentId, token };
        this.world.agents.set(this.#identity.id, this.#pool);
        return this.#identity;
      }
      if (entry.answer.kind === 'refused') throw new Error(`an agent may not register: ${entry.answer.code}`);
      await rest(this.random, false);
    }
    return null;
  }

  async #isFit(id: string): Promise<boolean> {
    if (Date.now() - this.#checkedAtMs < CHECK_MS) return true;
    const { answer } = await this.calls.getAgent(id);
    if (answer.kind !== 'ok' && answer.kind !== 'refused') return true;
    this.#checkedAtMs = Date.now();
    return answer.kind === 'ok' && answer.value.status !== 'draining' && answer.value.status !== 'quarantined';
  }

  /** Takes an assignment, once however often it is given; `start` does the work. */
  take(assignment: Assignment, via: 'socket' | 'welcome' | 'poll', agentId: string, start: () => Promise<void>): Promise<void> {
    const { taskId, allocationId, fencingToken: token, attempt, payload } = assignment;
    this.calls.recorder.observe(
      this.calls.client,
      'assigned',
      { agentId, via },
      { taskId, allocationId, token, attempt, payload: String(payload) },
    );
    if (this.#working.has(token)) return Promise.resolve();
    this.#working.add(token);
    return start().finally(() => this.#working.delete(token));
  }
}
