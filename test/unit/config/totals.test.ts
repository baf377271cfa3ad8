import { describe, expect, it } from 'vitest';
import { countReport, totalsLine } from '../../../scripts/vitest-run.ts';

const report = (over: object) => ({
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [],
  ...over,
});

describe('the closing line of the tests', () => {
  it('counts what passed, failed and was skipped', () => {
    const totals = countReport(report({ numFailedTests: 2, numPendingTests: 1, numTodoTests: 1 }), 1);
    expect(totals).toEqual({ passed: 3, failed: 2, skipped: 2 });
    expect(totalsLine(totals)).toBe('3 passed, 2 failed, 2 skipped');
    expect(totalsLine({ ...totals, skipped: 0 })).toBe('3 passed, 2 failed');
  });

  it('counts a file that does not load, though no test of it failed', () => {
    const testResults = [{ status: 'failed', assertionResults: [] }];
    expect(countReport(report({ testResults }), 1).failed).toBe(1);
  });

  it('does not count a file twice whose tests failed', () => {
    const testResults = [{ status: 'failed', assertionResults: [{ status: 'failed' }] }];
    expect(countReport(report({ numFailedTests: 1, testResults }), 1).failed).toBe(1);
  });

  it('a bad exit without a failed test is still a failure', () => {
    expect(countReport(report({}), 1).failed).toBe(1);
    expect(countReport(undefined, 0).failed).toBe(1);
  });
});
