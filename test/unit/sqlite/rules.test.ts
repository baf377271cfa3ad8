import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const FOLDERS = ['test/unit/sqlite', 'test/unit/vectors', 'test/workerd/sqlite', 'test/e2e'];

const numbersIn = (text: string, pattern: RegExp): readonly number[] =>
  [...text.matchAll(pattern)].map((match) => Number(match[1]));

describe('docs/spec/memory-engine.md', () => {
  it('has a test for each rule, and a rule for each number that tests name', () => {
    const rules = numbersIn(readFileSync(path.join(ROOT, 'docs/spec/memory-engine.md'), 'utf8'), /^- \*\*M(\d+)\*\*/gm);
    const tested = FOLDERS.flatMap((folder) =>
      readdirSync(path.join(ROOT, folder))
        .filter((name) => name.endsWith('.test.ts'))
        .flatMap((name) => numbersIn(readFileSync(path.join(ROOT, folder, name), 'utf8'), /\bM(\d+)(?=[,:])/g)),
    ).filter((number) => number < 50);
    expect([...new Set(tested)].toSorted((a, b) => a - b)).toEqual(rules.toSorted((a, b) => a - b));
  });
});

describe('the engine', () => {
  it('is the build that its note names', () => {
    const note = readFileSync(path.join(ROOT, 'wasm/sqlite/README.md'), 'utf8');
    const wasm = readFileSync(path.join(ROOT, 'node_modules/sql.js/dist/sql-wasm.wasm'));
    const { version } = JSON.parse(readFileSync(path.join(ROOT, 'node_modules/sql.js/package.json'), 'utf8')) as {
      version: string;
    };
    expect(note).toContain(createHash('sha256').update(wasm).digest('hex'));
    expect(note).toContain(`sql.js ${version}`);
    const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    expect(manifest.dependencies['sql.js']).toBe('1.16.0');
  });
});
