import { Command, Option } from 'commander';
import { STRATEGIES } from '../../../../shared/schemas/allocations.ts';
import type { AllocateInput, TaskResult } from '../../types.ts';
import { contextOf } from '../context.ts';
import { durationMs, list, pair, wholeNumber } from '../parse.ts';
import { type ResidencyOptions, residencyOf, withResidency } from '../residency.ts';
import { whyText } from '../why.ts';

interface AllocateOptions extends ResidencyOptions {
  readonly capability?: string[];
  readonly selector?: Record<string, string>;
  readonly slots?: number;
  readonly lease?: number;
  readonly wait?: number;
  readonly strategy?: AllocateInput['strategy'];
  readonly packing?: AllocateInput['packing'];
  readonly taskId?: string;
  readonly idempotencyKey?: string;
  readonly explain?: boolean;
}

export function allocateCommand(): Command {
  const command = new Command('allocate')
    .description('hold an agent for work of your own')
    .argument('<pool>')
    .option('--capability <name>', 'it must have this one; repeatable', list)
    .option('--selector <key=value>', 'label it must have; repeatable', pair)
    .option('--slots <n>', 'of its capacity', wholeNumber)
    .option('--lease <duration>', 'how long the hold lasts unrenewed', durationMs)
    .option('--wait <duration>', 'queue for so long instead of being refused', durationMs)
    .addOption(new Option('--strategy <name>').choices(STRATEGIES))
    .addOption(new Option('--packing <how>').choices(['spread', 'pack']))
    .option('--task-id <id>', 'your name for the work')
    .option('--idempotency-key <key>', 'a repeat with the same key gets the same agent')
    .option('--explain', 'only say who would fit')
    .action(async (pool: string, options: AllocateOptions, command: Command) => {
      const { fleet, output } = contextOf(command);
      const input: AllocateInput = {
        pool,
        capabilities: options.capability,
        selectors: options.selector && [{ matchLabels: options.selector }],
        slots: options.slots,
        leaseMs: options.lease,
        waitMs: options.wait,
        strategy: options.strategy,
        packing: options.packing,
        taskId: options.taskId,
        residency: residencyOf(options),
      };
      if (options.explain) {
        const why = await fleet.explainAllocation(input);
        return output.show(why, () => whyText(why, output));
      }
      const held = await fleet.allocateAgent(input, { idempotencyKey: options.idempotencyKey });
      output.show(held, () =>
        output.fields([
          ['allocation', held.id],
          ['agent', held.agentId],
          ['region', held.region],
          ['endpoint', held.agent.endpoint],
          ['fencing token', held.fencingToken],
          ['lease ends', new Date(held.leaseExpiresAtMs).toISOString()],
        ]),
      );
      output.note(output.colors.dim(`\nfleet release ${held.id}`));
    });
  return withResidency(command);
}

interface ReleaseOptions {
  readonly fencingToken?: number;
  readonly failed?: boolean;
  readonly error?: string;
}

export function releaseCommand(): Command {
  return new Command('release')
    .description('give an allocated agent back')
    .argument('<allocation>')
    .option('--fencing-token <n>', 'as granted; looked up when absent', wholeNumber)
    .option('--failed', 'the work did not succeed')
    .option('--error <text>', 'what went wrong')
    .action(async (id: string, options: ReleaseOptions, command: Command) => {
      const { fleet, output } = contextOf(command);
      // An allocation's id names one lease only, so its token can be asked for without releasing another's.
      const fencingToken = options.fencingToken ?? (await fleet.getAllocation(id)).fencingToken;
      const success = options.failed !== true && options.error === undefined;
      const result: TaskResult = { success, ...(options.error === undefined ? {} : { error: options.error }) };
      await fleet.releaseAgent(id, result, { fencingToken });
      output.show({ id, status: 'released' }, () => `${id} released`);
    });
}
