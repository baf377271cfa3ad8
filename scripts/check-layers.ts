import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** What the files of a folder may import: folders of ours, and packages (`'*'`: any). */
interface Layer {
  readonly folders: readonly string[];
  readonly packages: readonly string[] | '*';
}

/**
 * The layers of the house. A folder that is not named here may import anything (tests, scripts, benchmarks) and may be
 * imported by none of these.
 */
export const LAYERS: Readonly<Record<string, Layer>> = {
  shared: { folders: [], packages: ['zod', 'ulid'] },
  regions: { folders: ['shared'], packages: [] },
  wasm: { folders: [], packages: '*' },
  'durable-objects': { folders: ['shared', 'regions', 'wasm'], packages: '*' },
  workers: { folders: ['shared', 'regions', 'durable-objects', 'wasm'], packages: '*' },
  client: { folders: ['shared'], packages: '*' },
  dashboard: { folders: ['client', 'shared'], packages: '*' },
};

/** A core is pure: beside its own core it sees `shared/`, `regions/` and the packages of `shared/`. */
const CORE = /^(?:durable-objects|workers)\/[^/]+\/core\//;

// Statements start a line or follow a semicolon, which keeps code quoted in a test from counting as code.
const IMPORT =
  /\bimport\s*\(\s*(['"])(?<dynamic>[^'"\n]+)\1|(?:^|;)\s*(?:import|export)\b(?:[^'";]*?\bfrom)?\s*(['"])(?<fixed>[^'"\n]+)\3|^\s*\/\/\/\s*<reference\s+path=(['"])(?<reference>[^'"\n]+)\5/gm;

/** Every module specifier of a source text: static, type-only, re-exported, dynamic, and reference paths. */
export function importsOf(source: string): readonly string[] {
  // Comments go first, except reference directives: a commented-out import is no import.
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|[^:/])\/\/(?!\/\s*<reference)[^\n]*/gm, '$1');
  const found: string[] = [];
  for (const { groups } of code.matchAll(IMPORT)) {
    const specifier = groups?.['dynamic'] ?? groups?.['fixed'] ?? groups?.['reference'];
    if (specifier !== undefined) found.push(specifier);
  }
  return found;
}

/** What is wrong with the imports of one file, in words. `file` is relative to the root, with forward slashes. */
export function violationsOf(file: string, source: string): readonly string[] {
  const folder = file.split('/')[0] ?? '';
  const layer = LAYERS[folder];
  const found: string[] = [];
  for (const specifier of importsOf(source)) {
    if (!specifier.startsWith('.')) {
      if (layer === undefined) continue;
      const name = packageOf(specifier);
      const allowed = CORE.test(file) ? ['zod', 'ulid'] : layer.packages;
      if (allowed !== '*' && !allowed.includes(name)) found.push(`${file}: may not import package '${name}'`);
      continue;
    }
    const generated = specifier.includes('/generated/');
    if ((/\.[cm]?js$/.test(specifier) && !generated) || !/\.[a-z]+$/.test(specifier)) {
      found.push(`${file}: '${specifier}' must name the file itself, with its extension`);
    }
    if (layer === undefined) continue;
    const target = path.posix.join(path.posix.dirname(file), specifier);
    const targetFolder = target.split('/')[0] ?? '';
    if (CORE.test(file)) {
      const core = CORE.exec(file)?.[0] ?? '';
      if (!target.startsWith(core) && targetFolder !== 'shared' && targetFolder !== 'regions') {
        found.push(`${file}: a core may not import '${target}'`);
      }
    } else if (targetFolder !== folder && !layer.folders.includes(targetFolder)) {
      found.push(`${file}: ${folder}/ may not import '${target}'`);
    }
  }
  return found;
}

/** Every violation under `root`. */
export function checkLayers(root: string): readonly string[] {
  const found: string[] = [];
  for (const folder of readdirSync(root, { withFileTypes: true })) {
    if (!folder.isDirectory() || folder.name.startsWith('.') || folder.name === 'node_modules') continue;
    for (const entry of readdirSync(path.join(root, folder.name), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.[cm]?tsx?$/.test(entry.name) || entry.name.endsWith('.d.ts')) continue;
      const full = path.join(entry.parentPath, entry.name);
      const file = path.relative(root, full).split(path.sep).join('/');
      if (/(^|\/)(node_modules|dist)\//.test(file)) continue;
      found.push(...violationsOf(file, readFileSync(full, 'utf8')));
    }
  }
  return found;
}

const packageOf = (specifier: string): string => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = checkLayers(path.resolve(import.meta.dirname, '..'));
  for (const line of found) console.error(line);
  console.log(found.length === 0 ? 'layers: ok' : `layers: ${found.length} violation${found.length === 1 ? '' : 's'}`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
