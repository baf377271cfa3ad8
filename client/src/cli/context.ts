import type { Command } from 'commander';
import type { FleetManagerOptions } from '../config.ts';
import { ConfigurationError } from '../errors.ts';
import { FleetManager } from '../fleet-manager.ts';
import { type NodeSide, nodeSide } from '../node-side.ts';
import { type Target, endpointOf, resolveTarget } from '../target.ts';
import { type Format, Output } from './output.ts';
import { readProfile } from './profile.ts';

export interface GlobalOptions {
  readonly endpoint?: string;
  readonly token?: string;
  readonly profile?: string;
  readonly region?: string;
  readonly output: Format;
  readonly color: boolean;
}

/** What a command works with. */
export interface Context {
  readonly fleet: FleetManager;
  readonly client: FleetManagerOptions;
  readonly target: Target;
  readonly region: string | undefined;
  readonly output: Output;
}

export const outputOf = (command: Command): Output => {
  const { output, color } = command.optsWithGlobals<GlobalOptions>();
  return new Output(output, color);
};

/** Finds the fleet: flag, then environment, then profile, then the local fleet; value by value. */
export function contextOf(command: Command): Context {
  const options = command.optsWithGlobals<GlobalOptions>();
  const output = outputOf(command);
  const node = nodeSide();
  if (node === null) throw new ConfigurationError('The command line needs Node.');
  const { region, ...given } = settle(options, node, (message) => output.warn(message));
  const target = resolveTarget(given, node);
  const client: FleetManagerOptions = {
    endpoint: target.endpoint,
    token: target.token,
    region,
    onWarning: (message) => output.warn(message),
  };
  return { fleet: new FleetManager(client), client, target, region, output };
}

/** Flags and profile merged round the environment; what is left undefined is found by `resolveTarget`. */
export function settle(
  options: Pick<GlobalOptions, 'endpoint' | 'token' | 'profile' | 'region'>,
  node: NodeSide,
  warn: (message: string) => void,
): { endpoint: string | undefined; token: string | undefined; region: string | undefined } {
  const { env } = node;
  const profile = readProfile(options.profile ?? (env['FLEET_PROFILE'] || undefined), node);
  const envEndpoint = env['FLEET_ENDPOINT'] || undefined;
  if (
    options.profile !== undefined &&
    profile.endpoint !== undefined &&
    envEndpoint !== undefined &&
    options.endpoint === undefined
  ) {
    warn('FLEET_ENDPOINT is set and goes before the profile.');
  }
  const effective = options.endpoint ?? envEndpoint ?? profile.endpoint;
  // A profile's token belongs to the profile's fleet and is shown to no other.
  const isProfiles = sameFleet(effective, profile.endpoint);
  const envTokenApplies =
    (env['FLEET_TOKEN'] || undefined) !== undefined && (envEndpoint === undefined || sameFleet(effective, envEndpoint));
  return {
    endpoint: options.endpoint ?? (envEndpoint === undefined ? profile.endpoint : undefined),
    token: options.token ?? (isProfiles && !envTokenApplies ? profile.token : undefined),
    region: options.region ?? (env['FLEET_REGION'] || undefined) ?? profile.region,
  };
}

const sameFleet = (a: string | undefined, b: string | undefined): boolean =>
  a !== undefined && b !== undefined && endpointOf(a, 'endpoint') === endpointOf(b, 'endpoint');
