/** `npm run check`: format, layers, types, lint and unit tests; what one runs before each commit. */
import { buildBooster } from './build-booster.ts';
import { runStaticChecks } from './checks.ts';
import { runVitest } from './vitest-run.ts';

buildBooster();
const failed = [...runStaticChecks()];
const unit = runVitest(['--project', 'unit']);
if (unit.failed > 0 || unit.passed === 0) failed.push('unit tests');
console.log(failed.length === 0 ? '\ncheck: ok' : `\ncheck: failed (${failed.join(', ')})`);
process.exitCode = failed.length === 0 ? 0 : 1;
