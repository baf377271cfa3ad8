import { Command } from 'commander';
import type { FleetSettings } from '../../types.ts';
import { contextOf } from '../context.ts';
import type { Output } from '../output.ts';
import { wholeNumber } from '../parse.ts';

export function quotaCommand(): Command {
  const quota = new Command('quota')
    .description('how many leases a caller may hold in a pool of one region')
    .action(async (_: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      show(await fleet.getFleetSettings(), output);
    });
  quota
    .command('set <leases>')
    .description('limit every caller whose token says nothing else')
    .action(async (leases: string, _: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      const leaseQuota = { perCaller: wholeNumber(leases) };
      show(await fleet.putFleetSettings({ ...(await fleet.getFleetSettings()), leaseQuota }), output);
    });
  quota
    .command('clear')
    .description('no limit, but what tokens say')
    .action(async (_: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      const { leaseQuota: _leaseQuota, ...rest } = await fleet.getFleetSettings();
      show(await fleet.putFleetSettings(rest), output);
    });
  return quota;
}

const show = ({ leaseQuota }: FleetSettings, output: Output): void =>
  output.show(leaseQuota ?? null, () =>
    leaseQuota === undefined ? 'no lease quota' : `${leaseQuota.perCaller} leases per caller, in each pool of each region`,
  );
