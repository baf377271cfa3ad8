export const REGION = 'eu-west-1';
export const POOL = 'coder';
export const LEASE_MS = 30_000;
const CAPABILITIES = 20;

export interface BenchAgent {
  readonly id: string;
  readonly pool: string;
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Pools by this name have agents that are all different. */
export const OWN_LABELS = 'own-labels';
export const hostOf = (i: number): string => `host-${i}`;

/** The same agents for everybody: three of twenty capabilities each. */
export const agents = (count: number, pool = POOL): readonly BenchAgent[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `agent-${i}`,
    pool,
    capabilities: [i, i + 7, i + 13].map((n) => `cap${n % CAPABILITIES}`),
    labels: pool.startsWith(OWN_LABELS) ? { host: hostOf(i) } : {},
  }));

let turn = 0;
/** Each call asks for the next capability, so that all agents are in use. */
export const nextCapability = (): string => `cap${(turn = (turn + 1) % CAPABILITIES)}`;
