import { Command } from 'commander';
import { contextOf } from '../context.ts';
import { wholeNumber } from '../parse.ts';
import type { Pool, ScaledPool } from '../../types.ts';
import type { Output } from '../output.ts';

interface SetOptions {
  readonly min: number;
  readonly max: number;
  readonly priority: number;
  readonly shards?: number;
}

export function poolsCommand(): Command {
  const pools = new Command('pools').description('list pools and their limits').action(async (_: unknown, command: Command) => {
    const { fleet, output, region } = contextOf(command);
    const all = await fleet.listPools();
    const shown = region === undefined ? all : all.filter((pool) => pool.region === region);
    output.show(shown, () => tableOf(shown, output));
  });
  pools
    .command('set <pool>')
    .description('create or change a pool, in --region or in all')
    .requiredOption('--min <n>', 'agents it should always have', wholeNumber)
    .requiredOption('--max <n>', 'agents it may have', wholeNumber)
    .option('--priority <n>', '1 to 10, higher first', wholeNumber, 5)
    .option('--shards <n>', 'slices of the pool, for more than a thousand requests a second', wholeNumber)
    .action(async (pool: string, options: SetOptions, command: Command) => {
      const { fleet, output, region } = contextOf(command);
      const spec = { minAgents: options.min, maxAgents: options.max, priority: options.priority, shards: options.shards };
      const set = await fleet.putPool(pool, spec, { region });
      output.show(
        set,
        () => `${pool}: ${options.min}–${options.max} agents, priority ${options.priority}, ${region ?? 'all regions'}`,
      );
    });
  return pools;
}

export function scaleCommand(): Command {
  return new Command('scale')
    .description('set how many agents a pool should have, in --region or in all')
    .argument('<pool>')
    .argument('<size>', 'agents', wholeNumber)
    .option('--reason <text>', 'kept with the decision')
    .action(async (pool: string, size: number, options: { readonly reason?: string }, command: Command) => {
      const { fleet, output, region } = contextOf(command);
      const scaled = await fleet.scalePool(pool, size, { region, reason: options.reason });
      const where = Object.entries(scaled.regions ?? { [region ?? '']: scaled });
      output.show(scaled, () =>
        where.map(([name, each]) => `${pool}${name === '' ? '' : ` ${name}`}: ${sizeOf(each)}`).join('\n'),
      );
    });
}

const sizeOf = ({ desired, limitedBy }: Pick<ScaledPool, 'desired' | 'limitedBy'>): string =>
  `${desired} desired${limitedBy === undefined ? '' : ` (held by the pool's ${limitedBy}imum)`}`;

function tableOf(pools: readonly Pool[], output: Output): string {
  return output.table(
    ['pool', 'region', 'agents', 'limits', 'desired', 'priority', 'shards', 'queued', 'running'],
    pools.map((pool) => [
      pool.pool,
      pool.region,
      pool.agents.total,
      `${pool.minAgents}–${pool.maxAgents}`,
      pool.desired,
      pool.priority,
      pool.shards,
      pool.tasks.queued,
      pool.tasks.assigned + pool.tasks.running,
    ]),
  );
}
