import { statSync } from 'node:fs';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ROOT } from '../checks.ts';
import { AGENTS_DEFAULT, AGENTS_MAX, AGENTS_MIN } from './plan.ts';

export interface DemoOptions {
  readonly directory: string;
  readonly agents: number;
  readonly maxFiles: number | null;
  readonly isFresh: boolean;
  readonly isJson: boolean;
  readonly isKept: boolean;
}

const HELP = `
What happens:
  1. Uses the local fleet that runs (FLEET_ENDPOINT, then .fleet, then ~/.config/fleet); if none answers, starts one of
     its own on a free port with its state in a temporary directory, and stops it at the end.
  2. Starts the agents, each a process of its own, in three pools and three regions: most of them run the SDK's
     runAgent(), some are \`fleet agent -- node examples/analysers/…\`, the wrap of a plain command.
  3. Submits every source file of the directory to each of the three pools: tester checks its syntax, analyst measures
     size and complexity, reviewer looks at imports and duplicate lines. The work is real; see examples/analysers.
     Skipped: hidden files, node_modules, build output, lock files, binaries, files over 512 KiB.
  4. Kills one agent with SIGKILL in the middle of a task. So that there is a middle, that one task carries a pause of
     a few seconds: the only thing that is simulated.
  5. Compares the fleet's record with what every agent wrote down of the acknowledgements it got, and every result's
     SHA-256 with the file's.

Exit codes: 0 every task was done exactly once and the killed agent's task recovered; 1 otherwise; 2 usage;
130 interrupted (agents are stopped, their tasks cancelled).

Examples:
  npm run demo
  npm run demo -- node_modules/hono/dist --agents 36
  npm run --silent demo -- --json > summary.json`;

/** Reads the command line; prints and exits for \`--help\` and for mistakes. */
export function parseOptions(argv: readonly string[]): DemoOptions {
  const command = new Command('npm run demo --')
    .description(
      'Drives a real workload through a fleet: agents analyse the source files of a directory, one is killed, every task is accounted for.',
    )
    .argument('[directory]', 'source files to analyse', ROOT)
    .addOption(
      new Option('--agents <n>', 'agent processes to start').argParser(integer(AGENTS_MIN, AGENTS_MAX)).default(AGENTS_DEFAULT),
    )
    .addOption(new Option('--max-files <n>', 'analyse the first n files only').argParser(integer(1, 1_000_000)))
    .option('--fresh', 'start a fleet for this run even if one runs', false)
    .option('--json', 'print the summary as JSON on stdout, everything else on stderr', false)
    .option('--keep', 'leave the ledgers, logs and, of a fleet started here, the state on disk, and say where', false)
    .addHelpText('after', HELP)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  command.parse([...argv], { from: 'user' });
  const { agents, maxFiles, fresh, json, keep } = command.opts<{
    agents: number;
    maxFiles?: number;
    fresh: boolean;
    json: boolean;
    keep: boolean;
  }>();
  const directory = path.resolve(command.processedArgs[0] as string);
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) command.error(`error: ${directory} is not a directory`);
  return {
    directory,
    agents,
    maxFiles: maxFiles ?? null,
    isFresh: fresh,
    isJson: json,
    isKept: keep,
  };
}

const integer =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be an integer from ${least} to ${most}.`);
  };
