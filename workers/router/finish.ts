import { problemResponse } from '../lib/problem.ts';
import { corsHeaders, mayReadFrom, SECURITY_HEADERS, TRANSPORT_SECURITY } from './headers.ts';
import type { ErrorWriter } from './endpoint.ts';
import type { RouterConfig } from './env.ts';
import type { Outcome } from './reply.ts';

/** Longest `instance` of a problem: a hostile URL must not come back whole. */
const INSTANCE_CHARS_MAX = 256;

interface Facts {
  readonly request: Request;
  readonly pathname: string;
  readonly requestId: string;
  readonly config: RouterConfig | null;
  readonly writeError?: ErrorWriter | undefined;
}

/** What every reply carries, whatever it says. */
export function commonHeaders({ request, requestId, config }: Facts): Record<string, string> {
  const origin = request.headers.get('origin');
  return {
    ...SECURITY_HEADERS,
    ...(request.url.startsWith('https:') ? TRANSPORT_SECURITY : {}),
    'x-request-id': requestId,
    ...(mayReadFrom(config, origin) ? corsHeaders(origin) : {}),
  };
}

/** The one place where an outcome becomes an HTTP response. */
export function finish(outcome: Outcome, facts: Facts, extra: Readonly<Record<string, string>> = {}): Response {
  const headers = { ...commonHeaders(facts), ...extra };
  if (!outcome.ok) {
    if (outcome.region !== undefined) headers['x-fleet-region'] = outcome.region;
    const problem = problemResponse(outcome.error, {
      instance: facts.pathname.slice(0, INSTANCE_CHARS_MAX),
      requestId: facts.requestId,
      headers,
    });
    return facts.writeError === undefined ? problem : rewritten(problem, facts.writeError(outcome.error));
  }
  const { status, body, region, replayed, contentType, upgraded, stream } = outcome.value;
  if (region !== undefined) headers['x-fleet-region'] = region;
  if (replayed === true) headers['idempotency-replayed'] = 'true';
  if (upgraded !== undefined) {
    // A client that offered no subprotocol takes an answer with one for a broken handshake.
    const protocol = upgraded.headers.get('sec-websocket-protocol');
    if (protocol !== null && facts.request.headers.has('sec-websocket-protocol')) headers['sec-websocket-protocol'] = protocol;
    return new Response(null, { status: 101, webSocket: upgraded.webSocket, headers });
  }
  if (stream !== undefined) {
    headers['content-type'] = contentType ?? 'application/octet-stream';
    return new Response(stream, { status, headers });
  }
  if (body !== null) headers['content-type'] = contentType ?? 'application/json';
  return new Response(body, { status, headers });
}

/** The same refusal with the headers it would have had, in another API's words. */
function rewritten(problem: Response, { status, body }: ReturnType<ErrorWriter>): Response {
  const headers = new Headers(problem.headers);
  headers.set('content-type', 'application/json');
  return new Response(JSON.stringify(body), { status, headers });
}
