import type { RegionBinding } from '../../durable-objects/fleet/env.ts';
import type { FleetRpc } from '../../durable-objects/fleet/fleet-rpc.ts';
import type { RegionId } from '../../regions/table.ts';
import type { ParsedId } from '../../shared/ids.ts';
import type { Caller } from '../../shared/rpc.ts';
import type { TokenClaims } from '../lib/tokens.ts';
import type { FleetView } from './auth/fleet-view.ts';
import type { RouterConfig } from './env.ts';

/** What the Worker's runtime offers a request. */
export interface Execution {
  waitUntil(work: Promise<unknown>): void;
}

/** One authenticated request, as its handler sees it. */
export interface RequestContext {
  readonly request: Request;
  /** The path as sent, for problems and hashes. */
  readonly pathname: string;
  /** `METHOD /v1/agents/{id}`: the route's name in idempotency keys and logs. */
  readonly template: string;
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly config: RouterConfig;
  readonly execution: Execution;
  readonly caller: Caller;
  readonly claims: TokenClaims;
  readonly view: FleetView;
  /** The object of a fleet: the caller's own unless named. */
  readonly fleet: (name?: string) => FleetRpc;
  /** `Idempotency-Key`, checked; null when there is none. */
  readonly idempotencyKey: string | null;
  /** The body as it was sent. */
  readonly bodyText: string;
}

/** An id of the path whose region is part of this deployment. */
export interface PathId extends ParsedId {
  readonly text: string;
  readonly region: RegionId;
}

/** The binding of a configured region. */
export function bindingOf(config: RouterConfig, region: RegionId): RegionBinding {
  const binding = config.bindings.get(region);
  if (binding === undefined) throw new Error(`no binding for ${region}`);
  return binding;
}
