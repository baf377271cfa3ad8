import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../shared/limits.ts';
import type { AllocateSpec } from '../../../shared/rpc.ts';
import type { Why } from '../../../shared/schemas/why.ts';
import { explain } from '../../../durable-objects/pool/core/explain.ts';
import { failedPredicates } from '../../../durable-objects/pool/core/predicates.ts';
import { goesBefore, WaitQueue, type Demand, type QueueEntry } from '../../../durable-objects/pool/core/queue.ts';
import { choose } from '../../../durable-objects/pool/core/selection.ts';
import { servedBefore } from '../../../durable-objects/pool/core/service-order.ts';
import * as queries from '../../../durable-objects/pool/queries.ts';
import { PoolFuzz, VARIETIES } from '../../lib/pool-fuzz.ts';
import { allocateSpec, OPERATOR, PoolHarness } from '../../lib/pool-harness.ts';
import { Seeded } from '../../lib/seeded.ts';

const serverless = { liveness: 'none', endpoint: 'https://agent.example/' } as const;
const SEEDS = Array.from({ length: Number(process.env['SEEDS'] ?? 3) }, (_, i) => i + 1);

const whyOf = (h: PoolHarness, taskId: string): Why => {
  const answer = queries.whyTask(h.engine, h.storage, taskId);
  if (!answer.ok) throw new Error(answer.error.detail);
  return answer.value.why;
};
const explained = (h: PoolHarness, spec: Partial<AllocateSpec> = {}): Why =>
  queries.explainAllocation(h.engine, OPERATOR, allocateSpec(spec));
const refusal = (h: PoolHarness, spec: Partial<AllocateSpec> = {}): Why => {
  const answer = h.tryAllocate(spec);
  if (answer.ok || answer.error.kind !== 'no_capacity' || answer.error.why === undefined) throw new Error('was not refused');
  return answer.error.why;
};
const iso = (atMs: number): string => new Date(atMs).toISOString();

describe.each(VARIETIES)('an explanation, with %s', (variety) => {
  it.each(SEEDS)('P141: names for each agent what the choice passed it over for, and counts it (seed %i)', (seed) => {
    const fuzz = new PoolFuzz(seed, variety);
    const { h } = fuzz;
    for (let i = 0; i < 60; i += 1) fuzz.register();
    for (let round = 0; round < 40; round += 1) {
      fuzz.disturb();
      if (fuzz.chance(0.1)) {
        h.jump(3_000);
        for (const id of h.sessions) if (fuzz.chance(0.6)) h.pong(id);
      }
      for (let i = 0; i < 3; i += 1) judge(h, fuzz.demand(), fuzz);
    }
  });
});

/** Asks the choice about each agent alone, and all together, and compares. */
function judge(h: PoolHarness, demand: Demand, fuzz: PoolFuzz): void {
  const { state } = h;
  const look = h.engine.look();
  const isSilent = look.isSilent ?? (() => false);
  const version = [state.selectable.version, state.taskReady.version, h.engine.summaryVersion];
  const why = explain(state, demand, look);
  expect([state.selectable.version, state.taskReady.version, h.engine.summaryVersion]).toEqual(version);

  const chosen = choose(state, demand, fuzz.preference(), (agent) => !isSilent(agent));
  expect({ demand, null: chosen === null }).toEqual({ demand, null: why.eligible < demand.count });

  const counts = new Map<string, number>();
  const misses = new Map<string, number>();
  let eligible = 0;
  for (const agent of state.agents.values()) {
    const klass = state.selectable.placeOf(agent.record.id)?.klass;
    if (klass === undefined) throw new Error('an agent without a class');
    const failed = failedPredicates(agent, klass, demand, isSilent);
    const alone = choose(state, { ...demand, count: 1 }, fuzz.preference(), (a) => a === agent && !isSilent(a));
    expect({ agent: agent.record.id, failed, passedOver: alone === null }).toMatchObject({ passedOver: failed.length > 0 });
    if (failed.length === 0) eligible += 1;
    else misses.set(agent.record.id, failed.length);
    for (const predicate of failed) counts.set(predicate, (counts.get(predicate) ?? 0) + 1);
  }
  // A gang comes from one selector: who could by another one is passed over for that.
  const otherwise = demand.count > 1 && demand.selectors.length > 1 ? eligible - why.eligible : 0;
  if (otherwise > 0) counts.set('selectors', (counts.get('selectors') ?? 0) + otherwise);
  expect({ demand, eligible: why.eligible, failed: Object.fromEntries(why.failed.map((f) => [f.predicate, f.agents])) }).toEqual({
    demand,
    eligible: eligible - otherwise,
    failed: Object.fromEntries(counts),
  });

  const near = why.nearMisses ?? [];
  const fewest = [...misses.values()].toSorted((a, b) => a - b).slice(0, 5);
  if (chosen === null) expect(near.map((miss) => miss.failed.length)).toEqual(fewest);
  for (const { agentId, failed } of near) expect(failed).toHaveLength(misses.get(agentId) ?? -1);
}

