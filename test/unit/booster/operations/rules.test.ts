import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../../../..');

/** The operations' own numbers; apply, engine and Worker have others. */
const numbersIn = (text: string, pattern: RegExp): number[] =>
  [...new Set([...text.matchAll(pattern)].map((found) => Number(found[1])))]
    .filter((rule) => rule >= 100 && rule < 200)
    .toSorted((a, b) => a - b);

describe('docs/spec/booster.md', () => {
  it('names exactly the rules of the operations that tests check', () => {
    const files = readdirSync(import.meta.dirname)
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => readFileSync(path.join(import.meta.dirname, file), 'utf8'));
    const rules = numbersIn(readFileSync(path.join(ROOT, 'docs/spec/booster.md'), 'utf8'), /^- \*\*B(\d+)\*\*/gm);
    expect(numbersIn(files.join('\n'), /['`]B(\d+): /g)).toEqual(rules);
  });
});
