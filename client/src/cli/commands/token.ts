import { Command, Option } from 'commander';
import { ROLES, type Role } from '../../../../shared/roles.ts';
import { contextOf } from '../context.ts';
import { durationMs, wholeNumber } from '../parse.ts';

interface CreateOptions {
  readonly role: Role;
  readonly agentId?: string;
  readonly fleet?: string;
  readonly expires?: number;
  readonly maxLeases?: number;
}

export function tokenCommand(): Command {
  const token = new Command('token').description('mint and revoke tokens');
  token
    .command('create')
    .alias('mint')
    .description('a new token, printed once')
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .option('--agent-id <id>', 'the agent it is bound to, with --role agent')
    .option('--fleet <name>', 'for this fleet, which is created (local root token only)')
    .option('--expires <duration>', 'at most 90d', durationMs)
    .option('--max-leases <n>', 'leases it may hold in a pool of a region, instead of what the fleet says', wholeNumber)
    .action(async (options: CreateOptions, command: Command) => {
      const { fleet, output } = contextOf(command);
      const minted = await fleet.mintToken({
        role: options.role,
        agentId: options.agentId,
        fleet: options.fleet,
        expiresInMs: options.expires,
        maxLeases: options.maxLeases,
      });
      output.show(minted, () => minted.token);
      output.note(output.colors.dim(`id ${minted.id}, until ${new Date(minted.expiresAtMs).toISOString()}`));
    });
  token
    .command('revoke <id>')
    .description('refused everywhere within five seconds')
    .action(async (id: string, _: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      await fleet.revokeToken(id);
      output.show({ id, revoked: true }, () => `${id} revoked`);
    });
  return token;
}
