import { err, ok } from '../../../shared/result.ts';
import { SESSION_HEADERS, type Caller } from '../../../shared/rpc.ts';
import { SESSION_PROTOCOL } from '../../../shared/schemas/session.ts';
import { renewedToken } from '../agent-tokens.ts';
import { type PathId, type RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { mayReadFrom } from '../headers.ts';
import { findAgent } from '../lookup.ts';
import { callRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';

/** What goes on to the object of the agent: who calls and for whom, and never the token. */
async function upgradeRequest(context: RequestContext, id: PathId): Promise<Request> {
  const headers = new Headers({
    upgrade: 'websocket',
    'sec-websocket-protocol': SESSION_PROTOCOL,
    [SESSION_HEADERS.caller]: JSON.stringify({ ...context.caller, tokenId: context.claims.jti } satisfies Caller),
    [SESSION_HEADERS.agentId]: id.text,
  });
  const token = await renewedToken(context);
  if (token !== null) headers.set(SESSION_HEADERS.token, token);
  return new Request(`https://region${context.pathname}`, { headers });
}

/** A page of another site must not open a session with a token it came by. */
function originAllowed(context: RequestContext): boolean {
  const origin = context.request.headers.get('origin');
  return origin === null || origin === new URL(context.request.url).origin || mayReadFrom(context.config, origin);
}

export const SESSION_ENDPOINTS = [
  endpoint({
    name: 'session',
    doc: {
      summary: 'Open an agent’s session (WebSocket)',
      description:
        'Token in `Authorization`, or as the subprotocol `bearer.<jwt>` beside `fleet.v1`. Frames are JSON; text `ping` is answered `pong`.',
      responses: { 101: null },
    },
    id: 'agent',
    async handle(context, { id }) {
      if (!originAllowed(context)) return err({ kind: 'forbidden', detail: 'This origin may not open a session.' });
      const agent = await findAgent(context, id);
      if (!agent.ok) return agent;
      if (context.request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
        return err({ kind: 'malformed_request', detail: 'A session is opened with Upgrade: websocket.' });
      }
      const request = await upgradeRequest(context, id);
      const opened = await callRegion(context, id.region, OWN_TIMEOUT_MS, (binding) => binding.fetch(request));
      if (!opened.ok) return opened;
      if (opened.value.status === 101) return ok({ status: 101, body: null, region: id.region, upgraded: opened.value });
      await opened.value.body?.cancel();
      const { status } = opened.value;
      return err(
        status === 404
          ? { kind: 'not_found', detail: 'No such agent.' }
          : {
              kind: 'region_unavailable',
              region: id.region,
              retryAfterMs: 1_000,
              detail: `Region ${id.region} did not open the session.`,
            },
      );
    },
  }),
];
