import type { Seeded } from '../../../test/lib/seeded.ts';
import type { Calls, Submit } from '../calls.ts';
import { CAPABILITY, POOLS, rest, TASK_TIMEOUT_MS_MAX, type World } from '../world.ts';
import { isAnswered, isServed } from './allocator.ts';

/** Submits tasks of every kind, waits for some, cancels some, and repeats what was not answered. */
export async function submitter(world: World): Promise<void> {
  const { calls, random } = world.client('submitter');
  const client = new Submitter(world, calls, random);
  while (world.isIn('faults')) {
    const isServing = await client.act();
    await rest(random, isServing);
  }
  await client.finish();
}

interface Unanswered {
  readonly key: string;
  readonly spec: Submit;
}

class Submitter {
  readonly #world: World;
  readonly #calls: Calls;
  readonly #random: Seeded;
  readonly #unanswered: Unanswered[] = [];
  readonly #answered: Unanswered[] = [];
  /** Others of its region may depend on it. */
  #last: { readonly id: string; readonly region: string | undefined } | null = null;

  constructor(world: World, calls: Calls, random: Seeded) {
    this.#world = world;
    this.#calls = calls;
    this.#random = random;
  }

  async act(): Promise<boolean> {
    const [retry] = this.#unanswered;
    if (retry !== undefined) return this.#submit(retry);
    const last = this.#last;
    if (last === null) return this.#submitNew();
    const what = this.#random.weighted({ submit: 40, wait: 30, look: 15, cancel: 8, repeatKey: 7 });
    switch (what) {
      case 'submit':
        return this.#submitNew();
      case 'wait':
        return isServed(await this.#calls.getTask(last.id, this.#random.int(20, 400)));
      case 'look':
        return isServed(await this.#calls.getTask(this.#random.pick(this.#world.taskIds)));
      case 'cancel':
        return isServed(await this.#calls.cancel(this.#random.chance(0.6) ? last.id : this.#random.pick(this.#world.taskIds)));
      case 'repeatKey': {
        if (this.#answered.length === 0) return true;
        const { key, spec } = this.#random.pick(this.#answered);
        const other = this.#random.chance(0.3) ? { ...spec, priority: 9, metadata: { other: true } } : spec;
        return isServed(await this.#calls.submit(other, key));
      }
    }
  }

  async finish(): Promise<void> {
    for (let tries = 0; this.#unanswered.length > 0 && tries < 50; tries += 1) {
      const [retry] = this.#unanswered;
      if (retry !== undefined) await this.#submit(retry);
      await rest(this.#random);
    }
  }

  #spec(): Submit {
    const random = this.#random;
    const last = this.#last;
    const dependsOn = last !== null && last.region !== undefined && random.chance(0.06);
    return {
      // Also of another pool: then its end is learned from another object, again after each crash.
      pool: random.pick(POOLS),
      payload: this.#world.name('work'),
      ...(dependsOn ? { region: last.region, dependsOn: [last.id] } : this.#world.region(random)),
      maxAttempts: random.int(2, 4),
      retry: { baseMs: 20, factor: 2, maxMs: 300, jitter: 0.2 },
      timeoutMs: random.int(1_500, TASK_TIMEOUT_MS_MAX),
      priority: random.int(1, 10),
      ...(random.chance(0.2) ? { capabilities: [CAPABILITY] } : {}),
      ...(random.chance(0.2) ? { fairnessKey: random.pick(['a', 'b', 'c']) } : {}),
      ...(random.chance(0.1) ? { concurrency: { key: random.pick(['x', 'y']), limit: 2, strategy: 'queue' } } : {}),
      ...(random.chance(0.1) ? { delayMs: random.int(50, 500) } : {}),
      ...(random.chance(0.05) ? { deadlineMs: random.int(500, 3_000) } : {}),
    };
  }

  async #submitNew(): Promise<boolean> {
    const spec = this.#spec();
    if (this.#random.chance(0.3)) return this.#sent(spec, null);
    const keyed = { key: this.#world.name('submit'), spec };
    this.#unanswered.push(keyed);
    return this.#submit(keyed);
  }

  async #submit(keyed: Unanswered): Promise<boolean> {
    return this.#sent(keyed.spec, keyed);
  }

  async #sent(spec: Submit, keyed: Unanswered | null): Promise<boolean> {
    const entry = await this.#calls.submit(spec, keyed?.key ?? null);
    if (keyed !== null && isAnswered(entry.answer)) {
      this.#unanswered.splice(this.#unanswered.indexOf(keyed), 1);
      if (entry.answer.kind === 'ok') this.#answered.push(keyed);
      if (this.#answered.length > 50) this.#answered.shift();
    }
    if (entry.answer.kind === 'ok') {
      const { taskId } = entry.answer.value;
      this.#world.noteTask(taskId);
      this.#last = { id: taskId, region: spec['region'] as string | undefined };
    }
    return isServed(entry);
  }
}
