import type { Residency } from '../../shared/schemas/common.ts';
import { LIMITS } from '../../shared/limits.ts';
import { ConfigurationError } from './errors.ts';
import type { FleetSettings, PoolInput } from './types.ts';

/** SPECIFICATION §2.2: a pool by its type, memory in MiB. */
export interface PoolConfig {
  readonly type: string;
  readonly min: number;
  readonly max: number;
  readonly priority: number;
  readonly resources?: { readonly memory: number; readonly cpu: number } | undefined;
}

/** What the client itself needs; everything else of a fleet is configured in the fleet. */
export interface FleetManagerOptions {
  /** Base URL. Absent: `FLEET_ENDPOINT`, then the local fleet. */
  readonly endpoint?: string | undefined;
  readonly token?: string | undefined;
  /** Region of registrations, allocations and tasks that name none. */
  readonly region?: string | undefined;
  /** Residency rule of allocations and tasks that bring none. */
  readonly residency?: (Pick<Residency, 'allowed'> & Partial<Residency>) | undefined;
  /** Where the caller is, as `[latitude, longitude]`, for a local fleet; deployed, the platform knows. */
  readonly geo?: readonly [number, number] | undefined;
  /** Limit of one try, 60 s by default. */
  readonly timeoutMs?: number | undefined;
  /** Repeats after a failed try, 2 by default. */
  readonly retries?: number | undefined;
  /** Another `fetch`, for tests and proxies. Absent: on Node its own HTTP, over connections of this manager; elsewhere `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Told of what is not an error but should be known; `console.warn` by default. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * The options above together with the configuration of SPECIFICATION §2.2. Of the latter, pools, `maxAgents` and data
 * residency are applied to the fleet by `initialize()`; what the edge replaces is refused with what to do instead.
 */
export interface FleetManagerConfig extends FleetManagerOptions {
  /** A name: `initialize()` refuses a token of another fleet. Or the specification's settings. */
  readonly fleet?:
    | string
    | {
        readonly maxAgents?: number | undefined;
        readonly defaultPools?: readonly PoolConfig[] | Readonly<Record<string, Omit<PoolConfig, 'type'>>> | undefined;
        readonly heartbeatInterval?: number | undefined;
        readonly healthCheckInterval?: number | undefined;
      }
    | undefined;
  readonly compliance?:
    | {
        readonly enabled?: boolean | undefined;
        readonly standards?: readonly string[] | undefined;
        readonly dataResidency?:
          | { readonly regions: readonly string[]; readonly enforcement?: 'strict' | 'preferred' | undefined }
          | undefined;
        readonly auditLogging?: boolean | undefined;
      }
    | undefined;
  readonly redis?: unknown;
  readonly autoScaling?: { readonly enabled?: boolean | undefined; readonly [key: string]: unknown } | undefined;
  readonly booster?: { readonly enabled?: boolean | undefined; readonly [key: string]: unknown } | undefined;
  readonly memory?: { readonly [key: string]: unknown } | undefined;
  readonly monitoring?: { readonly enabled?: boolean | undefined; readonly [key: string]: unknown } | undefined;
}

/** Options that would do nothing here, each with what does the job instead. */
function replacedOptions(config: FleetManagerConfig): string[] {
  const fleet = typeof config.fleet === 'object' ? config.fleet : {};
  const memory = config.memory ?? {};
  const monitoring = config.monitoring ?? {};
  const rules: readonly (readonly [path: string, given: boolean, instead: string])[] = [
    ['redis', config.redis !== undefined, "the fleet's own objects coordinate, no Redis host is needed; remove it"],
    [
      'fleet.heartbeatInterval',
      fleet.heartbeatInterval !== undefined && fleet.heartbeatInterval !== LIMITS.heartbeatIntervalMs,
      `the fleet sets the beat (${LIMITS.heartbeatIntervalMs} ms), see heartbeatIntervalMs of a registered agent`,
    ],
    [
      'fleet.healthCheckInterval',
      fleet.healthCheckInterval !== undefined,
      'liveness is judged from beats and sockets when it matters; remove it',
    ],
    [
      'autoScaling',
      config.autoScaling?.enabled === true,
      'scaling runs inside the fleet and is not in this version yet; use scalePool()',
    ],
    ['booster', config.booster?.enabled === true, 'the booster runs inside the fleet; give these settings to an AgentBooster'],
    [
      'memory.backend',
      memory['backend'] !== undefined && memory['backend'] !== 'sqlite',
      'memory is always SQLite inside the fleet; remove it',
    ],
    [
      'memory.sqlitePath',
      memory['sqlitePath'] !== undefined,
      "memory lives in the fleet's own storage, one per region; there is no path to choose",
    ],
    ['memory.aclEnabled', memory['aclEnabled'] === false, 'access rules cannot be switched off'],
    ['memory.encryption', memory['encryption'] !== undefined, "keys belong to each region's deployment, never to a client"],
    ['monitoring.metricsInterval', monitoring['metricsInterval'] !== undefined, 'scrape /metrics as often as you like'],
    [
      'monitoring.retentionPeriod',
      monitoring['retentionPeriod'] !== undefined,
      'what scrapes /metrics decides how long it keeps them',
    ],
    ['monitoring.alerting', monitoring['alerting'] !== undefined, 'alerts belong to the fleet and are not in this version yet'],
    [
      'compliance.standards',
      (config.compliance?.standards?.length ?? 0) > 0,
      'naming a standard enforces nothing; state dataResidency, the audit log is always on',
    ],
    ['compliance.auditLogging', config.compliance?.auditLogging === false, 'the audit log cannot be switched off'],
  ];
  return rules.filter(([, given]) => given).map(([path, , instead]) => `${path}: ${instead}`);
}

/** Refuses, all at once, what could not take effect. */
export function checkConfig(config: FleetManagerConfig): void {
  const wrong = replacedOptions(config);
  for (const [name, value, least] of [
    ['timeoutMs', config.timeoutMs, 1],
    ['retries', config.retries, 0],
  ] as const) {
    if (value !== undefined && !(Number.isInteger(value) && value >= least))
      wrong.push(`${name}: must be an integer of at least ${least}`);
  }
  if (config.geo !== undefined && !config.geo.every(Number.isFinite)) wrong.push('geo: must be two finite numbers');
  if (wrong.length === 1) throw new ConfigurationError(wrong[0] ?? '');
  if (wrong.length > 1) throw new ConfigurationError(`These options cannot be used here:\n- ${wrong.join('\n- ')}`);
}

/** The pools that `fleet.defaultPools` asks for, as the wire has them. */
export function poolsOf(config: FleetManagerConfig): ReadonlyMap<string, PoolInput> {
  const given = typeof config.fleet === 'object' ? (config.fleet.defaultPools ?? []) : [];
  const list = isList(given) ? given : Object.entries(given).map(([type, pool]) => ({ type, ...pool }));
  return new Map(
    list.map((pool) => [
      pool.type,
      {
        minAgents: pool.min,
        maxAgents: pool.max,
        priority: pool.priority,
        ...(pool.resources === undefined ? {} : { resources: { memoryMb: pool.resources.memory, cpu: pool.resources.cpu } }),
      },
    ]),
  );
}

/** The fleet-wide settings the configuration asks for, `null` when none. */
export function settingsOf(config: FleetManagerConfig): FleetSettings | null {
  const maxAgents = typeof config.fleet === 'object' ? config.fleet.maxAgents : undefined;
  const rule = config.compliance?.dataResidency;
  if (maxAgents === undefined && rule === undefined) return null;
  return {
    ...(maxAgents === undefined ? {} : { maxAgents }),
    ...(rule === undefined ? {} : { residency: { allowed: [...rule.regions], enforcement: rule.enforcement ?? 'strict' } }),
  };
}

const isList = (
  given: readonly PoolConfig[] | Readonly<Record<string, Omit<PoolConfig, 'type'>>>,
): given is readonly PoolConfig[] => Array.isArray(given);
