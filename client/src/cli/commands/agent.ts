import { Command } from 'commander';
import { runAgent } from '../../agent/run-agent.ts';
import type { AgentEvent } from '../../agent/types.ts';
import { contextOf } from '../context.ts';
import { UsageError } from '../errors.ts';
import { isExecutable } from '../executable.ts';
import { type Output, clean } from '../output.ts';
import { durationMs, list, pair, wholeNumber } from '../parse.ts';
import { wrapCommand } from '../wrap.ts';

interface AgentOptions {
  readonly pool: string;
  readonly capability?: string[];
  readonly label?: Record<string, string>;
  readonly swarm?: string[];
  readonly concurrency: number;
  readonly poll?: boolean;
  readonly grace: number;
  readonly killGrace: number;
  readonly fatalExit?: string[];
  readonly inheritToken?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
For each task the payload goes to the command's standard input: a string as it is, anything else as JSON. Its standard
output becomes the result: parsed when it is JSON, else text without its last newline. An exit code other than 0 is a
failure with the end of its standard error. In its environment: FLEET_TASK_ID, FLEET_TASK_ATTEMPT, FLEET_TASK_TIMEOUT_MS,
FLEET_TASK_CHECKPOINT, FLEET_AGENT_ID, FLEET_POOL, FLEET_REGION.
Ctrl-C finishes what is held and leaves; once more leaves at once, and the work returns to the queue.`;

export function agentCommand(): Command {
  return new Command('agent')
    .description('make any program an agent of the fleet')
    .argument('<command...>', 'after --, with its arguments')
    .requiredOption('--pool <pool>', 'pool to join')
    .option('--capability <name>', 'what it can do; repeatable', list)
    .option('--label <key=value>', 'repeatable', pair)
    .option('--swarm <name>', 'memory swarm it belongs to; repeatable', list)
    .option('--concurrency <n>', 'tasks at a time', wholeNumber, 1)
    .option('--poll', 'plain requests instead of a WebSocket')
    .option('--grace <duration>', 'how long held tasks may go on after Ctrl-C', durationMs, 30_000)
    .option('--kill-grace <duration>', 'between SIGTERM and SIGKILL', durationMs, 5_000)
    .option('--fatal-exit <codes>', 'exit codes that are not worth another try', list)
    .option('--inherit-token', 'let the command see FLEET_TOKEN')
    .option('-q, --quiet', 'say nothing while all goes well')
    .addHelpText('after', HELP)
    .action(async (words: string[], options: AgentOptions, command: Command) => {
      const { client, output, region } = contextOf(command);
      const [program = ''] = words;
      if (!isExecutable(program)) throw new UsageError(`There is no program "${program}" to run.`);
      if (options.concurrency < 1) throw new UsageError('--concurrency must be at least 1.');
      const handler = wrapCommand(words, {
        killGraceMs: options.killGrace,
        fatalExitCodes: (options.fatalExit ?? []).map(Number),
        inheritToken: options.inheritToken ?? false,
      });
      const agent = runAgent({
        ...client,
        pool: options.pool,
        capabilities: options.capability,
        labels: options.label,
        swarms: options.swarm,
        region,
        concurrency: options.concurrency,
        mode: options.poll ? 'poll' : 'session',
        shutdownGraceMs: options.grace,
        handler,
        onEvent: (event) => report(event, output, options),
      });
      await agent.done;
    });
}

function report(event: AgentEvent, output: Output, { pool, quiet = false }: AgentOptions): void {
  if (output.format === 'json') {
    const { ...fields } = event;
    return output.line(
      JSON.stringify({ atMs: Date.now(), ...fields, ...('reason' in event ? { reason: String(event.reason) } : {}) }),
    );
  }
  const text = textOf(event, output, pool);
  if (text !== null && !(quiet && ROUTINE.has(event.type))) output.note(text);
}

const ROUTINE: ReadonlySet<AgentEvent['type']> = new Set(['registered', 'connected', 'taskStarted', 'draining', 'stopped']);

function textOf(event: AgentEvent, { colors }: Output, pool: string): string | null {
  const { dim, green, red, yellow } = colors;
  switch (event.type) {
    case 'registered':
      return `${dim('agent')} ${event.agentId} in ${event.region}, pool ${pool}`;
    case 'connected':
      return dim('connected; waiting for tasks');
    case 'disconnected':
      return yellow(`disconnected (${clean(event.reason)}), trying again`);
    case 'gone':
      return yellow(`the fleet does not know this agent any more (${clean(event.reason)}); registering again`);
    case 'taskStarted':
      return `${dim('start')} ${event.taskId}${event.attempt > 1 ? ` attempt ${event.attempt}` : ''}`;
    case 'taskEnded':
      return event.outcome === 'completed'
        ? `${green('done')}  ${event.taskId} ${dim(`${event.durationMs} ms`)}`
        : `${red('fail')}  ${event.taskId} ${dim(`${event.durationMs} ms`)} ${clean(event.error ?? '')}`;
    case 'taskAborted':
      return `${yellow('stop')}  ${event.taskId} ${clean(event.reason.message)}`;
    case 'taskDropped':
      return `${yellow('drop')}  ${event.taskId} ${clean(event.reason)}`;
    case 'draining':
      return event.held === 0 ? null : dim(`finishing ${event.held}; Ctrl-C again leaves at once`);
    case 'stopped':
      return dim(event.reason);
    case 'warning':
      return yellow(clean(event.message));
  }
}
