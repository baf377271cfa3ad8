import type { FleetRpc } from '../../../durable-objects/fleet/fleet-rpc.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { errorText, log } from '../../lib/log.ts';
import type { Execution } from '../context.ts';
import type { RouterConfig } from '../env.ts';
import { FleetViews, honours, type FleetView } from './fleet-view.ts';
import { TokenCache, type Identity } from './token-cache.ts';

/** Of the isolate, shared by its requests. */
export interface AuthState {
  readonly tokens: TokenCache;
  readonly views: FleetViews;
}

export const newAuthState = (): AuthState => ({ tokens: new TokenCache(), views: new FleetViews() });

export interface Authenticated {
  readonly identity: Identity;
  readonly view: FleetView;
}

/** One answer for every kind of bad token: what was wrong with it is for the log. */
const UNAUTHORIZED: FleetError = { kind: 'unauthorized', detail: 'A valid bearer token is required.' };

export interface AuthInput {
  readonly token: string | null;
  readonly config: RouterConfig;
  readonly state: AuthState;
  readonly fleet: (name: string) => FleetRpc;
  readonly execution: Execution;
  readonly requestId: string;
}

/** Who calls, or 401. A token seen before costs one hash; its fleet's revocations are at most four seconds old. */
export async function authenticate(input: AuthInput): Promise<Result<Authenticated, FleetError>> {
  const { token, config, state, requestId } = input;
  const nowMs = Date.now();
  const refuse = (reason: string): Result<never, FleetError> => {
    if (config.logRequests) log('debug', 'token refused', { requestId, reason });
    return err(UNAUTHORIZED);
  };
  if (token === null) return refuse('no bearer token');
  const identity = state.tokens.known(token, nowMs) ?? (await state.tokens.verify(config, token, nowMs, refuse));
  if (identity === null) return err(UNAUTHORIZED);
  const view = await viewOf(input, identity.claims.fleet, nowMs);
  if (!view.ok) return view;
  return honours(view.value, identity.claims, config.local)
    ? ok({ identity, view: view.value })
    : refuse('revoked, or of a deleted fleet');
}

async function viewOf(input: AuthInput, fleet: string, nowMs: number): Promise<Result<FleetView, FleetError>> {
  const { state, execution, requestId } = input;
  const known = state.views.known(fleet, nowMs);
  const fetchView = (): Promise<FleetView> => state.views.fetch(fleet, input.fleet(fleet));
  if (known !== null) {
    if (known.refresh) {
      execution.waitUntil(
        fetchView().catch((error: unknown) => log('error', 'fleet not refreshed', { requestId, error: errorText(error) })),
      );
    }
    return ok(known.view);
  }
  try {
    return ok(await fetchView());
  } catch (error) {
    // Without the revocations nobody is let in: a refused token must not work because its fleet's record is slow.
    log('error', 'fleet not read', { requestId, error: errorText(error) });
    return err({ kind: 'overloaded', retryAfterMs: 1_000, detail: 'The fleet’s record does not answer.' });
  }
}
