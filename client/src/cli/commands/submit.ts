import { Command } from 'commander';
import type { SubmitInput, Task } from '../../types.ts';
import { contextOf } from '../context.ts';
import { OperationFailed } from '../errors.ts';
import { type Output, clean } from '../output.ts';
import { durationMs, jsonObject, list, pair, wholeNumber } from '../parse.ts';
import { type PayloadOptions, payloadOf } from '../payload.ts';
import { type ResidencyOptions, residencyOf, withResidency } from '../residency.ts';

interface SubmitOptions extends ResidencyOptions, PayloadOptions {
  readonly capability?: string[];
  readonly selector?: Record<string, string>;
  readonly priority?: number;
  readonly maxAttempts?: number;
  readonly timeout?: number;
  readonly deadline?: number;
  readonly delay?: number;
  readonly dependsOn?: string[];
  readonly fairnessKey?: string;
  readonly metadata?: Record<string, unknown>;
  readonly idempotencyKey?: string;
  readonly wait?: boolean;
  readonly waitTimeout?: number;
}

export function submitCommand(): Command {
  const command = new Command('submit')
    .description('give a pool a task; prints its id, with --wait its result')
    .argument('<pool>')
    .option('--payload <value>', 'JSON if it is JSON, else text; @file and @- send a file or standard input as text')
    .option('--payload-text <value>', 'text, whatever it looks like; @file and @- too')
    .option('--payload-json <value>', 'must be JSON; @file and @- too')
    .option('--wait', 'wait for the end, print the result, exit 1 unless it succeeded')
    .option('--wait-timeout <duration>', 'wait no longer; the task goes on', durationMs)
    .option('--capability <name>', 'the agent must have this one; repeatable', list)
    .option('--selector <key=value>', 'label the agent must have; repeatable', pair)
    .option('--priority <n>', '1 to 10, higher first', wholeNumber)
    .option('--max-attempts <n>', 'tries in all', wholeNumber)
    .option('--timeout <duration>', 'of one attempt', durationMs)
    .option('--deadline <duration>', 'from now, for everything', durationMs)
    .option('--delay <duration>', 'not before then', durationMs)
    .option('--depends-on <id>', 'task that must succeed first; repeatable', list)
    .option('--fairness-key <key>', 'whose turn this uses up')
    .option('--metadata <json>', 'an object of your own', jsonObject)
    .option('--idempotency-key <key>', 'a repeat with the same key is the same task')
    .action(async (pool: string, options: SubmitOptions, command: Command) => {
      const payload = await payloadOf(options);
      const { fleet, output } = contextOf(command);
      const input: SubmitInput = {
        pool,
        payload,
        capabilities: options.capability,
        selectors: options.selector && [{ matchLabels: options.selector }],
        priority: options.priority,
        maxAttempts: options.maxAttempts,
        timeoutMs: options.timeout,
        deadlineMs: options.deadline,
        delayMs: options.delay,
        dependsOn: options.dependsOn,
        fairnessKey: options.fairnessKey,
        metadata: options.metadata,
        residency: residencyOf(options),
      };
      const task = await fleet.submitTask(input, { idempotencyKey: options.idempotencyKey });
      if (!options.wait) return output.show(task, () => task.id);
      finish(await fleet.waitForTask(task.id, { timeoutMs: options.waitTimeout }), output);
    });
  return withResidency(command);
}

/** The result alone on standard output, so that it can be piped on: text as text, anything else as JSON. */
function finish(task: Task, output: Output): void {
  if (output.format === 'json') output.line(JSON.stringify(task, null, 2));
  else if (task.status === 'succeeded')
    output.line(typeof task.result === 'string' ? task.result : JSON.stringify(task.result ?? null, null, 2));
  if (task.status === 'succeeded') return;
  const why = task.error === undefined ? '' : `: ${clean(task.error.message)} (${clean(task.error.code)})`;
  output.note(`${output.colors.red(task.status)} ${task.id}${why}`);
  throw new OperationFailed(task.status);
}
