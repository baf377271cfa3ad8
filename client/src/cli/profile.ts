import { ConfigurationError } from '../errors.ts';
import type { NodeSide } from '../node-side.ts';
import { configDirectory } from '../target.ts';

/** One named fleet of `~/.config/fleet/config.json`. */
export interface Profile {
  readonly endpoint?: string | undefined;
  readonly token?: string | undefined;
  readonly region?: string | undefined;
}

/**
 * The profile asked for, else the file's `profile`, else none. The file:
 * `{"profile": "work", "profiles": {"work": {"endpoint": "…", "token": "…" or "tokenFile": "…", "region": "…"}}}`.
 */
export function readProfile(name: string | undefined, node: NodeSide): Profile {
  const file = node.join(configDirectory(node), 'config.json');
  const text = node.read(file);
  if (text === null) {
    if (name === undefined) return {};
    throw new ConfigurationError(`There is no profile "${name}": ${file} does not exist.`);
  }
  const config = parse(text, file);
  const chosen = name ?? (typeof config['profile'] === 'string' ? config['profile'] : undefined);
  if (chosen === undefined) return {};
  const profiles = isRecord(config['profiles']) ? config['profiles'] : {};
  const profile = Object.hasOwn(profiles, chosen) ? profiles[chosen] : undefined;
  if (!isRecord(profile))
    throw new ConfigurationError(
      `There is no profile "${chosen}" in ${file}. It has: ${Object.keys(profiles).join(', ') || 'none'}.`,
    );
  const tokenFile = stringOf(profile['tokenFile']);
  const token = stringOf(profile['token']) ?? (tokenFile === undefined ? undefined : node.read(tokenFile)?.trim());
  if (tokenFile !== undefined && token === undefined)
    throw new ConfigurationError(`The token file of profile "${chosen}" cannot be read: ${tokenFile}`);
  return { endpoint: stringOf(profile['endpoint']), token, region: stringOf(profile['region']) };
}

function parse(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfigurationError(`${file} is not JSON.`, { cause });
  }
  if (!isRecord(value)) throw new ConfigurationError(`${file} must hold a JSON object.`);
  return value;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const stringOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
