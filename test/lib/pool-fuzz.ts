import type { AllocationView } from '../../shared/rpc.ts';
import { STRATEGIES, type Selector } from '../../shared/schemas/allocations.ts';
import type { Demand } from '../../durable-objects/pool/core/queue.ts';
import type { Preference } from '../../durable-objects/pool/core/selection.ts';
import { asAgent, PoolHarness } from './pool-harness.ts';
import { Seeded } from './seeded.ts';

const ZONES = ['north', 'south', 'east'];
const CAPABILITIES = ['a', 'b', 'c', 'd'];

/** How many different kinds of agents a pool has: some indexes are made only where there are many. */
export type Variety = 'few classes' | 'a label of their own each' | 'a capability of their own each';

/** A pool to which all sorts of things happen, and demands of all sorts. */
export class PoolFuzz {
  readonly h: PoolHarness;
  readonly random: Seeded;
  readonly variety: Variety;
  readonly leases: AllocationView[] = [];
  #agents = 0;

  constructor(seed: number, variety: Variety) {
    this.h = new PoolHarness({ seed, maxAgents: 100_000 });
    this.random = new Seeded(seed);
    this.variety = variety;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random.next() * items.length)] as T;
  }
  chance(p: number): boolean {
    return this.random.next() < p;
  }

  register(): void {
    this.#agents += 1;
    const host = `host-${this.#agents}`;
    const labels: Record<string, string> = {};
    if (this.chance(0.8)) labels['zone'] = this.pick(ZONES);
    if (this.chance(0.5)) labels['priority'] = this.pick(['1', '2', '10', '-3', 'x', '']);
    if (this.chance(0.5)) labels['memory'] = String(Math.floor(this.random.next() * 64));
    if (this.variety === 'a label of their own each') labels['host'] = host;
    const capabilities = CAPABILITIES.filter(() => this.chance(0.6));
    if (this.variety === 'a capability of their own each') capabilities.push(host);
    const spec = { capabilities, labels, slots: this.pick([1, 1, 2, 4]) };
    if (this.chance(0.5)) this.h.register({ ...spec, liveness: 'none', endpoint: 'https://agent.example/' });
    else this.h.connected(spec);
  }

  selector(): Selector {
    const host = `host-${1 + Math.floor(this.random.next() * this.#agents)}`;
    return this.pick<Selector>([
      {},
      { matchLabels: { zone: this.pick(ZONES) } },
      { matchLabels: { host } },
      { matchLabels: { zone: this.pick(ZONES), host } },
      { matchExpressions: [{ key: 'zone', operator: 'In', values: [this.pick(ZONES), this.pick(ZONES)] }] },
      { matchExpressions: [{ key: 'host', operator: 'In', values: [host, 'host-3', 'host-5', 'nowhere'] }] },
      { matchExpressions: [{ key: 'host', operator: 'NotIn', values: [host] }] },
      { matchExpressions: [{ key: 'memory', operator: 'Gte', values: [String(Math.floor(this.random.next() * 64))] }] },
      { matchExpressions: [{ key: 'priority', operator: 'Exists', values: [] }] },
      { matchLabels: { zone: this.pick(ZONES) }, matchExpressions: [{ key: 'memory', operator: 'Lt', values: ['20'] }] },
    ]);
  }

  demand(): Demand {
    return {
      capabilities: this.chance(0.4) ? [] : CAPABILITIES.filter(() => this.chance(0.3)),
      selectors: Array.from({ length: this.pick([0, 0, 1, 1, 2, 3]) }, () => this.selector()),
      slots: this.pick([1, 1, 1, 2, 3]),
      count: this.pick([1, 1, 1, 2, 5]),
      connected: this.chance(0.3),
    };
  }

  preference(): Preference {
    return { strategy: this.pick(STRATEGIES), packing: this.pick(['spread', 'pack'] as const) };
  }

  /** Something happens to the pool. */
  disturb(): void {
    const { h } = this;
    const ids = [...h.state.agents.keys()];
    const agentId = this.pick(ids);
    const what = this.random.next();
    if (what < 0.45) {
      const { capabilities, selectors, slots, count } = this.demand();
      const granted = h.tryAllocate({
        capabilities: [...capabilities],
        selectors: [...selectors],
        slots,
        count,
        leaseMs: 600_000,
        ...this.preference(),
      });
      if (granted.ok) this.leases.push(...granted.value);
    } else if (what < 0.8) {
      const [lease] = this.leases.splice(Math.floor(this.random.next() * this.leases.length), 1);
      if (lease !== undefined)
        h.ask({
          type: 'release',
          allocationId: lease.id,
          fencingToken: lease.fencingToken,
          ...(this.chance(0.7) ? { result: { success: this.chance(0.7), durationMs: Math.floor(this.random.next() * 9) } } : {}),
        });
    } else if (what < 0.84) this.register();
    else if (what < 0.87) h.ask({ type: 'deregisterAgent', agentId, force: true });
    else if (what < 0.89) h.ask({ type: 'quarantineAgent', agentId });
    else if (what < 0.91) h.ask({ type: 'drainAgent', agentId, deadlineMs: 60_000 });
    else if (what < 0.94 && h.sessions.has(agentId)) h.close(agentId);
    else if (h.state.agents.get(agentId)?.record.spec.liveness !== 'none') h.open(agentId);
    else h.ask({ type: 'heartbeat', agentId, leases: [] }, asAgent(agentId));
  }
}

export const VARIETIES: readonly Variety[] = ['few classes', 'a label of their own each', 'a capability of their own each'];
