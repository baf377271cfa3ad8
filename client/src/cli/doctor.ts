import { PROTOCOL_VERSION } from '../../../shared/version.ts';
import { ApiError, ForbiddenError, UnauthorizedError } from '../errors.ts';
import type { Answer } from '../http.ts';
import type { FleetStatus } from '../types.ts';
import { VERSION } from '../version.ts';
import type { Context } from './context.ts';

export interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'bad' | 'skipped';
  readonly detail: string;
  /** How to put it right. */
  readonly mend?: string;
}

export interface Check {
  readonly name: string;
  look(): Promise<Omit<Finding, 'name'>> | Omit<Finding, 'name'>;
}

const NODE_MAJOR_MIN = 20;
const NODE_MAJOR_GOOD = 22;
const SKEW_MAX_MS = 5_000;
const EXPIRES_SOON_MS = 3_600_000;
const ONE_TRY = { retries: 0, timeoutMs: 5_000 } as const;
const SKIPPED = { state: 'skipped', detail: 'not looked at, as the endpoint does not answer' } as const;

/** The checks in the order in which one explains the next. */
export function checksOf(connect: () => Context): Check[] {
  let context: Context | null = null;
  let health: Answer<unknown> | null = null;
  let status: FleetStatus | null = null;
  return [
    { name: 'node', look: nodeVersion },
    {
      name: 'endpoint',
      look: () => {
        context = connect();
        return { state: 'ok', detail: `${context.target.endpoint} (from ${context.target.source})` };
      },
    },
    {
      name: 'reachable',
      look: async () => {
        if (context === null)
          return { state: 'skipped', detail: 'no endpoint', mend: 'start a fleet with npm start, or set FLEET_ENDPOINT' };
        const startedAt = performance.now();
        try {
          health = await context.fleet.http.request<unknown>({ method: 'GET', path: '/healthz' }, ONE_TRY);
        } catch (error) {
          const mend =
            error instanceof ApiError
              ? 'something else answers there; check the endpoint'
              : 'is the fleet running? npm start; else check address, firewall and proxy';
          return { state: 'bad', detail: messageOf(error), mend };
        }
        return { state: 'ok', detail: `answers in ${Math.round(performance.now() - startedAt)} ms` };
      },
    },
    {
      name: 'version',
      look: async () => {
        if (context === null || health === null) return SKIPPED;
        const document = await context.fleet.http.send<{ info?: { version?: string; title?: string } }>(
          { method: 'GET', path: '/openapi.json' },
          ONE_TRY,
        );
        const server = document.info?.version;
        if (server === undefined) return { state: 'warn', detail: 'the fleet does not say its version' };
        const detail = `client ${VERSION} speaks protocol ${PROTOCOL_VERSION}, the fleet ${server}`;
        if (Number.parseInt(server, 10) === PROTOCOL_VERSION) return { state: 'ok', detail };
        return { state: 'warn', detail, mend: 'use the client of the same release as the fleet' };
      },
    },
    {
      name: 'token',
      look: async () => {
        if (context === null || health === null) return SKIPPED;
        const { token } = context.target;
        if (token === undefined)
          return { state: 'bad', detail: 'there is none', mend: 'set FLEET_TOKEN, or start the command where the fleet runs' };
        try {
          status = await context.fleet.getFleetStatus(ONE_TRY);
        } catch (error) {
          if (error instanceof UnauthorizedError)
            return { state: 'bad', detail: error.message, mend: 'mint another: fleet token create --role operator' };
          if (error instanceof ForbiddenError)
            return { state: 'warn', detail: 'valid, but it may not read the status (an agent token?)' };
          throw error;
        }
        return tokenFinding(token, status.fleet);
      },
    },
    {
      name: 'ready',
      look: async () => {
        if (context === null || health === null) return SKIPPED;
        await context.fleet.http.send({ method: 'GET', path: '/readyz' }, ONE_TRY);
        return { state: 'ok', detail: 'takes work' };
      },
    },
    { name: 'clock', look: () => clockFinding(status, health?.headers.get('date') ?? null) },
    {
      name: 'regions',
      look: () =>
        status === null
          ? { state: 'skipped', detail: 'needs a token that may read the status' }
          : regionFinding(status, context?.region),
    },
  ];
}

function nodeVersion(): Omit<Finding, 'name'> {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR_MIN) return { state: 'bad', detail: process.version, mend: `install Node ${NODE_MAJOR_GOOD} or later` };
  if (major < NODE_MAJOR_GOOD)
    return {
      state: 'warn',
      detail: `${process.version} works, with the ws package for sessions`,
      mend: `Node ${NODE_MAJOR_GOOD} has its own WebSocket`,
    };
  return { state: 'ok', detail: process.version };
}

/** By the moment the regions' numbers were taken, which has milliseconds; else by the answer's Date, which has whole seconds. */
function clockFinding(status: FleetStatus | null, date: string | null): Omit<Finding, 'name'> {
  const moments = Object.values(status?.regions ?? {}).flatMap(({ asOfMs, fresh }) => (fresh ? [asOfMs] : []));
  const fleetMs = moments.length > 0 ? Math.max(...moments) : Date.parse(date ?? '');
  if (!Number.isFinite(fleetMs)) return { state: 'skipped', detail: 'the fleet has not told its time' };
  const skewMs = Date.now() - fleetMs;
  if (Math.abs(skewMs) <= SKEW_MAX_MS) return { state: 'ok', detail: 'agrees with the fleet' };
  const direction = skewMs > 0 ? 'ahead' : 'behind';
  return {
    state: 'warn',
    detail: `${Math.round(Math.abs(skewMs) / 1_000)} s ${direction} of the fleet`,
    mend: 'set the clock (NTP); tokens may look expired',
  };
}

function tokenFinding(token: string, fleet: string): Omit<Finding, 'name'> {
  const claims = claimsOf(token);
  const role = typeof claims['role'] === 'string' ? claims['role'] : 'unknown role';
  const leftMs = typeof claims['exp'] === 'number' ? claims['exp'] * 1_000 - Date.now() : Number.POSITIVE_INFINITY;
  const detail = `${role} of fleet ${fleet}${Number.isFinite(leftMs) ? `, for ${Math.round(leftMs / 3_600_000)} h more` : ''}`;
  if (leftMs > EXPIRES_SOON_MS) return { state: 'ok', detail };
  return { state: 'warn', detail, mend: 'it expires soon; mint another: fleet token create --role operator' };
}

/** Read, not verified: only for what is shown. */
function claimsOf(token: string): Record<string, unknown> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function regionFinding(status: FleetStatus, region: string | undefined): Omit<Finding, 'name'> {
  const names = Object.keys(status.regions);
  if (region !== undefined && !names.includes(region)) {
    return {
      state: 'bad',
      detail: `region ${region} is not one of ${names.join(', ')}`,
      mend: 'correct --region, FLEET_REGION or the profile',
    };
  }
  const stale = names.filter((name) => status.regions[name]?.fresh === false);
  if (stale.length > 0)
    return {
      state: 'warn',
      detail: `${stale.join(', ')} did not answer in time`,
      mend: 'their numbers are old; new work goes elsewhere',
    };
  return { state: 'ok', detail: names.join(', ') };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
