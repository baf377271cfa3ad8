import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../../..');

const numbersIn = (text: string, pattern: RegExp): Set<number> => new Set([...text.matchAll(pattern)].map((m) => Number(m[1])));

describe('docs/spec/pool.md', () => {
  it('names exactly the rules that tests check', () => {
    const rules = numbersIn(readFileSync(path.join(ROOT, 'docs/spec/pool.md'), 'utf8'), /^- \*\*P(\d+)\*\*/gm);
    const files = ['test/unit/pool', 'test/unit/region', 'test/sim'].flatMap((folder) =>
      readdirSync(path.join(ROOT, folder))
        .filter((file) => file.endsWith('.test.ts'))
        .map((file) => readFileSync(path.join(ROOT, folder, file), 'utf8')),
    );
    const tested = numbersIn(files.join('\n'), /['`]P(\d+): /g);
    expect([...tested].toSorted((a, b) => a - b)).toEqual([...rules].toSorted((a, b) => a - b));
  });
});
