import { describe, expect, it } from 'vitest';
import { PoolEngine } from '../../../durable-objects/pool/engine.ts';
import { MemoryPoolStorage } from '../../../durable-objects/pool/memory-storage.ts';
import { agentSpec, FLEET, HOME, OPERATOR, PoolHarness, taskSpec } from '../../lib/pool-harness.ts';

describe('what a commit carries', () => {
  it('P95: every change has its audit row in the same transaction: who, what, for which request', () => {
    const storage = new MemoryPoolStorage();
    const h = new PoolHarness({ storage });
    const agent = h.register();
    const lease = h.allocate();
    h.do({ type: 'release', allocationId: lease.id, fencingToken: lease.fencingToken });
    expect(storage.auditRows).toMatchObject([
      { actor: 'operator', action: 'registerAgent', requestId: 'req', entries: [['agentRegistered', agent]] },
      { action: 'allocate', entries: [['leaseGranted', lease.id]] },
      { action: 'release', entries: [['leaseEnded', lease.id]] },
    ]);
  });

  it('P95: what changes nothing writes nothing', () => {
    const storage = new MemoryPoolStorage();
    const h = new PoolHarness({ storage });
    const agent = h.register();
    const before = storage.copy();
    h.beat(agent);
    h.tryAllocate({ capabilities: ['x'] });
    h.verdict({ type: 'release', allocationId: 'alc.x', fencingToken: 1 });
    h.alarm();
    h.poll(agent);
    expect(storage.copy()).toEqual(before);
  });

  it('P96: the version of the counters rises with every change, over restarts', () => {
    const h = new PoolHarness();
    const versions = [h.engine.summary().version];
    const note = (): void => void versions.push(h.engine.summary().version);
    h.register();
    note();
    h.restart({ socketsSurvive: false });
    const woken = h.engine.summary().version;
    expect(woken).toBeGreaterThanOrEqual(versions.at(-1) as number);
    h.submit();
    note();
    expect(versions).toEqual([...versions].toSorted((a, b) => a - b));
    expect(new Set(versions).size).toBe(versions.length);
  });

  it('P96: the summary counts agents and tasks by what they are, and free slots of those that can be chosen', () => {
    const h = new PoolHarness();
    h.connected({ slots: 3 });
    h.do({ type: 'drainAgent', agentId: h.register({ slots: 5 }), deadlineMs: 1_000 });
    h.complete(h.work(h.submit()));
    h.submit();
    h.submit({ capabilities: ['x'] });
    expect(h.engine.summary()).toMatchObject({
      agents: { total: 2, busy: 1, draining: 1, idle: 0 },
      tasks: { queued: 1, assigned: 1, succeeded: 1 },
      slotsFree: 2,
    });
  });
});

describe('an engine', () => {
  it('P97: serves the shard that is stored, and no other', () => {
    const h = new PoolHarness();
    h.register();
    const env = { nowMs: () => h.nowMs, random: () => 0, ulid: () => '', lastPongAtMs: () => null };
    const config = { version: 9, maxAgents: 1, priority: 1 };
    for (const [fleet, home] of [
      ['other', HOME],
      [FLEET, { ...HOME, region: 'us-east-1' }],
      [FLEET, { ...HOME, pool: 'tester' }],
      [FLEET, { ...HOME, shard: 1 }],
    ] as const)
      expect(() => new PoolEngine(h.storage, env, fleet, home, config)).toThrow('another shard');
    // What is stored of the configuration outranks what a caller brings.
    expect(new PoolEngine(h.storage, env, FLEET, HOME, config).state.config.maxAgents).toBe(100);
  });

  it('P98: only a newer configuration takes effect', () => {
    const h = new PoolHarness({ maxAgents: 3 });
    h.engine.configure({ version: 1, maxAgents: 1, priority: 1 }, OPERATOR);
    expect(h.state.config.maxAgents).toBe(3);
    h.engine.configure({ version: 2, maxAgents: 7, priority: 1 }, OPERATOR);
    h.restart({ socketsSurvive: false });
    expect(h.state.config).toEqual({ version: 2, maxAgents: 7, priority: 1 });
  });

  it('P29: a batch is one command after the other; one that fails changes nothing for the others', () => {
    const h = new PoolHarness({ maxAgents: 1 });
    const { answers } = h.engine.execute(OPERATOR, [
      { command: { type: 'registerAgent', spec: agentSpec() } },
      { command: { type: 'registerAgent', spec: agentSpec() } },
      { command: { type: 'submitTask', spec: taskSpec(), needsAgent: true } },
    ]);
    expect(answers.map((a) => a !== 'parked' && a.ok)).toEqual([true, false, true]);
  });
});
