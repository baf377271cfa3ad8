/** `npm run demo -- [directory]`: drives a real workload through a running fleet and shows it. `--help` says how. */
import { FleetError } from '../client/src/errors.ts';
import { parseOptions } from './demo/options.ts';
import { DemoError, runDemo } from './demo/run.ts';
import { printSummary } from './demo/summary.ts';
import { Terminal } from './demo/terminal.ts';

const INTERRUPTED_EXIT = 130;

const options = parseOptions(process.argv.slice(2));
const ui = new Terminal(options.isJson ? process.stderr : process.stdout);
const interruption = new AbortController();

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // A second time there is no patience left; what was started is ended by the exit handlers.
    if (interruption.signal.aborted) process.exit(INTERRUPTED_EXIT);
    ui.endProgress();
    ui.line(`  ${name}: stopping what was started; once more stops at once`);
    interruption.abort(new DemoError('interrupted'));
  });
}
// Whoever read the output may be gone before the agents are.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  ui.line(`\n${ui.colors.bold('Fleet Manager demo')}`);
  const summary = await runDemo(options, ui, interruption.signal);
  printSummary(summary, ui);
  if (options.isJson) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  process.exitCode = summary.ok ? 0 : 1;
} catch (error) {
  const isInterrupted = interruption.signal.aborted;
  const isExpected = error instanceof DemoError || error instanceof FleetError;
  const text = error instanceof Error ? (isExpected ? error.message : (error.stack ?? error.message)) : String(error);
  // Whatever was under way then ended with an error of its own.
  ui.line(`\n${ui.colors.red('The demo stopped:')} ${isInterrupted ? 'interrupted' : text}`);
  process.exitCode = isInterrupted ? INTERRUPTED_EXIT : 1;
}