describe('a refusal', () => {
  it('P143: names the agents that fail the fewest predicates, with what is wanted and what is there', () => {
    const h = new PoolHarness();
    const half = h.register({ ...serverless, capabilities: ['rust'] });
    h.register({ ...serverless, capabilities: ['go'], labels: { zone: 'south' } });
    const full = h.register({ ...serverless, capabilities: ['rust', 'python'], labels: { zone: 'north' } });
    const lease = h.allocate({ capabilities: ['python'] });
    const why = refusal(h, { capabilities: ['rust', 'python'], selectors: [{ matchLabels: { zone: 'north' } }] });
    expect(why.nearMisses?.[0]).toEqual({
      agentId: full,
      failed: [
        {
          predicate: 'freeSlots',
          wanted: '1',
          actual: '0',
          untilMs: lease.leaseExpiresAtMs,
          detail: `full until ${iso(lease.leaseExpiresAtMs)} at the latest, unless its lease is renewed`,
        },
      ],
    });
    expect(why.nearMisses?.[1]).toEqual({
      agentId: half,
      failed: [
        {
          predicate: 'capabilities',
          wanted: 'rust, python',
          actual: 'rust',
          detail: 'has 1 of 2 capabilities: lacks python',
        },
        { predicate: 'selectors', wanted: 'zone=north', detail: 'label zone is not set, zone=north is wanted' },
      ],
    });
    expect(why).toMatchObject({ agents: 3, eligible: 0, needed: 1, matching: 1, fitting: 1 });
  });

  it('P143: at most five are named, of those that are full the ones that are free first', () => {
    const h = new PoolHarness();
    for (let i = 0; i < 9; i += 1) h.register(serverless);
    const leases = Array.from({ length: 9 }, (_, i) => h.allocate({ leaseMs: 90_000 - 1_000 * i }));
    const near = refusal(h).nearMisses ?? [];
    expect(near.map((miss) => miss.agentId)).toEqual(
      leases
        .toReversed()
        .slice(0, 5)
        .map((l) => l.agentId),
    );
  });

  it.each<[string, Partial<AllocateSpec>, (h: PoolHarness) => void, RegExp]>([
    ['nobody at all', {}, () => undefined, /^The pool has no agents in this region\. Register some, or scale it up\.$/],
    [
      'a capability that nobody has',
      { capabilities: ['gpu'] },
      (h) => void h.register({ ...serverless, capabilities: ['cpu'] }),
      /0 of 1 agent could take this now, 1 needed: none has every capability asked for\. The nearest is agt\..*: has 0 of 1 capabilities: lacks gpu\. Ask for less, or add agents that fit\.$/,
    ],
    [
      'a label that nobody has',
      { selectors: [{ matchExpressions: [{ key: 'memory', operator: 'Gte', values: ['64'] }] }] },
      (h) => void h.register({ ...serverless, labels: { memory: '32' } }),
      /none matches a selector\. The nearest is agt\..*: label memory is "32", memory ≥ 64 is wanted\./,
    ],
    [
      'all of them quarantined',
      {},
      (h) => void h.do({ type: 'quarantineAgent', agentId: h.register(serverless) }),
      /1 agent has what is asked for, but none is ready for it \(in the pool: 1 quarantined\)\. The nearest is agt\..*: quarantined by an operator.* Bring agents that fit back into service/,
    ],
    [
      'too few for a gang',
      { count: 3 },
      (h) => void h.register(serverless),
      /1 of 1 agent could take this now, 3 needed: 1 agent fits, fewer than 3, 1 of them is free\. .*add agents that fit\.$/,
    ],
    [
      'more slots than anybody has',
      { slots: 4 },
      (h) => void h.register({ ...serverless, slots: 2 }),
      /none is ready for it \(in the pool: 1 without enough free slots\)\. The nearest is agt\..*: has 2 slots in all, 4 are wanted\./,
    ],
    [
      'all of them taken',
      {},
      (h) => {
        h.register(serverless);
        h.allocate({ leaseMs: 60_000 });
      },
      /1 agent fits, none of them is free\. The nearest is agt\..*: full until .* It should start at about 2026-01-05T00:01:00\.000Z\. Wait for one to become free, or add agents that fit\.$/,
    ],
  ])('P143: says what to do about %s', (_, spec, prepare, detail) => {
    const h = new PoolHarness();
    prepare(h);
    expect(refusal(h, spec).detail).toMatch(detail);
    expect(explained(h, spec)).toEqual(refusal(h, spec));
  });

  it('P146: says that the pool is at its maximum, once no lost agent would make room', () => {
    const h = new PoolHarness({ maxAgents: 1 });
    h.register(serverless);
    expect(explained(h).limitedBy).toBeUndefined();
    h.allocate();
    expect(refusal(h)).toMatchObject({
      limitedBy: { scope: 'pool', limit: 1, inUse: 1 },
      detail: expect.stringMatching(
        /The pool is at its maximum of 1 agent\. Wait .*, or raise the maximum of the pool/,
      ) as unknown,
    });
  });

  it('P146: says that its caller holds what it may, before anything about agents', () => {
    const h = new PoolHarness();
    for (let i = 0; i < 2; i += 1) h.register(serverless);
    const alice = { ...OPERATOR, subject: 'alice', leaseQuota: { limit: 1, share: 1 } };
    h.do({ type: 'allocate', spec: allocateSpec(), waiterId: 'w' }, alice);
    expect(queries.explainAllocation(h.engine, alice, allocateSpec())).toMatchObject({
      eligible: 1,
      limitedBy: { scope: 'caller', limit: 1, inUse: 1 },
      detail:
        'This caller may hold 1 lease in a pool of one region at a time and holds 1. Release some first; 1 of 2 agents could take this now.',
    });
  });

  it('P149: in a large pool a refusal estimates nothing, which one who asks is told', () => {
    const h = new PoolHarness({ maxAgents: 300 });
    for (let i = 0; i < 257; i += 1) h.register(serverless);
    for (let i = 0; i < 257; i += 1) h.allocate({ leaseMs: 60_000 });
    expect(refusal(h).estimatedStartAtMs).toBeUndefined();
    expect(explained(h).estimatedStartAtMs).toBe(h.nowMs + 60_000);
  });

  it('P142: asking changes nothing, and judges silence without setting anybody aside', () => {
    const h = new PoolHarness();
    const silent = h.connected();
    h.jump(9_000);
    const { version } = h.engine.summary();
    expect(explained(h)).toMatchObject({ eligible: 0, failed: [{ predicate: 'silent', agents: 1 }] });
    expect([h.status(silent), h.engine.summary().version]).toEqual(['idle', version]);
    expect(refusal(h)).toMatchObject({ eligible: 0, failed: [{ predicate: 'status:unhealthy', agents: 1 }] });
  });
});

