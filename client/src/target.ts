import { ConfigurationError } from './errors.ts';
import type { NodeSide } from './node-side.ts';

/** Where the fleet is, who calls, and how that was found out. */
export interface Target {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly source: 'options' | 'environment' | 'state directory' | 'user configuration';
}

interface Local {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly source: Target['source'];
}

/**
 * Options first, then `FLEET_ENDPOINT` and `FLEET_TOKEN`, then the fleet started in this directory, then the one the
 * user started last. A local fleet's token is only ever sent to that fleet, and `FLEET_TOKEN` never to an endpoint
 * other than `FLEET_ENDPOINT` when that is set.
 */
export function resolveTarget(
  given: { endpoint?: string | undefined; token?: string | undefined },
  node: NodeSide | null,
): Target {
  const envEndpoint = text(node?.env['FLEET_ENDPOINT']);
  const envToken = text(node?.env['FLEET_TOKEN']);
  if (given.endpoint !== undefined) {
    const endpoint = endpointOf(given.endpoint, 'endpoint');
    const fromEnvironment = envEndpoint === undefined || sameEndpoint(envEndpoint, endpoint) ? envToken : undefined;
    return { endpoint, token: given.token ?? fromEnvironment ?? localTokenOf(endpoint, node), source: 'options' };
  }
  if (envEndpoint !== undefined) {
    const endpoint = endpointOf(envEndpoint, 'FLEET_ENDPOINT');
    return { endpoint, token: given.token ?? envToken ?? localTokenOf(endpoint, node), source: 'environment' };
  }
  const local = node === null ? null : findLocal(node);
  if (local === null) {
    throw new ConfigurationError(
      'No fleet found. Start one with `npm start`, or name one: `endpoint` and `token`, or FLEET_ENDPOINT and FLEET_TOKEN.',
    );
  }
  return { ...local, token: given.token ?? envToken ?? local.token };
}

/** A usable base URL, without a trailing slash or `/v1`. */
export function endpointOf(value: string, name: string): string {
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    throw new ConfigurationError(`${name} is not a URL: "${value}". Write it with its scheme, such as http://127.0.0.1:8787`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ConfigurationError(`${name} must begin with http:// or https://, not "${value}"`);
  }
  if (url.username !== '' || url.password !== '')
    throw new ConfigurationError(`${name} must not carry a user or password; use token`);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '').replace(/\/v1$/, '');
}

/** The running local fleet's endpoint and admin token, if there is one. */
export function findLocal(node: NodeSide): Local | null {
  return fromStateDirectory(node) ?? fromUserConfiguration(node);
}

/** Directory of the user's fleet configuration. */
export function configDirectory(node: NodeSide): string {
  return node.join(text(node.env['XDG_CONFIG_HOME']) ?? node.join(node.home, '.config'), 'fleet');
}

function fromStateDirectory(node: NodeSide): Local | null {
  const directory = text(node.env['FLEET_STATE_DIR']) ?? node.join(node.cwd, '.fleet');
  const entry = record(node.read(node.join(directory, 'endpoint')));
  if (typeof entry?.['url'] !== 'string') return null;
  // A fleet killed with -9 leaves its file behind.
  if (typeof entry['pid'] === 'number' && !node.isAlive(entry['pid'])) return null;
  const token = text(node.read(node.join(directory, 'admin-token'))?.trim());
  return { endpoint: endpointOf(entry['url'], 'the local fleet'), token, source: 'state directory' };
}

function fromUserConfiguration(node: NodeSide): Local | null {
  const entry = record(node.read(node.join(configDirectory(node), 'local.json')));
  if (typeof entry?.['endpoint'] !== 'string') return null;
  if (typeof entry['pid'] === 'number' && !node.isAlive(entry['pid'])) return null;
  const token = typeof entry['tokenFile'] === 'string' ? text(node.read(entry['tokenFile'])?.trim()) : undefined;
  return { endpoint: endpointOf(entry['endpoint'], 'the local fleet'), token, source: 'user configuration' };
}

function localTokenOf(endpoint: string, node: NodeSide | null): string | undefined {
  if (node === null) return undefined;
  return [fromStateDirectory(node), fromUserConfiguration(node)].find((local) => local?.endpoint === endpoint)?.token;
}

function sameEndpoint(a: string, b: string): boolean {
  try {
    return endpointOf(a, '') === b;
  } catch {
    return false;
  }
}

const text = (value: string | null | undefined): string | undefined => (value === null || value === '' ? undefined : value);

function record(json: string | null): Record<string, unknown> | null {
  if (json === null) return null;
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
