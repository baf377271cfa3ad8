import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, stop } from 'esbuild';
import { ROOT } from '../checks.ts';

/** Inside the checkout, so that the packages left out of it are found. */
const BUNDLE = path.join(ROOT, '.build/demo/agent.mjs');

/**
 * The agents' program as one plain file. Dozens of processes load it at once, and loading the sources one by one is most of
 * what a start costs: 0.45 s of a processor against 0.15 s.
 */
export async function bundleAgent(): Promise<string> {
  try {
    const { outputFiles } = await build({
      entryPoints: [path.join(ROOT, 'scripts/demo/agent.ts')],
      bundle: true,
      write: false,
      platform: 'node',
      format: 'esm',
      target: 'node22',
      external: ['esbuild', 'ws'],
      // The analysers in it are not the program.
      define: { 'import.meta.main': 'false' },
      logLevel: 'warning',
    });
    const text = outputFiles[0]?.text ?? '';
    if (readIfThere(BUNDLE) !== text) {
      // Renamed into place: another demo may be loading it.
      const temporary = `${BUNDLE}.${process.pid}`;
      mkdirSync(path.dirname(BUNDLE), { recursive: true });
      writeFileSync(temporary, text);
      renameSync(temporary, BUNDLE);
    }
    return BUNDLE;
  } finally {
    await stop();
  }
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