describe('a place in the queue', () => {
  it.each(SEEDS)('P144: is how many are served before, as the dispatcher serves them (seed %i)', (seed) => {
    const fuzz = new PoolFuzz(seed, 'few classes');
    const h = new PoolHarness();
    const tasks: string[] = [];
    for (let i = 0; i < 60; i += 1) {
      if (fuzz.chance(0.1)) h.advance(LIMITS.ageingStepMs / 2);
      const gpu = fuzz.chance(0.3);
      tasks.push(
        h.submit({
          priority: fuzz.pick([1, 4, 5, 5, 6, 10]),
          capabilities: gpu ? ['gpu'] : fuzz.chance(0.5) ? ['cpu'] : [],
          ...(fuzz.chance(0.6) ? { fairnessKey: fuzz.pick(['x', 'y', 'z']), fairnessWeight: fuzz.pick([1, 2, 5]) } : {}),
        }),
      );
    }
    // No agent of theirs will come.
    for (let i = 0; i < 10; i += 1) h.submit({ priority: 10, capabilities: ['tpu'] });
    // Nobody is connected: agents that are known decide who competes with whom.
    const agent = h.register({ liveness: 'session', capabilities: ['cpu', 'gpu'] });
    h.open(agent);
    const served = h.assigned();
    const waiting = tasks.filter((id) => h.task(id).status === 'queued');
    const places = new Map(waiting.map((id) => [id, whyOf(h, id).position]));
    for (let i = 0; i < waiting.length; i += 1) {
      const [now] = h.assigned().slice(-1);
      h.complete(h.work(now as string));
    }
    const order = h.assigned().slice(served.length);
    expect(order.map((id) => places.get(id))).toEqual(order.map((_, i) => i));
  });

  it('P144: takes what has returned first, and forgets the keys beyond a thousand as the dispatcher does', () => {
    const queue = new WaitQueue();
    const random = new Seeded(4);
    const demands = ['a', 'b'].map((c) => ({ capabilities: [c], selectors: [], slots: 1, count: 1, connected: true }));
    const entries = Array.from({ length: 1_300 }, (_, i): QueueEntry => {
      // Most keys come once, some again: what they have had may be forgotten in between.
      const key = i < 1_100 ? i : Math.floor(random.next() * 1_100);
      return {
        id: `task-${i}`,
        kind: 'task',
        priority: i % 50 === 0 ? 6 : 5,
        seq: i,
        sinceMs: i,
        started: i % 97 === 0,
        fairnessKey: `key-${key}`,
        fairnessWeight: i % 3 === 0 ? 0.5 : 1,
        demand: demands[i % 2] as Demand,
      };
    });
    for (const entry of entries) queue.add(entry);
    const everyone = () => true;
    const looked = entries.filter((_, i) => i % 60 === 0 || i % 97 === 0);
    const places = looked.map((e) => servedBefore(queue, e, everyone, { nowMs: 2_000, most: 10_000 })?.length);
    expect(servedBefore(queue, looked[9] as QueueEntry, everyone, { nowMs: 2_000, most: 10 })).toBeNull();
    const order: string[] = [];
    while (queue.size > 0) {
      const heads = [...queue.groups()].flatMap((group) => queue.head(group, 2_000) ?? []);
      const best = heads.reduce((x, y) => (goesBefore(y, x) ? y : x));
      queue.serve(best.entry.id);
      order.push(best.entry.id);
    }
    expect(places).toEqual(looked.map((e) => order.indexOf(e.id)));
  });

  it('P144: those that want other agents are not ahead', () => {
    const h = new PoolHarness();
    for (const capability of ['a', 'b']) h.connected({ capabilities: [capability] });
    for (const capability of ['a', 'b']) h.submit({ capabilities: [capability] });
    for (let i = 0; i < 5; i += 1) h.submit({ capabilities: ['a'], priority: 9 });
    const b = h.submit({ capabilities: ['b'] });
    const any = h.submit({});
    const waiter = h.wait({ priority: 10 });
    expect(whyOf(h, b)).toMatchObject({ position: 1, waitsFor: { for: 'agent' } });
    expect(whyOf(h, any).position).toBe(7);
    expect(h.waited(waiter)).toBeUndefined();
    expect(whyOf(h, any).detail).toMatch(/^7 others that could go to the same agents are served before it\. 0 of 2 agents/);
  });
});

