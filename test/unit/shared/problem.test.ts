import { expect, it } from 'vitest';
import { PROBLEMS, problemOf } from '../../../shared/problem.ts';
import { ProblemSchema } from '../../../shared/schemas/problem.ts';

const where = { instance: '/v1/tasks', requestId: 'r-1' };

it('every kind has a client or availability status and a title', () => {
  for (const [kind, { status, title }] of Object.entries(PROBLEMS)) {
    expect(kind === 'internal' ? status === 500 : status >= 400 && status !== 500, kind).toBe(true);
    expect(title, kind).not.toBe('');
  }
});

it('a problem carries the facts of its kind and satisfies its schema', () => {
  const problem = problemOf({ kind: 'quota_exceeded', scope: 'pool', limit: 5, detail: 'full' }, where);
  expect(ProblemSchema.parse(problem)).toEqual(problem);
  expect(problem).toMatchObject({ status: 409, code: 'quota_exceeded', limit: 5, scope: 'pool', detail: 'full', ...where });
  expect(problemOf({ kind: 'queue_full', limit: 9, retryAfterMs: 250, detail: 'x' }, where)).toMatchObject({
    status: 429,
    retryAfterMs: 250,
    limit: 9,
  });
  expect(problemOf({ kind: 'validation_failed', errors: [{ path: 'a.b', message: 'no' }], detail: 'x' }, where)).toMatchObject({
    status: 422,
    errors: [{ path: 'a.b', message: 'no' }],
  });
  expect(problemOf({ kind: 'invalid_state', state: 'dead', detail: 'x' }, where)).toMatchObject({ status: 409, state: 'dead' });
});
