import { Command, CommanderError, Option } from 'commander';
import { ConfigurationError, FleetError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { agentCommand } from './commands/agent.ts';
import { agentsCommand } from './commands/agents.ts';
import { allocateCommand, releaseCommand } from './commands/allocations.ts';
import { boosterCommand } from './commands/booster.ts';
import { doctorCommand } from './commands/doctor.ts';
import { memoryCommand } from './commands/memory.ts';
import { poolsCommand, scaleCommand } from './commands/pools.ts';
import { quotaCommand } from './commands/quota.ts';
import { revokeCommand } from './commands/revoke.ts';
import { statusCommand, watchCommand } from './commands/status.ts';
import { submitBatchCommand } from './commands/submit-batch.ts';
import { submitCommand } from './commands/submit.ts';
import { taskCommand, tasksCommand, whyCommand } from './commands/tasks.ts';
import { tokenCommand } from './commands/token.ts';
import { type GlobalOptions, outputOf } from './context.ts';
import { OperationFailed, UsageError } from './errors.ts';
import { Output } from './output.ts';

const EXAMPLES = `
Examples:
  fleet agent --pool coder -- wc -l        make any program an agent
  fleet submit coder --payload @README.md --wait
  fleet status --region eu-west-1          fleet watch
  fleet memory set plan '{"step":1}' --swarm hive --level swarm --region eu-west-1
  fleet why tsk.…                          why a task waits

The fleet is found by flag, then FLEET_ENDPOINT, FLEET_TOKEN, FLEET_REGION, then the profile in
~/.config/fleet/config.json, then the local fleet. Exit codes: 0 done, 1 failed, 2 usage or configuration.`;

/** The \`fleet\` command with all its subcommands. */
export function program(): Command {
  const fleet = new Command('fleet')
    .description('Fleet Manager: agents, tasks and allocations of a fleet')
    .version(VERSION, '-V, --version')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--endpoint <url>', 'base URL of the fleet')
    .option('--token <token>', 'bearer token; FLEET_TOKEN keeps it out of the process list')
    .option('--profile <name>', 'profile of the configuration file')
    .option('--region <region>', 'region to look at or to prefer')
    .option('--no-color', 'no colours, as with NO_COLOR')
    .addHelpText('after', EXAMPLES)
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .exitOverride();
  const commands = [
    statusCommand(),
    watchCommand(),
    agentsCommand(),
    agentCommand(),
    tasksCommand(),
    taskCommand(),
    whyCommand(),
    submitCommand(),
    submitBatchCommand(),
    allocateCommand(),
    releaseCommand(),
    revokeCommand(),
    quotaCommand(),
    poolsCommand(),
    scaleCommand(),
    memoryCommand(),
    boosterCommand(),
    tokenCommand(),
    doctorCommand(),
  ];
  for (const command of commands) fleet.addCommand(inherit(command, fleet));
  return fleet;
}

/** Runs the command line and sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`fleet agents | head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const fleet = program();
  try {
    await fleet.parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error, fleet);
  }
}

function report(error: unknown, fleet: Command): number {
  // Commander has printed its message or the help already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof OperationFailed) return 1;
  const { output, color } = fleet.opts<GlobalOptions>();
  const out = output === undefined ? outputOf(fleet) : new Output(output, color);
  if (error instanceof FleetError) {
    out.failure(error);
    return error instanceof ConfigurationError || error instanceof UsageError ? 2 : 1;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}

/** Subcommands throw, help and suggest like the program does, at every depth. */
function inherit(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inherit(child, command);
  return command;
}
