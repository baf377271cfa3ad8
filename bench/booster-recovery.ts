import { recovery } from './booster/recovery.ts';
import { report } from './lib/report.ts';

/** The booster's recovery by itself; see bench/booster/recovery.ts. */
export async function run(): Promise<void> {
  report('booster-recovery', 'npm run bench -- booster-recovery', [await recovery()]);
}
