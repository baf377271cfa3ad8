import { describe, expect, test } from 'vitest';
import { type FleetManagerConfig, poolsOf, settingsOf } from '../../../client/src/config.ts';
import { ConfigurationError, FleetManager } from '../../../client/src/index.ts';

/** SPECIFICATION §9.3, the whole of it. */
const PRODUCTION: FleetManagerConfig = {
  redis: { host: 'redis.production.example.com', port: 6379, cluster: true },
  fleet: {
    maxAgents: 1000,
    defaultPools: { coder: { min: 5, max: 100, priority: 8 } },
    heartbeatInterval: 5000,
    healthCheckInterval: 10000,
  },
  autoScaling: { enabled: true, policies: [], limits: { minAgents: 10 } },
  booster: { enabled: true, poolSize: 10, memoryLimit: 512 },
  memory: {
    backend: 'hybrid',
    sqlitePath: '/var/lib/fleet/memory.db',
    aclEnabled: true,
    encryption: { algorithm: 'aes-256-gcm' },
  },
  monitoring: { enabled: true, metricsInterval: 30000, retentionPeriod: 1, alerting: { enabled: true } },
  compliance: {
    enabled: true,
    standards: ['GDPR'],
    dataResidency: { regions: ['us-east-1', 'eu-west-1'], enforcement: 'strict' },
    auditLogging: true,
  },
};

const thrownBy = (action: () => unknown): unknown => {
  try {
    return action();
  } catch (error) {
    return error;
  }
};

describe('configuration', () => {
  test.each([
    ['redis', { redis: { host: 'localhost', port: 6379 } }],
    ['fleet.heartbeatInterval', { fleet: { heartbeatInterval: 1_000 } }],
    ['fleet.healthCheckInterval', { fleet: { healthCheckInterval: 10_000 } }],
    ['autoScaling', { autoScaling: { enabled: true } }],
    ['booster', { booster: { enabled: true } }],
    ['memory.backend', { memory: { backend: 'redis' } }],
    ['memory.sqlitePath', { memory: { sqlitePath: '/tmp/x' } }],
    ['memory.aclEnabled', { memory: { aclEnabled: false } }],
    ['memory.encryption', { memory: { encryption: {} } }],
    ['monitoring.metricsInterval', { monitoring: { metricsInterval: 1 } }],
    ['monitoring.retentionPeriod', { monitoring: { retentionPeriod: 1 } }],
    ['monitoring.alerting', { monitoring: { alerting: {} } }],
    ['compliance.standards', { compliance: { standards: ['SOC2'] } }],
    ['compliance.auditLogging', { compliance: { auditLogging: false } }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['retries', { retries: -1 }],
    ['geo', { geo: [Number.NaN, 0] as const }],
  ])('%s is refused with what to do instead', (path, config) => {
    expect(() => new FleetManager(config)).toThrow(ConfigurationError);
    expect(() => new FleetManager(config)).toThrow(new RegExp(`^${path.replace('.', '\\.')}: \\w+.{10,}`));
  });

  test('everything that cannot be used is named at once', () => {
    const refusal = thrownBy(() => new FleetManager(PRODUCTION));
    for (const path of [
      'redis',
      'fleet.healthCheckInterval',
      'autoScaling',
      'booster',
      'memory.sqlitePath',
      'monitoring.alerting',
      'compliance.standards',
    ]) {
      expect(refusal instanceof Error && refusal.message).toContain(`- ${path}: `);
    }
  });

  test('what already is so may be said', () => {
    const config: FleetManagerConfig = {
      fleet: { heartbeatInterval: 5_000 },
      autoScaling: { enabled: false },
      booster: { enabled: false },
      memory: { backend: 'sqlite', aclEnabled: true },
      monitoring: { enabled: true },
      compliance: { enabled: true, auditLogging: true },
    };
    expect(() => new FleetManager(config)).not.toThrow();
  });

  test('pools come as a list of types or by name', () => {
    const asList = poolsOf({
      fleet: { defaultPools: [{ type: 'coder', min: 5, max: 100, priority: 8, resources: { memory: 512, cpu: 0.5 } }] },
    });
    expect([...asList]).toEqual([
      ['coder', { minAgents: 5, maxAgents: 100, priority: 8, resources: { memoryMb: 512, cpu: 0.5 } }],
    ]);
    expect([...poolsOf(PRODUCTION)]).toEqual([['coder', { minAgents: 5, maxAgents: 100, priority: 8 }]]);
  });

  test('limits and residency become settings of the fleet', () => {
    expect(settingsOf(PRODUCTION)).toEqual({
      maxAgents: 1000,
      residency: { allowed: ['us-east-1', 'eu-west-1'], enforcement: 'strict' },
    });
    expect(settingsOf({ fleet: 'acme' })).toBeNull();
  });
});
