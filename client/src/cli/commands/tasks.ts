import { Command, Option } from 'commander';
import { TASK_STATUSES, type TaskStatus } from '../../../../shared/schemas/tasks.ts';
import type { Task } from '../../types.ts';
import { contextOf } from '../context.ts';
import { type Output, ago, clean } from '../output.ts';
import { wholeNumber } from '../parse.ts';
import { take } from '../take.ts';
import { whyText } from '../why.ts';

interface ListOptions {
  readonly pool?: string;
  readonly status?: TaskStatus;
  readonly limit: number;
}

export function tasksCommand(): Command {
  return new Command('tasks')
    .description('list tasks')
    .option('--pool <pool>')
    .addOption(new Option('--status <status>').choices(TASK_STATUSES))
    .option('--limit <n>', 'at most so many', wholeNumber, 100)
    .action(async (options: ListOptions, command: Command) => {
      const { fleet, output, region } = contextOf(command);
      const { data, more } = await take(fleet.tasks({ pool: options.pool, status: options.status, region }), options.limit);
      output.show(data, () => tableOf(data, output));
      if (more) output.note(output.colors.dim(`the first ${options.limit}; --limit shows more`));
    });
}

export function taskCommand(): Command {
  const task = new Command('task').description('one task: show, why, cancel, replay');
  task
    .command('show <id>')
    .description('its state, result or error')
    .action(async (id: string, _: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      showTask(await fleet.getTask(id), output);
    });
  task.addCommand(whyCommand());
  task
    .command('cancel <id>')
    .description('cancel it; a running agent is told and given a moment')
    .action(async (id: string, _: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      showTask(await fleet.cancelTask(id), output);
    });
  task
    .command('replay <id>')
    .description('submit an ended one again')
    .action(async (id: string, _: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      const replayed = await fleet.replayTask(id);
      output.show(replayed, () => replayed.id);
    });
  return task;
}

/** Also a command of its own: it is what one asks most. */
export function whyCommand(): Command {
  return new Command('why')
    .description('why a task waits, and when it should start')
    .argument('<id>')
    .action(async (id: string, _: unknown, command: Command) => {
      const { fleet, output } = contextOf(command);
      const why = await fleet.whyTask(id);
      output.show(why, () => whyText(why, output));
    });
}

/** One task for a reader, result last and whole. */
export function showTask(task: Task, output: Output): void {
  output.show(task, () =>
    output.fields([
      ['id', task.id],
      ['pool', task.pool],
      ['region', task.region],
      ['status', task.cancelRequested && task.status !== 'cancelled' ? `${task.status}, cancelling` : task.status],
      ['priority', task.priority],
      ['attempts', task.attempts],
      ['agent', task.agentId],
      ['created', new Date(task.createdAtMs).toISOString()],
      ['started', instant(task.startedAtMs)],
      ['completed', instant(task.completedAtMs)],
      ['replay of', task.replayOf],
      ['progress', task.progress],
      ['error', task.error && `${task.error.code}: ${task.error.message}`],
      ['result', task.result],
    ]),
  );
}

function tableOf(tasks: readonly Task[], output: Output): string {
  const now = Date.now();
  return output.table(
    ['id', 'status', 'priority', 'attempts', 'age', 'error'],
    tasks.map((task) => [
      task.id,
      statusOf(task, output),
      task.priority,
      task.attempts,
      ago(task.createdAtMs, now),
      clean(shortened(task.error?.message ?? '')),
    ]),
  );
}

function statusOf({ status }: Task, { colors }: Output): string {
  if (status === 'succeeded') return colors.green(status);
  return status === 'failed' || status === 'dead'
    ? colors.red(status)
    : status === 'cancelled'
      ? colors.dim(status)
      : colors.yellow(status);
}

const instant = (atMs: number | undefined): string | undefined => (atMs === undefined ? undefined : new Date(atMs).toISOString());
const shortened = (text: string): string => {
  const line = text.split('\n', 1)[0] ?? '';
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
};
