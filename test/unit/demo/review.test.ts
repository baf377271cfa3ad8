import { describe, expect, test } from 'vitest';
import { findDuplicates } from '../../../examples/analysers/duplicates.ts';
import { review } from '../../../examples/analysers/review.ts';

const importsOf = (path: string, source: string) => review({ path, source }).imports;

describe('imports', () => {
  test('reads every way a script imports', () => {
    const source = `
      import a, { b } from './b.ts';
      import type { C } from 'c';
      import {
        d,
      } from "node:fs";
      import 'e/f';
      export * from '../g.ts';
      const h = await import('h');
      const i = require('path');
      // import x from 'x';
      const y = "import y from 'y'";
      const z = \`import z from 'z'\`;
      foo.import('w'); const from = 'v';
    `;
    expect(importsOf('a.ts', source)).toEqual({
      total: 7,
      relative: ['./b.ts', '../g.ts'],
      packages: ['c', 'e/f', 'h'],
      builtin: ['node:fs', 'path'],
    });
  });

  test.each([
    ['a.py', 'import os, sys\nfrom .a import b\nx = "import y"\n', ['os', 'sys'], ['.a']],
    ['a.go', 'import "fmt"\nimport (\n\t"os"\n\tx "a/b"\n)\n', ['fmt', 'os', 'a/b'], []],
    ['a.c', '#include <stdio.h>\n#include "a.h"\n', ['stdio.h', 'a.h'], []],
    ['a.css', '@import "./a.css";', [], ['./a.css']],
  ])('reads %s', (path, source, packages, relative) => expect(importsOf(path, source)).toMatchObject({ packages, relative }));

  test('says when a language is not understood', () => {
    expect(review({ path: 'a.sql', source: 'select 1' })).toMatchObject({ importsKnown: false, imports: { total: 0 } });
  });
});

describe('findDuplicates', () => {
  const block = (name: string, lines: number): string => Array.from({ length: lines }, (_, i) => `${name} line ${i};`).join('\n');

  test('finds a block that stands twice, blank lines aside', () => {
    const text = `${block('a', 6)}\nx();\n\n${block('a', 6).replace('\n', '\n\n')}\ny();`;
    expect(findDuplicates(text)).toEqual([{ firstLine: 1, againLine: 9, lines: 6 }]);
  });

  test('ignores five lines, and brackets without words', () => {
    expect(findDuplicates(`${block('a', 5)}\nx\n${block('a', 5)}`)).toEqual([]);
    expect(findDuplicates(Array(30).fill('})').join('\n'))).toEqual([]);
  });

  test('takes the longest original and counts each later copy once', () => {
    const text = [block('a', 6), 'x', block('a', 8), 'y', block('a', 8)].join('\n');
    const found = findDuplicates(text);
    expect(found).toEqual([
      { firstLine: 1, againLine: 8, lines: 6 },
      { firstLine: 8, againLine: 17, lines: 8 },
    ]);
  });

  test('copies never overlap their original, and repetition stays cheap', () => {
    const startedAt = performance.now();
    const found = findDuplicates(Array(20_000).fill('same line').join('\n'));
    expect(found.reduce((sum, { lines }) => sum + lines, 0)).toBe(20_000 - 6);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test('comments do not count', () => {
    const source = `${block('// a', 8)}\n${block('// a', 8)}`;
    expect(review({ path: 'a.ts', source }).duplicateLines).toBe(0);
  });
});