describe('an estimate', () => {
  it('P145: without history a direct lease ends at its end; whoever is ahead takes it for good', () => {
    const h = new PoolHarness();
    h.register(serverless);
    h.register(serverless);
    const [first, second] = [h.allocate({ leaseMs: 60_000 }), h.allocate({ leaseMs: 20_000 })];
    expect(explained(h).estimatedStartAtMs).toBe(second.leaseExpiresAtMs);
    h.wait({});
    expect(explained(h).estimatedStartAtMs).toBe(first.leaseExpiresAtMs);
    h.wait({});
    expect(explained(h).estimatedStartAtMs).toBeUndefined();
    expect(explained(h, { count: 3 }).estimatedStartAtMs).toBeUndefined();
  });

  it('P145: with history work lasts as long as it did in the mean', () => {
    const h = new PoolHarness();
    const agent = h.register(serverless);
    const past = h.allocate();
    h.do({
      type: 'release',
      allocationId: past.id,
      fencingToken: past.fencingToken,
      result: { success: true, durationMs: 8_000 },
    });
    const now = h.nowMs;
    expect(explained(h).estimatedStartAtMs).toBe(now);
    const lease = h.allocate({ leaseMs: 600_000 });
    h.advance(2_000);
    expect(explained(h).estimatedStartAtMs).toBe(now + 8_000);
    h.wait({});
    h.wait({});
    expect(explained(h).estimatedStartAtMs).toBe(now + 24_000);
    h.advance(7_000);
    // Older than the mean: what is certain is left.
    expect(explained(h).estimatedStartAtMs).toBe(lease.leaseExpiresAtMs + 16_000);
    expect(h.agent(agent).record.completed).toBe(1);
  });

  it('P145: a task under way without history says nothing, and neither do agents out of service', () => {
    const h = new PoolHarness();
    h.connected();
    h.submit();
    const waiting = h.submit();
    expect(whyOf(h, waiting)).toMatchObject({ position: 0 });
    expect(whyOf(h, waiting).estimatedStartAtMs).toBeUndefined();
    const quarantined = new PoolHarness();
    quarantined.do({ type: 'quarantineAgent', agentId: quarantined.register(serverless) });
    expect(explained(quarantined).estimatedStartAtMs).toBeUndefined();
  });

  it('P145: enough slots must be free on one agent at one moment', () => {
    const h = new PoolHarness();
    h.register({ ...serverless, slots: 3 });
    const leases = [30_000, 40_000, 50_000].map((leaseMs) => h.allocate({ leaseMs }));
    expect([1, 2, 3].map((slots) => explained(h, { slots }).estimatedStartAtMs)).toEqual(leases.map((l) => l.leaseExpiresAtMs));
    expect(explained(h, { slots: 4 }).estimatedStartAtMs).toBeUndefined();
  });

  it('P145: the deadline of a task is named, and whether it comes first', () => {
    const h = new PoolHarness();
    h.connected();
    h.allocate({ leaseMs: 60_000 });
    const task = h.submit({ deadlineMs: 50_000 });
    expect(whyOf(h, task)).toMatchObject({
      waitsFor: { for: 'agent', untilMs: h.nowMs + 50_000 },
      detail: expect.stringMatching(/It fails at its deadline, .*, which is before that\.$/) as unknown,
    });
  });
});

