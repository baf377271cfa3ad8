import type { FleetRpc } from '../../durable-objects/fleet/fleet-rpc.ts';
import { notFound, type FleetError } from '../../shared/errors.ts';
import { parseIdOf } from '../../shared/ids.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Caller } from '../../shared/rpc.ts';
import { IdempotencyKeySchema } from '../../shared/schemas/common.ts';
import { readFileBody, readJsonBody } from '../lib/body.ts';
import { sha256Hex } from '../lib/sha256.ts';
import { invalidField, validate } from '../lib/validate.ts';
import { authenticate, type AuthState } from './auth/authenticate.ts';
import { bearerToken, sessionToken } from './auth/bearer.ts';
import { beatOfRead } from './beat.ts';
import type { Execution, PathId, RequestContext } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import type { RouterConfig } from './env.ts';
import { missingById } from './lookup.ts';
import type { Outcome } from './reply.ts';
import { mayCall, ROUTES } from './route-table.ts';

/** A request as the app hands it over. */
export interface Incoming {
  readonly request: Request;
  readonly pathname: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: () => Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly config: RouterConfig;
  readonly state: AuthState;
  readonly execution: Execution;
  readonly fleet: (name: string) => FleetRpc;
}

/**
 * One request from token to answer, in the order that the contract gives its refusals: 401, 403, 404, (405 is the
 * app's), 413, 415, 400, 422; then what the handler finds; 429 before the handler runs.
 */
export async function serve(endpoint: Endpoint, incoming: Incoming): Promise<Outcome> {
  const { request, pathname, params, requestId, config, execution } = incoming;
  const route = ROUTES[endpoint.name];
  const isUpgrade = endpoint.name === 'session';
  const token = isUpgrade ? sessionToken(request.headers) : bearerToken(request.headers);
  const authenticated = await authenticate({ ...incoming, token });
  if (!authenticated.ok) return authenticated;
  const { identity, view } = authenticated.value;
  const { claims } = identity;
  // Every request counts, also one that is refused below; the refusal itself has its place in the order.
  const retryAfterMs = identity.bucket.take(Date.now());
  if (!mayCall(route.access, claims.role)) {
    return err({ kind: 'forbidden', detail: `A token of role ${claims.role} may not do this.` });
  }
  const caller: Caller = {
    fleet: view.storageName,
    subject: claims.sub,
    role: claims.role,
    ...(claims.agentId === undefined ? {} : { agentId: claims.agentId }),
    ...(claims.agentId === undefined || claims.swarms === undefined || claims.swarms.length === 0
      ? {}
      : { swarms: claims.swarms }),
    requestId,
    ...quotaOf(claims.maxLeases ?? view.snapshot.settings.leaseQuota?.perCaller),
  };
  const id = endpoint.id === undefined ? null : pathId(endpoint, params['id'] ?? '', config);
  if (id !== null && !id.ok) return id;
  const isSelfOnly = route.access !== 'public' && 'agent' in route.access && route.access.agent === 'self';
  if (isSelfOnly && claims.agentId !== undefined && claims.agentId !== params['id']) return err(notFound('agent'));

  const base: RequestContext = {
    request,
    pathname,
    template: `${route.method} ${route.path}`,
    params,
    requestId,
    config,
    execution,
    caller,
    claims,
    view,
    fleet: (name) => incoming.fleet(name ?? claims.fleet),
    idempotencyKey: null,
    bodyText: '',
  };
  const refused = endpoint.refuse?.(base, incoming.query()) ?? null;
  if (refused !== null) return err(refused);
  const input = await readInput(endpoint, incoming);
  if (!input.ok) {
    const missing = await missingFirst(endpoint, base, id);
    return missing === null ? input : err(missing);
  }
  if (route.method === 'GET' && !isUpgrade && claims.agentId !== undefined) beatOfRead(base);
  if (retryAfterMs > 0) return err({ kind: 'rate_limited', retryAfterMs, detail: 'Too many requests with this token.' });
  const { body, bodyText, query, idempotencyKey } = input.value;
  const context = bodyText === '' && idempotencyKey === null ? base : { ...base, bodyText, idempotencyKey };
  // An endpoint without an id declares none, so it cannot miss this one.
  return endpoint.handle(context, { body, query, id: id?.value as PathId });
}

const quotaOf = (limit: number | undefined): Pick<Caller, 'leaseQuota'> =>
  limit === undefined ? {} : { leaseQuota: { limit, share: limit } };

function pathId(endpoint: Endpoint, text: string, config: RouterConfig): Result<PathId, FleetError> {
  const kind = endpoint.id ?? 'agent';
  const parsed = parseIdOf(kind, text);
  const region = parsed === null ? undefined : config.regions.find((name) => name === parsed.region);
  return parsed === null || region === undefined ? err(notFound(kind)) : ok({ ...parsed, region, text });
}

interface Input {
  readonly body: unknown;
  readonly bodyText: string;
  readonly query: unknown;
  readonly idempotencyKey: string | null;
}

async function readInput(endpoint: Endpoint, incoming: Incoming): Promise<Result<Input, FleetError>> {
  let body: unknown;
  let bodyText = '';
  if (endpoint.body !== undefined) {
    const read = await readJsonBody(incoming.request, endpoint.bodyBytes);
    if (!read.ok) return read;
    const parsed = validate(endpoint.body, read.value.value);
    if (!parsed.ok) return parsed;
    body = parsed.value;
    bodyText = read.value.text;
  }
  if (endpoint.file !== undefined) {
    const read = await readFileBody(incoming.request, endpoint.file);
    if (!read.ok) return read;
    body = read.value;
    bodyText = sha256Hex(read.value);
  }
  let query: unknown;
  if (endpoint.query !== undefined) {
    const parsed = validate(endpoint.query, incoming.query());
    if (!parsed.ok) return parsed;
    query = parsed.value;
  }
  const key = endpoint.keyed === true ? incoming.request.headers.get('idempotency-key') : null;
  if (key !== null && !IdempotencyKeySchema.safeParse(key).success) {
    return err(invalidField('Idempotency-Key', 'must be 1 to 255 visible ASCII characters'));
  }
  return ok({ body, bodyText, query, idempotencyKey: key });
}

/** 404 comes before an error of the body: what the path names is looked up when the body is bad, and only then. */
async function missingFirst(
  endpoint: Endpoint,
  context: RequestContext,
  id: Result<PathId, FleetError> | null,
): Promise<FleetError | null> {
  if (endpoint.missing !== undefined) return onlyMissing(await endpoint.missing(context));
  return id?.ok === true ? onlyMissing(await missingById(context, id.value)) : null;
}

/** A region that does not answer says nothing about the id: then the error of the body is the better answer. */
const onlyMissing = (error: FleetError | null): FleetError | null =>
  error?.kind === 'not_found' || error?.kind === 'pool_not_found' ? error : null;
