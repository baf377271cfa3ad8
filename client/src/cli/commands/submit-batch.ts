import { Command } from 'commander';
import type { BatchResult } from '../../batch.ts';
import type { BatchTaskInput, Task } from '../../types.ts';
import { contextOf } from '../context.ts';
import { OperationFailed, UsageError } from '../errors.ts';
import { type Output, clean } from '../output.ts';
import { payloadOf } from '../payload.ts';

interface BatchOptions {
  readonly wait?: boolean;
}

export function submitBatchCommand(): Command {
  return new Command('submit-batch')
    .description('submit a JSON array of tasks, which may depend on each other by `ref`; prints their ids')
    .argument('<tasks>', 'a JSON array of tasks; @file and @- send a file or standard input')
    .option('--wait', 'wait until all have ended, exit 1 unless all succeeded')
    .action(async (text: string, options: BatchOptions, command: Command) => {
      const tasks = await payloadOf({ payloadJson: text });
      if (!Array.isArray(tasks) || tasks.length === 0) throw new UsageError('The tasks must be a JSON array with at least one.');
      const { fleet, output, region } = contextOf(command);
      const submitted = await fleet.submitTasks(
        (tasks as BatchTaskInput[]).map((task) => (region === undefined ? task : { region, ...task })),
      );
      const results = options.wait === true ? await Promise.all(submitted.map((one) => ended(fleet, one))) : submitted;
      show(tasks as BatchTaskInput[], results, output);
      const bad = results.filter((one) => !one.ok || (options.wait === true && one.value.status !== 'succeeded')).length;
      if (bad > 0) throw new OperationFailed(`${bad} of ${results.length}`);
    });
}

const ended = async (fleet: { waitForTask(id: string): Promise<Task> }, one: BatchResult<Task>): Promise<BatchResult<Task>> =>
  one.ok ? { ok: true, value: await fleet.waitForTask(one.value.id) } : one;

function show(tasks: readonly BatchTaskInput[], results: readonly BatchResult<Task>[], output: Output): void {
  const data = results.map((one) => (one.ok ? one.value : { problem: one.error.problem }));
  output.show(data, () =>
    output.table(
      ['ref', 'id', 'status', 'error'],
      results.map((one, i) => [
        clean(tasks[i]?.ref ?? String(i)),
        one.ok ? one.value.id : '',
        one.ok ? one.value.status : output.colors.red(one.error.code),
        clean((one.ok ? one.value.error?.message : one.error.message) ?? ''),
      ]),
    ),
  );
}
