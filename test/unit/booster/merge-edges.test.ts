import { beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../wasm/booster/engine.ts';
import { apply } from '../../../wasm/booster/merge/apply.ts';
import { newEngine } from '../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
}, 60_000);

const text = (...lines: readonly string[]): string => `${lines.join('\n')}\n`;
const on = (original: string, edit: string, language: 'javascript' | 'java' = 'javascript'): ReturnType<typeof apply> =>
  apply(engine, { original, edit, language });

const WALKER = text('class Walker {', '  step() {', '    return this.at + 1;', '  }', '}');
const COUNTED = text('/** Counts. */', 'export function count(list) {', '  return list.length;', '}');
const CACHED = text('const cache = new Map();', '', 'export function find(key) {', '  return cache.get(key);', '}');

describe('a file or a part of it', () => {
  test('B17: a file of one class is that class', () => {
    const edit = WALKER.replace('+ 1', '+ 2');
    expect(on(WALKER, edit)).toMatchObject({ ok: true, output: edit });
  });

  test('B17: a function without the comment over it may be the file or not', () => {
    const edit = text('export function count(list) {', '  return list.size;', '}');
    expect(on(COUNTED, edit)).toMatchObject({ ok: false, reason: 'ambiguous' });
    expect(apply(engine, { original: COUNTED, edit, language: 'javascript', style: 'full' })).toMatchObject({ output: edit });
    expect(apply(engine, { original: COUNTED, edit, language: 'javascript', style: 'snippet' })).toMatchObject({
      output: COUNTED.replace('length', 'size'),
    });
  });

  test('B17: a file does not drop what its own code uses', () => {
    const edit = text('export function find(key) {', '  return cache.get(key) ?? null;', '}');
    expect(on(CACHED, edit)).toMatchObject({
      ok: true,
      style: 'snippet',
      output: CACHED.replace('get(key)', 'get(key) ?? null'),
    });
  });

  test('B17: a file keeps its blank first line if the rewrite has it', () => {
    const original = `\n${WALKER}`;
    const edit = original.replace('+ 1', '+ 2');
    expect(on(original, edit)).toMatchObject({ ok: true, output: edit });
  });
});

describe('a rewrite that was cut off', () => {
  const original = text(
    'import log',
    '',
    'def main(path):',
    '    log.open(path)',
    '',
    "if __name__ == '__main__':",
    "    main('here')",
  );
  const py = (edit: string): ReturnType<typeof apply> => apply(engine, { original, edit, language: 'python', style: 'full' });

  test('B44: other lines in place of the last ones may be half of what was to come', () => {
    const edit = original.replace("    main('here')\n", '    there = mea');
    expect(py(edit)).toMatchObject({ ok: false, reason: 'ambiguous' });
    expect(py(`${edit}sure()\n`)).toMatchObject({ ok: false, reason: 'ambiguous' });
  });

  test('B44: definitions of which the last one is not closed', () => {
    const members = text(
      'class Queue {',
      '  /** One. */',
      '  one() {',
      '    return this.get(1);',
      '  }',
      '',
      '  /** Many. */',
      '  many(count) {',
      '    if (count > 0) {',
      '      return this.get(count);',
      '    }',
      '    return this.get(0);',
      '  }',
      '}',
    );
    const edit = text('one() {', '  return this.take(1);', '}', '', 'many(count) {', '  if (count > 0) {');
    expect(on(members, edit)).toMatchObject({ ok: false, reason: 'does_not_parse' });
  });

  test('B44: a new version of the last line is an end', () => {
    const edit = original.replace("main('here')", "main('there')");
    expect(py(edit)).toMatchObject({ ok: true, output: edit });
  });
});

const MODULE = text(
  "import { read } from './read.js';",
  "import { write } from './write.js';",
  "import { log } from './log.js';",
  "import { warn } from './warn.js';",
  '',
  'export function copy(from, to) {',
  '  const data = read(from);',
  '  log(from);',
  '  warn(to);',
  '  write(to, data);',
  '  return data;',
  '}',
);

