import type { CallOptions, HttpClient } from '../http.ts';
import type {
  FleetSettings,
  FleetStatus,
  MintedToken,
  Pool,
  PoolAnswer,
  PoolInput,
  ScaleInput,
  ScaledPool,
  TokenInput,
} from '../types.ts';
import { collect, pages } from './pages.ts';

const poolPath = (pool: string, rest = ''): string => `/v1/pools/${encodeURIComponent(pool)}${rest}`;

export const ready = (http: HttpClient, options?: CallOptions): Promise<unknown> =>
  http.send({ method: 'GET', path: '/readyz' }, options);

export const fleetStatus = (http: HttpClient, options?: CallOptions): Promise<FleetStatus> =>
  http.send({ method: 'GET', path: '/v1/fleet/status' }, options);

export const getSettings = (http: HttpClient, options?: CallOptions): Promise<FleetSettings> =>
  http.send({ method: 'GET', path: '/v1/fleet' }, options);

export const putSettings = (http: HttpClient, settings: FleetSettings, options?: CallOptions): Promise<FleetSettings> =>
  http.send({ method: 'PUT', path: '/v1/fleet', body: settings }, options);

export const listPools = (http: HttpClient, options?: CallOptions): Promise<Pool[]> =>
  collect(pages<Pool>(http, '/v1/pools', {}, options));

export const getPool = (http: HttpClient, pool: string, region?: string, options?: CallOptions): Promise<PoolAnswer> =>
  http.send({ method: 'GET', path: poolPath(pool), query: { region } }, options);

export const putPool = (
  http: HttpClient,
  pool: string,
  spec: PoolInput,
  region?: string,
  options?: CallOptions,
): Promise<PoolAnswer> => http.send({ method: 'PUT', path: poolPath(pool), query: { region }, body: spec }, options);

export const scalePool = (http: HttpClient, pool: string, input: ScaleInput, options?: CallOptions): Promise<ScaledPool> =>
  http.send({ method: 'POST', path: poolPath(pool, '/scale'), body: input }, options);

export const mintToken = (http: HttpClient, input: TokenInput, options?: CallOptions): Promise<MintedToken> =>
  http.send({ method: 'POST', path: '/v1/tokens', body: input, creates: true }, options);

export const revokeToken = (http: HttpClient, id: string, options?: CallOptions): Promise<void> =>
  http.send({ method: 'DELETE', path: `/v1/tokens/${encodeURIComponent(id)}` }, options);
