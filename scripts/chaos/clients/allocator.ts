import type { Answer, Entry, Granted } from '../../../test/lib/history.ts';
import type { Seeded } from '../../../test/lib/seeded.ts';
import type { Allocate, Calls } from '../calls.ts';
import { CAPABILITY, LEASE_MS_MAX, POOLS, rest, type World } from '../world.ts';

/** A keyed call that has no answer yet; it is repeated until it has one. */
interface Unanswered {
  readonly key: string;
  readonly spec: Allocate;
}

const HELD_MAX = 4;

/** Takes agents, renews and returns them, in good faith and in bad: stale tokens, late calls, repeated ones. */
export async function allocator(world: World): Promise<void> {
  const { calls, random } = world.client('allocator');
  const client = new Allocator(world, calls, random);
  while (world.isIn('faults')) {
    const isServing = await client.act();
    await rest(random, isServing);
  }
  await client.finish();
}

class Allocator {
  readonly #world: World;
  readonly #calls: Calls;
  readonly #random: Seeded;
  readonly #held: Granted[] = [];
  readonly #unanswered: Unanswered[] = [];
  readonly #answered: Unanswered[] = [];

  constructor(world: World, calls: Calls, random: Seeded) {
    this.#world = world;
    this.#calls = calls;
    this.#random = random;
  }

  /** One operation; answers whether anybody listens. */
  async act(): Promise<boolean> {
    const [retry] = this.#unanswered;
    if (retry !== undefined) return this.#allocate(retry);
    const random = this.#random;
    const lease = this.#held.length === 0 ? undefined : random.pick(this.#held);
    if (lease === undefined || (this.#held.length < HELD_MAX && random.chance(0.4))) return this.#allocateNew();
    const what = random.weighted({
      renew: 20,
      release: 40,
      wrongToken: 12,
      overstay: 2,
      repeatKey: 8,
      look: 10,
      batch: 8,
    });
    const { allocationId, token } = lease;
    switch (what) {
      case 'renew':
        return isServed(await this.#calls.renew(allocationId, token, this.#leaseMs()));
      case 'release':
        return this.#release(lease);
      case 'wrongToken':
        return this.#useWrongToken();
      case 'overstay':
        // Past its end, unless it was renewed meanwhile: then it is still in time.
        await rest(random);
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, lease.endsAtMs - Date.now())));
        return isServed(await this.#calls.renew(allocationId, token, this.#leaseMs()));
      case 'repeatKey':
        return this.#repeatKey();
      case 'look':
        return isServed(await this.#calls.getAllocation(random.pick(this.#world.leases).allocationId));
      case 'batch':
        return this.#batch(lease);
    }
  }

  /** What has no answer yet gets one, so that nothing of it stays unknown. */
  async finish(): Promise<void> {
    for (let tries = 0; this.#unanswered.length > 0 && tries < 50; tries += 1) {
      const [retry] = this.#unanswered;
      if (retry !== undefined) await this.#allocate(retry);
      await rest(this.#random);
    }
  }

  #leaseMs(): number {
    return this.#random.int(1_000, LEASE_MS_MAX);
  }

  #spec(): Allocate {
    const random = this.#random;
    return {
      pool: random.pick(POOLS),
      ...this.#world.region(random),
      slots: random.chance(0.2) ? 2 : 1,
      ...(random.chance(0.1) ? { count: 2 } : {}),
      leaseMs: this.#leaseMs(),
      ...(random.chance(0.15) ? { waitMs: random.int(50, 800) } : {}),
      ...(random.chance(0.2) ? { capabilities: [CAPABILITY] } : {}),
      ...(random.chance(0.3) ? { strategy: random.pick(['round_robin', 'priority_based', 'performance_based']) } : {}),
    };
  }

  async #allocateNew(): Promise<boolean> {
    const spec = this.#spec();
    if (this.#random.chance(0.4)) return this.#took(await this.#calls.allocate(spec, null));
    const keyed = { key: this.#world.name('allocate'), spec };
    this.#unanswered.push(keyed);
    return this.#allocate(keyed);
  }

  async #allocate(keyed: Unanswered): Promise<boolean> {
    const entry = await this.#calls.allocate(keyed.spec, keyed.key);
    if (isAnswered(entry.answer)) {
      this.#unanswered.splice(this.#unanswered.indexOf(keyed), 1);
      if (entry.answer.kind === 'ok') this.#answered.push(keyed);
      if (this.#answered.length > 50) this.#answered.shift();
    }
    return this.#took(entry);
  }

  #took(entry: Awaited<ReturnType<Calls['allocate']>>): boolean {
    if (entry.answer.kind === 'ok') {
      const { leases } = entry.answer.value;
      this.#held.push(...leases);
      this.#world.noteLeases(leases);
    }
    return isServed(entry);
  }

  #forget(lease: Granted): void {
    const index = this.#held.indexOf(lease);
    if (index >= 0) this.#held.splice(index, 1);
  }

  async #release(lease: Granted): Promise<boolean> {
    const entry = await this.#calls.release(lease.allocationId, lease.token);
    if (!isAnswered(entry.answer)) return isServed(entry);
    this.#forget(lease);
    if (!this.#random.chance(0.15)) return true;
    // Again, as a caller would that has not seen the answer; or late, with what it once held.
    if (this.#random.chance(0.5)) return isServed(await this.#calls.release(lease.allocationId, lease.token));
    return isServed(await this.#calls.renew(lease.allocationId, lease.token, this.#leaseMs()));
  }

  /** Anybody's lease, with the token of another or one that nobody was given for it. */
  async #useWrongToken(): Promise<boolean> {
    const random = this.#random;
    const lease = random.pick(this.#world.leases);
    const wrong = [lease.token + 1, random.pick(this.#world.leases).token, ...(lease.token > 1 ? [lease.token - 1] : [])];
    const token = random.pick(wrong.filter((one) => one !== lease.token).concat(lease.token + 1));
    return isServed(
      random.chance(0.6)
        ? await this.#calls.release(lease.allocationId, token)
        : await this.#calls.renew(lease.allocationId, token, this.#leaseMs()),
    );
  }

  async #repeatKey(): Promise<boolean> {
    if (this.#answered.length === 0) return true;
    const { key, spec } = this.#random.pick(this.#answered);
    const other = this.#random.chance(0.3) ? { ...spec, leaseMs: spec.leaseMs + 1 } : spec;
    const entry = await this.#calls.allocate(other, key);
    return isServed(entry);
  }

  async #batch(lease: Granted): Promise<boolean> {
    const other = this.#held.find((one) => one !== lease);
    const entries = await this.#calls.batch([
      { op: 'release', lease },
      { op: 'allocate', key: this.#world.name('batch'), spec: this.#spec() },
      ...(other === undefined ? [] : [{ op: 'renew' as const, lease: other, leaseMs: this.#leaseMs() }]),
    ]);
    for (const entry of entries) {
      if (entry.op === 'allocate') this.#took(entry);
      else if (entry.op === 'release' && isAnswered(entry.answer)) this.#forget(lease);
    }
    return entries.every((entry) => isServed(entry));
  }
}

/** Whether the call said what became of it. */
export const isAnswered = (answer: Answer<unknown>): boolean =>
  answer.kind === 'ok' || (answer.kind === 'refused' && answer.code !== 'idempotency_in_progress');
/** Whether anybody listened. */
export const isServed = (entry: Entry): boolean => entry.answer.kind === 'ok' || entry.answer.kind === 'refused';
