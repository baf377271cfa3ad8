import { describe, expect, it } from 'vitest';
import type { AgentIndex } from '../../../durable-objects/pool/core/agent-index.ts';
import type { LiveAgent } from '../../../durable-objects/pool/core/live-agent.ts';
import { choose } from '../../../durable-objects/pool/core/selection.ts';
import { PoolFuzz, VARIETIES } from '../../lib/pool-fuzz.ts';
import type { PoolHarness } from '../../lib/pool-harness.ts';
import { poolViolations } from '../../lib/pool-invariants.ts';
import { simpleChoose } from '../../lib/simple-selection.ts';

const SEEDS = Array.from({ length: Number(process.env['SEEDS'] ?? 3) }, (_, i) => i + 1);

const idsOf = (agents: readonly LiveAgent[] | null): readonly string[] | null => agents?.map((a) => a.record.id) ?? null;

describe.each(VARIETIES)('the order of choice, with %s', (variety) => {
  it.each(SEEDS)('P140: is that of sorting everyone, whatever happened before (seed %i)', (seed) => {
    const fuzz = new PoolFuzz(seed, variety);
    for (let i = 0; i < 120; i += 1) fuzz.register();
    for (let round = 0; round < 80; round += 1) {
      fuzz.disturb();
      for (let i = 0; i < 4; i += 1) {
        const [demand, preference] = [fuzz.demand(), fuzz.preference()];
        // Says no to some and leaves them where they are.
        const shy = new Set([...fuzz.h.state.agents.keys()].filter(() => fuzz.chance(i === 0 ? 0 : 0.2)));
        const usable = (agent: LiveAgent): boolean => !shy.has(agent.record.id);
        const expected = idsOf(simpleChoose(fuzz.h.state, demand, preference, usable));
        const chosen = idsOf(choose(fuzz.h.state, demand, preference, usable));
        expect({ round, demand, preference, chosen }).toEqual({ round, demand, preference, chosen: expected });
      }
    }
    expect(poolViolations(fuzz.h.state, look(fuzz.h))).toEqual([]);
  });

  it('P140: is the same while those who are silent are taken out on the way', () => {
    const fuzz = new PoolFuzz(77, variety);
    for (let i = 0; i < 150; i += 1) fuzz.register();
    for (let round = 0; round < 60; round += 1) {
      const { h } = fuzz;
      for (let i = 0; i < 4; i += 1) fuzz.disturb();
      const { capabilities, selectors, slots, count } = fuzz.demand();
      const demand = { capabilities, selectors, slots, count, connected: false };
      const preference = fuzz.preference();
      h.jump(1_500);
      for (const id of h.sessions) if (fuzz.chance(0.5)) h.pong(id);
      const isAlive = (agent: LiveAgent): boolean =>
        (agent.record.spec.liveness === 'none' && !agent.sessionOpen) ||
        h.nowMs - Math.max(agent.aliveAsOfMs, agent.sessionOpen ? (h.pongs.get(agent.record.id) ?? 0) : 0) <= 7_500;
      const expected = idsOf(simpleChoose(h.state, demand, preference, isAlive));
      const granted = h.tryAllocate({
        capabilities: [...capabilities],
        selectors: [...selectors],
        slots,
        count,
        leaseMs: 600_000,
        ...preference,
      });
      expect(granted.ok ? granted.value.map((v) => v.agentId) : null).toEqual(expected);
      if (granted.ok) fuzz.leases.push(...granted.value);
      for (const [id, agent] of h.state.agents) if (agent.record.suspectSinceMs !== null && fuzz.chance(0.5)) h.open(id);
    }
  });
});

it('P140: nothing is put in order for strategies that nobody asks for', () => {
  const fuzz = new PoolFuzz(5, 'few classes');
  for (let i = 0; i < 50; i += 1) fuzz.register();
  for (let i = 0; i < 20; i += 1) fuzz.h.tryAllocate();
  const index: AgentIndex = fuzz.h.state.selectable;
  const runs = [...index.classes()].flatMap((klass) => [...klass.runs.values()]);
  expect(runs.some((run) => run.isRanked)).toBe(false);
  fuzz.h.tryAllocate({ strategy: 'round_robin' });
  expect([...index.classes()].flatMap((klass) => [...klass.runs.values()]).some((run) => run.isRanked)).toBe(true);
});

const look = (h: PoolHarness): Parameters<typeof poolViolations>[1] => ({
  nowMs: h.nowMs,
  latestMs: h.nowMs,
  stepped: true,
  lastPongAtMs: (id) => h.pongs.get(id) ?? null,
  ended: {},
});