describe('edges of a lazy edit', () => {
  const tail = ['  log(from, to);', '  warn(to);', '  write(to, data);', '  return data;', '}'];

  test('B42: what the edit goes on using stands before it, although only the end is shown', () => {
    const edit = text('export function copy(from, to) {', '  // ... existing code ...', '  const data = read(from);', ...tail);
    expect(on(MODULE, edit)).toMatchObject({ ok: true, output: MODULE.replace('log(from)', 'log(from, to)') });
  });

  test('B42: a line or two are not left out without saying so', () => {
    const original = text("'use strict';", ...MODULE.trimEnd().split('\n').slice(5));
    const edit = text('export function copy(from, to) {', '  // ... existing code ...', '  const data = read(from);', ...tail);
    expect(on(original, edit)).toMatchObject({ ok: false, reason: 'ambiguous' });
  });

  test('B10: a comment like a marker between the same two lines is text', () => {
    const original = MODULE.replace('  log(from);', '  // ... and the rest of the code ...\n  log(from);');
    const edit = original.replace('return data', 'return data.copy');
    expect(on(original, edit)).toMatchObject({ ok: true, style: 'full', output: edit });
  });
});

describe('what an edit may take away', () => {
  const USED = text(
    "import { log } from './log.js';",
    'const PATTERN = /a/;',
    '',
    'export function test(value) {',
    '  return PATTERN.test(value);',
    '}',
    '',
    'test("a");',
  );

  test('B22: a name whose every use the edit took, too, was meant to go', () => {
    const edit = text(
      "import { log } from './log.js';",
      'const MATCHER = /a/u;',
      '',
      'export function test(value) {',
      '  return MATCHER.test(value);',
      '}',
      '// ... existing code ...',
    );
    expect(on(USED, edit)).toMatchObject({ ok: true, output: USED.replaceAll('PATTERN', 'MATCHER').replace('/a/', '/a/u') });
  });

  test('B22: a method of an anonymous class does not become another one', () => {
    const method = (name: string): string[] => [
      '    @Override',
      `    public boolean ${name}(int tag) {`,
      `      return holder.${name}(tag);`,
      '    }',
    ];
    const made = (...methods: string[][]): string =>
      text('class A {', '  Runner make() {', '    return new Runner() {', ...methods.flat(), '    };', '  }', '}');
    const original = made(method('first'), method('isOn'), method('last'));
    const edit = text(
      'class A {',
      '  Runner make() {',
      '    return new Runner() {',
      '    // ... existing code ...',
      '      return holder.first(tag);',
      '    }',
      ...method('isUp'),
      '    @Override',
      '    // ... existing code ...',
      '    };',
      '  }',
      '}',
    );
    expect(on(original, edit, 'java')).toMatchObject({ ok: false, reason: 'proof_failed' });
  });
});

describe('places', () => {
  test('B15: read loosely, a SEARCH text has no near place elsewhere', () => {
    const block = ['  open(1);', '  close(2);', '  call(3);', '  done(4);'];
    const original = text('{', ...block, '}', '{', ...block.with(1, '  closeAll(2);'), '', '  more();', '}');
    const edit = text('<<<<<<< SEARCH', ...block, '', '=======', ...block, '  next(5);', '', '>>>>>>> REPLACE');
    expect(on(original, edit)).toMatchObject({ ok: false, reason: 'ambiguous' });
  });

  test('B49: thousands of lines against thousands are refused at once', () => {
    const lines = (count: number, name: string): string[] =>
      Array.from({ length: count }, (_, at) => `  ${name}${at} = go(a${at}, b${at});`);
    const many = text('function f() {', ...lines(1_500, 'x'), '}');
    const edit = text('function f() {', '  // ... existing code ...', ...lines(1_500, 'y'), '  // ... existing code ...', '}');
    expect(on(many, edit)).toMatchObject({ ok: false, reason: 'too_large' });
    const same = text(...Array.from({ length: 9_000 }, () => 'a();'));
    const hunk = text('@@ -1,3 +1,3 @@', ...Array.from({ length: 3_000 }, () => ' a();'), '-a();', '+b();');
    expect(on(same, hunk)).toMatchObject({ ok: false, reason: 'too_large' });
  });
});
