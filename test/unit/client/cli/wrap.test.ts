import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { NonRetryableError, TaskCancelledError } from '../../../../client/src/agent/errors.ts';
import type { AgentTask } from '../../../../client/src/agent/types.ts';
import { type WrapOptions, wrapCommand } from '../../../../client/src/cli/wrap.ts';
import { emptyDirectory, isAlive } from './lib.ts';
import { eventually } from '../lib/eventually.ts';

vi.setConfig({ testTimeout: 20_000 });

const OPTIONS: WrapOptions = { killGraceMs: 200, fatalExitCodes: [65], inheritToken: false };

function taskOf(more: Partial<AgentTask> = {}): AgentTask {
  return {
    id: 'tsk.1',
    attempt: 2,
    payload: 'hello',
    checkpoint: undefined,
    timeoutMs: 60_000,
    deadlineAtMs: 0,
    agentId: 'agt.1',
    pool: 'coder',
    region: 'eu-west-1',
    allocationId: 'alc.1',
    fencingToken: 1,
    signal: new AbortController().signal,
    progress: async () => undefined,
    ...more,
  };
}
const sh = (script: string, more: Partial<AgentTask> = {}, options: Partial<WrapOptions> = {}) =>
  Promise.resolve(wrapCommand(['sh', '-c', script], { ...OPTIONS, ...options })(taskOf(more)));

describe('a wrapped command', () => {
  test.each([
    ['text goes in as it is', 'cat', 'two\nlines\n', 'two\nlines'],
    ['anything else goes in as JSON', 'cat', { a: [1, null] }, { a: [1, null] }],
    ['null is JSON, too', 'cat', null, null],
    ['a count comes out as a number', 'wc -l', 'a\nb\nc\n', 3],
    ['text loses its last newline only', 'printf "a\\n\\n"', '', 'a\n'],
    ['a last line without newline stays', 'printf "a b"', '', 'a b'],
    ['nothing is empty text', 'true', '', ''],
    ['what is not quite JSON is text', 'printf "{\'a\': 1}\\n"', '', "{'a': 1}"],
  ])('%s', async (_, script, payload, result) => {
    await expect(sh(script, { payload })).resolves.toEqual(result);
  });

  test('its environment says which task, and keeps the token out', async () => {
    vi.stubEnv('FLEET_TOKEN', 'secret');
    const script =
      'echo "$FLEET_TASK_ID $FLEET_TASK_ATTEMPT $FLEET_TASK_TIMEOUT_MS $FLEET_TASK_CHECKPOINT $FLEET_AGENT_ID $FLEET_POOL $FLEET_REGION ${FLEET_TOKEN:-none}"';
    await expect(sh(script, { checkpoint: { line: 7 } })).resolves.toBe('tsk.1 2 60000 {"line":7} agt.1 coder eu-west-1 none');
    await expect(sh('echo "${FLEET_TASK_CHECKPOINT-unset} ${FLEET_TOKEN:-none}"', {}, { inheritToken: true })).resolves.toBe(
      'unset secret',
    );
    vi.unstubAllEnvs();
  });

  test('a checkpoint too large for an environment does not stop it', async () => {
    await expect(sh('echo "${FLEET_TASK_CHECKPOINT-unset}"', { checkpoint: 'x'.repeat(200_000) })).resolves.toBe('unset');
  });

  test('an exit code other than 0 fails with the end of its standard error', async () => {
    await expect(sh('echo partial; echo "no luck" >&2; exit 3')).rejects.toThrow('The command exited with code 3: no luck');
    const long = await sh('head -c 100000 /dev/zero | tr "\\0" x >&2; echo END >&2; exit 1').catch((error: unknown) => error);
    expect(String(long)).toMatch(/x+END$/);
    expect(String(long).length).toBeLessThan(4_500);
  });

  test('chosen exit codes are not worth another try', async () => {
    await expect(sh('exit 65')).rejects.toBeInstanceOf(NonRetryableError);
    await expect(sh('exit 66')).rejects.not.toBeInstanceOf(NonRetryableError);
  });

  test('being killed is a failure that says so', async () => {
    await expect(sh('kill -9 $$')).rejects.toThrow(/ended by SIGKILL/);
  });

  test('a program that cannot be started is a failure', async () => {
    await expect(Promise.resolve(wrapCommand(['/no/such/program'], OPTIONS)(taskOf()))).rejects.toThrow(
      /Cannot run \/no\/such\/program/,
    );
  });

  test('a command need not read its input', async () => {
    await expect(sh('echo done', { payload: 'x'.repeat(1_000_000) })).resolves.toBe('done');
    await expect(sh('head -c 1 >/dev/null; echo done', { payload: 'x'.repeat(1_000_000) })).resolves.toBe('done');
  });

  test('large input and output pass whole', async () => {
    const payload = 'ä'.repeat(400_000);
    await expect(sh('cat', { payload })).resolves.toBe(payload);
  });

  test('endless output is ended and is a clear failure', async () => {
    const error = await sh('yes').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NonRetryableError);
    expect(error).toMatchObject({ code: 'result_too_large' });
  });

  test('cancellation reaches what the command started', async () => {
    const directory = emptyDirectory();
    const file = path.join(directory, 'pid');
    const stop = new AbortController();
    const ran = sh(`sleep 60 & echo $! > ${file}.part; mv ${file}.part ${file}; wait`, { signal: stop.signal });
    const failed = expect(ran).rejects.toThrow(/ended by SIGTERM/);
    await eventually(() => expect(existsSync(file)).toBe(true));
    const child = Number(readFileSync(file, 'utf8'));
    stop.abort(new TaskCancelledError('cancelled', 10_000));
    await failed;
    await eventually(() => expect(isAlive(child)).toBe(false));
  });

  test('what ignores SIGTERM gets SIGKILL', async () => {
    const stop = new AbortController();
    const directory = emptyDirectory();
    const ran = sh(`trap "" TERM; touch ${directory}/up; while :; do sleep 0.05; done`, { signal: stop.signal });
    const failed = expect(ran).rejects.toThrow(/ended by SIGKILL/);
    await eventually(() => expect(existsSync(`${directory}/up`)).toBe(true));
    stop.abort(new Error('lost'));
    await failed;
  });

  test('a task cancelled before it began is not run on', async () => {
    const stop = new AbortController();
    stop.abort(new Error('lost'));
    await expect(sh('sleep 60', { signal: stop.signal })).rejects.toThrow(/SIGTERM/);
  });

  test('a child that keeps the output open does not keep the task', async () => {
    await expect(sh('sleep 30 & echo done')).resolves.toBe('done');
  });
});
