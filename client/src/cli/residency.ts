import { type Command, Option } from 'commander';
import type { FleetManagerOptions } from '../config.ts';
import { list } from './parse.ts';

export interface ResidencyOptions {
  readonly residency?: string[];
  readonly enforcement?: 'strict' | 'preferred';
}

/** Options that pin work to regions or groups. */
export const withResidency = (command: Command): Command =>
  command
    .option('--residency <regions>', 'regions or groups it may be in, such as eu; repeatable', list)
    .addOption(new Option('--enforcement <how>', 'of --residency').choices(['strict', 'preferred']).default('strict'));

export const residencyOf = ({ residency, enforcement }: ResidencyOptions): FleetManagerOptions['residency'] =>
  residency === undefined ? undefined : { allowed: residency, enforcement: enforcement ?? 'strict' };
