import { Command } from 'commander';
import { setTimeout as pause } from 'node:timers/promises';
import type { FleetStatus, PoolStatus } from '../../types.ts';
import { type Context, contextOf } from '../context.ts';
import { FleetError } from '../../errors.ts';
import type { Output } from '../output.ts';
import { durationMs, wholeNumber } from '../parse.ts';

interface Options {
  readonly all?: boolean;
}

export function statusCommand(): Command {
  return new Command('status')
    .description('agents, tasks and pools of the fleet, now')
    .option('-a, --all', 'also pools without agents and tasks')
    .action(async (options: Options, command: Command) => {
      const context = contextOf(command);
      const status = await read(context);
      context.output.show(status, () => render(status, context.output, options));
    });
}

export function watchCommand(): Command {
  return new Command('watch')
    .description('the status, again and again')
    .option('-a, --all', 'also pools without agents and tasks')
    .option('--interval <duration>', 'time between two looks', durationMs, 1_000)
    .option('--count <n>', 'end after so many looks', wholeNumber)
    .action(async (options: Options & { readonly interval: number; readonly count?: number }, command: Command) => {
      const context = contextOf(command);
      for (let seen = 0; seen < (options.count ?? Number.POSITIVE_INFINITY); seen++) {
        if (seen > 0) await pause(Math.max(100, options.interval));
        await look(context, options);
      }
    });
}

/** One look. A fleet that does not answer is shown as such, and the watch goes on: that is when one watches. */
async function look({ output, ...context }: Context, options: Options): Promise<void> {
  let text: string;
  try {
    const status = await read({ output, ...context });
    if (output.format === 'json') return output.line(JSON.stringify({ atMs: Date.now(), ...status }));
    text = render(status, output, options);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    if (output.format === 'json') return output.line(JSON.stringify({ atMs: Date.now(), error: error.message }));
    text = `${output.colors.red('no answer')} ${error.message}`;
  }
  const title = output.colors.dim(`${context.target.endpoint}  ${new Date().toISOString()}`);
  // Home, then clear below: the screen changes in place, without a flash.
  output.line(process.stdout.isTTY ? `\u001b[H\u001b[2J${title}\n${text}` : `${title}\n${text}\n`);
}

async function read({ fleet, region }: Context): Promise<FleetStatus> {
  const status = await fleet.getFleetStatus();
  if (region === undefined) return status;
  const regions = Object.fromEntries(Object.entries(status.regions).filter(([name]) => name === region));
  return { ...status, pools: status.pools.filter((pool) => pool.region === region), regions };
}

function render(status: FleetStatus, output: Output, { all = false }: Options): string {
  const { colors } = output;
  const regions = Object.entries(status.regions).map(([name, { agents, tasks, fresh }]) => [
    name,
    agents.total,
    agents.idle,
    agents.busy,
    agents.draining,
    agents.unhealthy + agents.quarantined + agents.offline,
    tasks.queued,
    tasks.assigned + tasks.running,
    tasks.succeeded,
    tasks.failed + tasks.dead,
    fresh ? '' : colors.yellow('stale'),
  ]);
  const pools = status.pools.filter((pool) => all || isInUse(pool));
  const sections = [
    `${colors.bold(status.fleet)}  ${status.agents.total} agents, ${status.tasks.queued} queued, ${status.tasks.assigned + status.tasks.running} running, ${status.tasks.succeeded} succeeded`,
    output.table(['region', 'agents', 'idle', 'busy', 'draining', 'out', 'queued', 'running', 'done', 'failed', ''], regions),
  ];
  if (pools.length > 0) {
    const rows = pools.map((pool) => [
      pool.pool,
      pool.region,
      pool.total,
      pool.idle,
      pool.busy,
      pool.queued,
      `${pool.minAgents}–${pool.maxAgents}`,
      pool.desired,
    ]);
    sections.push(output.table(['pool', 'region', 'agents', 'idle', 'busy', 'queued', 'limits', 'desired'], rows));
  } else sections.push(colors.dim('No pool has agents yet. Connect one: fleet agent --pool coder -- wc -l'));
  return sections.join('\n\n');
}

const isInUse = (pool: PoolStatus): boolean => pool.total > 0 || pool.queued > 0;
