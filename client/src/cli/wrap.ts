import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { LIMITS } from '../../../shared/limits.ts';
import { NonRetryableError, TaskCancelledError } from '../agent/errors.ts';
import type { AgentTask, TaskHandler } from '../agent/types.ts';
import { FleetError } from '../errors.ts';
import { ProcessGroups } from './process-groups.ts';
import { TailBuffer } from './tail-buffer.ts';

export interface WrapOptions {
  /** Between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  /** Exit codes after which trying again cannot help. */
  readonly fatalExitCodes: readonly number[];
  /** Whether the command sees FLEET_TOKEN; it belongs to the agent, not to what it runs. */
  readonly inheritToken: boolean;
}

/** What a failure says of the command's standard error. */
const STDERR_TAIL_BYTES = 4_096;
/** A command that has ended may leave its output open in a child of its own; that long it is read on. */
const CLOSE_GRACE_MS = 2_000;
/** The kernel takes no longer environment string. */
const ENV_VALUE_MAX = 100_000;

/**
 * Any program as a handler: the payload on its standard input (a string as it is, anything else as JSON), its standard
 * output as the result (parsed when it is JSON, else text without its last newline), an exit code other than 0 as a failure.
 */
export function wrapCommand(command: readonly string[], options: WrapOptions): TaskHandler {
  groups.watch();
  return (task) => runOnce(command, task, options);
}

const groups = new ProcessGroups();

function runOnce(command: readonly string[], task: AgentTask, options: WrapOptions): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const [file = '', ...args] = command;
    // A group of its own, so that a cancellation reaches what the command starts, and Ctrl-C here lets it finish.
    const child = spawn(file, args, { detached: true, env: environmentOf(task, options), stdio: ['pipe', 'pipe', 'pipe'] });
    const { pid } = child;
    if (pid !== undefined) groups.add(pid);
    const output: Buffer[] = [];
    const errors = new TailBuffer(STDERR_TAIL_BYTES);
    let bytes = 0;
    let tooLarge = false;
    let stopping = false;
    let closing: NodeJS.Timeout | undefined;
    let killing: NodeJS.Timeout | undefined;

    const stop = (graceMs: number): void => {
      if (stopping || pid === undefined) return;
      stopping = true;
      groups.signal(pid, 'SIGTERM');
      killing = setTimeout(() => groups.signal(pid, 'SIGKILL'), graceMs);
    };
    const onAbort = (): void => stop(graceOf(task.signal.reason, options));
    const settle = (end: () => void): void => {
      clearTimeout(closing);
      clearTimeout(killing);
      task.signal.removeEventListener('abort', onAbort);
      if (pid !== undefined) {
        if (stopping) groups.signal(pid, 'SIGKILL');
        groups.delete(pid);
      }
      end();
    };

    task.signal.addEventListener('abort', onAbort, { once: true });
    if (task.signal.aborted) onAbort();
    feed(child, task.payload);
    child.stdout.on('data', (part: Buffer) => {
      bytes += part.byteLength;
      if (bytes <= LIMITS.resultBytes) output.push(part);
      else if (!tooLarge) {
        tooLarge = true;
        stop(options.killGraceMs);
      }
    });
    child.stderr.on('data', (part: Buffer) => errors.push(part));
    child.on('error', (cause) => settle(() => reject(new FleetError(`Cannot run ${file}: ${cause.message}`, { cause }))));
    child.on('exit', () => {
      closing = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, CLOSE_GRACE_MS);
    });
    child.on('close', (code, signal) => {
      settle(() => {
        if (tooLarge)
          reject(new NonRetryableError(`The command wrote more than ${LIMITS.resultBytes} bytes.`, { code: 'result_too_large' }));
        else if (code === 0) resolve(resultOf(Buffer.concat(output)));
        else reject(exitError(code, signal, errors.text(), options));
      });
    });
  });
}

/** Writes the payload. A command that does not read its input, or not all of it, closes the pipe, and that is its right. */
function feed(child: ChildProcessWithoutNullStreams, payload: unknown): void {
  child.stdin.on('error', () => undefined);
  child.stdin.end(typeof payload === 'string' ? payload : JSON.stringify(payload));
}

/** Parsed when it is JSON, else text without its last newline. */
export function resultOf(output: Buffer): unknown {
  const text = output.toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text.replace(/\r?\n$/, '');
  }
}

function exitError(
  code: number | null,
  signal: NodeJS.Signals | null,
  stderr: string,
  { fatalExitCodes }: WrapOptions,
): FleetError {
  const how = code === null ? `was ended by ${signal ?? 'a signal'}` : `exited with code ${code}`;
  const message = `The command ${how}${stderr === '' ? '' : `: ${stderr}`}`;
  return code !== null && fatalExitCodes.includes(code)
    ? new NonRetryableError(message, { code: 'command_failed' })
    : new FleetError(message);
}

function environmentOf(task: AgentTask, { inheritToken }: WrapOptions): NodeJS.ProcessEnv {
  const { FLEET_TOKEN, ...inherited } = process.env;
  const checkpoint = task.checkpoint === undefined ? undefined : JSON.stringify(task.checkpoint);
  return {
    ...inherited,
    ...(inheritToken && FLEET_TOKEN !== undefined ? { FLEET_TOKEN } : {}),
    FLEET_TASK_ID: task.id,
    FLEET_TASK_ATTEMPT: String(task.attempt),
    FLEET_TASK_TIMEOUT_MS: String(task.timeoutMs),
    ...(checkpoint === undefined || checkpoint.length > ENV_VALUE_MAX ? {} : { FLEET_TASK_CHECKPOINT: checkpoint }),
    FLEET_AGENT_ID: task.agentId,
    FLEET_POOL: task.pool,
    FLEET_REGION: task.region,
  };
}

/** A cancellation brings its own grace: after it the fleet has moved on. */
function graceOf(reason: unknown, { killGraceMs }: WrapOptions): number {
  if (reason instanceof TaskCancelledError && reason.graceMs > 0)
    return Math.min(killGraceMs, Math.max(500, reason.graceMs - 1_000));
  return killGraceMs;
}