describe('what a task waits for', () => {
  it('P147: another task, by name and state', () => {
    const h = new PoolHarness();
    h.connected();
    const first = h.submit();
    const task = h.submit({ dependsOn: [first] });
    expect(whyOf(h, task)).toMatchObject({
      waitsFor: { for: 'dependency', tasks: [first] },
      detail: `The task waits for another task to succeed: ${first} (assigned).`,
    });
    expect(whyOf(h, task).position).toBeUndefined();
  });

  it('P147: its concurrency key, with its number and its place there', () => {
    const h = new PoolHarness();
    h.connected({ slots: 9 });
    const concurrency = { key: 'deploys', limit: 1, strategy: 'queue' } as const;
    const [running, , low, high] = [5, 5, 1, 9].map((priority) => h.submit({ concurrency, priority })) as [
      string,
      string,
      string,
      string,
    ];
    expect(whyOf(h, low)).toMatchObject({
      limitedBy: { scope: 'concurrency:deploys', limit: 1, inUse: 1 },
      waitsFor: { for: 'concurrency', tasks: [running] },
      detail:
        'The task waits for the task of its concurrency key "deploys" to end (limit 1); 2 that wait at it are let in before.',
    });
    expect(whyOf(h, high).detail).toMatch(/it is the next to be let in\.$/);
  });

  it('P147: its delay, or its backoff with the error of the last attempt', () => {
    const h = new PoolHarness();
    h.connected();
    const delayed = h.submit({ delayMs: 5_000 });
    expect(whyOf(h, delayed)).toMatchObject({
      waitsFor: { for: 'delay', untilMs: h.nowMs + 5_000 },
      estimatedStartAtMs: h.nowMs + 5_000,
      detail: `The task was submitted with a delay: it waits until ${iso(h.nowMs + 5_000)}.`,
    });
    const failing = h.submit();
    h.fail(h.work(failing));
    expect(whyOf(h, failing)).toMatchObject({
      waitsFor: { for: 'backoff', untilMs: h.nowMs + 1_000 },
      detail: `The task waits until ${iso(h.nowMs + 1_000)}: it is backing off after attempt 1 of 3 ended with boom: it failed.`,
    });
  });

  it('P147: an agent that is connected', () => {
    const h = new PoolHarness();
    h.register({ liveness: 'heartbeat' });
    const task = h.submit();
    expect(whyOf(h, task)).toMatchObject({
      position: 0,
      waitsFor: { for: 'agent' },
      failed: [{ predicate: 'connected', agents: 1 }],
      detail: expect.stringMatching(
        /^It is first in line\. 0 of 1 agent could take this now, 1 needed: 1 agent has what is asked for, but none is ready for it \(in the pool: 1 without a session or a parked poll\)\. The nearest is agt\..*: in service, but not connected/,
      ) as unknown,
    });
  });

  it('P147: nothing, once it is held or has ended', () => {
    const h = new PoolHarness();
    const agent = h.connected();
    const task = h.submit({ maxAttempts: 1 });
    expect(whyOf(h, task).detail).toBe(
      `The task is assigned; it waits for nothing. Agent ${agent} holds it. Its attempt ends by ${iso(h.nowMs + 300_000)} at the latest.`,
    );
    h.fail(h.work(task));
    expect(whyOf(h, task)).toMatchObject({
      detail: 'The task is dead; it waits for nothing. boom: it failed. Once the cause is gone it can be replayed.',
    });
    expect(whyOf(h, task).waitsFor).toBeUndefined();
    expect(queries.whyTask(h.engine, h.storage, task)).toMatchObject({ value: { demand: null } });
  });

  it('P147: a shard that never held anything says so', () => {
    expect(queries.explainAllocation(null, OPERATOR, allocateSpec())).toMatchObject({ agents: 0, eligible: 0, detail: /./ });
    expect(queries.whyTask(null, new PoolHarness().storage, 'tsk.x')).toMatchObject({ ok: false });
  });
});
