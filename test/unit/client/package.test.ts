import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import manifest from '../../../client/package.json' with { type: 'json' };
import root from '../../../package.json' with { type: 'json' };
import { importsOf } from '../../../scripts/check-layers.ts';

const SOURCE = path.resolve(import.meta.dirname, '../../../client/src');
const packagesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => importsOf(readFileSync(path.join(folder, file), 'utf8')))
    .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
    .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));

describe('the package', () => {
  test('names exactly what it imports', () => {
    // zod is imported by the schemas of shared/, which are published with it.
    expect(Object.keys(manifest.dependencies).sort()).toEqual([...new Set([...packagesOf(SOURCE), 'zod'])].sort());
  });

  test('has the versions of the checkout, so that there is one copy of each', () => {
    const versions: Record<string, string> = { ...root.dependencies, ...root.devDependencies };
    for (const [name, version] of Object.entries(manifest.dependencies)) expect(versions[name], name).toBe(version);
  });

  test('the core needs nothing of Node: only the command line imports its modules', () => {
    const core = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !file.startsWith('cli'),
    );
    for (const file of core) {
      const used = importsOf(readFileSync(path.join(SOURCE, file), 'utf8')).filter((specifier) => specifier.startsWith('node:'));
      expect(used, file).toEqual([]);
    }
  });
});
