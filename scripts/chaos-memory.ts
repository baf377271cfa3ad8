/** `npm run chaos:memory`: kills agent memory's engine under load, also in the middle of rotation and compaction. */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { runChaosMemory } from './chaos-memory/run.ts';

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '30' }, parent: { type: 'string', default: tmpdir() } },
});
const say = (line: string): void => console.log(`  ${line}`);
console.log('chaos of sealed memory');
const result = await runChaosMemory({ kills: Number(values.kills), parent: values.parent, say });
say(
  `${result.kills} kills (${result.duringRotation} during a rotation, ${result.duringCompaction} during a compaction), ${result.acknowledged} writes acknowledged, ${result.keyIds} data keys used`,
);
for (const violation of result.violations.slice(0, 20)) say(violation);
console.log(result.violations.length === 0 ? '\nchaos: no violation' : `\nchaos: ${result.violations.length} violations`);
process.exitCode = result.violations.length === 0 ? 0 : 1;
