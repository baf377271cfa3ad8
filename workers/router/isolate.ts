import type { FleetSnapshot } from '../../durable-objects/fleet/fleet-rpc.ts';
import { newAuthState, type AuthState } from './auth/authenticate.ts';

/** What this isolate remembers between requests: values that may be lost at any time. */
export const ISOLATE: AuthState = newAuthState();

/** What this isolate has just written is in force here at once; elsewhere within five seconds. */
export function rememberFleet(snapshot: FleetSnapshot): void {
  ISOLATE.views.put(snapshot, Date.now());
}
