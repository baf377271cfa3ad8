import { roleAtLeast, type Role } from '../../shared/roles.ts';

/** Who may call a route: everyone, or a token of at least `role`; `agent` says whether an agent's token may, too. */
export type Access =
  | 'public'
  | {
      readonly role: Exclude<Role, 'agent'>;
      /** `self`: the path names the agent itself. `own`: what the path or body names must belong to it. */
      readonly agent?: 'self' | 'own';
    };

export interface RouteEntry {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** As OpenAPI writes it. */
  readonly path: string;
  readonly access: Access;
}

const viewer = { role: 'viewer' } as const;
const operator = { role: 'operator' } as const;
const admin = { role: 'admin' } as const;
/** What an agent or a person may see and write of a memory is the memory's own rule. */
const recall = { role: 'viewer', agent: 'own' } as const;
const remember = { role: 'operator', agent: 'own' } as const;

/**
 * Every route and who may call it. Authorisation, the OpenAPI document, 405 and the role matrix of the tests are all made
 * from this table: a route that is not here is not served.
 */
export const ROUTES = {
  health: { method: 'GET', path: '/healthz', access: 'public' },
  ready: { method: 'GET', path: '/readyz', access: 'public' },
  openapi: { method: 'GET', path: '/openapi.json', access: 'public' },
  docs: { method: 'GET', path: '/docs', access: 'public' },
  problems: { method: 'GET', path: '/docs/problems', access: 'public' },
  assets: { method: 'GET', path: '/assets/{file}', access: 'public' },
  metrics: { method: 'GET', path: '/metrics', access: viewer },

  registerAgent: { method: 'POST', path: '/v1/agents', access: operator },
  registerAgents: { method: 'POST', path: '/v1/agents/batch', access: operator },
  heartbeats: { method: 'POST', path: '/v1/agents/heartbeats', access: { role: 'operator', agent: 'own' } },
  listAgents: { method: 'GET', path: '/v1/agents', access: viewer },
  getAgent: { method: 'GET', path: '/v1/agents/{id}', access: { role: 'viewer', agent: 'self' } },
  deregisterAgent: { method: 'DELETE', path: '/v1/agents/{id}', access: operator },
  heartbeat: { method: 'POST', path: '/v1/agents/{id}/heartbeat', access: { role: 'operator', agent: 'self' } },
  poll: { method: 'POST', path: '/v1/agents/{id}/poll', access: { role: 'operator', agent: 'self' } },
  drainAgent: { method: 'POST', path: '/v1/agents/{id}/drain', access: operator },
  quarantineAgent: { method: 'POST', path: '/v1/agents/{id}/quarantine', access: operator },
  session: { method: 'GET', path: '/v1/agents/{id}/session', access: { role: 'operator', agent: 'self' } },

  allocate: { method: 'POST', path: '/v1/allocations', access: operator },
  allocationBatch: { method: 'POST', path: '/v1/allocations/batch', access: operator },
  revokeLeases: { method: 'POST', path: '/v1/allocations/revoke', access: operator },
  explainAllocation: { method: 'POST', path: '/v1/allocations/explain', access: operator },
  getAllocation: { method: 'GET', path: '/v1/allocations/{id}', access: { role: 'viewer', agent: 'own' } },
  renewAllocation: { method: 'POST', path: '/v1/allocations/{id}/renew', access: operator },
  releaseAllocation: { method: 'POST', path: '/v1/allocations/{id}/release', access: operator },

  submitTask: { method: 'POST', path: '/v1/tasks', access: operator },
  submitTasks: { method: 'POST', path: '/v1/tasks/batch', access: operator },
  reportTasks: { method: 'POST', path: '/v1/tasks/results', access: { role: 'operator', agent: 'own' } },
  listTasks: { method: 'GET', path: '/v1/tasks', access: viewer },
  getTask: { method: 'GET', path: '/v1/tasks/{id}', access: { role: 'viewer', agent: 'own' } },
  cancelTask: { method: 'DELETE', path: '/v1/tasks/{id}', access: operator },
  replayTask: { method: 'POST', path: '/v1/tasks/{id}/replay', access: operator },
  completeTask: { method: 'POST', path: '/v1/tasks/{id}/complete', access: { role: 'operator', agent: 'own' } },
  failTask: { method: 'POST', path: '/v1/tasks/{id}/fail', access: { role: 'operator', agent: 'own' } },
  progressTask: { method: 'POST', path: '/v1/tasks/{id}/progress', access: { role: 'operator', agent: 'own' } },
  whyTask: { method: 'GET', path: '/v1/tasks/{id}/why', access: viewer },

  runBooster: { method: 'POST', path: '/v1/booster/tasks', access: operator },
  boosterStatus: { method: 'GET', path: '/v1/booster/status', access: viewer },
  boosterReport: { method: 'GET', path: '/v1/booster/report', access: viewer },
  chatCompletions: { method: 'POST', path: '/v1/chat/completions', access: operator },
  applyEdit: { method: 'POST', path: '/v1/apply', access: operator },

  getFleet: { method: 'GET', path: '/v1/fleet', access: viewer },
  putFleet: { method: 'PUT', path: '/v1/fleet', access: admin },
  deleteFleet: { method: 'DELETE', path: '/v1/fleet', access: admin },
  fleetStatus: { method: 'GET', path: '/v1/fleet/status', access: viewer },
  listPools: { method: 'GET', path: '/v1/pools', access: viewer },
  getPool: { method: 'GET', path: '/v1/pools/{pool}', access: viewer },
  putPool: { method: 'PUT', path: '/v1/pools/{pool}', access: admin },
  scalePool: { method: 'POST', path: '/v1/pools/{pool}/scale', access: operator },
  mintToken: { method: 'POST', path: '/v1/tokens', access: admin },
  revokeToken: { method: 'DELETE', path: '/v1/tokens/{id}', access: admin },
  listEntries: { method: 'GET', path: '/v1/memory/{swarm}/entries', access: recall },
  putEntry: { method: 'PUT', path: '/v1/memory/{swarm}/entries/{key}', access: remember },
  getEntry: { method: 'GET', path: '/v1/memory/{swarm}/entries/{key}', access: recall },
  deleteEntry: { method: 'DELETE', path: '/v1/memory/{swarm}/entries/{key}', access: remember },
  getPermissions: { method: 'GET', path: '/v1/memory/{swarm}/entries/{key}/permissions', access: recall },
  putPermissions: { method: 'PUT', path: '/v1/memory/{swarm}/entries/{key}/permissions', access: remember },
  entryHistory: { method: 'GET', path: '/v1/memory/{swarm}/entries/{key}/history', access: recall },
  rollbackEntry: { method: 'POST', path: '/v1/memory/{swarm}/entries/{key}/rollback', access: remember },
  searchMemory: { method: 'POST', path: '/v1/memory/{swarm}/search', access: remember },
  searchVectors: { method: 'POST', path: '/v1/memory/{swarm}/vectors/search', access: remember },
  memoryBatch: { method: 'POST', path: '/v1/memory/{swarm}/batch', access: remember },
  memoryTransaction: { method: 'POST', path: '/v1/memory/{swarm}/transaction', access: remember },
  quarantineMemory: { method: 'POST', path: '/v1/memory/{swarm}/quarantine', access: operator },
  exportMemory: { method: 'GET', path: '/v1/memory/{swarm}/export', access: recall },
  importMemory: { method: 'POST', path: '/v1/memory/{swarm}/import', access: admin },
  restoreMemory: { method: 'POST', path: '/v1/memory/{swarm}/restore', access: admin },
  eraseMemory: { method: 'POST', path: '/v1/memory/{swarm}/erase', access: admin },
  claimPaths: { method: 'POST', path: '/v1/memory/{swarm}/claims', access: remember },
  listClaims: { method: 'GET', path: '/v1/memory/{swarm}/claims', access: recall },
  renewClaim: { method: 'POST', path: '/v1/memory/{swarm}/claims/{claim}/renew', access: remember },
  releaseClaim: { method: 'POST', path: '/v1/memory/{swarm}/claims/{claim}/release', access: remember },
  vote: { method: 'POST', path: '/v1/memory/{swarm}/consensus/{task}/votes', access: remember },
  getConsensus: { method: 'GET', path: '/v1/memory/{swarm}/consensus/{task}', access: recall },
  addDependencies: { method: 'POST', path: '/v1/memory/{swarm}/dependencies', access: remember },
  listDependencies: { method: 'GET', path: '/v1/memory/{swarm}/dependencies', access: recall },
  createArtifact: { method: 'POST', path: '/v1/memory/{swarm}/artifacts', access: remember },
  listArtifacts: { method: 'GET', path: '/v1/memory/{swarm}/artifacts', access: recall },
  getArtifact: { method: 'GET', path: '/v1/memory/{swarm}/artifacts/{artifact}', access: recall },
  deleteArtifact: { method: 'DELETE', path: '/v1/memory/{swarm}/artifacts/{artifact}', access: remember },
  putChunk: { method: 'PUT', path: '/v1/memory/{swarm}/artifacts/{artifact}/chunks/{number}', access: remember },
  getChunk: { method: 'GET', path: '/v1/memory/{swarm}/artifacts/{artifact}/chunks/{number}', access: recall },
  memoryEvents: { method: 'GET', path: '/v1/memory/{swarm}/events', access: recall },
  memoryConflicts: { method: 'GET', path: '/v1/memory/{swarm}/conflicts', access: recall },
  memoryAudit: { method: 'GET', path: '/v1/memory/{swarm}/audit', access: viewer },
  memoryStatus: { method: 'GET', path: '/v1/memory/{swarm}/status', access: viewer },
  getMemorySettings: { method: 'GET', path: '/v1/memory/{swarm}/settings', access: recall },
  putMemorySettings: { method: 'PUT', path: '/v1/memory/{swarm}/settings', access: admin },
} as const satisfies Readonly<Record<string, RouteEntry>>;

export type RouteName = keyof typeof ROUTES;

/** Whether a token of this role passes the route's check. What an agent may touch is checked where ids are known. */
export function mayCall(access: Access, role: Role): boolean {
  if (access === 'public') return true;
  return role === 'agent' ? access.agent !== undefined : roleAtLeast(role, access.role);
}

/** Methods that the table has for a path, for 405 and `Allow`; empty for a path that is nobody's. */
export function methodsOf(pathname: string): readonly string[] {
  const methods = new Set<string>();
  for (const { pattern, method } of PATTERNS) {
    if (pattern.test(pathname)) methods.add(method);
  }
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods];
}

const PATTERNS = Object.values(ROUTES).map(({ path, method }) => ({
  method,
  pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{[a-z]+\}/g, '[^/]+')}$`),
}));
