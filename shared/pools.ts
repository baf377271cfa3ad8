/** What a pool may hold and how important it is; `priority` 1–10, higher first. */
export interface PoolLimits {
  readonly minAgents: number;
  readonly maxAgents: number;
  readonly priority: number;
}

/** The sixteen default pools of every fleet, per region (SPECIFICATION §3.1). */
export const DEFAULT_POOLS: Readonly<Record<string, PoolLimits>> = {
  coder: { minAgents: 5, maxAgents: 100, priority: 8 },
  tester: { minAgents: 3, maxAgents: 80, priority: 7 },
  reviewer: { minAgents: 2, maxAgents: 50, priority: 6 },
  architect: { minAgents: 1, maxAgents: 20, priority: 9 },
  researcher: { minAgents: 2, maxAgents: 40, priority: 7 },
  analyst: { minAgents: 2, maxAgents: 60, priority: 6 },
  optimizer: { minAgents: 1, maxAgents: 30, priority: 5 },
  security: { minAgents: 1, maxAgents: 25, priority: 9 },
  performance: { minAgents: 1, maxAgents: 25, priority: 6 },
  ui: { minAgents: 2, maxAgents: 50, priority: 5 },
  mobile: { minAgents: 1, maxAgents: 30, priority: 5 },
  devops: { minAgents: 1, maxAgents: 30, priority: 7 },
  database: { minAgents: 1, maxAgents: 25, priority: 6 },
  network: { minAgents: 1, maxAgents: 20, priority: 6 },
  infrastructure: { minAgents: 1, maxAgents: 20, priority: 7 },
  coordinator: { minAgents: 1, maxAgents: 10, priority: 10 },
};
