import { notFound } from '../../shared/errors.ts';
import { SESSION_HEADERS, type Caller, type ShardConfig } from '../../shared/rpc.ts';
import type { Home } from '../../shared/ids.ts';
import { problemResponse } from './problem.ts';
import { configOf, locate, type RegionPorts } from './region.ts';

/** What `SESSION_HEADERS.home` carries to the pool object. */
export interface SessionHome {
  readonly fleet: string;
  readonly home: Home;
  readonly config: ShardConfig;
}

/**
 * The upgrade of an agent's session, on to the object of the agent. The router has authenticated it; who calls and for
 * which agent is in headers that only a service binding can set, as a region has no public address.
 */
export async function openSession(
  ports: RegionPorts,
  fetchPool: (fleet: string, home: Home, request: Request) => Promise<Response>,
  request: Request,
): Promise<Response> {
  const caller = readCaller(request.headers.get(SESSION_HEADERS.caller));
  const agentId = request.headers.get(SESSION_HEADERS.agentId);
  if (caller === null || agentId === null) return problemResponse(notFound('route'), request, '');
  const located = await locate(ports, caller.fleet, 'agent', agentId);
  if (located === null) return problemResponse(notFound('agent'), request, caller.requestId);
  const { home, route } = located;
  const passed: SessionHome = { fleet: caller.fleet, home, config: configOf(route, home.shard) };
  const headers = new Headers(request.headers);
  headers.set(SESSION_HEADERS.home, JSON.stringify(passed));
  const response = await fetchPool(caller.fleet, home, new Request(request, { headers }));
  return response.status === 404 ? problemResponse(notFound('agent'), request, caller.requestId) : response;
}

/** Written by the router a moment ago; a request without it came some other way. */
function readCaller(header: string | null): Caller | null {
  return header === null ? null : (JSON.parse(header) as Caller);
}
