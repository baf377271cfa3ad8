/** `npm run chaos`: kills a fleet under load and judges what its clients were told. `--help` says how. */
import { readHistory } from '../test/lib/history.ts';
import { parseOptions } from './chaos/options.ts';
import { judge, runChaos } from './chaos/run.ts';
import type { Violation } from './chaos/violation.ts';

const SHOWN_MAX = 5;
const ENTRIES_SHOWN_MAX = 12;

const { isFailureExpected, check, ...options } = parseOptions(process.argv.slice(2));
const say = (line: string): void => console.log(`  ${line}`);
// The fleet and its state are taken along when the process exits; by default a signal would leave them behind.
for (const [name, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(name, () => process.exit(exitCode));
try {
  const violations = check === null ? await run() : judge(readHistory(check)).violations;
  report(violations);
  process.exitCode = violations.length > 0 === isFailureExpected ? 0 : 1;
} catch (error) {
  // No finding, but no run either: never a success.
  console.log(`\nchaos could not be run: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exitCode = 1;
}

async function run(): Promise<readonly Violation[]> {
  console.log(`chaos${options.plant === null ? '' : ` with a planted bug: ${options.plant}`}`);
  const { kills, counts, linearized, historyFile, violations } = await runChaos({ ...options, say });
  const { operations, acknowledged, refused, open, unsent, agents, leases, tasks } = counts;
  say(
    `${kills} kills, ${operations} operations: ${acknowledged} acknowledged, ${refused} refused, ${open} open, ${unsent} unsent`,
  );
  say(`${agents} agents, ${leases} leases, ${tasks} tasks; ${linearized} histories searched for an order`);
  if (historyFile !== null) say(`history: ${historyFile}`);
  return violations;
}

function report(found: readonly Violation[]): void {
  for (const [rule, all] of Map.groupBy(found, ({ rule }) => rule)) {
    console.log(`\n${rule}: ${all.length} violation${all.length === 1 ? '' : 's'}`);
    for (const { text, entries } of all.slice(0, SHOWN_MAX)) {
      console.log(`  ${text}`);
      for (const entry of entries.slice(-ENTRIES_SHOWN_MAX)) console.log(`    ${JSON.stringify(entry)}`);
    }
    if (all.length > SHOWN_MAX) console.log(`  … and ${all.length - SHOWN_MAX} more`);
  }
  console.log(found.length === 0 ? '\nno violation' : `\n${found.length} violations`);
}
