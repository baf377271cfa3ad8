import { Command } from 'commander';
import { AgentBooster } from '../../booster/agent-booster.ts';
import type { BoosterReport, BoosterStatus } from '../../../../shared/schemas/booster.ts';
import { editCommands } from '../booster/edits.ts';
import { readCommands } from '../booster/reads.ts';
import { contextOf } from '../context.ts';
import type { Output } from '../output.ts';

const HELP = `
Examples:
  fleet booster apply src/a.ts edit.txt --dry-run     an edit with "// ... existing code ..." markers
  fleet booster check src                             syntax errors, exit code 1 when there are any
  fleet booster rewrite 'foo($A)' 'bar($A)' src       by structure, not by text
What is not certain is not done: it is refused with a reason, or with --fallback given to an agent.`;

export function boosterCommand(): Command {
  const booster = new Command('booster').description('edit and analyse code without a model').addHelpText('after', HELP);
  for (const command of [...editCommands(), ...readCommands(), statusCommand(), reportCommand()]) booster.addCommand(command);
  return booster;
}

const statusCommand = (): Command =>
  new Command('status').description('slots, and what they did for this fleet').action(async (_: unknown, command: Command) => {
    const { client, output } = contextOf(command);
    const status = await new AgentBooster(client).getBoosterStatus();
    output.show(status, () => statusText(status, output));
  });

const reportCommand = (): Command =>
  new Command('report').description('how long operations took').action(async (_: unknown, command: Command) => {
    const { client, output } = contextOf(command);
    const { client: _client, ...report } = await new AgentBooster(client).getPerformanceReport();
    output.show(report, () => reportText(report, output));
  });

function statusText(status: BoosterStatus, output: Output): string {
  const refused = Object.entries(status.refused).map(([reason, count]) => `${count} ${reason}`);
  const facts = output.fields([
    ['region', status.region],
    ['slots', `${status.slots.started} of ${status.slots.max} started, ${status.slots.busy} busy`],
    ['operations', `${status.operations}, ${status.done} done`],
    ['refused', refused.length === 0 ? undefined : refused.join(', ')],
    ['panics', status.panics],
    ['recycled', status.recycled],
    ['unreachable', status.unreachable === 0 ? undefined : status.unreachable],
  ]);
  const rows = status.isolates.flatMap(({ isolate, slots }) =>
    slots.map(({ slot, state, memoryBytes, operations }) => [
      isolate,
      slot,
      state,
      `${(memoryBytes / 1_048_576).toFixed(1)} MiB`,
      operations,
    ]),
  );
  return rows.length === 0 ? facts : `${facts}\n\n${output.table(['isolate', 'slot', 'state', 'memory', 'operations'], rows)}`;
}

const reportText = ({ operations }: BoosterReport, output: Output): string =>
  output.table(
    ['operation', 'count', 'done', 'refused', 'faults', 'mean ms', 'p50 ms', 'p99 ms'],
    Object.entries(operations).map(([name, of]) => [
      name,
      of.operations,
      of.done,
      of.refused,
      of.faults,
      of.meanMs,
      of.p50Ms,
      of.p99Ms,
    ]),
  );
