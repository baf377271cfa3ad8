import { copyFileSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './checks.ts';

/** What the router serves as files: `/assets/x` is `.build/public/assets/x`, here, in tests and deployed. */
export const PUBLIC_DIR = path.join(ROOT, '.build/public');

const FILES: readonly (readonly [from: string, to: string])[] = [
  // The script of the API reference page comes from our own origin: a page about tokens loads nothing from strangers.
  ['node_modules/@scalar/api-reference/dist/browser/standalone.js', 'assets/scalar.js'],
];

/** Fills the directory that `wrangler.toml` names. Cheap to repeat: unchanged files stay. */
export function buildAssets(): void {
  for (const [from, to] of FILES) {
    const source = path.join(ROOT, from);
    const target = path.join(PUBLIC_DIR, to);
    const wanted = statSync(source);
    const present = statSync(target, { throwIfNoEntry: false });
    if (present !== undefined && present.size === wanted.size && present.mtimeMs >= wanted.mtimeMs) continue;
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(source, target);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  buildAssets();
  console.log(`assets: ${path.relative(ROOT, PUBLIC_DIR)}`);
}
