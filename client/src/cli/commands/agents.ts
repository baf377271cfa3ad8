import { Command, Option } from 'commander';
import { AGENT_STATUSES, type AgentStatus } from '../../../../shared/schemas/agents.ts';
import type { Agent } from '../../types.ts';
import { contextOf } from '../context.ts';
import { type Output, ago, clean } from '../output.ts';
import { durationMs, wholeNumber } from '../parse.ts';
import { take } from '../take.ts';

interface ListOptions {
  readonly pool?: string;
  readonly status?: AgentStatus;
  readonly capability?: string;
  readonly limit: number;
}

export function agentsCommand(): Command {
  const agents = new Command('agents')
    .description('list agents')
    .option('--pool <pool>')
    .addOption(new Option('--status <status>').choices(AGENT_STATUSES))
    .option('--capability <name>')
    .option('--limit <n>', 'at most so many', wholeNumber, 100)
    .action(async (options: ListOptions, command: Command) => {
      const { fleet, output, region } = contextOf(command);
      const { data, more } = await take(
        fleet.agents({ pool: options.pool, status: options.status, capability: options.capability, region }),
        options.limit,
      );
      output.show(data, () => tableOf(data, output));
      if (more) output.note(output.colors.dim(`the first ${options.limit}; --limit shows more`));
    });
  agents
    .command('show <id>')
    .description('one agent')
    .action(async (id: string, _: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      show(await fleet.getAgent(id), output);
    });
  agents
    .command('drain <id>')
    .description('let it finish what it holds, give it nothing new')
    .option('--deadline <duration>', 'when its work is taken away', durationMs)
    .action(async (id: string, options: { readonly deadline?: number }, command: Command) => {
      const { fleet, output } = contextOf(command);
      show(await fleet.drainAgent(id, { deadlineMs: options.deadline }), output);
    });
  agents
    .command('quarantine <id>')
    .description('take it out of selection')
    .option('--reason <text>')
    .action(async (id: string, options: { readonly reason?: string }, command: Command) => {
      const { fleet, output } = contextOf(command);
      show(await fleet.quarantineAgent(id, options.reason), output);
    });
  agents
    .command('remove <id>')
    .description('unregister it, once it holds nothing')
    .option('--force', 'now; its work goes back to the queue')
    .action(async (id: string, options: { readonly force?: boolean }, command: Command) => {
      const { fleet, output } = contextOf(command);
      await fleet.unregisterAgent(id, { force: options.force });
      output.show({ id }, () => `${id} removed`);
    });
  return agents;
}

function tableOf(agents: readonly Agent[], output: Output): string {
  const now = Date.now();
  return output.table(
    ['id', 'status', 'free', 'done', 'failed', 'seen', 'capabilities'],
    agents.map((agent) => [
      agent.id,
      statusOf(agent, output),
      `${agent.slotsFree}/${agent.slots}`,
      agent.stats.completed,
      agent.stats.failed,
      ago(agent.lastSeenAtMs, now),
      clean(agent.capabilities.join(' ')),
    ]),
  );
}

function show(agent: Agent, output: Output): void {
  output.show(agent, () =>
    output.fields([
      ['id', agent.id],
      ['pool', agent.pool],
      ['region', agent.region],
      ['status', agent.status],
      ['slots', `${agent.slotsFree} of ${agent.slots} free`],
      ['capabilities', agent.capabilities.join(' ') || '–'],
      ['labels', agent.labels],
      ['liveness', agent.liveness],
      ['endpoint', agent.endpoint],
      ['completed', agent.stats.completed],
      ['failed', agent.stats.failed],
      ['mean duration', agent.stats.meanDurationMs === null ? undefined : `${Math.round(agent.stats.meanDurationMs)} ms`],
      ['last seen', new Date(agent.lastSeenAtMs).toISOString()],
      ['registered', new Date(agent.createdAtMs).toISOString()],
      ['metadata', agent.metadata],
    ]),
  );
}

function statusOf({ status }: Agent, { colors }: Output): string {
  if (status === 'idle' || status === 'busy') return colors.green(status);
  return status === 'unhealthy' || status === 'offline' || status === 'quarantined' ? colors.red(status) : colors.yellow(status);
}
