import { spawnSync } from 'node:child_process';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '..');

/** What must hold of the sources without running them. The quick ones first. */
const STATIC_CHECKS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['format', 'oxfmt', '--check', '.'],
  ['layers', 'node', 'scripts/check-layers.ts'],
  ['types', 'tsc', '-p', 'tsconfig.json'],
  ['core types', 'tsc', '-p', 'tsconfig.core.json'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
];

/** Runs every check, so that one run tells all; answers the names of those that failed. */
export function runStaticChecks(): readonly string[] {
  const failed: string[] = [];
  for (const [name, command, ...args] of STATIC_CHECKS) {
    const startedAtMs = Date.now();
    const result = spawnSync(path.join(ROOT, 'node_modules/.bin', command), args, { cwd: ROOT, encoding: 'utf8' });
    const good = result.status === 0;
    console.log(`${good ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - startedAtMs) / 1000).toFixed(1)} s)`);
    if (good) continue;
    failed.push(name);
    console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`.trimEnd());
  }
  return failed;
}
