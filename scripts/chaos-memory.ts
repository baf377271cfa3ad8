/**
 * `npm run chaos:memory`: kills agent memory under load, also in the middle of rotation and compaction: first the engine alone,
 * then the real fleet through its API. `--only engine` or `--only fleet` leaves the other out.
 */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { runChaosFleet } from './chaos-memory/fleet-run.ts';
import { runChaosMemory } from './chaos-memory/run.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '30' },
    parent: { type: 'string', default: tmpdir() },
    only: { type: 'string' },
  },
});
const say = (line: string): void => console.log(`  ${line}`);
const options = { kills: Number(values.kills), parent: values.parent, say };
const modes = { engine: runChaosMemory, fleet: runChaosFleet };
const chosen = Object.entries(modes).filter(([name]) => values.only === undefined || name === values.only);
if (chosen.length === 0) throw new Error(`--only ${String(values.only)}: engine or fleet`);

let count = 0;
for (const [name, run] of chosen) {
  console.log(name === 'engine' ? 'chaos of the sealed engine' : 'chaos of memory in the real fleet, over HTTP');
  const result = await run(options);
  const violations = [...result.violations];
  // Each second kill waits for one of them: a run that has not met both has not tried what it says.
  if (options.kills > 3 && (result.duringRotation === 0 || result.duringCompaction === 0))
    violations.push('no kill fell into a rotation, or none into a compaction');
  say(
    `${result.kills} kills (${result.duringRotation} during a rotation, ${result.duringCompaction} during a compaction), ${result.acknowledged} writes acknowledged, ${result.keyIds} data keys used`,
  );
  for (const violation of violations.slice(0, 20)) say(violation);
  count += violations.length;
}
console.log(count === 0 ? '\nchaos: no violation' : `\nchaos: ${count} violations`);
process.exitCode = count === 0 ? 0 : 1;
