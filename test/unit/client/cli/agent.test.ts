import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeSessions, assignment } from '../lib/fake-sessions.ts';
import { type Ran, emptyDirectory, ended, isAlive, start } from './lib.ts';
import { eventually } from '../lib/eventually.ts';

vi.setConfig({ testTimeout: 30_000 });

let fake: FakeSessions;
let child: ReturnType<typeof start>;
let ran: Promise<Ran>;

beforeEach(async () => {
  fake = await FakeSessions.start();
});
afterEach(async () => {
  child.kill('SIGKILL');
  await ran;
  await fake.stop();
});

function agent(...args: string[]): void {
  child = start(['agent', '--pool', 'coder', ...args], { env: { FLEET_ENDPOINT: fake.fleet.url, FLEET_TOKEN: 'operator' } });
  ran = ended(child);
}
const session = (index = 0) => eventually(() => fake.sessions[index] ?? Promise.reject(new Error('no session yet')), 20_000);

describe('fleet agent', () => {
  test('registers what it was told, does tasks, and leaves on SIGINT', async () => {
    agent('--capability', 'count', '--label', 'os=linux', '--region', 'eu-west-1', '--concurrency', '2', '--', 'wc', '-l');
    const line = await session();
    expect(fake.fleet.to('POST /v1/agents')[0]?.body).toEqual({
      pool: 'coder',
      capabilities: ['count'],
      labels: { os: 'linux' },
      region: 'eu-west-1',
      slots: 2,
      liveness: 'session',
    });
    line.send('assign', assignment('tsk.1', { payload: 'a\nb\n' }));
    await expect(line.first('complete')).resolves.toMatchObject({ taskId: 'tsk.1', result: 2 });
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ran;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/agent agt\.1 in eu-west-1, pool coder\nconnected.*\nstart tsk\.1\ndone {2}tsk\.1 \d+ ms\nstopped\n/);
    expect(fake.fleet.to('DELETE /v1/agents/agt.1')).toHaveLength(1);
  });

  test('SIGTERM lets the command finish; the terminal’s Ctrl-C does not reach it', async () => {
    agent('--', 'sh', '-c', 'trap "echo interrupted; exit 1" INT TERM; sleep 1 & wait; echo finished');
    const line = await session();
    line.send('assign', assignment('tsk.1'));
    await line.first('accept');
    child.kill('SIGTERM');
    await eventually(() => expect(fake.fleet.to('POST /v1/agents/agt.1/drain')).toHaveLength(1));
    await expect(line.first('complete')).resolves.toMatchObject({ result: 'finished' });
    await expect(ran).resolves.toMatchObject({ code: 0 });
  });

  test('killed with -9 it takes its commands along', async () => {
    const file = path.join(emptyDirectory(), 'pid');
    agent('--', 'sh', '-c', `echo $$ > ${file}.part; mv ${file}.part ${file}; sleep 60; echo late`);
    const line = await session();
    line.send('assign', assignment('tsk.1'));
    await eventually(() => expect(existsSync(file)).toBe(true));
    const pid = Number(readFileSync(file, 'utf8'));
    child.kill('SIGKILL');
    await eventually(() => expect(isAlive(pid)).toBe(false));
  });

  test('a failure carries the end of standard error', async () => {
    agent('--', 'sh', '-c', 'echo "cannot" >&2; exit 4');
    const line = await session();
    line.send('assign', assignment('tsk.1'));
    await expect(line.first('fail')).resolves.toMatchObject({
      retryable: true,
      error: { code: 'agent_error', message: 'The command exited with code 4: cannot' },
    });
  });

  test('with -o json it tells its story as lines of JSON', async () => {
    agent('-o', 'json', '--', 'cat');
    const line = await session();
    line.send('assign', assignment('tsk.1'));
    await line.first('complete');
    child.kill('SIGINT');
    const { stdout } = await ran;
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((text) => (JSON.parse(text) as { type: string }).type);
    expect(events).toEqual(['registered', 'connected', 'taskStarted', 'taskEnded', 'draining', 'stopped']);
  });

  test('a refused registration exits 1', async () => {
    fake.fleet.handler = () => ({
      status: 409,
      body: {
        type: '',
        title: '',
        status: 409,
        detail: 'The pool is full.',
        instance: '',
        code: 'quota_exceeded',
        requestId: 'req-1',
      },
    });
    agent('--', 'cat');
    const { code, stderr } = await ran;
    expect(code).toBe(1);
    expect(stderr).toMatch(/error The pool is full.*code quota_exceeded/s);
  });
});
