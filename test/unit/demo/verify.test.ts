import { describe, expect, test } from 'vitest';
import type { Task } from '../../../client/src/types.ts';
import { parseLedger, type Ledger } from '../../../scripts/demo/ledger.ts';
import { type Submitted, verify } from '../../../scripts/demo/verify.ts';

const sent = (taskId: string): Submitted => ({ taskId, path: `${taskId}.ts`, sha256: `sha of ${taskId}` });

const record = (id: string, more: Partial<Task> = {}): Task => ({
  id,
  pool: 'tester',
  region: 'eu-west-1',
  status: 'succeeded',
  priority: 5,
  attempts: 1,
  agentId: 'a',
  createdAtMs: 0,
  result: { path: `${id}.ts`, sha256: `sha of ${id}` },
  ...more,
});

const ledger = (agentId: string, ...acks: readonly (readonly [taskId: string, attempt: number])[]): Ledger => ({
  agentId,
  starts: [],
  completions: acks.map(([taskId, attempt]) => ({ taskId, attempt, atMs: 0 })),
});

const records = (...tasks: readonly Task[]): Map<string, Task> => new Map(tasks.map((task) => [task.id, task]));

describe('verify', () => {
  test('finds nothing wrong when record and ledgers agree', () => {
    const verdict = verify([sent('t1'), sent('t2')], records(record('t1'), record('t2', { attempts: 2, agentId: 'b' })), [
      ledger('a', ['t1', 1]),
      ledger('b', ['t2', 2]),
    ]);
    expect(verdict).toEqual({ submitted: 2, succeeded: 2, acknowledgedOnce: 2, lost: [], twice: [], problems: [] });
  });

  test.each([
    ['a task that did not succeed', [record('t1', { status: 'dead' })], [ledger('a')], { lost: ['t1'], twice: [] }],
    ['a task nobody knows', [], [ledger('a', ['t1', 1])], { lost: ['t1'], twice: [] }],
    ['a task done twice', [record('t1')], [ledger('a', ['t1', 1]), ledger('b', ['t1', 2])], { lost: [], twice: ['t1'] }],
    ['a task done twice by one agent', [record('t1')], [ledger('a', ['t1', 1], ['t1', 1])], { lost: [], twice: ['t1'] }],
    ['a success nobody was told of', [record('t1')], [ledger('a')], { succeeded: 1, acknowledgedOnce: 0 }],
    ['the acknowledgement of another agent', [record('t1')], [ledger('b', ['t1', 1])], { acknowledgedOnce: 0 }],
    ['the acknowledgement of another attempt', [record('t1')], [ledger('a', ['t1', 2])], { acknowledgedOnce: 0 }],
    [
      'the result of another file',
      [record('t1', { result: { path: 't1.ts', sha256: 'x' } })],
      [ledger('a', ['t1', 1])],
      { succeeded: 0 },
    ],
    ['no result', [record('t1', { result: null })], [ledger('a', ['t1', 1])], { succeeded: 0 }],
  ])('complains of %s', (_, tasks, ledgers, expected) => {
    const verdict = verify([sent('t1')], records(...tasks), ledgers);
    expect(verdict.problems.length).toBeGreaterThan(0);
    expect(verdict).toMatchObject(expected);
  });

  test('complains of one id given to two tasks', () => {
    expect(verify([sent('t1'), sent('t1')], records(record('t1')), [ledger('a', ['t1', 1])]).problems).toHaveLength(1);
  });
});

describe('parseLedger', () => {
  const line = (event: object): string => JSON.stringify({ atMs: 5, ...event });

  test('reads the events of an agent, and passes over a line that was cut short', () => {
    const text = [
      'a line of text',
      line({ type: 'registered', agentId: 'a', region: 'r' }),
      line({ type: 'taskStarted', taskId: 't1', attempt: 2 }),
      line({ type: 'taskEnded', taskId: 't1', outcome: 'completed', durationMs: 1 }),
      line({ type: 'taskStarted', taskId: 't2', attempt: 1 }),
      line({ type: 'taskEnded', taskId: 't2', outcome: 'failed', durationMs: 1 }),
      line({ type: 'taskStarted', taskId: 't3', attempt: 1 }),
      '{"atMs":5,"type":"taskEn',
    ].join('\n');
    expect(parseLedger(text)).toEqual({
      agentId: 'a',
      starts: [
        { taskId: 't1', attempt: 2, atMs: 5 },
        { taskId: 't2', attempt: 1, atMs: 5 },
        { taskId: 't3', attempt: 1, atMs: 5 },
      ],
      completions: [{ taskId: 't1', attempt: 2, atMs: 5 }],
    });
  });

  test('an agent that wrote nothing has done nothing', () => {
    expect(parseLedger('')).toEqual({ agentId: null, starts: [], completions: [] });
  });
});
