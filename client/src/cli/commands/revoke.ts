import { Command } from 'commander';
import type { Revocation, RevokeInput } from '../../types.ts';
import { RevokeIncompleteError } from '../../errors.ts';
import { contextOf, type GlobalOptions } from '../context.ts';
import type { Output } from '../output.ts';
import { durationMs, list, pair } from '../parse.ts';

interface RevokeOptions {
  readonly all?: true;
  readonly pool?: string;
  readonly agent?: string[];
  readonly allocation?: string[];
  readonly task?: string[];
  readonly holder?: string;
  readonly capability?: string[];
  readonly selector?: Record<string, string>;
  readonly reason: string;
  readonly wait?: number;
  readonly cancelTasks?: boolean;
  readonly quarantine?: boolean;
  readonly idempotencyKey?: string;
}

export function revokeCommand(): Command {
  return new Command('revoke')
    .description('the kill switch: end every lease that matches, everywhere; its holders are refused from then on')
    .option('--all', 'every lease of the fleet')
    .option('--pool <pool>', 'leases in this pool')
    .option('--agent <id>', 'leases on this agent; repeatable', list)
    .option('--allocation <id>', 'this lease; repeatable', list)
    .option('--task <id>', 'leases of this task; repeatable', list)
    .option('--holder <token id>', 'leases that this token allocated')
    .option('--capability <name>', 'leases on agents with this; repeatable', list)
    .option('--selector <key=value>', 'leases on agents with this label; repeatable', pair)
    .requiredOption('--reason <text>', 'kept in the audit and told to the agents')
    .option('--wait <duration>', 'how long to wait for the agents’ acknowledgements', durationMs)
    .option('--cancel-tasks', 'cancel their tasks instead of queueing them again')
    .option('--quarantine', 'take the agents out of service, too')
    .option('--idempotency-key <key>', 'a repeat with the same key goes on with the same revocation')
    .action(async (options: RevokeOptions, command: Command) => {
      const { fleet, output } = contextOf(command);
      // Only what was said here and now: a region from a profile would narrow a kill switch unseen.
      const { region } = command.optsWithGlobals<GlobalOptions>();
      const input: RevokeInput = {
        all: options.all,
        pool: options.pool,
        region,
        agentIds: options.agent,
        allocationIds: options.allocation,
        taskIds: options.task,
        holder: options.holder,
        capabilities: options.capability,
        selectors: options.selector && [{ matchLabels: options.selector }],
        reason: options.reason,
        waitMs: options.wait,
        tasks: options.cancelTasks ? 'cancel' : undefined,
        quarantine: options.quarantine,
      };
      try {
        const revocation = await fleet.revokeLeases(input, { idempotencyKey: options.idempotencyKey });
        output.show(revocation, () => render(revocation, output));
        if (revocation.unacknowledged > 0) output.warn(`${revocation.unacknowledged} agents have not acknowledged`);
      } catch (error) {
        // What was done is said before what was not.
        if (error instanceof RevokeIncompleteError && error.revocation !== undefined && output.format === 'table')
          output.line(render(error.revocation, output));
        throw error;
      }
    });
}

function render(revocation: Revocation, output: Output): string {
  const { colors } = output;
  const facts = output.fields([
    ['leases revoked', revocation.revoked],
    ['tasks queued again', revocation.requeued || undefined],
    ['tasks cancelled', revocation.cancelled || undefined],
    ['agents quarantined', revocation.quarantined || undefined],
    ['acknowledged', `${revocation.acknowledged} of ${revocation.acknowledged + revocation.unacknowledged} agents`],
  ]);
  if (revocation.agents.length === 0) return facts;
  const rows = revocation.agents.map((agent) => [
    agent.agentId,
    agent.leases,
    agent.acknowledged ? colors.green(`yes, by ${agent.by ?? 'call'}`) : colors.red(agent.liveness === 'none' ? 'cannot' : 'no'),
  ]);
  const omitted = revocation.agentsOmitted === 0 ? '' : `\n… and ${revocation.agentsOmitted} more`;
  return `${facts}\n\n${output.table(['agent', 'leases', 'acknowledged'], rows)}${omitted}`;
}
