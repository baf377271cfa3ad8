import { Command, InvalidArgumentError, Option } from 'commander';
import type { RegionId } from '../../regions/table.ts';
import { isPlant, PLANTS, type PlantName } from './plants.ts';
import { CLIENTS_MIN, type ChaosOptions } from './run.ts';

export interface Options extends Omit<ChaosOptions, 'say'> {
  /** Success is to find something. */
  readonly isFailureExpected: boolean;
  /** Only judges this history. */
  readonly check: string | null;
}

/** Peers of one residency group: what one has no room for may go to the other. */
const REGIONS: readonly RegionId[] = ['eu-west-1', 'eu-central-1'];
const KILLS_DEFAULT = 10;
const KILLS_MAX = 500;
const SECONDS_PER_KILL = 1.5;
const SECONDS_MIN = 5;
const SECONDS_MAX = 1_800;
const CLIENTS_DEFAULT = 24;
const CLIENTS_MAX = 128;

const HELP = `
What happens:
  1. Starts a fleet of its own on a free port of loopback, its state in memory (/dev/shm) or with --disk on the disk.
  2. Clients register, allocate, renew, release, submit, complete, fail, cancel and drain over HTTP and agents' sockets,
     in good faith and in bad: wrong and stale tokens, late and repeated calls, agents that vanish.
  3. Meanwhile the runtime is killed with SIGKILL: at random moments, at the moment of an acknowledgement, soon after a
     start. It is started again on the same state.
  4. In the calm that follows every task must end; then everything that was acknowledged is read again.
  5. The history is judged: the checks H1 to H23, and a search for one order of the operations on each agent, lease,
     idempotency key and task that explains every answer.

With a plant, a bug is built into the fleet, and --expect-failure makes finding it the success:
${Object.entries(PLANTS)
  .map(([name, { what }]) => `  ${name.padEnd(18)}${what}`)
  .join('\n')}

Exit codes: 0 nothing is wrong (with --expect-failure: something is); 1 otherwise; 2 usage.`;

/** Reads the command line; prints and exits for \`--help\` and for mistakes. */
export function parseOptions(argv: readonly string[]): Options {
  const command = new Command('npm run chaos --')
    .description('Kills a fleet under load again and again, and looks for a broken promise in what its clients were told.')
    .addOption(new Option('--kills <n>', 'times to kill').argParser(integer(0, KILLS_MAX)).default(KILLS_DEFAULT))
    .addOption(
      new Option('--seconds <n>', `how long faults last (default: ${SECONDS_PER_KILL} for each kill)`).argParser(
        integer(1, SECONDS_MAX),
      ),
    )
    .addOption(
      new Option('--clients <n>', 'concurrent clients').argParser(integer(CLIENTS_MIN, CLIENTS_MAX)).default(CLIENTS_DEFAULT),
    )
    .addOption(new Option('--seed <n>', 'of the clients’ choices (default: the time)').argParser(integer(0, 2 ** 31)))
    .addOption(new Option('--regions <n>', 'regions of the fleet').argParser(integer(1, REGIONS.length)).default(1))
    .addOption(new Option('--shards <n>', 'shards of a pool').argParser(integer(1, 8)).default(1))
    .option('--disk', 'state on the disk', false)
    .option('--keep', 'keep the history in any case', false)
    .addOption(new Option('--plant <name>', 'build a bug into the fleet').choices(Object.keys(PLANTS)))
    .option('--expect-failure', 'exit with 0 only if something is found', false)
    .option('--check <file>', 'judge the history of an earlier run')
    .addHelpText('after', HELP)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  command.parse([...argv], { from: 'user' });
  const options = command.opts<{
    kills: number;
    seconds?: number;
    clients: number;
    seed?: number;
    regions: number;
    shards: number;
    disk: boolean;
    keep: boolean;
    plant?: string;
    expectFailure: boolean;
    check?: string;
  }>();
  return {
    kills: options.kills,
    seconds: options.seconds ?? Math.max(SECONDS_MIN, Math.round(options.kills * SECONDS_PER_KILL)),
    clients: options.clients,
    seed: options.seed ?? Date.now() % 1_000_000,
    regions: REGIONS.slice(0, options.regions),
    shards: options.shards,
    isOnDisk: options.disk,
    isKept: options.keep,
    plant: plantOf(options.plant),
    isFailureExpected: options.expectFailure,
    check: options.check ?? null,
  };
}

const plantOf = (name: string | undefined): PlantName | null => (name !== undefined && isPlant(name) ? name : null);

const integer =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be an integer from ${least} to ${most}.`);
  };
