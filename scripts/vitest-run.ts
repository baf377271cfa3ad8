import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { ROOT } from './checks.ts';

/** What became of a run, counted in tests. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const ReportSchema = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  numTodoTests: z.int(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

/**
 * Counts a JSON report. A file that could not even be loaded counts as one failure, because it holds no test that could
 * fail; so does a run that exits badly without a failed test (an unhandled rejection, a crash of the runner).
 */
export function countReport(report: unknown, exitCode: number): Totals {
  const parsed = ReportSchema.safeParse(report);
  if (!parsed.success) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = parsed.data;
  const brokenFiles = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = numFailedTests + brokenFiles;
  return {
    passed: numPassedTests,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: numPendingTests + numTodoTests,
  };
}

/** Runs vitest with its own output on the terminal, and counts what it reports. */
export function runVitest(args: readonly string[]): Totals {
  const reportFile = path.join(ROOT, '.build', `vitest-${process.pid}.json`);
  mkdirSync(path.dirname(reportFile), { recursive: true });
  const result = spawnSync(
    process.execPath,
    [
      path.join(ROOT, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${reportFile}`,
      ...args,
    ],
    { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  let report: unknown;
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    console.error('vitest left no report');
  }
  rmSync(reportFile, { force: true });
  return countReport(report, result.status ?? 1);
}

/** The closing line: alone on its line, so that a reader and a machine find it alike. */
export const totalsLine = (totals: Totals): string =>
  `${totals.passed} passed, ${totals.failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''}`;
