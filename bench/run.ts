import process from 'node:process';

/** `npm run bench -- <name>`: one benchmark, ratios side by side in one run. */
const BENCHES: Readonly<Record<string, () => Promise<{ readonly run: (args: readonly string[]) => Promise<void> }>>> = {
  registry: () => import('./registry.ts'),
  allocation: () => import('./allocation.ts'),
  tasks: () => import('./tasks.ts'),
  idle: () => import('./idle.ts'),
  storm: () => import('./storm.ts'),
  memory: () => import('./memory.ts'),
  booster: () => import('./booster.ts'),
  'booster-recovery': () => import('./booster-recovery.ts'),
};

const [name, ...args] = process.argv.slice(2);
const load = name === undefined ? undefined : BENCHES[name];
if (load === undefined) {
  console.error(`usage: npm run bench -- <${Object.keys(BENCHES).join('|')}>`);
  process.exitCode = 2;
} else {
  const { run } = await load();
  await run(args);
}
