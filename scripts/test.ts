/**
 * `npm test`: everything that must pass. With arguments (a project, a file, a filter) only those tests, without the
 * static checks. A run of no test at all is a failure: green must mean that something was tried.
 */
import { buildAssets } from './build-assets.ts';
import { buildBooster } from './build-booster.ts';
import { runStaticChecks } from './checks.ts';
import { runVitest, totalsLine } from './vitest-run.ts';

const args = process.argv.slice(2);
const failedChecks = args.length === 0 ? runStaticChecks() : [];
buildAssets();
buildBooster();
const totals = runVitest(args);

if (failedChecks.length > 0) console.log(`\nFailed checks: ${failedChecks.join(', ')}`);
if (totals.passed + totals.failed === 0) console.log('\nNo test was run.');
const failed = totals.failed + failedChecks.length;
console.log(`\n${totalsLine({ ...totals, failed })}`);
process.exitCode = failed === 0 && totals.passed > 0 ? 0 : 1;
