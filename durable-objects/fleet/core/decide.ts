import { notFound, type FleetError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { FleetSettings } from '../../../shared/schemas/fleet.ts';
import type { FleetEvent } from './events.ts';
import type { FleetState, Purge, StoredToken } from './state.ts';

/** The second purge comes when no router isolate can still take the deleted generation for the present one. */
export const PURGE_AGAIN_MS = 2 * LIMITS.revocationDelayMs;
const PURGE_ROUNDS = 2;
const PURGE_RETRY_MS = 5_000;
const PURGE_RETRY_MS_MAX = 600_000;

export type FleetCommand =
  | { readonly type: 'create' }
  | { readonly type: 'putSettings'; readonly settings: FleetSettings }
  | { readonly type: 'mintToken'; readonly token: StoredToken }
  | { readonly type: 'revokeToken'; readonly id: string; readonly unrecorded: boolean; readonly expiresAtMs: number }
  | { readonly type: 'delete'; readonly regions: readonly string[] }
  | {
      readonly type: 'purged';
      readonly generation: number;
      readonly done: readonly string[];
      readonly regions: readonly string[];
    }
  | { readonly type: 'prune' };

/** What a command does to the fleet's record, or why not. Pure: the clock is an argument. */
export function decide(state: FleetState, command: FleetCommand, nowMs: number): Result<readonly FleetEvent[], FleetError> {
  switch (command.type) {
    case 'create':
      return ok(state.exists ? [] : [{ type: 'fleetCreated' }]);
    case 'putSettings':
      return ok([{ type: 'settingsReplaced', settings: command.settings }]);
    case 'mintToken':
      return mint(state, command.token, nowMs);
    case 'revokeToken':
      return revoke(state, command, nowMs);
    case 'delete':
      return ok([{ type: 'fleetDeleted', purge: firstPurge(state.generation, command.regions, nowMs) }]);
    case 'purged':
      return ok(purged(state, command, nowMs));
    case 'prune':
      return ok(expired(state, nowMs));
  }
}

function mint(state: FleetState, token: StoredToken, nowMs: number): Result<readonly FleetEvent[], FleetError> {
  const gone = expired(state, nowMs);
  const removed = gone.reduce((n, event) => n + (event.type === 'expiredRemoved' ? event.tokens.length : 0), 0);
  if (state.tokens.size - removed >= LIMITS.tokensPerFleet) {
    const limit = LIMITS.tokensPerFleet;
    return err({
      kind: 'quota_exceeded',
      scope: 'fleet',
      limit,
      detail: `A fleet may have ${limit} tokens; revoked ones count until they expire.`,
    });
  }
  return ok([...gone, { type: 'tokenMinted', token }]);
}

function revoke(
  state: FleetState,
  command: { readonly id: string; readonly unrecorded: boolean; readonly expiresAtMs: number },
  nowMs: number,
): Result<readonly FleetEvent[], FleetError> {
  if (state.revoked.has(command.id)) return ok([]);
  const token = state.tokens.get(command.id);
  if (token === undefined && !command.unrecorded) return err(notFound('token'));
  const gone = expired(state, nowMs);
  const removed = gone.reduce((n, event) => n + (event.type === 'expiredRemoved' ? event.revoked.length : 0), 0);
  // Every isolate holds them all, so they are bounded, too; they end with their tokens.
  if (state.revoked.size - removed >= REVOCATIONS_MAX) {
    const detail = `A fleet may have ${REVOCATIONS_MAX} revoked tokens that have not expired.`;
    return err({ kind: 'quota_exceeded', scope: 'fleet', limit: REVOCATIONS_MAX, detail });
  }
  // An agent's token is renewed under its own id, so its record may end before it does.
  const expiresAtMs = Math.max(command.expiresAtMs, token?.expiresAtMs ?? 0);
  return ok([...gone, { type: 'tokenRevoked', id: command.id, expiresAtMs }]);
}
const REVOCATIONS_MAX = 2 * LIMITS.tokensPerFleet;

const firstPurge = (generation: number, regions: readonly string[], nowMs: number): Purge => ({
  generation,
  pending: [...regions],
  rounds: 0,
  attempts: 0,
  nextAtMs: nowMs + PURGE_AGAIN_MS,
});

function purged(
  state: FleetState,
  command: { readonly generation: number; readonly done: readonly string[]; readonly regions: readonly string[] },
  nowMs: number,
): readonly FleetEvent[] {
  const purge = state.purges.get(command.generation);
  if (purge === undefined) return [];
  const pending = purge.pending.filter((region) => !command.done.includes(region));
  if (pending.length > 0) {
    const attempts = purge.attempts + 1;
    const nextAtMs = nowMs + Math.min(PURGE_RETRY_MS_MAX, PURGE_RETRY_MS * 2 ** (attempts - 1));
    return [{ type: 'purgeProgressed', purge: { ...purge, pending, attempts, nextAtMs } }];
  }
  const rounds = purge.rounds + 1;
  if (rounds >= PURGE_ROUNDS) return [{ type: 'purgeEnded', generation: purge.generation }];
  const next = { ...purge, pending: [...command.regions], rounds, attempts: 0, nextAtMs: nowMs + PURGE_AGAIN_MS };
  return [{ type: 'purgeProgressed', purge: next }];
}

function expired(state: FleetState, nowMs: number): readonly FleetEvent[] {
  const tokens = [...state.tokens.values()].filter((t) => t.expiresAtMs + GRACE_MS <= nowMs).map((t) => t.id);
  const revoked = [...state.revoked].filter(([, expiresAtMs]) => expiresAtMs + GRACE_MS <= nowMs).map(([id]) => id);
  return tokens.length + revoked.length === 0 ? [] : [{ type: 'expiredRemoved', tokens, revoked }];
}
/** Verifiers allow their clocks some leeway: what is forgotten earlier could be accepted again. */
const GRACE_MS = 60_000;

/** When the object must wake next, or null. Expired rows do no harm and are removed on the way. */
export function nextAlarmMs(state: FleetState): number | null {
  const times = [...state.purges.values()].map((purge) => purge.nextAtMs);
  return times.length === 0 ? null : Math.min(...times);
}
